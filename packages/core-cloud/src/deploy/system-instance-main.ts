// The main module of an instance process. It reads everything it needs from its first message.
import { createHookHost } from '@aaas/core-cloud/cloudware'
import { systemClock, systemIds, systemLogger } from '@aaas/core-cloud/kernel'
import { openInstanceBus } from './instance-bus.js'
import type { FromInstance, ToInstance } from './instance-messages.js'
import { runInstance } from './instance-runner.js'
import { systemParentChannel } from './system-parent-channel.js'

const clock = systemClock()
const ids = systemIds()
const logger = systemLogger()

runInstance({
  channel: systemParentChannel<ToInstance, FromInstance>(),
  clock,
  ids,
  logger,
  openBus: (wanted, spool) => openInstanceBus({ wanted, spool, clock, ids, logger }),
  createHookHost: () => createHookHost({ clock, ids, logger }),
  usage: () => {
    const { user, system } = process.cpuUsage()
    return { memoryBytes: process.memoryUsage.rss(), cpuMs: Math.round((user + system) / 1_000) }
  },
  exit: code => process.exit(code),
})
