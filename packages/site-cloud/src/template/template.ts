import type { TSchema } from 'typebox'

/** How fast a site must be, as its owner says it. */
export interface Performance {
  /** Complete orders a minute the site must take. */
  readonly ordersPerMinute: number
  /** 99 of 100 requests must be answered within this many milliseconds, counted from when they were meant to be sent. */
  readonly p99Ms: number
}

/**
 * What one instance of the template can do, and what its requests cost, as `aaas template measure` found it; see
 * {@link UnitMeasurement} for how. Times are milliseconds, rates are per second.
 */
export interface UnitCapacity {
  /** Complete checkouts a second of one instance before p99 passes `p99Ms`. */
  readonly ordersPerSecond: number
  /** Page and API reads a second under the same condition. */
  readonly readsPerSecond: number
  readonly p99Ms: number
  /** Reads that come with each order in the mix the figures hold for. */
  readonly readsPerOrder: number
  /** Processor time of the instance. */
  readonly instanceMsPerOrder: number
  readonly instanceMsPerRead: number
  /** Processor time of the database server, which all instances share. */
  readonly databaseMsPerOrder: number
  readonly databaseMsPerRead: number
  /** Processor time of the host's process with the edge, which all instances share; it has one thread. */
  readonly edgeMsPerOrder: number
  readonly edgeMsPerRead: number
  /** How long one order, or one read, keeps a database connection from others: statements and open transactions. */
  readonly connectionMsPerOrder: number
  readonly connectionMsPerRead: number
  /** Processors of the machine measured on; more of them were never shown to help the one database server. */
  readonly cores: number
  /** Largest resident memory of the instance while it was measured, MiB. */
  readonly memoryMb: number
  /** When and on what; shown to people. */
  readonly measuredOn: string
}

/** What the factory decided for a site. */
export interface CapacityPlan {
  readonly performance: Performance
  readonly instances: number
  /** Requests in flight per instance at the edge. */
  readonly concurrency: number
  /** Database connections per instance. */
  readonly databaseConnections: number
  readonly memoryMb: number
  /** Share of the measured capacity that the asked rate uses with one instance lost, 0 to 1. */
  readonly utilisation: number
  /** Processors that the asked rate keeps busy in all: instances, database server and edge. */
  readonly cores: number
  /** Why these numbers, one sentence each; shown to people. */
  readonly reasons: readonly string[]
}

/** A kind of site that the factory can generate. */
export interface Template {
  readonly name: string
  readonly version: string
  readonly summary: { readonly 'zh-CN': string; readonly en: string }
  /** Schema of the `config` part of site.json. */
  readonly config: TSchema
  /** What a short site.json leaves out; the owner's config goes over it. */
  readonly configDefaults: Readonly<Record<string, unknown>>
  /** Refuses values that fit the schema and contradict each other. @throws CloudError `site.factory.invalid-site`. */
  readonly checkConfig?: (config: unknown) => void
  /** Reads the whole catalogue as the release will. @throws CloudError that names every bad row. */
  readonly checkCatalogue?: (catalogue: string, config: unknown) => Promise<void>
  readonly extensionPoints: readonly string[]
  /** Goes up with each data migration the template brings. */
  readonly dataLevel: number
  readonly capacity: UnitCapacity
  /** Folder whose files become `program/` of the package; must hold `program.js`. */
  readonly programDir: string
}
