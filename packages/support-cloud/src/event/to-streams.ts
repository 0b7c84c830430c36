import { CloudError } from '@aaas/core-cloud/kernel'
import type { OutboxEvent, Subscriber } from './event.js'

/**
 * What is needed of a bus with durable streams; `Streams` of `core-cloud/bus` is one, whatever its driver.
 * A message is published when the call resolves; a repeat of a `messageId` (ASCII, at most 200 characters) that the bus
 * remembers is acknowledged and not stored again.
 */
export interface EventPublisher {
  publish(
    subject: string,
    payload: Uint8Array,
    options: {
      readonly messageId: string
      readonly headers: Readonly<Record<string, string>>
      readonly signal: AbortSignal
    },
  ): Promise<unknown>
}

export interface ToStreamsOptions {
  readonly publisher: EventPublisher
  /** Name under which the outbox remembers what was published; default `streams`. */
  readonly name?: string
  /** Default: `events.` and the topic. */
  readonly subject?: (event: OutboxEvent) => string
}

/**
 * A subscriber that publishes what it gets. The relay publishes as many keys side by side as its `concurrency` says, and
 * the next event of a key when the one before was acknowledged: their order in the stream is that of the outbox, but for
 * repeats. A lost acknowledgement or a relay that dies repeats an event under the same message id; consumers dedup the
 * rest by their inbox. What the bus can never take (too large, a topic that makes no subject) is parked at once.
 *
 * @example
 * createOutboxRelay({ ...options, batch: 500, concurrency: 64, subscribers: () => [toStreams({ publisher: streams })] })
 */
export function toStreams(options: ToStreamsOptions): Subscriber {
  const { publisher, name = 'streams', subject = event => `events.${event.topic}` } = options
  const encoder = new TextEncoder()
  return {
    name,
    async handle(event, signal) {
      const headers: Record<string, string> = {
        'event-id': event.eventId,
        'event-topic': encodeURIComponent(event.topic),
        'event-at': String(event.createdAt),
      }
      // A header is one line of limited characters, a key is any text.
      if (event.key !== '') headers['event-key'] = encodeURIComponent(event.key)
      const payload = encoder.encode(JSON.stringify(event.payload))
      await publisher.publish(subject(event), payload, { messageId: event.eventId, headers, signal })
    },
  }
}

/**
 * Reads what {@link toStreams} published.
 * @throws CloudError `core.contract.invalid-input` for a message that is none of these.
 */
export function eventOf(message: {
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly payload: Uint8Array
  readonly attempt?: number
}): OutboxEvent {
  const { headers } = message
  const createdAt = Number(headers['event-at'])
  const eventId = headers['event-id'] ?? ''
  const topic = headers['event-topic'] ?? ''
  if (eventId === '' || topic === '' || !Number.isSafeInteger(createdAt)) {
    throw new CloudError('core.contract.invalid-input', 'the message is not an event of an outbox', {
      field: 'headers',
    })
  }
  try {
    return {
      eventId,
      topic: decodeURIComponent(topic),
      key: decodeURIComponent(headers['event-key'] ?? ''),
      payload: JSON.parse(new TextDecoder().decode(message.payload)),
      createdAt,
      attempt: message.attempt ?? 1,
    }
  } catch (cause) {
    throw new CloudError('core.contract.invalid-input', 'the event cannot be read', { field: 'payload', cause })
  }
}
