/** Tells the time and wakes callers. Tests give a manual one; only `system-*.ts` files touch the real one. */
export interface Clock {
  /** Milliseconds since the Unix epoch. May jump when the machine's clock is set. */
  now(): number
  /** Milliseconds from an arbitrary start; never goes back. Use it for durations and deadlines. */
  monotonic(): number
  /**
   * Calls `fn` once after `ms` milliseconds (0 to 2^31-1).
   * @returns a function that cancels the call; calling it twice is harmless.
   */
  after(ms: number, fn: () => void): () => void
}

/** Rejects with the signal's reason when it aborts first; resolves after `ms` milliseconds otherwise. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const onAbort = (): void => {
      cancel()
      reject(signal?.reason)
    }
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
