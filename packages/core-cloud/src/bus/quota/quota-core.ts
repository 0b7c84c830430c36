/**
 * A rate with a burst, in whole numbers: the generic cell rate algorithm (ITU-T I.371, annex A) in its form as a leaky
 * bucket. What was let through is a debt in thousandths of a unit that shrinks by `perSecond` every millisecond; more
 * than `burst` units are never owed, except for one lump larger than the burst, which passes when nothing is owed and
 * is paid off like the rest. So in any t milliseconds at most `burst` (or one larger lump) + t/1000 * `perSecond` units
 * pass. Pure: no clock, no I/O, no rounding in favour of anybody.
 */
export class RateMeter {
  #perSecond: number
  #burst: number
  #debt = 0
  #at: number

  /** @param now - whole milliseconds that never go back, as in the other methods. */
  constructor(limit: { readonly perSecond: number; readonly burst: number }, now: number) {
    this.#perSecond = limit.perSecond
    this.#burst = limit.burst
    this.#at = now
  }

  /** Other limits from now on; what is owed stays owed. */
  change(limit: { readonly perSecond: number; readonly burst: number }, now: number): void {
    this.#settle(now)
    this.#perSecond = limit.perSecond
    this.#burst = limit.burst
  }

  /** True when nothing is owed: as good as new. */
  idle(now: number): boolean {
    this.#settle(now)
    return this.#debt === 0
  }

  /** @returns 0 when `units` (a whole number) may pass now, else the least milliseconds after which they could. */
  waitFor(units: number, now: number): number {
    this.#settle(now)
    const over = this.#debt + (units - this.#burst) * 1_000
    if (over <= 0 || this.#debt === 0) return 0
    return Math.ceil(Math.min(over, this.#debt) / this.#perSecond)
  }

  /** Lets them pass; only after {@link RateMeter.waitFor} gave 0 for the same time. */
  take(units: number): void {
    this.#debt += units * 1_000
  }

  #settle(now: number): void {
    if (now <= this.#at) return
    // A product beyond exact integers is far above any debt.
    this.#debt = Math.max(0, this.#debt - (now - this.#at) * this.#perSecond)
    this.#at = now
  }
}
