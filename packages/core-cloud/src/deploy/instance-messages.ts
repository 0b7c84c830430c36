import type { LoadedPackage } from '@aaas/core-cloud/cloudware'
import type { CloudwareStatus } from '../cloudware/hooks.js'
import type { ErrorBody } from '../kernel/errors.js'
import type { DirectSettings } from './direct-issuer.js'

/** Everything a child process needs to run a program; sent as the first message, never by environment or arguments. */
export interface ProgramOptions {
  readonly packageDir: string
  readonly entry: string
  readonly dataDir: string
  readonly databaseUrl: string
  readonly config: unknown
}

export interface InstanceOptions extends ProgramOptions {
  readonly instanceId: string
  readonly version: number
  readonly publicUrl: string
  /** Prefix under which the hub lets the instance serve, such as `site.shop`. */
  readonly busPrefix: string
  /** Unix socket on which the instance serves HTTP. */
  readonly httpSocket: string
  /** The host's hub, and the token by which the hub knows this instance. */
  readonly busSocket: string
  readonly busToken: string
  /** For calls past the hub; absent: everything goes over it. */
  readonly direct?: DirectSettings
  readonly cloudware: readonly LoadedPackage[]
}

/** What the host says to an instance. */
export type ToInstance =
  | { readonly type: 'start'; readonly options: InstanceOptions }
  | { readonly type: 'cloudware'; readonly packages: readonly LoadedPackage[] }
  | { readonly type: 'check'; readonly id: number }
  /** Asks for what it counts; the answer is `metrics` with the same id. */
  | { readonly type: 'metrics'; readonly id: number }
  /** A new credential for the direct path, long before the former one ends. */
  | { readonly type: 'credential'; readonly credential: string }
  /** The edge has no request here any more: finish and end within `deadlineMs`. */
  | { readonly type: 'drain'; readonly deadlineMs: number }

/** How an instance does. */
export interface InstanceCheck {
  /** Absent when healthy. */
  readonly problem?: string
  readonly memoryBytes: number
  readonly cpuMs: number
  readonly cloudware: readonly CloudwareStatus[]
}

/** What an instance says to the host. */
export type FromInstance =
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly error: ErrorBody }
  /** `id` is that of the question; 0 after a change of cloudware, unasked. */
  | { readonly type: 'checked'; readonly id: number; readonly check: InstanceCheck }
  /** Families as a registry gives them; the host checks them. */
  | { readonly type: 'metrics'; readonly id: number; readonly families: unknown }
  /** What tenants used of this instance directly; the host checks it. */
  | { readonly type: 'readings'; readonly readings: unknown }

export type ToRelease = { readonly type: 'release'; readonly options: ProgramOptions }
export type FromRelease = { readonly type: 'released' } | { readonly type: 'failed'; readonly error: ErrorBody }

/** The parent's end of a child process's message channel, as the runners use it. */
export interface ParentChannel<In, Out> {
  /** Resolves when the message was handed to the system, or the parent is gone. */
  send(message: Out): Promise<void>
  onMessage(listener: (message: In) => void): void
  /** The parent closed the channel or died. */
  onGone(listener: () => void): void
}
