import type { Clock } from '@aaas/core-cloud/kernel'
import { Counters } from './edge-metrics.js'
import type { Upstream } from './route-table.js'
import { UpstreamConnection } from './upstream-connection.js'

/** Idle connections are used again within this time at most; the instance's own limit may be shorter. */
const idleLimitMs = 4_000
/**
 * For requests that must not be repeated: an instance that closes an idle connection in the very moment of a request
 * would cost an order, so only connections used just now count as alive.
 */
const freshLimitMs = 1_000
/** Before the instance's own limit, how long a connection is no longer trusted. */
const marginMs = 1_000
const firstEjectionMs = 250
const longestEjectionMs = 4_000

/** Connections to one instance, how many requests it has, and whether it can be reached. */
export class UpstreamPool {
  readonly counters = new Counters()
  readonly #clock: Clock
  readonly #idle: UpstreamConnection[] = []
  readonly #all = new Set<UpstreamConnection>()
  readonly #waiting = new Set<() => void>()
  #upstream: Upstream
  #retired = false
  #failuresInRow = 0
  #ejectedUntil = 0

  constructor(upstream: Upstream, clock: Clock) {
    this.#upstream = upstream
    this.#clock = clock
  }

  get id(): string {
    return this.#upstream.id
  }

  get socketPath(): string {
    return this.#upstream.socketPath
  }

  get inFlight(): number {
    return this.counters.inFlight
  }

  /** Share of the concurrency that is used. */
  get load(): number {
    return this.counters.inFlight / this.#upstream.concurrency
  }

  get ready(): boolean {
    return !this.#retired && this.#upstream.state === 'ready'
  }

  get full(): boolean {
    return this.counters.inFlight >= this.#upstream.concurrency
  }

  /** True for a while after it could not be reached. */
  get ejected(): boolean {
    return this.#ejectedUntil > 0 && this.#clock.monotonic() < this.#ejectedUntil
  }

  update(upstream: Upstream): void {
    this.#upstream = upstream
    if (upstream.state === 'draining') this.#closeIdle()
  }

  /** It left the table: no new requests; running ones finish. */
  retire(): void {
    this.#retired = true
    this.#closeIdle()
  }

  /** A connection for one request; count it by {@link enter} and {@link leave}. */
  take(options: { readonly repeatable: boolean; readonly fresh: boolean }): UpstreamConnection {
    if (!options.fresh) {
      const now = this.#clock.monotonic()
      for (;;) {
        const connection = this.#idle.pop()
        if (connection === undefined) break
        if (connection.destroyed) continue
        const limit = Math.min(options.repeatable ? idleLimitMs : freshLimitMs, connection.keepAliveMs - marginMs)
        if (now - connection.idleSince <= limit) return connection
        connection.abort()
      }
    }
    const connection = new UpstreamConnection({
      socketPath: this.#upstream.socketPath,
      onIdle: idle => {
        if (!this.ready) return idle.abort()
        idle.idleSince = this.#clock.monotonic()
        this.#idle.push(idle)
      },
      onClose: closed => {
        this.#all.delete(closed)
        const place = this.#idle.indexOf(closed)
        if (place >= 0) this.#idle.splice(place, 1)
      },
    })
    this.#all.add(connection)
    return connection
  }

  enter(): void {
    this.counters.inFlight += 1
  }

  leave(): void {
    this.counters.inFlight -= 1
    if (this.counters.inFlight > 0) return
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }

  reached(): void {
    this.#failuresInRow = 0
    this.#ejectedUntil = 0
  }

  /**
   * A connection failed: the idle ones are dead too, most likely. Only a fresh one says that the instance is not well;
   * one used before may have been closed for being idle.
   */
  failed(fresh: boolean): void {
    this.#closeIdle()
    if (!fresh) return
    const pause = Math.min(longestEjectionMs, firstEjectionMs * 2 ** this.#failuresInRow)
    this.#failuresInRow = Math.min(this.#failuresInRow + 1, 10)
    this.#ejectedUntil = this.#clock.monotonic() + pause
  }

  /** Calls `resolve` when nothing is in flight. @returns a function that takes the wish back. */
  whenEmpty(resolve: () => void): () => void {
    if (this.counters.inFlight === 0) {
      resolve()
      return () => undefined
    }
    this.#waiting.add(resolve)
    return () => this.#waiting.delete(resolve)
  }

  #closeIdle(): void {
    for (const connection of this.#idle.splice(0)) connection.abort()
  }

  destroy(): void {
    this.#retired = true
    for (const connection of this.#all) connection.abort()
  }
}

/**
 * The upstream for the next request: among those that are ready, below their concurrency and not tried yet, the one with
 * the least share of its concurrency in use, ties in turn. Upstreams that could not be reached just now come last.
 */
export function choose(
  pools: readonly UpstreamPool[],
  options: { readonly turn: number; readonly tried: readonly UpstreamPool[] },
): UpstreamPool | undefined {
  let best: UpstreamPool | undefined
  let bestEjected = false
  for (let step = 0; step < pools.length; step++) {
    const pool = pools[(options.turn + step) % pools.length]
    if (pool === undefined || !pool.ready || pool.full || options.tried.includes(pool)) continue
    const ejected = pool.ejected
    const better = best === undefined || (ejected === bestEjected ? pool.load < best.load : bestEjected)
    if (better) {
      best = pool
      bestEjected = ejected
    }
  }
  return best
}
