import type { MigrationSet } from '../rdbms/migration.js'
import { jobSql } from './job-migration.js'
import { idempotencySql, ledgerSql } from './ledger-migration.js'
import { ledgerWaysSql } from './ledger-ways.js'
import { deliverySql, outboxSql } from './outbox-migration.js'
import { sagaSql } from './saga-migration.js'
import { tccSql } from './tcc-migration.js'
import { transactionSql } from './transaction-migration.js'

/**
 * Tables and functions of the transaction service; every database that keeps money or tells events needs them first.
 */
export const transactionMigrations: MigrationSet = {
  owner: 'support-cloud/transaction',
  migrations: [
    { level: 1, name: 'outbox and inbox', up: outboxSql },
    { level: 2, name: 'ledger', up: ledgerSql },
    { level: 3, name: 'idempotency keys', up: idempotencySql },
    {
      level: 4,
      name: 'delivery',
      up: deliverySql,
      allow:
        'the inbox is replaced by one of the same name that takes the same statements; the outbox is short: it empties as it is delivered',
    },
    { level: 5, name: 'claims of transaction keys', up: transactionSql },
    { level: 6, name: 'sagas', up: sagaSql },
    { level: 7, name: 'barrier', up: tccSql },
    { level: 8, name: 'jobs', up: jobSql },
    { level: 9, name: 'ledger, the quick ways', up: ledgerWaysSql },
  ],
}
