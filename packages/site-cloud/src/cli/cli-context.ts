import type { Clock, Ids } from '@aaas/core-cloud/kernel'
import { connect, type SiteCenterClient } from './connection.js'
import type { Output } from './output.js'
import type { PlatformHome } from './platform-home.js'

/** What every command gets. */
export interface CliContext {
  readonly home: PlatformHome
  readonly clock: Clock
  readonly ids: Ids
  readonly output: Output
  readonly environment: NodeJS.ProcessEnv
}

export function clientOf(context: CliContext): SiteCenterClient {
  return connect({ home: context.home, clock: context.clock, ids: context.ids })
}
