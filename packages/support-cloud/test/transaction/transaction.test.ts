import { test } from 'tap'
import { suiteResultBytes, transactionSuite } from '../../src/transaction/transaction-suite.js'
import { openTransactions } from './transaction-fixture.js'

test('keyed transactions on PostgreSQL', async t => {
  const opened = await openTransactions()
  t.teardown(() => opened[Symbol.asyncDispose]())
  transactionSuite(
    (name, fn) => t.test(name, fn),
    async () => {
      await opened.database.script('truncate effect, idempotency, aaas_outbox')
      return {
        transactions: opened.open({ maxResultBytes: suiteResultBytes, maxConnections: 12 }),
        database: opened.database,
        now: () => Date.now(),
        async [Symbol.asyncDispose]() {},
      }
    },
  )
})
