/** What the items of a call are: all pending, posted and pending, all ends of pending transfers, or anything plain. */
type Shape = 'pending' | 'movements' | 'ends' | 'any'

const fields = `id uuid, kind text, debit text, credit text, amount bigint, currency text, code text, ref text,
  pending uuid, "timeoutMs" bigint, "balancingDebit" boolean, "balancingCredit" boolean, linked boolean`

const names = fields.replaceAll(/ (uuid|text|bigint|boolean)/g, '')

const movement = `t.pending is null and t.amount between 1 and 1000000000000000
    and t.debit <> t.credit and t.code is not null
    and (t."timeoutMs" is null or t.kind = 'pending' and t."timeoutMs" between 1 and 315360000000)`

/** No account is asked: what was reserved cannot pass a limit when it ends. */
const end = `t.debit is null and t.credit is null and t.currency is null and t.code is null
    and t."timeoutMs" is null and (t.amount is null or t.kind = 'post' and t.amount between 1 and p.amount)`

const plain: Readonly<Record<Shape, string>> = {
  pending: `t.kind = 'pending' and ${movement}`,
  movements: `t.kind in ('posted', 'pending') and ${movement}`,
  ends: `t.kind in ('post', 'void') and ${end}`,
  any: `case when t.kind in ('post', 'void') then p.id is not null and ${end}
    else t.kind in ('posted', 'pending') and ${movement} end`,
}

const changes: Readonly<Record<Shape, string>> = {
  pending: '',
  movements: `, case t.kind when 'posted' then t.amount else 0 end as moves,
      case t.kind when 'pending' then t.amount else 0 end as waits`,
  ends: `, p.expires_at, case t.kind when 'post' then coalesce(t.amount, p.amount) else 0 end as moves,
      -p.amount as waits`,
  any: `, p.expires_at, case when t.kind in ('posted', 'post') then coalesce(t.amount, p.amount) else 0 end as moves,
      case t.kind when 'posted' then 0 when 'pending' then t.amount else -p.amount end as waits`,
}

/** The items that are plain, with what is known of their accounts; one that is not is left out, which spoils the fit. */
const itemSql = (shape: Shape): string => {
  const ends = shape === 'ends' || shape === 'any'
  const known = (field: string): string => (ends ? `coalesce(t.${field}, p.${field})` : `t.${field}`)
  const shard = (side: 'debit' | 'credit', account: string): string => {
    if (shape === 'ends') return `p.${side}_shard`
    const own = `(v_seed % ${account}.shards)::smallint`
    return ends ? `coalesce(p.${side}_shard, ${own})` : own
  }
  const items =
    shape === 'pending'
      ? `jsonb_to_recordset(p_items) t(${fields})`
      : `rows from (jsonb_to_recordset(p_items) as (${fields})) with ordinality t(${names}, i)`
  const held = `join lateral (select * from ledger_transfer where id = t.pending and kind = 'pending' and reason is null
        and (p_within is null or starts_with(debit, p_within) and starts_with(credit, p_within)) limit 1) p on true`
  const accounts = `join lateral (select shards, scale from ledger_account where id = ${known('debit')}
        and currency = ${known('currency')} limit 1) d on true
      join lateral (select shards from ledger_account where id = ${known('credit')}
        and currency = ${known('currency')} and scale = d.scale limit 1) c on true`
  return `select ${shape === 'pending' ? '' : 't.i, '}t.id, t.kind, t.pending, t.ref, t."timeoutMs" as timeout,
      t.amount as asked, ${known('amount')} as amount, ${known('debit')} as debit, ${known('credit')} as credit,
      ${known('currency')} as currency, ${known('code')} as code, ${shard('debit', 'd')} as debit_shard,
      ${shard('credit', 'c')} as credit_shard${changes[shape]}
    from ${items}
      ${ends ? `${shape === 'any' ? 'left ' : ''}${held}` : ''}
      ${shape === 'ends' ? '' : accounts}
    where (t.linked or t."balancingDebit" or t."balancingCredit") is not true
      and (t.id >= v_horizon or v_horizon is null and t.id is not null)
      and ${plain[shape]}`
}

/**
 * Whether no order of the items passes a limit: all that is taken must be there before the call, what comes in during it
 * counts for nothing. The loop decides what does not pass this.
 */
const fits = `case b.limits when 0 then true
        when 1 then b.credits_posted - x.cp - b.debits_posted + x.dp - b.debits_pending + x.dw >= x.debits
        else b.debits_posted - x.dp - b.credits_posted + x.cp - b.credits_pending + x.cw >= x.credits end`

const movedSql = (ends: boolean): string => `, side as materialized (
    select s.*, i.i, i.id from item i, lateral (values
      (i.debit, i.debit_shard, -i.moves, i.moves, 0::bigint, i.waits, 0::bigint),
      (i.credit, i.credit_shard, i.moves, 0::bigint, i.moves, 0::bigint, i.waits))
      s(account, shard, amount, dp, cp, dw, cw)
    where (select fit from fit)
  ), moved as (
    update ledger_balance b set version = b.version + x.entries, entry_at = greatest(b.entry_at, v_now),
      debits_posted = b.debits_posted + x.dp, credits_posted = b.credits_posted + x.cp,
      debits_pending = b.debits_pending + x.dw, credits_pending = b.credits_pending + x.cw
    from (
      select account, shard, count(*) filter (where amount <> 0) as entries, sum(dp)::bigint as dp,
        sum(cp)::bigint as cp, sum(dw)::bigint as dw, sum(cw)::bigint as cw,
        sum(${ends ? 'greatest(dp + dw, 0)' : 'dp + dw'})::bigint as debits,
        sum(${ends ? 'greatest(cp + cw, 0)' : 'cp + cw'})::bigint as credits
      from side group by account, shard order by account collate "C", shard) x
    where b.account = x.account collate "C" and b.shard = x.shard
    returning b.account, b.shard, b.entry_at, b.version - x.entries as version,
      b.credits_posted - b.debits_posted - x.cp + x.dp as balance,
      greatest(b.debits_posted + b.debits_pending, b.credits_posted + b.credits_pending) as most, ${fits} as fits
  )`

/** Reservations only take: a limit that holds after all of them held after each. The table's CHECK sees to that. */
const reservedSql = `, moved as (
    update ledger_balance b set entry_at = greatest(b.entry_at, v_now), debits_pending = b.debits_pending + x.dw,
      credits_pending = b.credits_pending + x.cw
    from (
      select s.account, s.shard, sum(dw)::bigint as dw, sum(cw)::bigint as cw
      from item i, lateral (values (i.debit, i.debit_shard, i.amount, 0), (i.credit, i.credit_shard, 0, i.amount))
        s(account, shard, dw, cw)
      where (select fit from fit)
      group by s.account, s.shard order by s.account collate "C", s.shard) x
    where b.account = x.account collate "C" and b.shard = x.shard
    returning b.account, b.shard, b.entry_at,
      greatest(b.debits_posted + b.debits_pending, b.credits_posted + b.credits_pending) as most, true as fits
  )`

/** What is held and written of them. */
const writeSql = (shape: Shape): string => {
  const posts = shape !== 'pending'
  const ends = shape === 'ends' || shape === 'any'
  return `
  with item as materialized (
    ${itemSql(shape)}
  ), fit as materialized (
    select count(*) = v_count as fit, count(timeout) > 0 as timed${
      ends ? ', count(pending) as ends, min(expires_at) as expires' : ''
    } from item
  )${posts ? movedSql(ends) : reservedSql}, moment as materialized (
    select max(entry_at) as at, max(entry_at) > min(entry_at) as behind, max(most) <= 9007199254740991 and bool_and(fits) as held
    from moved
  ), transfers as (
    insert into ledger_transfer (id, created_at, amount, requested, pending_id, expires_at, timeout_ms, debit_shard,
      credit_shard, kind, debit, credit, currency, code, ref)
    select i.id, m.at, i.amount, case when i.asked is null then 0 end, i.pending,
      m.at + i.timeout * interval '1 ms', i.timeout, i.debit_shard, i.credit_shard, i.kind, i.debit, i.credit,
      i.currency, i.code, i.ref
    from moment m, item i where m.held order by i.id on conflict do nothing
    returning id
  )${
    posts
      ? `, entries as (
    insert into ledger_entry (account, shard, version, at, transfer_id, amount, balance)
    select u.account, u.shard, u.version, m.at, u.id, u.amount, u.balance
    from moment m, (
      select account, shard, id, amount, first_value(version) over items + row_number() over items - 1 as version,
        (sum(amount) over items)::bigint as balance
      from (
        select account, shard, 0 as i, null::uuid as id, balance as amount, version from moved
        union all select account, shard, i, id, amount, null from side where amount <> 0) s
      window items as (partition by account, shard order by i rows unbounded preceding)) u
    where u.id is not null
  )`
      : ''
  }${
    ends
      ? `, resolutions as (
    insert into ledger_resolution (pending_id, kind, transfer_id, created_at)
    select i.pending, i.kind, i.id, m.at from moment m, item i where i.pending is not null and m.held
    order by i.pending on conflict do nothing
    returning pending_id
  )`
      : ''
  }
  select f.fit, f.timed, m.held and (select count(*) from transfers) = v_count
      ${ends ? 'and (select count(*) from resolutions) = f.ends and (f.expires <= m.at) is not true' : ''},
    m.at, m.behind, ${
      ends
        ? `case when not p_strict then (select jsonb_agg(jsonb_build_object('n', i - 1, 'amount', amount)) from item
      where asked is null) end`
        : 'null'
    }
  into v_fit, v_timed, v_done, v_at, v_behind, v_remarks
  from fit f, moment m;`
}

/**
 * `ledger_plain` does many plain transfers in one statement, without a loop: new ones whose accounts have what is taken of
 * them before the call, and ends of different pending transfers, none of them linked or balancing. It has no rules of its
 * own. It answers null, and has written nothing, whenever it meets anything else: `ledger_many` then decides.
 *
 * - Whether a call is plain shows before anything is written, except what only the writing can tell for certain: an id
 *   or a resolution that exists, a limit, an overflow, a transfer that timed out while we waited. Such a call is undone to
 *   the savepoint of the block.
 * - The sums are sorted, and joined by a nested loop: balances are locked in the order of `ledger_many`. `moment` needs
 *   all of them, and ids are inserted after it.
 * - What an entry of an account leaves behind is a sum over the window of its items in their order, behind what the
 *   account had before (`moved`). Not by a join of the two: it would be a nested loop, whose cost is the square of a call.
 * - There is a statement for each shape of a call: starting on a table costs as much as some ten rows.
 */
export const ledgerPlainSql = `
-- @returns what ledger_run answers; null when the call is not plain.
create or replace function ledger_plain(p_items jsonb, p_strict boolean, p_within text) returns jsonb language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off
set enable_mergejoin = off set jit = off as $fn$
declare
  v_count int := jsonb_array_length(p_items);
  v_seed int := hashtext((p_items->0->>'id')::uuid::text) & 2147483647;
  v_now timestamptz := ledger_now();
  v_horizon uuid := ledger_horizon();
  v_fit boolean; v_timed boolean; v_done boolean; v_at timestamptz; v_behind boolean; v_remarks jsonb;
begin
  if v_count > 1000 then return null; end if;
  if p_items @? '$[*].pending' then
    if p_items @? '$[*].debit' then${writeSql('any')}
    else${writeSql('ends')}
    end if;
  elsif p_items @? '$[*] ? (@.kind == "posted")' then${writeSql('movements')}
  else${writeSql('pending')}
  end if;
  if v_fit is not true then return null; end if;
  if v_done is not true then raise exception 'not plain' using errcode = 'LG000'; end if;
  if v_timed then
    insert into ledger_timeout (pending_id, expires_at)
    select id, v_at + "timeoutMs" * interval '1 ms' from jsonb_to_recordset(p_items) t(id uuid, "timeoutMs" bigint)
    where "timeoutMs" is not null;
  end if;
  if v_behind then
    -- Some accounts were ahead of our time, whose order it must keep: all of them get the time of the call.
    update ledger_balance b set entry_at = v_at
    from (select distinct s.account, s.shard from jsonb_to_recordset(p_items) i(id uuid)
      cross join lateral (select debit, debit_shard, credit, credit_shard from ledger_transfer where id = i.id limit 1) t
      cross join lateral (values (t.debit, t.debit_shard), (t.credit, t.credit_shard)) s(account, shard)) x
    where b.account = x.account and b.shard = x.shard and b.entry_at < v_at;
  end if;
  return coalesce(v_remarks, '[]');
exception when sqlstate 'LG000' or check_violation then
  return null;
end $fn$;
`
