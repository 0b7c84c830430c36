// The main module of the one-shot process that runs a program's release step.
import { systemClock, systemIds, systemLogger } from '@aaas/core-cloud/kernel'
import type { FromRelease, ToRelease } from './instance-messages.js'
import { runRelease } from './release-runner.js'
import { systemParentChannel } from './system-parent-channel.js'

runRelease({
  channel: systemParentChannel<ToRelease, FromRelease>(),
  clock: systemClock(),
  ids: systemIds(),
  logger: systemLogger(),
  exit: code => process.exit(code),
})
