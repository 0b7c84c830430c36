import type { MigrationSet, Queryable } from '@aaas/support-cloud/rdbms'
import { maxListAmount } from './pricing-contract.js'

export const pricingMigrations: MigrationSet = {
  owner: 'business-cloud/pricing',
  migrations: [
    {
      level: 1,
      name: 'list-price',
      up: `create table price (
        sku text collate "C" not null,
        currency text not null check (currency ~ '^[A-Z]{3}$'),
        amount bigint not null check (amount between 0 and ${maxListAmount}),
        primary key (sku, currency)
      )`,
    },
  ],
}

/** Writes list prices for the import of the catalogue, inside its transaction. Minor units. */
export const listPrices = {
  async setListPrices(
    tx: Queryable,
    rows: readonly { readonly sku: string; readonly currency: string; readonly amount: number }[],
  ): Promise<void> {
    await tx.query({
      text: `insert into price (sku, currency, amount)
        select * from unnest($1::text[], $2::text[], $3::bigint[])
        on conflict (sku, currency) do update set amount = excluded.amount where price.amount <> excluded.amount`,
      values: [rows.map(row => row.sku), rows.map(row => row.currency), rows.map(row => row.amount)],
    })
  },
}
