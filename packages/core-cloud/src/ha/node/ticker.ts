import type { Clock } from '../../kernel/clock.js'

export interface TickerOptions {
  readonly clock: Clock
  readonly tickMs: number
  readonly electionTicks: number
  /** @param pace - of the same wake-up: `exact` follows the clock, `patient` does not count what this process slept. */
  readonly onTick: (pace: { readonly exact: number; readonly patient: number; readonly lateMs: number }) => void
}

/**
 * Turns time into ticks. A process whose event loop is held up wakes late, with the messages that would have kept it
 * calm still unread: what it slept is not counted as silence of the others, and as long as it is often late, its ticks
 * are longer. Ticks for leases follow the clock whatever happens.
 */
export class Ticker {
  readonly #options: TickerOptions
  #cancel: () => void = () => undefined
  #last: number
  /** Parts of ticks that were not given out yet. */
  #exact = 0
  #patient = 0
  /** How late this process wakes, milliseconds: rises at once, falls by a tenth a tick. */
  #lateness = 0

  constructor(options: TickerOptions) {
    this.#options = options
    this.#last = options.clock.monotonic()
    this.#schedule()
  }

  /** What a tick lasts now, in milliseconds: longer while the event loop is slow. */
  get effectiveTickMs(): number {
    const { tickMs, electionTicks } = this.#options
    // An election timeout has to be worth several delays, or every delay looks like a dead leader.
    return Math.max(tickMs, (4 * this.#lateness) / electionTicks)
  }

  stop(): void {
    this.#cancel()
  }

  #schedule(): void {
    const { clock, tickMs } = this.#options
    this.#cancel = clock.after(tickMs, () => this.#wake())
  }

  #wake(): void {
    const { clock, tickMs, onTick } = this.#options
    const now = clock.monotonic()
    const elapsed = now - this.#last
    this.#last = now
    const lateMs = Math.max(0, elapsed - tickMs)
    this.#lateness = Math.max(lateMs, this.#lateness * 0.9)
    this.#exact += elapsed / tickMs
    this.#patient += Math.min(elapsed, 2 * tickMs) / this.effectiveTickMs
    // Half a tick of slack: timers fire a little early and late.
    const exact = Math.max(0, Math.floor(this.#exact + 0.5))
    const patient = Math.max(0, Math.floor(this.#patient + 0.5))
    this.#exact -= exact
    this.#patient -= patient
    this.#schedule()
    onTick({ exact, patient, lateMs })
  }
}
