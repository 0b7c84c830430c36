// The global of this name is made by a function each time it is looked up.
import { performance } from 'node:perf_hooks'
import type { Clock } from './clock.js'

/** The machine's clock. Timers do not keep the process alive unless `keepAlive` is set. */
export function systemClock({ keepAlive = false }: { keepAlive?: boolean } = {}): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    after(ms, fn) {
      const timer = setTimeout(fn, ms)
      if (!keepAlive) timer.unref()
      return () => clearTimeout(timer)
    },
  }
}
