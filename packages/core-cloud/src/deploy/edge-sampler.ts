import type { Traffic } from '@aaas/core-cloud/metering'
import type { LatencyHistogram, LatencyHistogramJson, MetricsStore } from '@aaas/core-cloud/monitor'
import type { Clock } from '../kernel/clock.js'

/** The part of the edge's counters that is used here; sums since the edge (or the upstream) began. */
interface TrafficCounters {
  readonly requests: number
  readonly failures: number
  readonly retried: number
  readonly rejected: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly latency: LatencyHistogram
}

export interface TrafficSource {
  metrics(): {
    readonly sites: Readonly<Record<string, TrafficCounters>>
    readonly upstreams: Readonly<Record<string, TrafficCounters>>
  }
}

type Count = 'requests' | 'failures' | 'retried' | 'rejected' | 'bytesIn' | 'bytesOut'

interface Seen {
  readonly counts: Readonly<Record<Count, number>>
  readonly latency: LatencyHistogramJson
}

const names: readonly Count[] = ['requests', 'failures', 'retried', 'rejected', 'bytesIn', 'bytesOut']
const nothing: Seen = {
  counts: { requests: 0, failures: 0, retried: 0, rejected: 0, bytesIn: 0, bytesOut: 0 },
  latency: { count: 0, sumMicros: 0, maxMicros: 0, buckets: [] },
}

/** Series of a site that are about no instance: what the edge answered itself. */
export const edgeSeries = 'edge'

/** Turns the edge's sums into the increments of each second. */
export interface EdgeSampler extends Disposable {
  /** Takes a sample now. */
  sample(): void
}

export function startEdgeSampler(options: {
  readonly edge: TrafficSource
  readonly metrics: MetricsStore
  /** Site of an instance; undefined when it is not known any more. */
  readonly siteOf: (instance: string) => string | undefined
  readonly clock: Clock
  /** Milliseconds; default 1_000. */
  readonly everyMs?: number
}): EdgeSampler {
  const { edge, metrics, siteOf, clock, everyMs = 1_000 } = options
  let upstreams = new Map<string, Seen>()
  let rejected = new Map<string, number>()

  const sample = (): void => {
    const now = edge.metrics()
    const seen = new Map<string, Seen>()
    for (const [instance, counters] of Object.entries(now.upstreams)) {
      const before = upstreams.get(instance) ?? nothing
      const grown = growth(counters, before)
      seen.set(
        instance,
        grown === undefined ? before : { counts: countsOf(counters), latency: counters.latency.toJSON() },
      )
      const site = siteOf(instance)
      if (grown === undefined || site === undefined) continue
      metrics.add({ site, instance, counters: grown, latency: counters.latency.since(before.latency) })
    }
    const refused = new Map<string, number>()
    for (const [site, counters] of Object.entries(now.sites)) {
      refused.set(site, counters.rejected)
      const more = counters.rejected - (rejected.get(site) ?? 0)
      if (more > 0) metrics.add({ site, instance: edgeSeries, counters: { rejected: more } })
    }
    upstreams = seen
    rejected = refused
  }
  let cancel = (): void => undefined
  const next = (): void => {
    cancel = clock.after(everyMs, () => {
      sample()
      next()
    })
  }
  next()
  return {
    sample,
    [Symbol.dispose]: () => cancel(),
  }
}

/** What an instance's traffic is to the meter. */
export function trafficOf(edge: TrafficSource, instance: string): Traffic | undefined {
  const counters = edge.metrics().upstreams[instance]
  if (counters === undefined) return undefined
  return { requests: counters.requests, requestBytes: counters.bytesIn, responseBytes: counters.bytesOut }
}

function countsOf(counters: TrafficCounters): Record<Count, number> {
  const { requests, failures, retried, rejected, bytesIn, bytesOut } = counters
  return { requests, failures, retried, rejected, bytesIn, bytesOut }
}

/** Undefined when nothing grew. */
function growth(counters: TrafficCounters, before: Seen): Record<string, number> | undefined {
  const grown: Record<string, number> = {}
  for (const name of names) {
    const more = counters[name] - before.counts[name]
    if (more > 0) grown[name] = more
  }
  return Object.keys(grown).length === 0 ? undefined : grown
}
