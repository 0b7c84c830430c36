/** Steps per doubling: a quantile is at most 1/32 (3 %) above the true value. */
const stepBits = 5
const steps = 1 << stepBits
/** Longest duration told apart, microseconds (about 71 minutes); longer ones count as this one. */
const maxMicros = 2 ** 32 - 1
/** Durations below `steps` microseconds have a bucket each; every doubling above has `steps` buckets. */
const bucketCount = (32 - stepBits + 1) * steps

/** The form in which a histogram is stored and sent. */
export interface LatencyHistogramJson {
  readonly count: number
  readonly sumMicros: number
  readonly maxMicros: number
  /** Bucket index and count, alternating, in ascending order; empty buckets are left out. */
  readonly buckets: readonly number[]
}

/**
 * Counts durations in log-linear buckets of fixed size, so that histograms of many instances and seconds can be
 * added up without loss. Recording costs a few nanoseconds and allocates nothing; memory is 4 KiB.
 */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(bucketCount)
  #count = 0
  #sumMicros = 0
  #maxMicros = 0

  get count(): number {
    return this.#count
  }

  /** Mean in milliseconds; 0 when empty. */
  get mean(): number {
    return this.#count === 0 ? 0 : this.#sumMicros / this.#count / 1_000
  }

  /** Longest duration in milliseconds; 0 when empty. */
  get max(): number {
    return this.#maxMicros / 1_000
  }

  /** @param ms - a duration in milliseconds; negative and NaN count as 0. */
  record(ms: number): void {
    const micros = ms > 0 ? Math.min(Math.round(ms * 1_000), maxMicros) : 0
    const index = bucketOf(micros)
    this.#counts[index] = (this.#counts[index] ?? 0) + 1
    this.#count += 1
    this.#sumMicros += micros
    if (micros > this.#maxMicros) this.#maxMicros = micros
  }

  /** Adds the durations of another histogram to this one. */
  merge(other: LatencyHistogram | LatencyHistogramJson): this {
    const json = other instanceof LatencyHistogram ? other.toJSON() : other
    for (let pair = 0; pair + 1 < json.buckets.length; pair += 2) {
      const index = json.buckets[pair] ?? -1
      if (!Number.isInteger(index) || index < 0 || index >= bucketCount) continue
      this.#counts[index] = (this.#counts[index] ?? 0) + (json.buckets[pair + 1] ?? 0)
    }
    this.#count += json.count
    this.#sumMicros += json.sumMicros
    this.#maxMicros = Math.max(this.#maxMicros, json.maxMicros)
    return this
  }

  /**
   * What was recorded here since an earlier copy of this histogram was taken. Its longest duration is known to the
   * precision of a bucket only.
   */
  since(earlier: LatencyHistogramJson): LatencyHistogramJson {
    const before = new Map<number, number>()
    for (let pair = 0; pair + 1 < earlier.buckets.length; pair += 2) {
      before.set(earlier.buckets[pair] ?? -1, earlier.buckets[pair + 1] ?? 0)
    }
    const buckets: number[] = []
    for (let index = 0; index < bucketCount; index++) {
      const count = (this.#counts[index] ?? 0) - (before.get(index) ?? 0)
      if (count > 0) buckets.push(index, count)
    }
    return {
      count: this.#count - earlier.count,
      sumMicros: this.#sumMicros - earlier.sumMicros,
      maxMicros: buckets.length === 0 ? 0 : Math.min(upperEdge(buckets.at(-2) ?? 0), this.#maxMicros),
      buckets,
    }
  }

  /**
   * @param q - 0 to 1; 0.99 is the 99th percentile.
   * @returns milliseconds such that at least the share `q` of the durations is not longer (upper edge of the bucket,
   *   never above the longest duration seen); 0 when empty.
   */
  quantile(q: number): number {
    if (this.#count === 0) return 0
    const wanted = Math.max(1, Math.ceil(Math.min(1, Math.max(0, q)) * this.#count))
    let seen = 0
    for (let index = 0; index < bucketCount; index++) {
      seen += this.#counts[index] ?? 0
      if (seen >= wanted) return Math.min(upperEdge(index), this.#maxMicros) / 1_000
    }
    return this.#maxMicros / 1_000
  }

  /** Forgets everything. */
  reset(): void {
    this.#counts.fill(0)
    this.#count = 0
    this.#sumMicros = 0
    this.#maxMicros = 0
  }

  toJSON(): LatencyHistogramJson {
    const buckets: number[] = []
    for (let index = 0; index < bucketCount; index++) {
      const count = this.#counts[index] ?? 0
      if (count > 0) buckets.push(index, count)
    }
    return { count: this.#count, sumMicros: this.#sumMicros, maxMicros: this.#maxMicros, buckets }
  }

  static fromJSON(json: LatencyHistogramJson): LatencyHistogram {
    return new LatencyHistogram().merge(json)
  }
}

function bucketOf(micros: number): number {
  if (micros < steps) return micros
  const exponent = 31 - Math.clz32(micros)
  const step = (micros >>> (exponent - stepBits)) & (steps - 1)
  return (exponent - stepBits + 1) * steps + step
}

/** Longest duration of a bucket, microseconds. */
function upperEdge(index: number): number {
  if (index < steps) return index
  const shift = Math.floor(index / steps) - 1
  return (steps + (index % steps) + 1) * 2 ** shift - 1
}
