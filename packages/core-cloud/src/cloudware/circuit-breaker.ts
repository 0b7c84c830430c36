import type { Clock } from '../kernel/clock.js'

/** One try that a breaker let through. Exactly one of its methods is called, once. */
export interface Attempt {
  succeed(): void
  /** @returns true when this failure opened the circuit. */
  fail(): boolean
  /** It ended without saying anything about the other side. */
  cancel(): void
}

/**
 * Stops calling what keeps failing: after `failures` in a row nothing passes for `firstMs`, then one probe does;
 * each failed probe doubles the wait up to `maxMs`, one success closes the circuit.
 */
export class CircuitBreaker {
  readonly #clock: Clock
  readonly #failures: number
  readonly #firstMs: number
  readonly #maxMs: number
  /** Goes up when the circuit opens or closes: answers to tries of an earlier time say nothing about now. */
  #epoch = 0
  #inRow = 0
  #waitMs = 0
  #opensAgainAt = 0
  #probing = false

  constructor(options: {
    readonly clock: Clock
    readonly failures: number
    readonly firstMs: number
    readonly maxMs: number
  }) {
    this.#clock = options.clock
    this.#failures = options.failures
    this.#firstMs = options.firstMs
    this.#maxMs = options.maxMs
  }

  /** True while calls do not pass, a probe apart. */
  get open(): boolean {
    return this.#waitMs > 0
  }

  /** @returns undefined when the call must not be made. */
  enter(): Attempt | undefined {
    if (this.open) {
      if (this.#probing || this.#clock.monotonic() < this.#opensAgainAt) return undefined
      this.#probing = true
    }
    const epoch = this.#epoch
    return {
      succeed: () => {
        if (epoch !== this.#epoch) return
        if (this.open) this.#epoch += 1
        this.#inRow = 0
        this.#waitMs = 0
        this.#probing = false
      },
      fail: () => {
        if (epoch !== this.#epoch) return false
        this.#inRow += 1
        if (!this.open && this.#inRow < this.#failures) return false
        this.#open()
        return true
      },
      cancel: () => {
        if (epoch === this.#epoch) this.#probing = false
      },
    }
  }

  #open(): void {
    this.#epoch += 1
    this.#probing = false
    this.#waitMs = this.#waitMs === 0 ? this.#firstMs : Math.min(this.#waitMs * 2, this.#maxMs)
    this.#opensAgainAt = this.#clock.monotonic() + this.#waitMs
  }
}
