// The main module of a host process. It is told what to be by its first message.
import { CloudError, systemClock, systemIds, systemLogger } from '@aaas/core-cloud/kernel'
import { createEdge } from '@aaas/core-cloud/load-balancer'
import type { FromHost, ToHost } from './host-main.js'
import { type HostHandle, startHost } from './host-process.js'
import { systemChildEnvironment } from './system-child-environment.js'

const logger = systemLogger({ fields: { process: 'host' } })
let host: Promise<HostHandle> | undefined
let ending = false

function say(message: FromHost): Promise<void> {
  return new Promise(resolve => {
    if (process.send === undefined || !process.connected) resolve()
    else process.send(message, () => resolve())
  })
}

async function start({ options }: ToHost): Promise<void> {
  if (host !== undefined) return
  host = startHost({
    ...options,
    environment: systemChildEnvironment(),
    clock: systemClock(),
    ids: systemIds(),
    logger,
    createEdge,
  })
  try {
    const { edgePort, metricsPort } = await host
    await say({ type: 'started', edgePort, ...(metricsPort === undefined ? {} : { metricsPort }) })
  } catch (error) {
    logger.error('the host could not start', { error })
    await say({ type: 'failed', error: CloudError.from(error).toJSON() })
    process.exit(1)
  }
}

async function end(reason: string): Promise<void> {
  if (ending) return
  ending = true
  logger.info('the host stops', { reason })
  try {
    await (await host)?.[Symbol.asyncDispose]()
    process.exit(0)
  } catch (error) {
    logger.error('the host did not stop cleanly', { error })
    process.exit(1)
  }
}

// The launcher may be gone before its pipes are read; that must not end the host before its instances.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
process.on('message', message => void start(message as ToHost))
process.on('SIGTERM', () => void end('SIGTERM'))
process.on('SIGINT', () => void end('SIGINT'))
process.on('disconnect', () => void end('the launcher has gone'))
