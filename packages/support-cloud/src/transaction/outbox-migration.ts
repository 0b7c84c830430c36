/**
 * Tables of the outbox and the inbox. A service writes an `aaas_outbox` row in the transaction of the fact it tells;
 * the relay (`support-cloud/event`) owns a row while it delivers it and deletes it when every subscriber has it.
 * Rows come and go quickly, so vacuum follows the count of dead rows and not a share of the table.
 */
export const outboxSql = `
create table aaas_outbox (
  id bigint generated always as identity primary key,
  event_id uuid not null unique,
  topic text not null,
  key text not null,
  payload jsonb not null,
  created_at timestamptz not null default now(),
  attempts int not null default 0,
  available_at timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
create table aaas_outbox_dead (
  id bigint primary key,
  event_id uuid not null unique,
  topic text not null,
  key text not null,
  payload jsonb not null,
  created_at timestamptz not null,
  attempts int not null,
  available_at timestamptz not null,
  reason text not null,
  died_at timestamptz not null default now()
);
create table aaas_outbox_delivery (
  event_id uuid not null,
  subscriber text not null,
  primary key (event_id, subscriber)
);
create table aaas_inbox (
  consumer text not null,
  message_id text not null,
  at timestamptz not null default now(),
  primary key (consumer, message_id)
);
create index aaas_inbox_at on aaas_inbox (at);
`
