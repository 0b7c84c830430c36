import type { Millis } from './endpoint.js'

/**
 * A moving average of latencies that rises at once and falls slowly (Finagle's peak EWMA): an endpoint that begins to be
 * slow is avoided with its next answer, one that recovers is trusted after a few `decayMs`.
 */
export class PeakEwma {
  #value: number
  #at: Millis
  readonly #decayMs: number

  /** @param initialMs - what an endpoint that nobody knows is taken for. */
  constructor(now: Millis, options: { readonly initialMs: number; readonly decayMs: number }) {
    this.#value = options.initialMs
    this.#at = now
    this.#decayMs = options.decayMs
  }

  observe(latencyMs: number, now: Millis): void {
    const kept = Math.exp(-Math.max(0, now - this.#at) / this.#decayMs)
    this.#value = latencyMs > this.#value ? latencyMs : this.#value * kept + latencyMs * (1 - kept)
    this.#at = now
  }

  /** Decays while nothing is heard: who was slow once is tried again. */
  value(now: Millis): number {
    return this.#value * Math.exp(-Math.max(0, now - this.#at) / this.#decayMs)
  }
}
