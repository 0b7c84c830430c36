import type { PackageRef } from '../cloudware/manifest.js'

/** A cloudware package wanted on a site. */
export interface DesiredCloudware {
  readonly package: PackageRef
  readonly config: unknown
}

/** What one site (or platform service) should be. Immutable per `generation`. */
export interface DesiredSite {
  /** Lower-case letters, digits and dashes, at most 40 characters. */
  readonly site: string
  readonly kind: 'site' | 'service'
  /** Goes up with every change of this record. */
  readonly generation: number
  /** Number of the site version, from 1; names package, configuration and data level together. */
  readonly version: number
  readonly package: PackageRef
  readonly config: unknown
  /** Connection string of the site's own database. Secret. */
  readonly databaseUrl: string
  /** Names the edge answers for, such as `shop.localhost`. */
  readonly hostNames: readonly string[]
  readonly instances: number
  /** Requests one instance may have in flight at the edge; the next one gets 503 and Retry-After. */
  readonly concurrency: number
  readonly maintenance: boolean
  /** Goes up when a rolling restart is wanted. */
  readonly restart: number
  readonly cloudware: readonly DesiredCloudware[]
  /** Milliseconds a new instance may take to become healthy before the roll-out is reverted; default 30_000. */
  readonly healthyDeadlineMs?: number
  /** Memory one instance may use, MiB; default 512. */
  readonly memoryMb?: number
}

/** Everything one host should run. */
export interface DesiredState {
  readonly generation: number
  readonly sites: readonly DesiredSite[]
  /** Public keys (SPKI, PEM) by publisher name whose packages this host accepts. */
  readonly trust: Readonly<Record<string, string>>
}

export type InstanceState = 'pending' | 'starting' | 'ready' | 'draining' | 'stopped' | 'crashed'

export interface ObservedInstance {
  readonly id: string
  readonly version: number
  readonly state: InstanceState
  readonly pid?: number
  /** Epoch milliseconds. */
  readonly startedAt?: number
  readonly restarts: number
  readonly memoryBytes?: number
  readonly cpuMs?: number
}

/** What a host says about one site. */
export interface ObservedSite {
  readonly site: string
  readonly observedGeneration: number
  /** Version whose instances serve now; 0 when none does. */
  readonly servingVersion: number
  readonly phase: 'pending' | 'fetching' | 'releasing' | 'rolling' | 'live' | 'failed' | 'removed'
  /** Set when a roll-out was given up: the host went back to `servingVersion`. */
  readonly failure?: { readonly version: number; readonly step: string; readonly reason: string }
  readonly instances: readonly ObservedInstance[]
  readonly cloudware: readonly {
    readonly instance: string
    readonly name: string
    readonly version: string
    readonly digest: string
    readonly state: string
    readonly calls: number
    readonly failures: number
    readonly restarts: number
    readonly lastError?: string
  }[]
}
