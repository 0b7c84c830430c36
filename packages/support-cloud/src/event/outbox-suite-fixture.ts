import assert from 'node:assert/strict'
import type { Ids } from '@aaas/core-cloud/kernel'
import type { Database } from '../rdbms/database.js'
import { emitEvent, type OutboxEvent, type OutboxRelay, type Subscriber } from './event.js'
import type { OutboxRelayOptions } from './outbox-relay.js'

/** A fresh, migrated database and a maker of relays on it. */
export interface OutboxRelaySuiteFixture extends AsyncDisposable {
  readonly database: Database
  readonly ids: Ids
  /**
   * Starts a relay with a connection pool of its own and short pauses; give `kill` to be able to end its connections as
   * a crash would.
   */
  start(options?: Partial<OutboxRelayOptions>): OutboxRelay & { kill(): Promise<void> }
}

export type WithFixture = (name: string, run: (fixture: OutboxRelaySuiteFixture) => Promise<void>) => void

export async function emit(
  { database, ids }: OutboxRelaySuiteFixture,
  event: { readonly topic: string; readonly key: string; readonly payload: unknown },
): Promise<string> {
  const eventId = ids.uuid()
  await database.transaction(tx => emitEvent(tx, { eventId, ...event }))
  return eventId
}

export interface Recorder extends Subscriber {
  readonly events: OutboxEvent[]
  payloads(): unknown[]
}

/** A subscriber that keeps what it got; `react` may throw. */
export function recorder(name: string, react: (event: OutboxEvent) => void = () => undefined): Recorder {
  const events: OutboxEvent[] = []
  return {
    name,
    events,
    payloads: () => events.map(event => event.payload),
    async handle(event) {
      events.push(event)
      react(event)
    },
  }
}

export async function assertEmpty({ database }: OutboxRelaySuiteFixture): Promise<void> {
  const text = `select (select count(*) from aaas_outbox) as outbox, (select count(*) from aaas_outbox_dead) as dead,
    (select count(*) from aaas_outbox_delivery) as delivery`
  assert.deepEqual(await database.query({ text }), [{ outbox: 0, dead: 0, delivery: 0 }])
}

export function deferred(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>(done => {
    resolve = done
  })
  return { promise, resolve: () => resolve() }
}
