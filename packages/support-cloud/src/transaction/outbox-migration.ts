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

-- Ends the due events of topics that nobody waits for, at most p_limit, and says how many and whether others are due.
-- Those that another relay holds, and those that a delivery was tried of, are left to the relays.
-- Between two vacuums the table is full of dead rows: only the index knows those that it saw die.
create function aaas_outbox_drop(p_topics text[], p_limit int, out dropped int, out due boolean) language plpgsql
set enable_seqscan = off as $fn$
begin
  delete from aaas_outbox where id = any (array(
    select id from aaas_outbox where topic = any (p_topics) and attempts = 0 and available_at <= now()
    order by id limit p_limit for update skip locked));
  get diagnostics dropped = row_count;
  perform from aaas_outbox where available_at <= now() and (topic <> all (p_topics) or attempts > 0)
  order by id limit 1;
  due := found;
end $fn$;
`
