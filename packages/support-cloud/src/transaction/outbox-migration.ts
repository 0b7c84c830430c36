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

/**
 * The next level: a quick answer to "what of this key comes earlier", claims in one call, who tried what and why it
 * failed, relays that can be seen, and an inbox by days, whose old days are dropped instead of deleted row by row.
 * The statements of the level before go on working beside it.
 */
export const deliverySql = `
create index aaas_outbox_key on aaas_outbox (key, id) where key <> '';
alter table aaas_outbox add column tried_by text, add column last_error text;
alter table aaas_outbox_dead add column buried_by text;
create table aaas_outbox_relay (
  name text primary key,
  backend int not null,
  started_at timestamptz not null,
  seen_at timestamptz not null default now(),
  delivered bigint not null,
  failed bigint not null,
  dead bigint not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- Takes rows that are due, oldest first, leaving out those that another relay holds and those whose key has an earlier
-- event that another relay holds or that is not due. There is no cursor by id on purpose: ids are drawn before the
-- commit, so a reader that had seen id 2 would never see an id 1 that was committed later.
-- The look for gaps is a statement of its own: it sees what other relays did until the batch was held, and from then on
-- nothing earlier can appear, because the events of a key are written one after the other.
-- A plan made while the table was empty must not scan it when it is full.
create function aaas_outbox_claim(p_limit int)
returns table (id bigint, event_id uuid, topic text, key text, payload jsonb, created_ms bigint, attempts int, taken text[])
language plpgsql rows 100 set enable_seqscan = off set enable_bitmapscan = off as $fn$
#variable_conflict use_column
declare
  v_ids bigint[];
  v_held text[];
  v_gaps bigint[];
begin
  select array_agg(c.id) into v_ids from (
    select o.id from aaas_outbox o where o.available_at <= now() order by o.id limit p_limit for update skip locked) c;
  if v_ids is null then return; end if;
  select array_agg(gap.key), array_agg(gap.id) into v_held, v_gaps from (
    select c.key, e.id
    from (select o.key, max(o.id) as last from aaas_outbox o where o.id = any (v_ids) and o.key <> '' group by o.key) c
    cross join lateral (select e.id from aaas_outbox e where e.key = c.key and e.key <> '' and e.id < c.last
      and e.id <> all (v_ids) order by e.id limit 1) e) gap;
  if v_held is not null then
    -- Behind an event that waits for its next attempt the later ones wait as long: they would fill the next batch.
    update aaas_outbox o set available_at = e.available_at
      from unnest(v_held, v_gaps) as h(key, gap) join aaas_outbox e on e.id = h.gap
      where o.id = any (v_ids) and o.key = h.key and o.id > h.gap and e.available_at > now();
  end if;
  return query
    select o.id, o.event_id, o.topic, o.key, o.payload, (extract(epoch from o.created_at) * 1000)::bigint, o.attempts,
      case when o.attempts > 0 then
        (select array_agg(d.subscriber) from aaas_outbox_delivery d where d.event_id = o.event_id) end
    from aaas_outbox o left join unnest(v_held, v_gaps) as h(key, gap) on o.key = h.key
    where o.id = any (v_ids) and (h.gap is null or o.id < h.gap) order by o.id;
end $fn$;

-- Whether there is anything to claim; asked once a second by each idle relay.
create function aaas_outbox_due() returns boolean language sql stable set enable_seqscan = off as
'select exists (select from aaas_outbox where available_at <= now() order by id limit 1)';

create table aaas_inbox_by_day (
  consumer text not null,
  message_id text not null,
  day date not null default (now() at time zone 'UTC')::date,
  at timestamptz not null default now(),
  primary key (consumer, message_id, day)
) partition by range (day);
create table aaas_inbox_rest partition of aaas_inbox_by_day default;

-- Makes the partitions of the days from yesterday to p_ahead days from now, drops those older than p_days, and says how
-- many it dropped. Rows that found no partition (nobody called for long) move from the rest to their day.
create function aaas_inbox_keep(p_days int, p_ahead int default 3) returns int language plpgsql
set lock_timeout = '5s' as $fn$
declare
  v_today date := (now() at time zone 'UTC')::date;
  v_day date;
  v_name text;
  v_dropped int := 0;
  v_inbox regclass := coalesce(to_regclass('aaas_inbox_by_day'), to_regclass('aaas_inbox'));
begin
  perform pg_advisory_xact_lock(4158, 3);
  delete from aaas_inbox_rest where day < v_today - p_days;
  for v_day in
    select (v_today + n) from generate_series(-1, p_ahead) n union select distinct day from aaas_inbox_rest order by 1
  loop
    v_name := 'aaas_inbox_' || to_char(v_day, 'YYYYMMDD');
    if to_regclass(v_name) is not null then continue; end if;
    execute format('create table %I (like %s including defaults including constraints)', v_name, v_inbox);
    -- From here until the end nobody writes: a row of this day must not slip into the rest behind our back.
    execute format('lock table %s in access exclusive mode', v_inbox);
    execute format('with moved as (delete from aaas_inbox_rest where day = %L returning *) insert into %I select * from moved',
      v_day, v_name);
    execute format('alter table %s attach partition %I for values from (%L) to (%L)', v_inbox, v_name, v_day, v_day + 1);
  end loop;
  for v_name in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = v_inbox and c.relname ~ '^aaas_inbox_[0-9]{8}$'
      and to_date(right(c.relname, 8), 'YYYYMMDD') < v_today - p_days
  loop
    execute format('drop table %I', v_name);
    v_dropped := v_dropped + 1;
  end loop;
  return v_dropped;
end $fn$;

-- A partitioned table has unique keys within a day only. So an insert looks at the days before, as far back as the
-- message can be old: the id tells (UUID version 7 begins with its time), else all days. In the first hour of a day
-- the message is noted in the day before as well, where it meets that of a transaction which began before midnight.
create function aaas_inbox_known() returns trigger language plpgsql as $fn$
declare
  v_from date := '-infinity';
begin
  if new.message_id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-' then
    -- One hour for clocks that differ.
    v_from := (to_timestamp(('x' || substr(new.message_id, 1, 8) || substr(new.message_id, 10, 4))::bit(48)::bigint
      / 1000.0 - 3600) at time zone 'UTC')::date;
  end if;
  if v_from < new.day then
    perform from aaas_inbox i
      where i.consumer = new.consumer and i.message_id = new.message_id and i.day >= v_from and i.day < new.day;
    if found then return null; end if;
    if new.day = (now() at time zone 'UTC')::date and (now() at time zone 'UTC')::time < '01:00' then
      insert into aaas_inbox (consumer, message_id, day) values (new.consumer, new.message_id, new.day - 1)
        on conflict do nothing;
      if not found then return null; end if;
    end if;
  end if;
  return new;
end $fn$;
select aaas_inbox_keep(30);
insert into aaas_inbox_by_day (consumer, message_id, day, at)
  select consumer, message_id, (at at time zone 'UTC')::date, at from aaas_inbox;
drop table aaas_inbox;
alter table aaas_inbox_by_day rename to aaas_inbox;
select aaas_inbox_keep(30);
create trigger aaas_inbox_known before insert on aaas_inbox for each row execute function aaas_inbox_known();
`
