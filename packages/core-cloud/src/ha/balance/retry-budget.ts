import type { Millis } from './endpoint.js'

export interface RetryBudgetLimits {
  /** Further attempts for each call, default 0.2. */
  readonly ratio?: number
  /** Further attempts a second that are allowed at least, default 10: a quiet caller may retry, too. */
  readonly perSecond?: number
  /** Milliseconds for which calls are remembered, default 10_000. */
  readonly windowMs?: number
}

/**
 * How many attempts beyond the first a caller may make at a target (Finagle's retry budget): retries and hedges draw on
 * the same one, so that in an outage the load grows by a fifth and not by a multiple.
 */
export class RetryBudget {
  readonly #limits: Required<RetryBudgetLimits>
  readonly #slotMs: number
  /** Calls and further attempts in ten slots of the window. */
  readonly #calls = new Float64Array(10)
  readonly #extra = new Float64Array(10)
  #slot: number

  constructor(now: Millis, limits: RetryBudgetLimits = {}) {
    this.#limits = { ratio: 0.2, perSecond: 10, windowMs: 10_000, ...limits }
    this.#slotMs = this.#limits.windowMs / 10
    this.#slot = Math.floor(now / this.#slotMs)
  }

  /** A call begins. */
  call(now: Millis): void {
    this.#advance(now)
    this.#calls[this.#slot % 10] = (this.#calls[this.#slot % 10] as number) + 1
  }

  /**
   * @param share - of the budget that may be used up for this, default all of it.
   * @returns whether one more attempt is allowed; it is then counted.
   */
  take(now: Millis, share = 1): boolean {
    this.#advance(now)
    const { ratio, perSecond, windowMs } = this.#limits
    const allowed = share * Math.max(ratio * sum(this.#calls), (perSecond * windowMs) / 1_000)
    if (sum(this.#extra) + 1 > allowed) return false
    this.#extra[this.#slot % 10] = (this.#extra[this.#slot % 10] as number) + 1
    return true
  }

  #advance(now: Millis): void {
    const slot = Math.floor(now / this.#slotMs)
    for (let at = Math.max(this.#slot, slot - 10) + 1; at <= slot; at++) {
      this.#calls[at % 10] = 0
      this.#extra[at % 10] = 0
    }
    this.#slot = Math.max(this.#slot, slot)
  }
}

function sum(slots: Float64Array): number {
  let total = 0
  for (const slot of slots) total += slot
  return total
}
