/** One request as the load generator saw it. Times are milliseconds from the start of the run. */
export interface Sample {
  readonly kind: string
  /** When it was meant to be sent. */
  readonly intended: number
  readonly finished: number
  readonly ok: boolean
}

export interface LoadSummary {
  readonly kind: string
  readonly sent: number
  readonly failed: number
  /** Per second, over the time in which requests were meant to be sent. */
  readonly rate: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/**
 * Times at which requests are meant to be sent: a Poisson process of the given rate, so that bursts happen as they do
 * with people. Latency counts from these times, whether the generator kept up or not (no coordinated omission).
 */
export function intendedTimes(options: {
  readonly perSecond: number
  readonly seconds: number
  readonly random: () => number
}): number[] {
  const times: number[] = []
  const end = options.seconds * 1000
  let at = 0
  for (;;) {
    at += (-Math.log(1 - options.random()) / options.perSecond) * 1000
    if (at >= end) return times
    times.push(at)
  }
}

/**
 * Times of exactly `perSecond` x `seconds` requests (rounded), spread like those of a Poisson process that happened to
 * have that many. A measured rate then varies by what the site did, not by how many requests chance sent.
 */
export function spreadTimes(options: {
  readonly perSecond: number
  readonly seconds: number
  readonly random: () => number
}): number[] {
  const { perSecond, seconds, random } = options
  const count = Math.max(1, Math.round(perSecond * seconds))
  return Array.from({ length: count }, () => random() * seconds * 1000).sort((a, b) => a - b)
}

/** Sums samples of one kind up. */
export function summarise(kind: string, samples: readonly Sample[], seconds: number): LoadSummary {
  const mine = samples.filter(sample => sample.kind === kind)
  const latencies = mine.map(sample => sample.finished - sample.intended).sort((a, b) => a - b)
  const quantile = (q: number): number =>
    round(latencies[Math.min(latencies.length - 1, Math.ceil(q * latencies.length) - 1)] ?? 0)
  return {
    kind,
    sent: mine.length,
    failed: mine.filter(sample => !sample.ok).length,
    rate: round(mine.length / seconds),
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    maxMs: quantile(1),
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
