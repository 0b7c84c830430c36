import { LatencyHistogram } from '@aaas/core-cloud/monitor'

/** Cumulative since the edge started, except `inFlight`. */
export interface EdgeCounters {
  /** Requests that got an answer from an instance or an error about one. */
  readonly requests: number
  /** Answers with status 500 and above, except `rejected`; cut answers too. */
  readonly failures: number
  /** Attempts after the first. */
  readonly retried: number
  /** 503 because every instance was full or none could be reached. */
  readonly rejected: number
  /** Bytes sent to instances, heads included. */
  readonly bytesIn: number
  /** Bytes of bodies received from instances. */
  readonly bytesOut: number
  readonly inFlight: number
  /** Milliseconds from the request's head to the end of the instance's answer. Shared: do not change. */
  readonly latency: LatencyHistogram
}

export interface EdgeMetrics {
  /** By site; sites that left the table are left out. */
  readonly sites: Readonly<Record<string, EdgeCounters>>
  /** By upstream id; upstreams that left the table and finished are left out. */
  readonly upstreams: Readonly<Record<string, EdgeCounters>>
  /** Connections of clients, idle ones included. */
  readonly connections: number
}

/** The one writer's view of {@link EdgeCounters}. */
export class Counters implements EdgeCounters {
  requests = 0
  failures = 0
  retried = 0
  rejected = 0
  bytesIn = 0
  bytesOut = 0
  inFlight = 0
  readonly latency = new LatencyHistogram()

  snapshot(): EdgeCounters {
    const { requests, failures, retried, rejected, bytesIn, bytesOut, inFlight, latency } = this
    return { requests, failures, retried, rejected, bytesIn, bytesOut, inFlight, latency }
  }
}
