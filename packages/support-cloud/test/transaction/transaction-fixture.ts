import { systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { type Database, migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { openLedger, pgTransactions, type Transactions, transactionMigrations } from '@aaas/support-cloud/transaction'
import { openTestDatabase } from '@aaas/testing'
import type { PgTransactionsOptions } from '../../src/transaction/pg-transactions.js'

export interface OpenTransactions extends AsyncDisposable {
  readonly url: string
  readonly database: Database
  /** Another service on the same database. */
  open(options?: Partial<PgTransactionsOptions>): Transactions
}

/** A migrated database with an empty table `effect (n int)` and the ledger accounts `bank` and `shop`. */
export async function openTransactions(): Promise<OpenTransactions> {
  const server = await openTestDatabase()
  const database = pgDatabase({ url: server.url, maxConnections: 4 })
  await migrate(database, [transactionMigrations])
  await database.script('create table effect (n int)')
  const ledger = openLedger({ database })
  await ledger.createAccounts(['bank', 'shop'].map(id => ({ id, currency: 'CNY' })))
  const opened: Transactions[] = []
  return {
    url: server.url,
    database,
    open(options = {}) {
      const made = pgTransactions({
        url: server.url,
        clock: systemClock({ keepAlive: true }),
        ids: systemIds(),
        ledger,
        ...options,
      })
      opened.push(made)
      return made
    },
    async [Symbol.asyncDispose]() {
      for (const one of opened) await one[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}
