import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CallObserver } from '@aaas/core-cloud/contract'
import type { MetricRegistry } from '@aaas/core-cloud/telemetry'
import type { Bus } from '../bus/bus.js'
import type { CloudwareState } from '../cloudware/cloudware.js'
import type { HookHost } from '../cloudware/hooks.js'
import type { Clock } from '../kernel/clock.js'
import type { Ids } from '../kernel/ids.js'
import type { Logger } from '../kernel/logger.js'

/** What a program gets for the one-shot release step, before the first instance of a version starts. */
export interface ReleaseContext {
  /** Folder of the unpacked package; read only. */
  readonly packageDir: string
  /** Folder of the site's own files on this host; kept over versions. */
  readonly dataDir: string
  readonly databaseUrl: string
  readonly config: unknown
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly signal: AbortSignal
}

/** What a running instance gets. Written like a single-tenant program: nothing here names a tenant. */
export interface InstanceContext extends Omit<ReleaseContext, 'signal'> {
  readonly instanceId: string
  readonly version: number
  /** The host's bus, authenticated as this site. */
  readonly bus: Bus
  /** Packages that extend this program. Their state store is given by the program through {@link RunningProgram.state}. */
  readonly hooks: HookHost
  /** Base URL under which a third party reaches this program through the edge, no trailing slash. */
  readonly publicUrl: string
  /** Prefix under which the bus lets this program serve contracts; opaque to it. */
  readonly busPrefix: string
  /** Give it to clients and served contracts: their calls are then in the metrics. Absent where nobody collects them. */
  readonly observer?: CallObserver
  /** For counts of the program's own; the host serves them at its `/metrics`, with site and instance as labels. */
  readonly registry?: MetricRegistry
}

export interface RunningProgram extends AsyncDisposable {
  /** Serves HTTP requests that came through the edge. */
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void
  /**
   * Paths that visitors ask for most, at most 200. The instance asks itself for each before it counts as ready, so that
   * the first visitors of a replacement do not wait for cold caches and uncompiled code. Answers are dropped, failures
   * too; what takes longer than two seconds in all is left out.
   */
  readonly warmUp?: readonly string[]
  /** Where cloudware keeps its state; absent: packages that use state get an error. */
  readonly state?: (packageName: string) => CloudwareState
  /** Resolves when the instance can serve; rejects with the reason when not. Called at start and every few seconds. */
  health(): Promise<void>
  /** Stops background work and waits for what is in flight; HTTP is drained by the host before. */
  drain(signal: AbortSignal): Promise<void>
}

/** The export `program` of a package of kind `site` or `service`. */
export interface Program {
  /** Migrates and seeds the database. Runs alone per database; must be safe to run again. */
  release?(context: ReleaseContext): Promise<void>
  start(context: InstanceContext): Promise<RunningProgram>
}

export function defineProgram(program: Program): Program {
  return program
}
