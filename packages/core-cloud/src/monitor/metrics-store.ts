import type { Clock } from '../kernel/clock.js'
import { LatencyHistogram, type LatencyHistogramJson } from './latency-histogram.js'

/** What happened at one instance since the last sample. */
export interface MetricsSample {
  readonly site: string
  readonly instance: string
  /** Increments by name, such as `requests`, `errors`, `rejected`. */
  readonly counters: Readonly<Record<string, number>>
  readonly latency?: LatencyHistogramJson
}

/** Latency of one second, milliseconds. */
export interface LatencySummary {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

export interface MetricsPoint {
  /** Start of the second, epoch milliseconds. */
  readonly at: number
  readonly counters: Readonly<Record<string, number>>
  readonly latency?: LatencySummary
}

/** Seconds in which nothing happened have no point. */
export interface MetricsSeries {
  readonly site: string
  readonly instance: string
  readonly points: readonly MetricsPoint[]
}

export interface MetricsQuery {
  readonly site?: string
  /** Epoch milliseconds; default: everything kept. */
  readonly since?: number
}

export interface MetricsStore {
  /** Adds a sample to the second that runs now. */
  add(sample: MetricsSample): void
  /** Series by site and instance, points in order of time; at most 20_000 points, the newest of each series first kept. */
  series(query?: MetricsQuery): readonly MetricsSeries[]
  /** Latency of a site's instances together since a time; undefined when nothing was recorded. */
  latency(site: string, since: number): LatencySummary | undefined
}

interface Second {
  readonly at: number
  readonly counters: Record<string, number>
  latency: LatencyHistogramJson | undefined
}

interface Ring {
  readonly site: string
  readonly instance: string
  seconds: Second[]
}

const maxPoints = 20_000

/**
 * Keeps metrics by the second in memory, for live views; nothing survives the process.
 * @param options.windowSeconds - how far back, default 600.
 * @param options.maxSeries - instances at most, default 2_000; the one that was silent longest goes first.
 */
export function createMetricsStore(options: {
  readonly clock: Clock
  readonly windowSeconds?: number
  readonly maxSeries?: number
}): MetricsStore {
  const { clock, windowSeconds = 600, maxSeries = 2_000 } = options
  const rings = new Map<string, Ring>()

  const forgetOld = (): void => {
    const oldest = clock.now() - windowSeconds * 1_000
    for (const [key, ring] of rings) {
      if ((ring.seconds.at(-1)?.at ?? 0) < oldest) rings.delete(key)
      else ring.seconds = ring.seconds.filter(second => second.at >= oldest)
    }
  }

  const ringOf = (site: string, instance: string): Ring => {
    const key = `${site}\n${instance}`
    const ring = rings.get(key) ?? { site, instance, seconds: [] }
    // Re-inserting keeps the map ordered by last use.
    rings.delete(key)
    rings.set(key, ring)
    const oldestKey = rings.keys().next().value
    if (rings.size > maxSeries && oldestKey !== undefined) rings.delete(oldestKey)
    return ring
  }

  const selected = (query: MetricsQuery): Ring[] => {
    forgetOld()
    return [...rings.values()].filter(ring => query.site === undefined || ring.site === query.site)
  }

  return {
    add({ site, instance, counters, latency }) {
      const ring = ringOf(site, instance)
      const at = Math.floor(clock.now() / 1_000) * 1_000
      let second = ring.seconds.at(-1)
      if (second === undefined || second.at < at) {
        second = { at, counters: {}, latency: undefined }
        ring.seconds.push(second)
        if (ring.seconds.length > windowSeconds) ring.seconds.shift()
      }
      for (const [name, value] of Object.entries(counters)) second.counters[name] = (second.counters[name] ?? 0) + value
      if (latency === undefined || latency.count === 0) return
      second.latency =
        second.latency === undefined ? latency : LatencyHistogram.fromJSON(second.latency).merge(latency).toJSON()
    },
    series(query = {}) {
      const since = query.since ?? Number.NEGATIVE_INFINITY
      const chosen = selected(query)
      const perRing = Math.max(1, Math.floor(maxPoints / Math.max(1, chosen.length)))
      return chosen.map(({ site, instance, seconds }) => ({
        site,
        instance,
        points: seconds
          .filter(second => second.at >= since)
          .slice(-perRing)
          .map(pointOf),
      }))
    },
    latency(site, since) {
      const all = new LatencyHistogram()
      for (const ring of selected({ site })) {
        for (const second of ring.seconds)
          if (second.at >= since && second.latency !== undefined) all.merge(second.latency)
      }
      return all.count === 0 ? undefined : summaryOf(all)
    },
  }
}

function pointOf({ at, counters, latency }: Second): MetricsPoint {
  if (latency === undefined) return { at, counters: { ...counters } }
  return { at, counters: { ...counters }, latency: summaryOf(LatencyHistogram.fromJSON(latency)) }
}

function summaryOf(histogram: LatencyHistogram): LatencySummary {
  return {
    count: histogram.count,
    mean: histogram.mean,
    p50: histogram.quantile(0.5),
    p95: histogram.quantile(0.95),
    p99: histogram.quantile(0.99),
    max: histogram.max,
  }
}
