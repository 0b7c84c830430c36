import { fileURLToPath } from 'node:url'
import type { ErrorBody } from '../kernel/errors.js'
import type { HostOptions } from './host-process.js'

/** What a forked host process is told by its first message. */
export interface HostStart
  extends Pick<
    HostOptions,
    'home' | 'hostId' | 'controlSocket' | 'controlToken' | 'edgePort' | 'tenantLimits' | 'metricsToken' | 'metricsPort'
  > {
  readonly runDir?: string
  readonly publicBaseUrl?: string
}

export type ToHost = { readonly type: 'start'; readonly options: HostStart }

/** What a forked host process answers. After `failed` it ends with code 1. */
export type FromHost =
  | { readonly type: 'started'; readonly edgePort: number; readonly metricsPort?: number }
  | { readonly type: 'failed'; readonly error: ErrorBody }

/**
 * Module to fork for a host process. Send it {@link ToHost} at once; it answers {@link FromHost}. It ends its instances,
 * closes the edge and exits with code 0 on SIGTERM, SIGINT and when its message channel closes.
 */
export const hostMainModule = fileURLToPath(new URL('./system-host-main.js', import.meta.url))
