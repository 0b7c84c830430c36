import type { MigrationSet } from '../rdbms/migration.js'
import { idempotencySql, ledgerSql } from './ledger-migration.js'
import { outboxSql } from './outbox-migration.js'

/**
 * Tables and functions of the transaction service; every database that keeps money or tells events needs them first.
 */
export const transactionMigrations: MigrationSet = {
  owner: 'support-cloud/transaction',
  migrations: [
    { level: 1, name: 'outbox and inbox', up: outboxSql },
    { level: 2, name: 'ledger', up: ledgerSql },
    { level: 3, name: 'idempotency keys', up: idempotencySql },
  ],
}
