/**
 * Exact bookkeeping of "at most `limit` units in any window of `intervalMs`": every unit is a slot that, once used,
 * is free again one interval later. Uses happen in order of time, so the slots stay sorted in a ring and every
 * answer is one look-up. (A bucket refilled at limit/interval with burst `limit` would let nearly twice the limit
 * pass in one window; one with a smaller burst would waste quota.)
 */
export class SlotRing {
  /** When each slot is free, sorted from `#head` round. */
  readonly #freeAt: Float64Array
  readonly #intervalMs: number
  #head = 0

  constructor(limit: number, intervalMs: number) {
    this.#freeAt = new Float64Array(limit).fill(Number.NEGATIVE_INFINITY)
    this.#intervalMs = intervalMs
  }

  /**
   * The earliest time, not before `now`, at which `units` units taken one by one are all out.
   * They may be more than the limit.
   */
  readyAt(units: number, now: number): number {
    const limit = this.#freeAt.length
    const last = units - 1
    const freeAt = this.#freeAt[(this.#head + (last % limit)) % limit] ?? now
    return Math.max(now, freeAt) + Math.floor(last / limit) * this.#intervalMs
  }

  /** Uses `units` slots at time `now`; the caller has checked that they are free. */
  take(units: number, now: number): void {
    const limit = this.#freeAt.length
    for (let count = 0; count < units; count++) this.#freeAt[(this.#head + count) % limit] = now + this.#intervalMs
    this.#head = (this.#head + units) % limit
  }
}
