/**
 * Says whether one more request of a caller is within its rate: the generic cell rate algorithm (ITU-T I.371), one
 * number per caller. Bursts of up to one second's worth are let through.
 */
export class RateLimiter {
  readonly #due = new Map<string, number>()

  /** @param maxCallers - callers remembered; when there are more, those whose debt is paid are forgotten. */
  constructor(readonly maxCallers = 50_000) {}

  /** @returns 0 when the request may go on, else the milliseconds after which it may be tried again. */
  take(caller: string, perSecond: number, nowMs: number): number {
    const interval = 1000 / perSecond
    const due = Math.max(this.#due.get(caller) ?? 0, nowMs)
    const wait = due + interval - nowMs - 1000
    if (wait > 0) return Math.ceil(wait)
    if (this.#due.size >= this.maxCallers && !this.#due.has(caller)) this.#forget(nowMs)
    this.#due.set(caller, due + interval)
    return 0
  }

  #forget(nowMs: number): void {
    for (const [caller, due] of this.#due) if (due <= nowMs) this.#due.delete(caller)
    // Everybody is in debt: forget the oldest, which costs fairness and never memory.
    for (const caller of this.#due.keys()) {
      if (this.#due.size < this.maxCallers) break
      this.#due.delete(caller)
    }
  }
}
