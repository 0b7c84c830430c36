import type { Millis } from './endpoint.js'

export interface OutlierLimits {
  /** Failures in a row after which an endpoint is left out, default 5. */
  readonly consecutiveFailures?: number
  /** Milliseconds it is left out the first time, default 30_000; times the number of its ejections. */
  readonly ejectMs?: number
  /** Default 300_000. */
  readonly longestEjectMs?: number
  /** Share of the endpoints that may be left out at a time, default 0.5, rounded down: of one, none. */
  readonly maxShare?: number
}

interface Health {
  failures: number
  ejections: number
  until: Millis
}

/**
 * Leaves out endpoints that fail again and again (Envoy's consecutive-failure detection). Never more than a share of
 * them, so that a failure of what all of them depend on does not empty the list.
 */
export class OutlierEjection {
  readonly #limits: Required<OutlierLimits>
  readonly #health = new Map<string, Health>()

  constructor(limits: OutlierLimits = {}) {
    this.#limits = { consecutiveFailures: 5, ejectMs: 30_000, longestEjectMs: 300_000, maxShare: 0.5, ...limits }
  }

  /** Forgets endpoints that are gone. */
  keep(ids: ReadonlySet<string>): void {
    for (const id of this.#health.keys()) if (!ids.has(id)) this.#health.delete(id)
  }

  ejected(id: string, now: Millis): boolean {
    return (this.#health.get(id)?.until ?? Number.NEGATIVE_INFINITY) > now
  }

  succeeded(id: string): void {
    const health = this.#health.get(id)
    if (health === undefined) return
    health.failures = 0
    if (health.ejections > 0) health.ejections -= 1
  }

  /** @param endpoints - how many there are. @returns whether it is left out from now on. */
  failed(id: string, endpoints: number, now: Millis): boolean {
    const { consecutiveFailures, ejectMs, longestEjectMs, maxShare } = this.#limits
    const health = this.#health.get(id) ?? { failures: 0, ejections: 0, until: Number.NEGATIVE_INFINITY }
    this.#health.set(id, health)
    health.failures += 1
    if (health.failures < consecutiveFailures || health.until > now) return false
    const out = [...this.#health.values()].filter(({ until }) => until > now).length
    if (out + 1 > Math.floor(endpoints * maxShare)) return false
    health.failures = 0
    health.ejections += 1
    health.until = now + Math.min(longestEjectMs, ejectMs * health.ejections)
    return true
  }
}
