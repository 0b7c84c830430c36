import { AdaptiveLimit, type AdaptiveLimitOptions } from './adaptive-limit.js'
import type { AttemptOutcome, Endpoint, Millis } from './endpoint.js'
import { HashRing } from './hash-ring.js'
import { LatencyQuantile } from './latency-quantile.js'
import { OutlierEjection, type OutlierLimits } from './outlier-ejection.js'
import { PeakEwma } from './peak-ewma.js'
import { RetryBudget, type RetryBudgetLimits } from './retry-budget.js'

export interface BalancerOptions {
  /** 0 to 1, uniform. */
  readonly random: () => number
  /** Where the caller is: endpoints of its zone go first. */
  readonly zone?: string
  /** Milliseconds after which a past latency counts about a third, default 10_000. */
  readonly decayMs?: number
  /** Milliseconds that an endpoint nobody knows is taken for, default 20. */
  readonly initialMs?: number
  /** Milliseconds in which a new endpoint's share grows to its whole, default 10_000; 0: at once. */
  readonly slowStartMs?: number
  /** With less than this share of healthy endpoints all are used, default 0.5: half a service cannot carry all. */
  readonly panicShare?: number
  /** The own zone is left while fewer than this share of its endpoints can take a call, default 0.5. */
  readonly zoneShare?: number
  readonly outliers?: OutlierLimits
  readonly retries?: RetryBudgetLimits
  /** Bounds the calls under way at each endpoint; `false` does not. */
  readonly concurrency?: AdaptiveLimitOptions | false
}

export interface PickOptions {
  /** Calls of one key go to one endpoint as long as that can take them. */
  readonly key?: string
  /** Endpoints that were tried for this call. */
  readonly avoid?: readonly string[]
}

/** One attempt at an endpoint; `end` must be called once, later calls are ignored. */
export interface Attempt {
  readonly endpoint: Endpoint
  end(outcome: AttemptOutcome, now: Millis): void
}

interface Known {
  endpoint: Endpoint
  readonly since: Millis
  readonly latency: PeakEwma
  readonly limit: AdaptiveLimit | undefined
  inFlight: number
}

/**
 * Chooses who serves a call: the cheaper of two drawn at random, where the cost is the peak average of the latency times
 * the calls under way (power of two choices: Mitzenmacher, 2001; of two endpoints both are looked at). Pure: time and
 * randomness come in.
 */
export class Balancer {
  readonly #options: Required<Omit<BalancerOptions, 'zone' | 'outliers' | 'retries' | 'concurrency'>> & BalancerOptions
  readonly #outliers: OutlierEjection
  readonly #budget: RetryBudget
  readonly #quantile = new LatencyQuantile()
  #known = new Map<string, Known>()
  #ring: HashRing | undefined

  constructor(now: Millis, options: BalancerOptions) {
    const defaults = { decayMs: 10_000, initialMs: 20, slowStartMs: 10_000, panicShare: 0.5, zoneShare: 0.5 }
    this.#options = { ...defaults, ...options }
    this.#outliers = new OutlierEjection(options.outliers)
    this.#budget = new RetryBudget(now, options.retries)
  }

  /** Replaces the list. Endpoints that stay keep what is known of them; of the first list nobody has to start slowly. */
  update(endpoints: readonly Endpoint[], now: Millis): void {
    const first = this.#known.size === 0
    const next = new Map<string, Known>()
    for (const endpoint of endpoints) {
      const known = this.#known.get(endpoint.id)
      if (known !== undefined) {
        known.endpoint = endpoint
        next.set(endpoint.id, known)
        continue
      }
      const { concurrency } = this.#options
      next.set(endpoint.id, {
        endpoint,
        since: first ? Number.NEGATIVE_INFINITY : now,
        latency: new PeakEwma(now, this.#options),
        limit: concurrency === false ? undefined : new AdaptiveLimit(concurrency),
        inFlight: 0,
      })
    }
    this.#known = next
    this.#ring = undefined
    this.#outliers.keep(new Set(next.keys()))
  }

  /** A call begins: counts for the retry budget. */
  begin(now: Millis): void {
    this.#budget.call(now)
  }

  /** @returns whether one more attempt is within the budget; it is then counted. */
  mayRetry(now: Millis): boolean {
    return this.#budget.take(now)
  }

  /** The same for a hedge, which leaves a quarter of the budget to retries: what failed needs it more than what is slow. */
  mayHedge(now: Millis): boolean {
    return this.#budget.take(now, 0.75)
  }

  /** Milliseconds after which an idempotent call may be hedged: what 95 of 100 calls need. Undefined: not known yet. */
  get hedgeAfterMs(): number | undefined {
    return this.#quantile.quantile(0.95)
  }

  /** @returns undefined when no endpoint can take a call now. */
  pick(now: Millis, options: PickOptions = {}): Attempt | undefined {
    const known = this.#choose(now, options)
    if (known === undefined) return undefined
    known.inFlight += 1
    const inFlight = known.inFlight
    let open = true
    return {
      endpoint: known.endpoint,
      end: (outcome, at) => {
        if (!open) return
        open = false
        known.inFlight -= 1
        this.#learn(known, outcome, at - now, at, inFlight)
      },
    }
  }

  /** What is known of the endpoints, for status pages. */
  view(now: Millis): readonly {
    readonly id: string
    readonly latencyMs: number
    readonly inFlight: number
    readonly ejected: boolean
  }[] {
    return [...this.#known.values()].map(({ endpoint: { id }, latency, inFlight }) => ({
      id,
      latencyMs: latency.value(now),
      inFlight,
      ejected: this.#outliers.ejected(id, now),
    }))
  }

  #choose(now: Millis, { key, avoid = [] }: PickOptions): Known | undefined {
    const all = [...this.#known.values()]
    const healthy = all.filter(({ endpoint }) => !this.#outliers.ejected(endpoint.id, now))
    const panic = healthy.length < all.length * this.#options.panicShare
    const able = (panic ? all : healthy).filter(
      known => known.limit === undefined || known.inFlight < known.limit.limit,
    )
    const fresh = able.filter(({ endpoint }) => !avoid.includes(endpoint.id))
    // Better the same again than nobody.
    const candidates = this.#near(fresh.length > 0 ? fresh : able, all)
    if (key !== undefined) return this.#byKey(key, candidates)
    if (candidates.length === 0) return undefined
    const one = this.#draw(candidates, now)
    if (candidates.length === 1) return one
    const other = this.#draw(
      candidates.filter(known => known !== one),
      now,
    )
    // Nearly equal costs are equal: otherwise the smallest difference in the past would draw every call of a quiet service.
    return this.#cost(other, now) < 0.8 * this.#cost(one, now) ? other : one
  }

  /** The caller's own zone, as long as enough of it can take a call. */
  #near(candidates: readonly Known[], all: readonly Known[]): readonly Known[] {
    const { zone, zoneShare } = this.#options
    if (zone === undefined) return candidates
    const near = ({ endpoint }: Known): boolean => endpoint.zone === undefined || endpoint.zone === zone
    const local = candidates.filter(near)
    return local.length > 0 && local.length >= all.filter(near).length * zoneShare ? local : candidates
  }

  #byKey(key: string, candidates: readonly Known[]): Known | undefined {
    this.#ring ??= new HashRing([...this.#known.keys()])
    const usable = new Set(candidates.map(({ endpoint }) => endpoint.id))
    const id = this.#ring.pick(
      key,
      one => this.#known.get(one)?.inFlight ?? 0,
      one => usable.has(one),
    )
    return id === undefined ? undefined : this.#known.get(id)
  }

  #draw(candidates: readonly Known[], now: Millis): Known {
    const weights = candidates.map(known => this.#share(known, now))
    let place = this.#options.random() * weights.reduce((sum, weight) => sum + weight, 0)
    const at = weights.findIndex(weight => {
      place -= weight
      return place < 0
    })
    return candidates[at === -1 ? candidates.length - 1 : at] as Known
  }

  #cost(known: Known, now: Millis): number {
    // Latencies below a tenth of a millisecond are noise.
    return (Math.max(0.1, known.latency.value(now)) * (known.inFlight + 1)) / this.#share(known, now)
  }

  /** Weight, less while the endpoint is new. */
  #share({ endpoint, since }: Known, now: Millis): number {
    const { slowStartMs } = this.#options
    const warm = slowStartMs === 0 ? 1 : Math.min(1, Math.max(0.05, (now - since) / slowStartMs))
    return (endpoint.weight ?? 1) * warm
  }

  #learn(known: Known, outcome: AttemptOutcome, latencyMs: number, now: Millis, inFlight: number): void {
    const { id } = known.endpoint
    if (outcome === 'cancelled') return
    if (outcome === 'refused') {
      known.limit?.refused()
      // A refusal is quick, and must not attract more calls: each one makes it look twice as slow, for a while.
      known.latency.observe(Math.min(1_000, Math.max(this.#options.initialMs, 2 * known.latency.value(now))), now)
      return
    }
    if (outcome === 'success') {
      this.#outliers.succeeded(id)
      this.#quantile.observe(latencyMs)
      known.latency.observe(latencyMs, now)
      known.limit?.observe(latencyMs, inFlight)
      return
    }
    this.#outliers.failed(id, this.#known.size, now)
    if (outcome === 'abandoned') {
      // It would have taken longer still.
      known.latency.observe(latencyMs, now)
      return
    }
    // A quick failure is no sign of speed: whoever fails must not attract calls.
    known.latency.observe(Math.max(latencyMs, known.latency.value(now), this.#options.initialMs), now)
  }
}
