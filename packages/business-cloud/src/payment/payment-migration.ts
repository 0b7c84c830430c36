import type { MigrationSet } from '@aaas/support-cloud/rdbms'

/**
 * The payments of orders as this program knows them. `refunding` is a recorded step: the money must go back, and
 * `next_attempt_ms` says when the gateway is asked again. A row without a next attempt is settled (or needs a person:
 * `mismatch`).
 */
const paymentSql = `
create table order_payment (
  payment_id text primary key,
  order_number text collate "C" not null unique,
  provider text not null,
  amount bigint not null check (amount > 0),
  currency text not null,
  state text not null check (state in ('unknown', 'created', 'closed', 'paid', 'refunding', 'refunded', 'mismatch')),
  attempts int not null default 0,
  next_attempt_ms bigint,
  provider_trade_no text,
  paid_at_ms bigint,
  refund_id text,
  refund_reason text,
  problem text,
  updated_at_ms bigint not null,
  constraint order_payment_refund check (state <> 'refunding' or (refund_id is not null and next_attempt_ms is not
    null))
) with (fillfactor = 80);
create index order_payment_due on order_payment (next_attempt_ms) where next_attempt_ms is not null;
`

/** Needs the migrations of the transaction service, the inventory and the orders before. */
export const paymentMigrations: MigrationSet = {
  owner: 'business-cloud/payment',
  migrations: [{ level: 1, name: 'payments of orders', up: paymentSql }],
}
