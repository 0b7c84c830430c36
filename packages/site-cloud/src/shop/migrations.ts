import { cartMigrations } from '@aaas/business-cloud/cart'
import { catalogueMigrations } from '@aaas/business-cloud/catalogue'
import { inventoryMigrations } from '@aaas/business-cloud/inventory'
import { orderMigrations } from '@aaas/business-cloud/order'
import { partyMigrations } from '@aaas/business-cloud/party'
import { paymentMigrations } from '@aaas/business-cloud/payment'
import { pricingMigrations } from '@aaas/business-cloud/pricing'
import { apiKeyMigrations } from '@aaas/site-cloud/open-api'
import { cloudwareStateMigrations } from '@aaas/site-cloud/template'
import type { MigrationSet } from '@aaas/support-cloud/rdbms'
import { transactionMigrations } from '@aaas/support-cloud/transaction'

/** What the release step remembers about the site. */
const shopOwnMigrations: MigrationSet = {
  owner: 'template/shop',
  migrations: [
    { level: 1, name: 'settings', up: 'create table site_setting (name text primary key, value jsonb not null)' },
  ],
}

/** The schema of a shop, in the order in which its parts depend on each other. */
export const shopMigrations: readonly MigrationSet[] = [
  transactionMigrations,
  catalogueMigrations,
  pricingMigrations,
  inventoryMigrations,
  cartMigrations,
  partyMigrations,
  orderMigrations,
  paymentMigrations,
  apiKeyMigrations,
  cloudwareStateMigrations,
  shopOwnMigrations,
]
