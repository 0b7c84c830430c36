/** Partitions of the ledger by month (UTC), made ahead of time; the archive of old ones. */
export const ledgerPartitionsSql = `
create table ledger_transfer_other partition of ledger_transfer default;
create table ledger_resolution_other partition of ledger_resolution default;
create table ledger_entry_other partition of ledger_entry default;
create trigger ledger_no_truncate before truncate on ledger_transfer_other execute function aaas_append_only();
create trigger ledger_no_truncate before truncate on ledger_resolution_other execute function aaas_append_only();
create trigger ledger_no_truncate before truncate on ledger_entry_other execute function aaas_append_only();

-- The smallest UUID of an instant, as version 7 counts time.
create function ledger_uuid_at(p_at timestamptz) returns uuid language sql immutable as $fn$
  select rpad(lpad(to_hex((extract(epoch from p_at) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$fn$;

-- Makes the partition of a month for one table. Rows that came before it lie in the default partition and move over.
create function ledger_add_partition(p_table text, p_month timestamp) returns boolean language plpgsql as $fn$
declare
  v_name text := p_table || to_char(p_month, '"_y"YYYY"m"MM');
  v_other text := p_table || '_other';
  v_key text := case p_table when 'ledger_transfer' then 'id' when 'ledger_resolution' then 'pending_id' else 'at' end;
  v_low text := case p_table when 'ledger_entry' then (p_month at time zone 'UTC')::text
    else ledger_uuid_at(p_month at time zone 'UTC')::text end;
  v_high text := case p_table when 'ledger_entry' then ((p_month + interval '1 month') at time zone 'UTC')::text
    else ledger_uuid_at((p_month + interval '1 month') at time zone 'UTC')::text end;
begin
  if to_regclass(v_name) is not null or exists (select from ledger_archive where name = v_name) then
    return false;
  end if;
  execute format('create table %I (like %I including all)', v_name, p_table);
  execute format('alter table %I disable trigger ledger_append_only', v_other);
  execute format('with moved as (delete from %I where %I >= %L and %I < %L returning *) insert into %I
    select * from moved', v_other, v_key, v_low, v_key, v_high, v_name);
  execute format('alter table %I enable trigger ledger_append_only', v_other);
  execute format('alter table %I attach partition %I for values from (%L) to (%L)', p_table, v_name, v_low, v_high);
  execute format('create trigger ledger_no_truncate before truncate on %I execute function aaas_append_only()', v_name);
  return true;
end $fn$;

-- Partitions of this month and of p_ahead more. @returns how many were missing.
create function ledger_add_partitions(p_ahead int) returns int language plpgsql as $fn$
declare
  v_made int := 0;
  v_table text;
begin
  perform pg_advisory_xact_lock(4158, 2);
  foreach v_table in array array['ledger_transfer', 'ledger_resolution', 'ledger_entry'] loop
    for k in 0..p_ahead loop
      v_made := v_made + ledger_add_partition(v_table,
        date_trunc('month', ledger_now() at time zone 'UTC') + k * interval '1 month')::int;
    end loop;
  end loop;
  return v_made;
end $fn$;

-- Takes the oldest partition of a table that ends at or before p_before out of the ledger, into the schema
-- ledger_archived, where it can be dumped and dropped. What it leaves behind keeps every promise:
-- - entries: their sums stay in ledger_carry, so balances, versions and the proof go on from there;
-- - transfers: only when none of them is pending. Repeats of their ids are refused from then on (ledger_horizon).
--   Ids of other versions than 7 carry no time: they stay, in the default partition, and are known for ever.
create function ledger_archive_oldest(p_table text, p_before timestamptz, out name text, out moved bigint,
  out obstacle text) language plpgsql as $fn$
declare
  v_month timestamp;
  v_until timestamptz;
  v_open uuid;
  v_other text := case p_table when 'ledger_transfer' then 'ledger_resolution' end;
  v_pair text;
begin
  perform pg_advisory_xact_lock(4158, 2);
  select c.relname, to_date(right(c.relname, 8), '"y"YYYY"m"MM') into name, v_month
  from pg_inherits h join pg_class c on c.oid = h.inhrelid
  where h.inhparent = p_table::regclass and c.relname ~ '_y[0-9]{4}m[0-9]{2}$' order by c.relname limit 1;
  v_until := (v_month + interval '1 month') at time zone 'UTC';
  if name is null or v_until > p_before or v_until > ledger_now() then
    name := null;
    return;
  end if;
  create schema if not exists ledger_archived;
  if p_table = 'ledger_entry' then
    execute format('lock table ledger_entry in access exclusive mode');
    execute format('insert into ledger_carry as c (account, shard, version, at, debits_posted, credits_posted)
      select account, shard, max(version), max(at), coalesce(-sum(amount) filter (where amount < 0), 0),
        coalesce(sum(amount) filter (where amount > 0), 0) from %I group by account, shard
      on conflict (account, shard) do update set version = excluded.version, at = excluded.at,
        debits_posted = c.debits_posted + excluded.debits_posted,
        credits_posted = c.credits_posted + excluded.credits_posted', name);
    execute format('alter table ledger_entry detach partition %I', name);
  else
    lock table ledger_transfer, ledger_resolution in access exclusive mode;
    v_pair := replace(name, 'ledger_transfer', 'ledger_resolution');
    execute format('select t.id from %I t where t.kind = ''pending'' and t.reason is null and not exists
      (select from ledger_resolution r where r.pending_id = t.id) order by t.id limit 1', name) into v_open;
    if v_open is not null then
      obstacle := format('transfer %s is pending', v_open);
      return;
    end if;
    execute format('alter table ledger_transfer detach partition %I', name);
    execute format('alter table ledger_resolution detach partition %I', v_pair);
    execute format('insert into ledger_transfer select * from %I where substr(id::text, 15, 1) <> ''7''', name);
    execute format('insert into ledger_resolution select * from %I where substr(pending_id::text, 15, 1) <> ''7''',
      v_pair);
    execute format('alter table %I set schema ledger_archived', v_pair);
    execute format('create or replace function ledger_horizon() returns uuid language sql immutable as
      $h$select %L::uuid$h$', ledger_uuid_at(v_until));
  end if;
  execute format('select count(*) from %I', name) into moved;
  execute format('alter table %I set schema ledger_archived', name);
  insert into ledger_archive (name, kind, lower_bound, upper_bound, rows_moved)
  values (name, replace(p_table, 'ledger_', ''), v_month at time zone 'UTC', v_until, moved);
end $fn$;

select ledger_add_partitions(1);
`
