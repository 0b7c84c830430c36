import type { MigrationSet } from '@aaas/support-cloud/rdbms'
import { orderFunctionsSql, orderTimedIdsSql } from './order-functions.js'
import { orderTablesSql } from './order-tables.js'
import { placeFunctionSql } from './place-function.js'

/** Needs the migrations of the transaction service and of the inventory before. */
export const orderMigrations: MigrationSet = {
  owner: 'business-cloud/order',
  migrations: [
    { level: 1, name: 'orders', up: orderTablesSql },
    { level: 2, name: 'place and transition', up: placeFunctionSql + orderFunctionsSql },
    { level: 3, name: 'transfer ids with a time', up: orderTimedIdsSql },
  ],
}
