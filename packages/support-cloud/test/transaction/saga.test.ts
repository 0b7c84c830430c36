import { silentLogger } from '@aaas/core-cloud/kernel'
import { migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { pgSagas, transactionMigrations } from '@aaas/support-cloud/transaction'
import { ManualClock, openTestDatabase, seededIds } from '@aaas/testing'
import { test } from 'tap'
import { sagaSuite } from '../../src/transaction/saga-suite.js'

test('sagas on PostgreSQL', async t => {
  const server = await openTestDatabase()
  const database = pgDatabase({ url: server.url, maxConnections: 4 })
  t.teardown(async () => {
    await database[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })
  await migrate(database, [transactionMigrations])
  let seed = 1
  sagaSuite(
    (name, fn) => t.test(name, fn),
    async () => {
      await database.script('truncate aaas_saga cascade; truncate aaas_saga_audit')
      const clock = new ManualClock()
      return {
        database,
        pass: ms => clock.pass(ms),
        now: () => clock.now(),
        node: (...definitions) =>
          pgSagas({
            ...{ database, clock, ids: seededIds(seed++), logger: silentLogger, definitions, time: 'clock' },
            ...{ leaseMs: 1_000, pollMs: 100, undefinedMs: 5_000, maxPayloadBytes: 1_000 },
          }),
        async [Symbol.asyncDispose]() {},
      }
    },
  )
})
