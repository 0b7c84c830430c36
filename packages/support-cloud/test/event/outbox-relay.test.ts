import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { createOutboxRelay, deadEvents, emitEvent, type OutboxRelayOptions } from '@aaas/support-cloud/event'
import { outboxRelaySuite } from '@aaas/support-cloud/event/suite'
import { type Database, migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { transactionMigrations } from '@aaas/support-cloud/transaction'
import { openTestDatabase, type TestDatabase } from '@aaas/testing'
import { test } from 'tap'

const clock = systemClock({ keepAlive: true })
const ids = systemIds()

async function openMigrated(): Promise<{ readonly server: TestDatabase; readonly database: Database }> {
  const server = await openTestDatabase()
  const database = pgDatabase({ url: server.url })
  await migrate(database, [transactionMigrations])
  return { server, database }
}

outboxRelaySuite(
  (name, run) => test(name, { timeout: 10_000 }, run),
  async () => {
    const { server, database } = await openMigrated()
    const ends: (() => Promise<void>)[] = []
    return {
      database,
      ids,
      start(options: Partial<OutboxRelayOptions> = {}) {
        const name = `relay_${ends.length}`
        const url = new URL(server.url)
        url.searchParams.set('application_name', name)
        const own = pgDatabase({ url: url.href })
        const defaults = {
          database: own,
          clock,
          ids,
          logger: silentLogger,
          pollMs: 30,
          firstPauseMs: 10,
          drainMs: 100,
          deliveryMs: 2_000,
        }
        const relay = createOutboxRelay({ ...defaults, ...options })
        ends.push(async () => {
          await relay[Symbol.asyncDispose]()
          await own[Symbol.asyncDispose]()
        })
        return Object.assign(relay, {
          async kill() {
            // Its server sessions end as they do when the process dies; what it still does has no effect.
            const stopped = relay[Symbol.asyncDispose]()
            await database.query({
              text: 'select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1',
              values: [name],
            })
            await stopped
          },
        })
      },
      async [Symbol.asyncDispose]() {
        await Promise.all(ends.map(end => end()))
        await database[Symbol.asyncDispose]()
        await server[Symbol.asyncDispose]()
      },
    }
  },
)

test('while nothing happens a relay sends one statement per look', async t => {
  const { server, database } = await openMigrated()
  let statements = 0
  let third: () => void = () => undefined
  const looked = new Promise<void>(resolve => {
    third = resolve
  })
  const counting: Database = {
    ...database,
    query: statement => {
      statements += 1
      if (statements === 3) third()
      return database.query(statement)
    },
    transaction: () => Promise.reject(new Error('no transaction while idle')),
  }
  const relay = createOutboxRelay({ database: counting, clock, ids, logger: silentLogger, pollMs: 5 })
  await looked
  await relay[Symbol.asyncDispose]()
  t.ok(statements >= 3)
  await database[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

test('a database that goes away and comes back does not end the relay', async t => {
  const { server, database } = await openMigrated()
  let broken = true
  const flaky: Database = {
    ...database,
    query: statement => database.query(statement),
    transaction: work => (broken ? Promise.reject(new Error('away')) : database.transaction(work)),
  }
  const relay = createOutboxRelay({ database: flaky, clock, ids, logger: silentLogger, pollMs: 5 })
  const arrived = new Promise<unknown>(resolve => {
    relay.subscribe({ topic: 't', name: 'one', handle: async event => resolve(event.payload) })
  })
  await database.transaction(tx => emitEvent(tx, { eventId: ids.uuid(), topic: 't', key: '', payload: 'here' }))
  const idle = relay.idle()
  broken = false
  t.equal(await arrived, 'here')
  await idle
  t.strictSame(await deadEvents(database), [])
  await relay[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})
