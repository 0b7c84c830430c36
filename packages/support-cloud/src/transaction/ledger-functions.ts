import { decideSql } from './ledger-decide.js'

/**
 * `ledger_run` decides and writes 1 to 1000 transfers, strictly in the order given, and answers what is not plain: as
 * `[{n, reason?, amount, repeated?}]` with `n` from 0. A transfer it does not name is new and was applied as asked.
 * Plain calls take a way without a loop, `ledger_one` and `ledger_plain`. All others go through `ledger_many`.
 *
 * That one reads, locks, decides and writes, in this order:
 * 1. The items become arrays. Pending transfers that they end are read: those never change.
 * 2. The balances are locked, by account and shard: the one order in which anybody locks them. Nobody waits for an id
 *    before it has all its balances, and ids are inserted in their order: no two calls wait for each other.
 * 3. What is known of the ids is read now, by a new snapshot: whoever had the same accounts has finished.
 * 4. A loop without any SQL decides each item on the counters in memory. That is the only place where a rule of the
 *    ledger is applied, whatever the size of a call.
 * 5. The outcome is written: each table once for all items. `set` on the function: plans are made when the tables are
 *    empty and kept; what they are thought to cost would have them compiled each time.
 *
 * With `p_strict` the first refusal is raised and nothing is kept: LG001 unknown account, LG002 same id with another
 * body, LG003 a limit, LG004 not pending, LG005 malformed, LG006 archived. Malformed calls always raise LG005.
 * 40001: an id was taken meanwhile by a call about other accounts; a repeat finds it.
 */
const readSql = `
  v_count := jsonb_array_length(p_items);
  if v_count is null or v_count not between 1 and 1000 then
    raise exception 'a call takes 1 to 1000 transfers' using errcode = 'LG005';
  end if;
  select array_agg(id), array_agg(kind), array_agg(debit), array_agg(credit), array_agg(amount), array_agg(currency),
    array_agg(code), array_agg(ref), array_agg(pending), array_agg("timeoutMs"), array_agg(case
      when "balancingDebit" and "balancingCredit" then 'both' when "balancingDebit" then 'debit'
      when "balancingCredit" then 'credit' end), array_agg(linked is true), coalesce(bool_or(linked), false),
    count(pending) > 0, count("timeoutMs") > 0, min(case when case
      when id is null then false
      when kind in ('posted', 'pending') then pending is null and amount between 1 and 1000000000000000
        and debit <> credit and currency is not null and code is not null
        and ("timeoutMs" is null or kind = 'pending' and "timeoutMs" between 1 and 315360000000)
      when kind in ('post', 'void') then pending is not null and debit is null and credit is null
        and "timeoutMs" is null and "balancingDebit" is not true and "balancingCredit" is not true
        and (amount is null or kind = 'post' and amount between 1 and 1000000000000000)
      else false end is not true then coalesce(id::text, 'without an id') end)
  into v_id, v_kind, v_debit, v_credit, v_amount, v_currency, v_code, v_ref, v_pending, v_timeout, v_balancing,
    v_linked, v_chains, v_refs, v_timed, v_reason
  from jsonb_to_recordset(p_items) as t(id uuid, kind text, debit text, credit text, amount bigint, currency text,
    code text, ref text, pending uuid, "timeoutMs" bigint, "balancingDebit" boolean, "balancingCredit" boolean,
    linked boolean);
  if v_reason is not null then
    raise exception 'transfer % is malformed', v_reason using errcode = 'LG005', detail = v_reason;
  end if;
  if v_linked[v_count] then
    raise exception 'the chain of transfer % is left open', v_id[v_count] using errcode = 'LG005',
      detail = v_id[v_count]::text;
  end if;
  v_dshard := array_fill(null::smallint, array[v_count]);
  v_cshard := v_dshard;
  if v_refs then
    select array_agg(x.debit), array_agg(x.credit), array_agg(x.currency), array_agg(x.code), array_agg(x.dshard),
      array_agg(x.cshard), array_agg(x.whole), array_agg(x.is_pending), array_agg(x.expires_at), array_agg(x.first)
    into v_debit, v_credit, v_currency, v_code, v_dshard, v_cshard, v_whole, v_is_pending, v_expires, v_first
    from (
      select coalesce(u.debit, t.debit) as debit, coalesce(u.credit, t.credit) as credit,
        coalesce(u.currency, t.currency) as currency, coalesce(u.code, t.code) as code, t.debit_shard as dshard,
        t.credit_shard as cshard, t.amount as whole, t.kind = 'pending' and t.reason is null as is_pending,
        t.expires_at, case when u.pending is not null then min(u.i) over (partition by u.pending) end as first
      from unnest(v_pending, v_debit, v_credit, v_currency, v_code) with ordinality
          u(pending, debit, credit, currency, code, i)
        left join (select * from ledger_transfer where id = any (v_pending)
          and (p_within is null or starts_with(debit, p_within) and starts_with(credit, p_within))) t
          on t.id = u.pending
      order by u.i) x;
    -- One that comes earlier in this very call.
    v_inner := array_fill(null::int, array[v_count]);
    for i in 2..v_count loop
      if v_pending[i] is null or v_is_pending[i] is not null then continue; end if;
      j := array_position(v_id, v_pending[i]);
      if j is null or j >= i then continue; end if;
      v_inner[i] := j;
      if v_kind[j] = 'pending' then
        v_debit[i] := v_debit[j];
        v_credit[i] := v_credit[j];
        v_currency[i] := v_currency[j];
        v_code[i] := v_code[j];
        v_whole[i] := v_amount[j];
      end if;
    end loop;
  end if;
`

const lockSql = `
  v_seed := hashtext(v_id[1]::text) & 2147483647;
  with side as (
      select u.name collate "C" as name, u.shard, u.i, false as credits
      from unnest(v_debit, v_dshard) with ordinality u(name, shard, i)
      union all
      select u.name, u.shard, u.i, true from unnest(v_credit, v_cshard) with ordinality u(name, shard, i)
    ), known as materialized (
      select s.name, a.shards, a.asset from (select distinct name from side) s
        cross join lateral (select shards, currency || '/' || scale as asset from ledger_account
          where id = s.name limit 1) a
    ), wanted as materialized (
      select side.i, side.credits, side.name, known.asset, coalesce(side.shard, v_seed % known.shards) as shard
      from side join known on known.name = side.name
    ), held as materialized (
      -- A nested loop over this sorted list: the rows are locked in its order.
      select b.*, s.asset from (select distinct name, shard, asset from wanted order by name, shard) s
        cross join lateral (select * from ledger_balance
          where account = s.name and shard = s.shard limit 1 for update) b
    ), numbered as materialized (
      select *, (row_number() over ())::int as k from held
    ), places as (
      select array_agg(n.k order by side.i) filter (where not side.credits) as debit_at,
        array_agg(n.k order by side.i) filter (where side.credits) as credit_at
      from side left join wanted w on w.i = side.i and w.credits = side.credits
        left join numbered n on n.account = w.name and n.shard = w.shard
    )
    select array_agg(account), array_agg(shard), array_agg(limits), array_agg(asset), array_agg(version),
      array_agg(debits_posted), array_agg(credits_posted), array_agg(debits_pending), array_agg(credits_pending),
      greatest(max(entry_at), ledger_now()),
      (select debit_at from places), (select credit_at from places)
    into a_name, a_shard, a_limits, a_asset, a_version, dp, cp, dw, cw, v_at, v_debit_at, v_credit_at
    from numbered;
`

const knownSql = `
  v_result := array_fill(null::text, array[v_count]);
  v_final := v_amount;
  v_state := array_fill(0, array[v_count]);
  a_touched := array_fill(false, array[coalesce(cardinality(a_name), 0)]);
  v_dversion := array_fill(null::bigint, array[v_count]);
  v_cversion := v_dversion;
  v_dbalance := v_dversion;
  v_cbalance := v_dversion;
  v_released := array_fill(0::bigint, array[v_count]);
  if v_chains then
    v_chain := array_fill(null::uuid, array[v_count]);
    v_chain_at := array_fill(null::smallint, array[v_count]);
    v_chain_size := v_chain_at;
    j := null;
    for i in 1..v_count loop
      if j is null and not v_linked[i] then continue; end if;
      j := coalesce(j, i);
      v_chain[i] := v_id[j];
      v_chain_at[i] := i - j;
      if v_linked[i] then continue; end if;
      for k in j..i loop v_chain_size[k] := i - j + 1; end loop;
      j := null;
    end loop;
  end if;
  if v_count > 1 and (select count(distinct id) from unnest(v_id) u(id)) < v_count then
    select array_agg(x.before order by x.i) into v_twin
    from (select u.i, lag(u.i) over (partition by u.id order by u.i) as before
      from unnest(v_id) with ordinality u(id, i)) x;
    if v_chains and exists (select from unnest(v_chain, v_twin, v_chain_at) with ordinality u(chain, twin, place, i)
      where chain is not null and twin >= i - place) then
      raise exception 'a chain names an id twice' using errcode = 'LG005';
    end if;
  end if;
  if exists (select from ledger_transfer where id = any (v_id)) then
    select array_agg(x.same), array_agg(x.reason), array_agg(x.amount) into v_same, v_known_reason, v_known_amount
    from (
      select t.reason, t.amount, case when t.id is not null then
        (t.kind, t.pending_id, coalesce(t.requested, t.amount), t.ref, t.timeout_ms, t.balancing, t.chain, t.chain_at,
          t.chain_size) is not distinct from
          (u.kind, u.pending, coalesce(u.amount, 0), u.ref, u.timeout, u.balancing, u.chain, u.chain_at, u.chain_size)
        and (t.pending_id is not null or (t.debit, t.credit, t.currency, t.code) is not distinct from
          (u.debit, u.credit, u.currency, u.code)) end as same
      from unnest(v_id, v_kind, v_pending, v_amount, v_ref, v_timeout, v_balancing, v_chain, v_chain_at, v_chain_size,
          v_debit, v_credit, v_currency, v_code) with ordinality u(id, kind, pending, amount, ref, timeout, balancing,
          chain, chain_at, chain_size, debit, credit, currency, code, i)
        left join (select * from ledger_transfer where id = any (v_id)) t on t.id = u.id
      order by u.i) x;
  end if;
  if v_refs then
    v_ended := array_fill(null::text, array[v_count]);
    if exists (select from ledger_resolution where pending_id = any (v_pending)) then
      select array_agg(r.kind order by u.i) into v_ended from unnest(v_pending) with ordinality u(pending, i)
        left join (select * from ledger_resolution where pending_id = any (v_pending)) r on r.pending_id = u.pending;
    end if;
  end if;
  v_horizon := ledger_horizon();
`

const writeSql = `
  v_stored := (select count(*) from unnest(v_state) u(state) where state = 1);
  insert into ledger_transfer (id, created_at, amount, requested, pending_id, chain, expires_at, timeout_ms,
      debit_shard, credit_shard, chain_at, chain_size, kind, debit, credit, currency, code, ref, balancing, reason)
    select t.id, v_at, coalesce(t.final, 0), case when t.final is distinct from t.amount or t.amount is null
        then coalesce(t.amount, 0) end, t.pending, t.chain, v_at + t.timeout * interval '1 ms', t.timeout,
      a_shard[t.debit_at], a_shard[t.credit_at], t.chain_at, t.chain_size, t.kind, t.debit, t.credit, t.currency,
      t.code, t.ref, t.balancing, t.reason
    from unnest(v_id, v_final, v_amount, v_pending, v_chain, v_timeout, v_debit_at, v_credit_at, v_chain_at,
      v_chain_size, v_kind, v_debit, v_credit, v_currency, v_code, v_ref, v_balancing, v_result, v_state)
      t(id, final, amount, pending, chain, timeout, debit_at, credit_at, chain_at, chain_size, kind, debit, credit,
      currency, code, ref, balancing, reason, state)
    where t.state = 1
    order by t.id on conflict do nothing;
    get diagnostics j = row_count;
    if j < v_stored then raise exception 'an id is being taken by another call' using errcode = '40001'; end if;
    update ledger_balance b set version = x.version, debits_posted = x.dp, credits_posted = x.cp,
      debits_pending = x.dw, credits_pending = x.cw, entry_at = v_at
    from unnest(a_name, a_shard, a_version, dp, cp, dw, cw, a_touched) x(account, shard, version, dp, cp, dw, cw,
      touched)
    where x.touched and b.account = x.account collate "C" and b.shard = x.shard;
    insert into ledger_entry (account, shard, version, at, transfer_id, amount, balance)
    select v.account, v.shard, v.version, v_at, t.id, v.amount, v.balance
    from unnest(v_id, v_debit, v_credit, v_debit_at, v_credit_at, v_final, v_dversion, v_cversion, v_dbalance,
      v_cbalance) t(id, debit, credit, debit_at, credit_at, amount, dversion, cversion, dbalance, cbalance),
      lateral (values (t.debit, a_shard[t.debit_at], t.dversion, -t.amount, t.dbalance),
        (t.credit, a_shard[t.credit_at], t.cversion, t.amount, t.cbalance)) v(account, shard, version, amount, balance)
    where t.dversion is not null;
  if v_refs then
    insert into ledger_resolution (pending_id, kind, transfer_id, created_at)
    select pending, kind, id, v_at from unnest(v_pending, v_kind, v_id, v_state, v_result)
      t(pending, kind, id, state, reason)
    where pending is not null and state = 1 and reason is null order by pending;
  end if;
  if v_timed then
    insert into ledger_timeout (pending_id, expires_at)
    select id, v_at + timeout * interval '1 ms' from unnest(v_id, v_timeout, v_state, v_result)
      t(id, timeout, state, reason)
    where timeout is not null and state = 1 and reason is null;
  end if;
  if not v_odd then return '[]'; end if;
  return (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('n', i - 1, 'amount', final,
      'reason', reason, 'repeated', case state when 2 then true end))), '[]')
    from unnest(v_final, v_amount, v_result, v_state) with ordinality t(final, amount, reason, state, i)
    where reason is not null or state = 2 or final is distinct from amount);
`

/** `ledger_apply(transfers)` is what other SQL functions call inside their transaction: all or nothing. */
export const ledgerFunctionsSql = `
-- Transfers of version 7 with smaller ids are archived. The archive replaces this function: a constant costs nothing.
create function ledger_horizon() returns uuid language sql immutable as 'select null::uuid';

create function ledger_refuse(p_reason text, p_id uuid, p_pending uuid, p_debit text, p_credit text) returns void
language plpgsql as $fn$
begin
  case
    when p_reason in ('exceeds-credits', 'exceeds-debits', 'overflow') then
      raise exception 'transfer % passes the limit of account %: %', p_id,
        case p_reason when 'exceeds-debits' then p_credit else p_debit end, p_reason
        using errcode = 'LG003', detail = p_id::text;
    when p_reason in ('debit-account-not-found', 'credit-account-not-found') then
      raise exception 'no account %', case p_reason when 'debit-account-not-found' then p_debit else p_credit end
        using errcode = 'LG001', detail = p_id::text;
    when p_reason = 'conflict' then
      raise exception 'transfer % exists with another content', p_id using errcode = 'LG002', detail = p_id::text;
    when p_reason in ('pending-not-found', 'not-pending', 'already-posted', 'already-voided', 'expired') then
      raise exception 'transfer % is not pending: %', p_pending, p_reason using errcode = 'LG004',
        detail = p_pending::text;
    when p_reason = 'archived' then
      raise exception 'transfer % would lie in the archive', p_id using errcode = 'LG006', detail = p_id::text;
    when p_reason = 'linked-failed' then
      raise exception 'the chain of transfer % was rejected before', p_id using errcode = 'LG003', detail = p_id::text;
    else
      raise exception 'transfer % is refused: %', p_id, p_reason using errcode = 'LG005', detail = p_id::text;
  end case;
end $fn$;

create function ledger_many(p_items jsonb, p_strict boolean, p_within text) returns jsonb language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $fn$
declare
  -- One element an item.
  v_id uuid[]; v_kind text[]; v_debit text[]; v_credit text[]; v_amount bigint[]; v_currency text[]; v_code text[];
  v_ref text[]; v_pending uuid[]; v_timeout bigint[]; v_balancing text[]; v_linked boolean[];
  v_chain uuid[]; v_chain_at smallint[]; v_chain_size smallint[]; v_dshard smallint[]; v_cshard smallint[];
  v_debit_at int[]; v_credit_at int[]; v_dversion bigint[]; v_cversion bigint[]; v_dbalance bigint[];
  v_cbalance bigint[]; v_final bigint[]; v_released bigint[]; v_result text[]; v_twin int[];
  v_state int[]; -- 0 leaves no trace, 1 is stored, 2 was stored before
  v_same boolean[]; v_known_reason text[]; v_known_amount bigint[];
  -- Of items that end a pending transfer: that transfer; what ended it stands at the first item that names it.
  v_whole bigint[]; v_is_pending boolean[]; v_expires timestamptz[]; v_first int[]; v_inner int[]; v_ended text[];
  -- One element a locked balance: its counters.
  a_name text[]; a_shard smallint[]; a_asset text[]; a_limits smallint[]; a_version bigint[]; a_touched boolean[];
  dp bigint[]; cp bigint[]; dw bigint[]; cw bigint[];
  v_count int; v_stored int; v_seed int; v_at timestamptz; v_horizon uuid; v_refs boolean;
  v_timed boolean; v_chains boolean; v_odd boolean := false; v_reason text; r text; a bigint; c int; d int; j int; v_keep boolean; v_again boolean; v_moved bigint;
  v_wait bigint; v_chain_start int := 0; v_chain_end int := 0; v_failed boolean := false; v_failed_state int;
begin${readSql}${lockSql}${knownSql}${decideSql}${writeSql}end $fn$;

create function ledger_apply(transfers jsonb, p_within text default null) returns int language plpgsql as $fn$
declare
  v_remarks jsonb := ledger_run(transfers, true, p_within);
begin
  return jsonb_array_length(transfers) - case v_remarks when '[]' then 0 else
    (select count(*) from jsonb_array_elements(v_remarks) t where t ? 'repeated') end;
end $fn$;
`
