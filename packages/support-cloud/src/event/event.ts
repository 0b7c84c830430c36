import { CloudError } from '@aaas/core-cloud/kernel'
import type { Queryable } from '../rdbms/database.js'

/** A fact that was committed. The same event may arrive more than once, always with the same `eventId`. */
export interface OutboxEvent {
  /** UUID; what receivers dedup by. */
  readonly eventId: string
  /** Such as `order.paid`. */
  readonly topic: string
  /** Events of one key arrive in the order in which they were written. Empty: no order. */
  readonly key: string
  readonly payload: unknown
  /** Epoch milliseconds of the commit's transaction. */
  readonly createdAt: number
  /** From 1; counts deliveries that failed before as well. */
  readonly attempt: number
}

/** Who wants events of a topic. */
export interface Subscriber {
  /** Stable across restarts, unique per topic: what it took is remembered under this name. At most 200 characters. */
  readonly name: string
  /**
   * Resolves when the event is dealt with; a rejection brings it again later. A rejection with
   * `support.event.refused` says that trying again is no use: the event is parked at once (see `deadEvents`).
   * @param signal - aborts at the deadline of the delivery; what comes later is ignored.
   */
  handle(event: OutboxEvent, signal: AbortSignal): Promise<void>
}

/** An event that was given up. */
export interface DeadEvent {
  readonly eventId: string
  readonly topic: string
  readonly key: string
  readonly payload: unknown
  readonly createdAt: number
  readonly attempts: number
  /** The failing subscribers and what they said. */
  readonly reason: string
  /** The relay that gave it up; null for those of older versions. */
  readonly buriedBy: string | null
  readonly diedAt: number
}

export interface OutboxRelayStats {
  /** Events that all their subscribers took. */
  readonly delivered: number
  /** Deliveries that will be repeated. */
  readonly failed: number
  readonly dead: number
}

/**
 * Brings committed events to their subscribers: at least once, in order per key, with growing pauses after failures.
 * Any number of relays may share a database. An event whose topic has no subscriber is done at once.
 */
export interface OutboxRelay extends AsyncDisposable {
  /** Looks for events now; call it after a commit that wrote one. Never throws, costs nothing when it is busy. */
  wake(): void
  /** Adds a subscriber of one topic. @returns a function that removes it; what it runs already, it finishes. */
  subscribe(subscription: Subscriber & { readonly topic: string }): () => void
  /** Resolves when there was a moment without an event that could be delivered now. For tests and for stopping. */
  idle(): Promise<void>
  stats(): OutboxRelayStats
}

/** Writes an event in the transaction of the fact it tells. */
export async function emitEvent(
  tx: Queryable,
  event: { readonly eventId: string; readonly topic: string; readonly key: string; readonly payload: unknown },
): Promise<void> {
  await tx.query({
    name: 'aaas_outbox_emit',
    text: 'insert into aaas_outbox (event_id, topic, key, payload) values ($1, $2, $3, $4)',
    values: [event.eventId, event.topic, event.key, JSON.stringify(event.payload)],
  })
}

/** Days that the inbox remembers when nobody says otherwise. */
export const inboxDays = 30

/**
 * Runs `work` unless this consumer did so for this message before; both in the caller's transaction, so that the memory
 * of it and its effects are there together or not at all. A second caller waits for the first one's transaction.
 *
 * The memory reaches back {@link inboxDays} days (what `forgetInbox` is told): a repeat that comes later is the
 * caller's risk. It is exact for transactions of less than an hour, also around midnight.
 * @param messageId - at most 200 characters; a UUID of version 7 is the quickest, because its time says where to look.
 * @returns what `work` gave, or `undefined` when the message is known already.
 */
export async function inboxOnce<T>(
  tx: Queryable,
  consumer: string,
  messageId: string,
  work: () => Promise<T>,
): Promise<T | undefined> {
  const rows = await tx.query({
    name: 'aaas_inbox_once',
    text: 'insert into aaas_inbox (consumer, message_id) values ($1, $2) on conflict do nothing returning 1 as first',
    values: [consumer, messageId],
  })
  return rows.length === 0 ? undefined : work()
}

/**
 * The same for many messages at once, as one statement: notes those that this consumer does not know yet, in the
 * caller's transaction, which must also hold their effects.
 * @param messageIds - at most 10_000; repeats within count once.
 * @returns the new ones, in the order given.
 */
export async function inboxNew(
  tx: Queryable,
  consumer: string,
  messageIds: readonly string[],
): Promise<readonly string[]> {
  if (messageIds.length > 10_000) {
    throw new CloudError('core.contract.invalid-input', 'at most 10000 messages at once', { field: 'messageIds' })
  }
  // In order of the ids, so that two callers that share messages wait for each other and do not deadlock.
  const rows = await tx.query<{ id: string }>({
    name: 'aaas_inbox_new',
    text: `insert into aaas_inbox (consumer, message_id) select $1, id from unnest($2::text[]) as id order by id
           on conflict do nothing returning message_id as id`,
    values: [consumer, [...new Set(messageIds)]],
  })
  const fresh = new Set(rows.map(row => row.id))
  return [...new Set(messageIds)].filter(id => fresh.has(id))
}
