import { silentLogger, systemIds } from '@aaas/core-cloud/kernel'
import { createOutboxRelay, emitEvent, type OutboxRelay } from '@aaas/support-cloud/event'
import { type Database, migrate, pgDatabase, type Statement } from '@aaas/support-cloud/rdbms'
import { transactionMigrations } from '@aaas/support-cloud/transaction'
import { ManualClock, openTestDatabase } from '@aaas/testing'
import { type Test, test } from 'tap'

const ids = systemIds()

interface Bench {
  readonly database: Database
  readonly clock: ManualClock
  readonly statements: string[]
  readonly relay: OutboxRelay
  emit(topic: string, count: number): Promise<void>
  left(): Promise<number>
}

/** A relay on a clock that stands still, and what it sends. */
async function open(t: Test): Promise<Bench> {
  const server = await openTestDatabase()
  const database = pgDatabase({ url: server.url })
  await migrate(database, [transactionMigrations])
  const clock = new ManualClock()
  const statements: string[] = []
  const noted = <Row extends object>(statement: Statement): Promise<readonly Row[]> => {
    statements.push(statement.name ?? '')
    return database.query<Row>(statement)
  }
  const watched: Database = { ...database, query: noted }
  const relay = createOutboxRelay({ database: watched, clock, ids, logger: silentLogger, restMs: 50 })
  t.teardown(async () => {
    await relay[Symbol.asyncDispose]()
    await database[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })
  return {
    ...{ database, clock, statements, relay },
    async emit(topic, count) {
      await database.transaction(async tx => {
        for (let index = 0; index < count; index++) {
          await emitEvent(tx, { eventId: ids.uuid(), topic, key: `k${index}`, payload: index })
        }
      })
    },
    async left() {
      const [row] = await database.query<{ n: number }>({ text: 'select count(*) as n from aaas_outbox' })
      return row?.n ?? -1
    },
  }
}

/** Lets the relay work while its clock moves on, until it has nothing to do. */
async function idle({ relay, clock }: Bench): Promise<void> {
  let done = false
  const waiting = relay.idle().then(() => {
    done = true
  })
  while (!done) await clock.pass(25)
  await waiting
}

test('events without a subscriber end by one statement, however many', async t => {
  const bench = await open(t)
  await bench.emit('quiet', 1)
  await idle(bench)
  bench.statements.length = 0
  await bench.emit('quiet', 300)
  await idle(bench)
  t.equal(await bench.left(), 0)
  t.equal(bench.relay.stats().delivered, 301)
  t.equal(bench.statements.filter(name => name === 'aaas_outbox_drop').length, 1)
  const heard: unknown[] = []
  bench.relay.subscribe({
    topic: 'quiet',
    name: 'late',
    handle: async ({ payload }) => {
      heard.push(payload)
    },
  })
  await bench.emit('quiet', 3)
  await bench.emit('other', 2)
  await idle(bench)
  t.same(heard.toSorted(), [0, 1, 2], 'whoever comes later gets what comes later')
  t.equal(await bench.left(), 0)
})

test('events that wait for their next attempt are not dropped when their subscriber leaves', async t => {
  const bench = await open(t)
  await bench.emit('quiet', 1)
  await idle(bench)
  const leave = bench.relay.subscribe({
    topic: 'quiet',
    name: 'one',
    handle: () => Promise.reject(new Error('not now')),
  })
  await bench.emit('quiet', 1)
  while (bench.relay.stats().failed === 0) {
    bench.relay.wake()
    await bench.clock.pass(25)
  }
  leave()
  await idle(bench)
  t.equal(await bench.left(), 1, 'it is not due')
})

test('wake-ups during a rest share one look; the first after a quiet time does not wait', async t => {
  const bench = await open(t)
  await idle(bench)
  const seen: unknown[] = []
  bench.relay.subscribe({
    topic: 't',
    name: 'one',
    handle: async ({ payload }) => {
      seen.push(payload)
    },
  })
  await idle(bench)
  const delivered = async (count: number): Promise<void> => {
    while (seen.length < count) await bench.clock.pass(0)
  }
  await bench.emit('t', 1)
  bench.relay.wake()
  await delivered(1)
  t.pass('at once, by a clock that stands still')
  while (bench.relay.stats().delivered === 0) await bench.clock.pass(0)
  for (let round = 0; round < 5; round++) {
    await bench.emit('t', 4)
    bench.relay.wake()
    await bench.clock.pass(9)
  }
  t.equal(seen.length, 1, 'it rests')
  t.equal(await bench.left(), 20)
  await bench.clock.pass(5)
  await delivered(21)
  t.equal(seen.length, 21)
})
