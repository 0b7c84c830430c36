import { type Database, migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { openLedger, transactionMigrations } from '@aaas/support-cloud/transaction'
import { openTestDatabase, seededIds } from '@aaas/testing'
import type { LedgerFixture } from '../../src/transaction/ledger-suite.js'

type Teardown = { teardown(fn: () => Promise<void>): unknown }

/** A database of its own with the tables of the transaction service. */
export async function openLedgerDatabase(
  t: Teardown,
  options: { readonly maxConnections?: number } = {},
): Promise<Database> {
  const server = await openTestDatabase()
  const database = pgDatabase({ url: server.url, maxConnections: options.maxConnections ?? 4 })
  t.teardown(async () => {
    await database[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })
  await migrate(database, [transactionMigrations])
  return database
}

/** Lets a test move the ledger's time: the product has no such door. */
async function ownClock(database: Database): Promise<(ms: number) => Promise<void>> {
  await database.script(`create table test_clock (ms bigint not null); insert into test_clock values (0);
    create or replace function ledger_now() returns timestamptz language sql volatile as
      'select clock_timestamp() + ms * interval ''1 ms'' from test_clock'`)
  return async ms => {
    await database.query({ text: 'update test_clock set ms = ms + $1', values: [ms] })
  }
}

/** An empty ledger for each scenario, one after the other, in one database. */
export async function ledgerFixtures(t: Teardown): Promise<() => Promise<LedgerFixture>> {
  const database = await openLedgerDatabase(t)
  await ownClock(database)
  const ids = seededIds()
  const tables = ['entry', 'resolution', 'transfer', 'timeout', 'balance', 'account'].map(name => `ledger_${name}`)
  return async () => {
    // The tables refuse to be emptied: only a test may switch that off.
    await database.script(`set session_replication_role = replica;
      ${tables.map(name => `delete from ${name}`).join(';')}; set session_replication_role = origin`)
    return {
      ledger: openLedger({ database }),
      uuid: () => ids.uuid(),
      passTime: async ms => {
        await database.query({ text: 'update test_clock set ms = ms + $1', values: [ms] })
      },
      async [Symbol.asyncDispose]() {},
    }
  }
}
