import type { Clock } from '@aaas/core-cloud/kernel'
import type { Sample } from './load-core.js'

/** A request that is meant to be sent `at` milliseconds after the start, whatever became of those before. */
interface Planned {
  readonly at: number
  readonly kind: string
}

export interface OpenLoopOptions {
  /** In the order in which they are to be sent. */
  readonly plan: readonly Planned[]
  /** Sends one request. @returns whether it did what it should; must not reject. */
  readonly send: (kind: string) => Promise<boolean>
  readonly clock: Clock
  /** Ends the sending; what is under way is waited for. */
  readonly signal?: AbortSignal
  /** Called before each request. */
  readonly onSend?: (at: number, answered: number, inFlight: number) => void
}

/** Sends each request at its time without waiting for answers. Resolves when all are answered. */
export async function openLoop(options: OpenLoopOptions): Promise<readonly Sample[]> {
  const { plan, send, clock, signal } = options
  const start = clock.monotonic()
  const samples: Sample[] = []
  const running = new Set<Promise<void>>()
  const one = async (kind: string, intended: number): Promise<void> => {
    const ok = await send(kind)
    samples.push({ kind, intended, finished: clock.monotonic() - start, ok })
  }
  for (const { at, kind } of plan) {
    if (signal?.aborted === true) break
    const wait = at - (clock.monotonic() - start)
    if (wait > 1) await new Promise<void>(resolve => clock.after(wait, resolve))
    const work = one(kind, at).finally(() => running.delete(work))
    running.add(work)
    options.onSend?.(at, samples.length, running.size)
  }
  await Promise.all(running)
  return samples
}
