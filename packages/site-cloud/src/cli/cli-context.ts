import { type Clock, type Ids, systemClock } from '@aaas/core-cloud/kernel'
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
  /** Aborts at the first Ctrl-C once it was asked for; the second ends the process. */
  readonly interrupted: () => AbortSignal
}

/** Times calls. A call under way keeps the process alive by itself; the timer of one that is over must not. */
const callClock = systemClock()

export function clientOf(context: CliContext): SiteCenterClient {
  return connect({ home: context.home, clock: callClock, ids: context.ids })
}

/** Progress goes to standard error, so that standard output stays the result; with `--json` there is none. */
export function progressOf({ output }: CliContext): (text: string) => void {
  return output.json ? () => undefined : text => output.error(text)
}
