import type { MigrationSet } from '@aaas/support-cloud/rdbms'

/** The simulated provider's own books. Times are epoch milliseconds, amounts are minor units of CNY. */
const alipayTables = `
create table sim_alipay_trade (
  trade_no text primary key,
  app_id text not null,
  out_trade_no text not null,
  -- Names the cashier page; whoever has it may pay.
  token text not null unique,
  subject text not null,
  amount bigint not null check (amount > 0),
  -- OPENED: signed by the merchant, but no buyer has seen it: the API does not know it yet.
  status text not null check (status in ('OPENED', 'WAIT_BUYER_PAY', 'TRADE_SUCCESS', 'TRADE_CLOSED')),
  refunded bigint not null default 0 check (refunded >= 0 and refunded <= amount),
  buyer_id text not null,
  notify_url text,
  return_url text,
  passback_params text,
  created_at bigint not null,
  expires_at bigint not null,
  paid_at bigint,
  closed_at bigint,
  unique (app_id, out_trade_no)
);
create index sim_alipay_trade_expiry on sim_alipay_trade (expires_at) where status in ('OPENED', 'WAIT_BUYER_PAY');

create table sim_alipay_refund (
  trade_no text not null references sim_alipay_trade(trade_no),
  out_request_no text not null,
  amount bigint not null check (amount > 0),
  at bigint not null,
  primary key (trade_no, out_request_no)
);

create table sim_alipay_notify (
  id bigint generated always as identity primary key,
  app_id text not null,
  out_trade_no text not null,
  url text not null,
  params jsonb not null,
  attempts int not null default 0,
  -- null: answered with success, or given up.
  next_at bigint,
  drop_left int not null default 0,
  wrong_signature boolean not null default false,
  last_answer text
);
create index sim_alipay_notify_due on sim_alipay_notify (next_at) where next_at is not null;

-- out_trade_no '' stands for every trade of the app.
create table sim_alipay_fault (
  app_id text not null,
  out_trade_no text not null default '',
  plan jsonb not null,
  primary key (app_id, out_trade_no)
);
`

export const simulatorMigrations: MigrationSet = {
  owner: 'access-cloud/simulator',
  migrations: [{ level: 1, name: 'alipay', up: alipayTables }],
}
