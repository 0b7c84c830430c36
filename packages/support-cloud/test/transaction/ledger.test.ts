import { migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { openLedger, transactionMigrations } from '@aaas/support-cloud/transaction'
import { openTestDatabase, seededIds } from '@aaas/testing'
import { test } from 'tap'
import { ledgerSuite } from '../../src/transaction/ledger-suite.js'

test('the ledger on PostgreSQL', async t => {
  const server = await openTestDatabase()
  const database = pgDatabase({ url: server.url })
  t.teardown(async () => {
    await database[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })
  await migrate(database, [transactionMigrations])
  const ids = seededIds()
  ledgerSuite(
    (name, fn) => t.test(name, fn),
    async () => {
      // The tables refuse to be emptied: only a test may switch that off.
      await database.script(`set session_replication_role = replica;
        truncate ledger_entry, ledger_transfer, ledger_balance, ledger_account; set session_replication_role = origin`)
      return { ledger: openLedger({ database }), uuid: () => ids.uuid(), async [Symbol.asyncDispose]() {} }
    },
  )
})

test('what is booked cannot be changed', async t => {
  const server = await openTestDatabase()
  const database = pgDatabase({ url: server.url })
  t.teardown(async () => {
    await database[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })
  await migrate(database, [transactionMigrations])
  for (const text of ['delete from ledger_entry', 'update ledger_transfer set amount = 1', 'truncate ledger_entry']) {
    await t.rejects(database.query({ text }), { code: '55000' }, text)
  }
})

test('the check finds what was tampered with', async t => {
  const server = await openTestDatabase()
  const database = pgDatabase({ url: server.url, maxConnections: 1 })
  t.teardown(async () => {
    await database[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })
  await migrate(database, [transactionMigrations])
  const ledger = openLedger({ database })
  const ids = seededIds()
  await ledger.createAccounts(['a', 'b', 'c'].map(id => ({ id, currency: 'CNY', shards: 2 })))
  const book = (kind: 'posted' | 'pending') =>
    ({ kind, id: ids.uuid(), debit: 'a', credit: 'b', amount: 7, currency: 'CNY', code: 'x' }) as const
  await ledger.apply([book('posted'), book('pending')])
  t.match(await ledger.check(), { balanced: true, accounts: 3, transfers: 2, difference: 0, wrongAccounts: [] })
  const tampers: readonly (readonly [sql: string, accounts: readonly string[]])[] = [
    ["update ledger_balance set credits_posted = credits_posted + 1 where account = 'c' and shard = 0", ['c']],
    ["update ledger_balance set debits_pending = 0 where account = 'a'", ['a']],
    ["delete from ledger_entry where account = 'b'", ['b']],
    ["update ledger_entry set amount = 8 where account = 'b'", ['b']],
  ]
  for (const [sql, accounts] of tampers) {
    await database.query({ text: 'begin' })
    await database.script(`set session_replication_role = replica; ${sql}`)
    const report = await ledger.check()
    await database.query({ text: 'rollback' })
    await database.query({ text: 'set session_replication_role = origin' })
    t.match({ balanced: report.balanced, wrong: report.wrongAccounts }, { balanced: false, wrong: accounts }, sql)
  }
})
