import type { Clock } from '../kernel/clock.js'
import { CloudError } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import type { Logger } from '../kernel/logger.js'
import type { FromRelease, ParentChannel, ToRelease } from './instance-messages.js'
import { loadProgram } from './load-program.js'

/** Runs the release step of one program, says how it ended, and ends the process. */
export function runRelease(options: {
  readonly channel: ParentChannel<ToRelease, FromRelease>
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly exit: (code: number) => void
}): void {
  const { channel, clock, ids, logger, exit } = options
  const abort = new AbortController()
  channel.onGone(() => {
    abort.abort(new CloudError('core.kernel.stopped', 'the host has gone'))
    exit(1)
  })
  channel.onMessage(async message => {
    const { packageDir, entry, dataDir, databaseUrl, config } = message.options
    try {
      const program = await loadProgram(packageDir, entry)
      await program.release?.({ packageDir, dataDir, databaseUrl, config, clock, ids, logger, signal: abort.signal })
      await channel.send({ type: 'released' })
      exit(0)
    } catch (error) {
      logger.error('the release step failed', { error })
      await channel.send({ type: 'failed', error: CloudError.from(error).toJSON() })
      exit(1)
    }
  })
}
