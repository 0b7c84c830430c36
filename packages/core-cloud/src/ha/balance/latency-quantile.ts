/** Upper bounds of the buckets in milliseconds: a quarter apart, from 0.1 ms to half an hour. */
const growth = 1.25
const smallest = 0.1
const buckets = 75

/**
 * A quantile of the latest latencies from a histogram of fixed size, off by at most a quarter. Halved every `halveAfter`
 * observations, so that the past fades.
 */
export class LatencyQuantile {
  readonly #counts = new Float64Array(buckets)
  readonly #halveAfter: number
  #total = 0
  #since = 0

  constructor(halveAfter = 1_000) {
    this.#halveAfter = halveAfter
  }

  observe(ms: number): void {
    const bucket = Math.min(buckets - 1, Math.max(0, Math.ceil(Math.log(ms / smallest) / Math.log(growth))))
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1
    this.#total += 1
    this.#since += 1
    if (this.#since < this.#halveAfter) return
    this.#since = 0
    this.#total = 0
    for (let at = 0; at < buckets; at++) {
      this.#counts[at] = (this.#counts[at] as number) / 2
      this.#total += this.#counts[at] as number
    }
  }

  /** @param share - 0 to 1. @returns milliseconds; undefined before 20 observations. */
  quantile(share: number): number | undefined {
    if (this.#total < 20) return undefined
    let left = this.#total * share
    for (let at = 0; at < buckets; at++) {
      left -= this.#counts[at] as number
      if (left <= 0) return smallest * growth ** at
    }
    return smallest * growth ** (buckets - 1)
  }
}
