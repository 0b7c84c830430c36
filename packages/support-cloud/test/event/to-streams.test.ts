import { CloudError, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import {
  bellChannel,
  createOutboxBell,
  createOutboxRelay,
  deadEvents,
  type EventPublisher,
  emitEvent,
  eventOf,
  forgetDead,
  outboxStatus,
  replayDead,
  toStreams,
} from '@aaas/support-cloud/event'
import { type Database, listen, migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { transactionMigrations } from '@aaas/support-cloud/transaction'
import { ManualClock, openTestDatabase } from '@aaas/testing'
import { type Test, test } from 'tap'

const clock = systemClock({ keepAlive: true })
const ids = systemIds()

async function open(t: Test): Promise<{ readonly database: Database; readonly url: string }> {
  const server = await openTestDatabase()
  const database = pgDatabase({ url: server.url })
  await migrate(database, [transactionMigrations])
  t.teardown(async () => {
    await database[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })
  return { database, url: server.url }
}

interface Published {
  readonly subject: string
  readonly payload: Uint8Array
  readonly messageId: string
  readonly headers: Readonly<Record<string, string>>
}

/** A stream that keeps what it gets, knows repeated message ids, and may lose acknowledgements. */
function stream(react: (message: Published, nth: number) => void | Promise<void> = () => undefined): EventPublisher & {
  readonly kept: Published[]
  most: number
} {
  const known = new Set<string>()
  let now = 0
  let count = 0
  const self = {
    kept: [] as Published[],
    most: 0,
    async publish(subject: string, payload: Uint8Array, options: Omit<Published, 'subject' | 'payload'>) {
      const message = { subject, payload, messageId: options.messageId, headers: options.headers }
      now += 1
      count += 1
      self.most = Math.max(self.most, now)
      try {
        if (!known.has(message.messageId)) {
          known.add(message.messageId)
          self.kept.push(message)
        }
        await react(message, count)
        await new Promise(resolve => setImmediate(resolve))
      } finally {
        now -= 1
      }
    },
  }
  return self
}

const emit = (
  database: Database,
  events: readonly { key: string; payload: unknown; topic?: string }[],
): Promise<void> =>
  database.transaction(async tx => {
    for (const event of events) await emitEvent(tx, { eventId: ids.uuid(), topic: 'order.paid', ...event })
  })

test('keys are published side by side, each in its order, also through lost acknowledgements', async t => {
  const { database } = await open(t)
  const bus = stream((_, nth) => {
    if (nth % 7 === 0) throw new CloudError('core.bus.disconnected', 'the acknowledgement was lost')
  })
  const events = Array.from({ length: 200 }, (_, n) => ({ key: `k${n % 10}`, payload: n }))
  await emit(database, events)
  const relay = createOutboxRelay({
    ...{ database, clock, ids, logger: silentLogger, pollMs: 10, restMs: 1, firstPauseMs: 5, concurrency: 64 },
    subscribers: () => [toStreams({ publisher: bus })],
  })
  while (relay.stats().delivered < 200) await relay.idle()
  await relay[Symbol.asyncDispose]()
  t.equal(bus.kept.length, 200, 'each once, by the message id')
  t.ok(bus.most > 1 && bus.most <= 10, `${bus.most} at a time`)
  for (let key = 0; key < 10; key++) {
    const order = bus.kept
      .map(eventOf)
      .filter(event => event.key === `k${key}`)
      .map(event => event.payload)
    t.same(
      order,
      events.filter(event => event.key === `k${key}`).map(event => event.payload),
    )
  }
  const status = await outboxStatus(database)
  t.match(status, { waiting: 0, dead: 0, retrying: [] })
  t.equal(status.oldest, undefined)
  t.equal(status.relays.length, 1)
})

test('what a consumer reads is what was emitted', async t => {
  const { database } = await open(t)
  const bus = stream()
  const relay = createOutboxRelay({
    database,
    clock,
    ids,
    logger: silentLogger,
    subscribers: () => [toStreams({ publisher: bus })],
  })
  await emit(database, [{ key: '订单 7\n', payload: { note: '茶', n: [1, null] }, topic: 'order.placed' }])
  relay.wake()
  await relay.idle()
  await relay[Symbol.asyncDispose]()
  const [message] = bus.kept
  t.equal(message?.subject, 'events.order.placed')
  for (const value of Object.values(message?.headers ?? {})) t.match(value, /^[\x20-\x7e]*$/)
  t.match(eventOf({ ...message, attempt: 3 } as never), {
    ...{ eventId: message?.messageId, topic: 'order.placed', key: '订单 7\n', attempt: 3 },
    payload: { note: '茶', n: [1, null] },
  })
  const strange = { headers: {}, payload: new Uint8Array() }
  t.throws(() => eventOf(strange), { code: 'core.contract.invalid-input', field: 'headers' })
  const torn = { headers: message?.headers ?? {}, payload: new Uint8Array([123]) }
  t.throws(() => eventOf(torn), { code: 'core.contract.invalid-input', field: 'payload' })
})

test('what the bus can never take is parked at once with the reason, and can be replayed or thrown away', async t => {
  const { database } = await open(t)
  let broken = true
  const bus = stream(message => {
    if (broken && message.subject.endsWith('big')) throw new CloudError('core.contract.payload-too-large', '9 MiB')
  })
  const relay = createOutboxRelay({
    ...{ database, clock, ids, logger: silentLogger, pollMs: 10, restMs: 1, owner: 'relay-1' },
    subscribers: () => [toStreams({ publisher: bus })],
  })
  await emit(database, [
    { key: 'k', payload: 1, topic: 'big' },
    { key: 'k', payload: 2 },
    { key: 'k', payload: 3, topic: 'big' },
  ])
  relay.wake()
  await relay.idle()
  t.match(relay.stats(), { delivered: 1, dead: 2, failed: 0 })
  const dead = await deadEvents(database)
  t.match(dead, [
    { reason: 'streams: 9 MiB', attempts: 1, buriedBy: 'relay-1' },
    { reason: 'streams: 9 MiB', attempts: 1, buriedBy: 'relay-1' },
  ])
  broken = false
  t.equal(await forgetDead(database), 0, 'they are young')
  t.equal(await forgetDead(database, { eventIds: [dead[0]?.eventId ?? ''] }), 1)
  t.equal(await replayDead(database), 1)
  relay.wake()
  await relay.idle()
  t.equal((await deadEvents(database)).length, 0)
  await relay[Symbol.asyncDispose]()
})

test('who tried an event and why it failed can be seen while it waits', async t => {
  const { database } = await open(t)
  const bus = stream(() => {
    throw new CloudError('core.bus.disconnected', 'gone')
  })
  const relay = createOutboxRelay({
    ...{ database, clock, ids, logger: silentLogger, owner: 'relay-2', firstPauseMs: 60_000 },
    subscribers: () => [toStreams({ publisher: bus })],
  })
  await emit(database, [{ key: 'k', payload: 1 }])
  while (relay.stats().failed === 0) await relay.idle()
  const status = await outboxStatus(database)
  t.match(status.retrying, [{ attempts: 1, triedBy: 'relay-2', lastError: 'streams: gone', key: 'k' }])
  t.equal(status.waiting, 1)
  t.match(status.relays, [{ name: 'relay-2' }])
  await relay[Symbol.asyncDispose]()
})

test('rings share notifications: one at once, then one per interval however many ring', async t => {
  const manual = new ManualClock()
  let sent = 0
  const database = {
    query: async () => {
      sent += 1
      return []
    },
  }
  const bell = createOutboxBell({ database, clock: manual, logger: silentLogger, everyMs: 50 })
  for (let n = 0; n < 100; n++) bell.ring()
  await manual.pass(0)
  t.equal(sent, 1)
  await manual.pass(50)
  t.equal(sent, 2)
  await manual.pass(500)
  t.equal(sent, 2, 'nobody rang')
  bell.ring()
  bell.ring()
  t.equal(manual.pending, 1)
  await bell[Symbol.asyncDispose]()
  t.equal(sent, 4, 'the last ring is not lost')
})

test('a relay in another process is woken, also after its connection was cut', async t => {
  const { database, url } = await open(t)
  const bell = createOutboxBell({ database, clock, logger: silentLogger, everyMs: 1 })
  let heard = 0
  let wake: () => void = () => undefined
  const next = (): Promise<void> =>
    new Promise(resolve => {
      const before = heard
      wake = () => {
        if (heard > before) resolve()
      }
    })
  const onNotify = (): void => {
    heard += 1
    wake()
  }
  const connected = next()
  const ear = listen({ url, channel: bellChannel, clock, logger: silentLogger, onNotify, againMs: 10 })
  await connected
  let rung = next()
  bell.ring()
  await rung
  rung = next()
  await database.query({
    text: `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query ilike 'listen%'`,
  })
  await rung
  t.pass('it listens again and looks at once')
  rung = next()
  bell.ring()
  await rung
  await ear[Symbol.asyncDispose]()
  await bell[Symbol.asyncDispose]()
})
