export interface AdaptiveLimitOptions {
  /** Calls at a time at first, default 20. */
  readonly initial?: number
  /** Default 4. */
  readonly least?: number
  /** Default 1_000. */
  readonly most?: number
  /** Calls that may wait in the server without being a sign of overload, default 4. */
  readonly queue?: number
  /** Latencies up to this many times the long-term average are no sign of overload, default 1.5. */
  readonly tolerance?: number
}

/**
 * Finds out how many calls at a time somebody can take, from latencies alone (Netflix's Gradient2 limit): while they are
 * as always the limit grows, when they rise it shrinks in proportion.
 */
export class AdaptiveLimit {
  readonly #options: Required<AdaptiveLimitOptions>
  #limit: number
  /** Exponential average of the last 600 latencies or so. */
  #long = 0
  #observed = 0

  constructor(options: AdaptiveLimitOptions = {}) {
    this.#options = { initial: 20, least: 4, most: 1_000, queue: 4, tolerance: 1.5, ...options }
    this.#limit = this.#options.initial
  }

  get limit(): number {
    return Math.floor(this.#limit)
  }

  /** @param inFlight - calls under way when this one began, itself included. */
  observe(latencyMs: number, inFlight: number): void {
    const { least, most, queue, tolerance } = this.#options
    this.#observed += 1
    // Plain average at first: one slow first call must not colour the picture for minutes.
    const share = this.#observed < 10 ? 1 / this.#observed : 2 / 601
    this.#long += (latencyMs - this.#long) * share
    // After a time of overload the long-term average is too high: let it come down.
    if (this.#long / latencyMs > 2) this.#long *= 0.95
    // Too few calls to learn anything of the limit.
    if (inFlight < this.#limit / 2) return
    const gradient = Math.max(0.5, Math.min(1, (tolerance * this.#long) / latencyMs))
    const wanted = this.#limit * gradient + queue
    this.#limit = Math.max(least, Math.min(most, this.#limit * 0.8 + wanted * 0.2))
  }

  /** Somebody said it has too much: at once less. */
  refused(): void {
    this.#limit = Math.max(this.#options.least, this.#limit * 0.9)
  }
}
