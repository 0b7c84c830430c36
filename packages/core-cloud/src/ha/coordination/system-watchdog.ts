import { Worker } from 'node:worker_threads'
import { CloudError } from '../../kernel/errors.js'
import type { Watchdog } from './watchdog.js'

/** Leases that one watchdog guards at a time. */
const slots = 1_024

/**
 * Kills the process (SIGKILL, after a line on its standard error) when a guarded lease runs out and the event loop does
 * not say so in time: it is blocked, or the process was paused and goes on. A thread of its own looks, which needs about
 * 10 MiB. For programs whose effects nobody fences; others can do without. Its time is that of `systemClock`.
 */
export function systemWatchdog(): Watchdog & AsyncDisposable {
  // The first number is what the thread waits for; behind it a time in nanoseconds for every slot, 0 for a free one.
  const shared = new SharedArrayBuffer(8 * (slots + 1))
  const bell = new Int32Array(shared, 0, 1)
  const times = new BigInt64Array(shared, 8, slots)
  const names: string[] = []
  const worker = new Worker(new URL('./system-watchdog-main.js', import.meta.url), { workerData: shared })
  worker.unref()
  const ring = (): void => {
    Atomics.add(bell, 0, 1)
    Atomics.notify(bell, 0)
  }
  return {
    guard(what) {
      const slot = times.findIndex((time, at) => time === 0n && names[at] === undefined)
      if (slot < 0) throw new CloudError('core.ha.overloaded', `the watchdog guards ${slots} leases already`)
      names[slot] = what
      return {
        extend(until) {
          if (names[slot] === undefined) return
          const left = BigInt(Math.round((until - performance.now()) * 1e6))
          Atomics.store(times, slot, process.hrtime.bigint() + left)
          ring()
        },
        end() {
          Atomics.store(times, slot, 0n)
          delete names[slot]
        },
      }
    },
    async [Symbol.asyncDispose]() {
      await worker.terminate()
    },
  }
}
