import type { MigrationSet } from '@aaas/support-cloud/rdbms'

/** Times are epoch milliseconds of the gateway's clock, amounts are minor units. */
const tables = `
create table payment (
  id text primary key check (id ~ '^[0-9a-f]{32}$'),
  tenant text not null,
  payment_id text not null,
  provider text not null,
  amount bigint not null check (amount > 0),
  currency text not null,
  subject text not null,
  return_url text not null,
  expires_at bigint not null,
  state text not null default 'created'
    check (state in ('created', 'unknown', 'paid', 'closed', 'refunding', 'refunded')),
  -- A close was asked for and is not answered yet.
  closing boolean not null default false,
  refunded_amount bigint not null default 0 check (refunded_amount >= 0 and refunded_amount <= amount),
  provider_trade_no text,
  paid_at bigint,
  created_at bigint not null,
  -- When the resolver asks the provider next; null: nothing to ask.
  next_check_at bigint,
  checks int not null default 0,
  unique (tenant, payment_id)
);
comment on column payment.id is 'Name of the trade at the provider (out_trade_no).';
create index payment_check on payment (next_check_at) where next_check_at is not null;
create index payment_newest on payment (tenant, created_at desc);

create table payment_refund (
  id text primary key,
  payment text not null references payment(id),
  tenant text not null,
  refund_id text not null,
  amount bigint not null check (amount > 0),
  reason text not null,
  state text not null default 'pending' check (state in ('pending', 'done', 'refused')),
  code text,
  created_at bigint not null,
  next_check_at bigint,
  checks int not null default 0,
  unique (tenant, refund_id)
);
create index payment_refund_of on payment_refund (payment);
create index payment_refund_check on payment_refund (next_check_at) where next_check_at is not null;

-- One row a provider call: written before it, completed after it. A row without an outcome is a call that a crash
-- interrupted; the resolver finds out what became of it.
create table payment_attempt (
  id bigint generated always as identity primary key,
  payment text not null references payment(id),
  operation text not null check (operation in ('query', 'close', 'refund')),
  started_at bigint not null,
  ended_at bigint,
  outcome text,
  code text
);
create index payment_attempt_of on payment_attempt (payment, id);

create table provider_notification (
  id bigint generated always as identity primary key,
  provider text not null,
  notify_id text not null,
  trade text not null,
  status text not null,
  received_at bigint not null,
  disposition text not null check (disposition in ('applied', 'repeated', 'ignored', 'refused')),
  reason text,
  body jsonb
);
-- Only verified messages count as seen: a forger who guesses an id must not be able to mute the real message.
create unique index provider_notification_seen on provider_notification (provider, notify_id)
  where disposition <> 'refused';
create index provider_notification_trade on provider_notification (trade, status);

create table payment_event (
  event_id text primary key,
  tenant text not null,
  payment jsonb not null,
  created_at bigint not null,
  attempts int not null default 0,
  next_at bigint,
  last_error text
);
create index payment_event_due on payment_event (next_at) where next_at is not null;

create table payment_audit_head (tenant text primary key, seq bigint not null, hash text not null);
create table payment_audit (
  tenant text not null,
  seq bigint not null,
  at bigint not null,
  act text not null,
  payment text not null,
  data text not null,
  previous_hash text not null,
  hash text not null,
  primary key (tenant, seq)
);
create function payment_audit_is_final() returns trigger language plpgsql as
$$ begin raise exception 'payment_audit rows are never changed'; end $$;
create trigger payment_audit_final before update or delete on payment_audit
  for each row execute function payment_audit_is_final();
`

export const paymentMigrations: MigrationSet = {
  owner: 'access-cloud/payment',
  migrations: [{ level: 1, name: 'gateway', up: tables }],
}
