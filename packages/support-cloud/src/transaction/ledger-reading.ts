/** Functions that read history, and the sweep of what timed out. */
export const ledgerReadingSql = `
-- The version of the last entry at or before an instant: what was archived, if that is later. Times never go back
-- within a part of an account, so this takes some twenty look-ups and no index on the time.
create function ledger_version_at(p_account text, p_shard int, p_at timestamptz) returns bigint language plpgsql stable
set enable_seqscan = off set jit = off as $fn$
declare
  v_low bigint;
  v_high bigint;
  v_middle bigint;
  v_at timestamptz;
begin
  select b.version, coalesce(c.version, 0) into v_high, v_low
  from ledger_balance b left join ledger_carry c using (account, shard)
  where b.account = p_account and b.shard = p_shard;
  while v_low < v_high loop
    v_middle := (v_low + v_high + 1) / 2;
    select at into v_at from ledger_entry where account = p_account and shard = p_shard and version = v_middle;
    if v_at <= p_at then v_low := v_middle; else v_high := v_middle - 1; end if;
  end loop;
  return v_low;
end $fn$;

create function ledger_balance_at(p_account text, p_at timestamptz) returns bigint language plpgsql stable
set enable_seqscan = off set jit = off as $fn$
declare
  v_shards int;
  v_version bigint;
  v_carry ledger_carry%rowtype;
  v_balance bigint;
  v_sum bigint := 0;
begin
  select shards into v_shards from ledger_account where id = p_account;
  if not found then raise exception 'no account %', p_account using errcode = 'LG001', detail = p_account; end if;
  for part in 0..v_shards - 1 loop
    select * into v_carry from ledger_carry where account = p_account and shard = part;
    if v_carry.at > p_at then
      raise exception 'the history of account % before % is archived', p_account, v_carry.at
        using errcode = 'LG006', detail = p_account;
    end if;
    v_version := ledger_version_at(p_account, part, p_at);
    if v_version = 0 then continue; end if;
    select balance into v_balance from ledger_entry where account = p_account and shard = part and version = v_version;
    v_sum := v_sum + coalesce(v_balance, v_carry.credits_posted - v_carry.debits_posted);
    v_balance := null;
  end loop;
  return v_sum;
end $fn$;

-- Order: at descending, shard, version descending; the arguments are the last row of the page before.
create function ledger_history(p_account text, p_at timestamptz, p_shard int, p_version bigint, p_limit int)
returns setof ledger_entry language sql stable set enable_seqscan = off set jit = off as $fn$
  select e.* from generate_series(0, (select shards - 1 from ledger_account where id = p_account)) s(shard)
    cross join lateral (
      select * from ledger_entry where account = p_account and shard = s.shard and version <= case
        when p_at is null then 9223372036854775807
        when s.shard = p_shard then p_version - 1
        when s.shard > p_shard then ledger_version_at(p_account, s.shard, p_at)
        else ledger_version_at(p_account, s.shard, p_at - interval '1 microsecond') end
      order by version desc limit p_limit) e
  order by e.at desc, e.shard, e.version desc limit p_limit
$fn$;

-- Gives back what timed out. Safe to repeat, to break off and to run side by side: the resolution is the record.
create function ledger_expire(p_limit int) returns int language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $fn$
declare
  v_now timestamptz := ledger_now();
  v_due uuid[];
begin
  v_due := array(select pending_id from ledger_timeout where expires_at <= v_now order by expires_at limit p_limit
    for update skip locked);
  if cardinality(v_due) = 0 then return 0; end if;
  -- The balances first and in their order, as every call does: after that nobody else resolves one of these.
  perform from (
    select distinct x.account, x.shard from ledger_transfer t,
      lateral (values (t.debit, t.debit_shard), (t.credit, t.credit_shard)) x(account, shard)
    where t.id = any (v_due) order by 1, 2) s
    cross join lateral (select from ledger_balance where account = s.account and shard = s.shard limit 1 for update) b;
  with ended as (
    insert into ledger_resolution (pending_id, kind, transfer_id, created_at)
    select d.id, 'expire', null, v_now from unnest(v_due) d(id)
    where exists (select from ledger_transfer t where t.id = d.id)
    order by d.id
    on conflict do nothing
    returning pending_id
  ), change as (
    select x.account, x.shard, sum(x.dw)::bigint as dw, sum(x.cw)::bigint as cw
    from ended join (select * from ledger_transfer where id = any (v_due)) t on t.id = ended.pending_id,
      lateral (values (t.debit, t.debit_shard, t.amount, 0), (t.credit, t.credit_shard, 0, t.amount))
        x(account, shard, dw, cw)
    group by x.account, x.shard
  )
  update ledger_balance b set debits_pending = b.debits_pending - c.dw, credits_pending = b.credits_pending - c.cw
  from change c where b.account = c.account and b.shard = c.shard;
  delete from ledger_timeout where pending_id = any (v_due);
  return cardinality(v_due);
end $fn$;
`
