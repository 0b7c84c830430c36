// What `verify outbox` says to the bus: a JetStream server through its official client.
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, headers as makeHeaders } from '@nats-io/transport-node'
import { CloudError } from '../../packages/core-cloud/dist/src/kernel/index.js'

export const streamName = 'EVENTS'

export const openBus = url =>
  connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 100, waitOnFirstConnect: true })

/** Knows message ids for a tenth of a second only: nearly every repeat is left to the inbox. */
export async function ensureStream(connection) {
  const manager = await jetstreamManager(connection)
  const wanted = { name: streamName, subjects: ['events.>'], storage: 'file', duplicate_window: 100_000_000 }
  await manager.streams.add(wanted)
}

/** An `EventPublisher`. */
export function publisher(connection) {
  const stream = jetstream(connection)
  return {
    async publish(subject, payload, { messageId, headers }) {
      if (subject.endsWith('.poison')) throw new CloudError('support.event.refused', 'the bus never takes this')
      const own = makeHeaders()
      for (const [name, value] of Object.entries(headers)) own.set(name, value)
      try {
        return await stream.publish(subject, payload, { msgID: messageId, headers: own, timeout: 2_000 })
      } catch (cause) {
        throw new CloudError('core.bus.disconnected', 'not acknowledged', { cause })
      }
    },
  }
}

export async function streamState(url) {
  const connection = await openBus(url)
  try {
    const manager = await jetstreamManager(connection)
    return (await manager.streams.info(streamName)).state
  } finally {
    await connection.close()
  }
}
