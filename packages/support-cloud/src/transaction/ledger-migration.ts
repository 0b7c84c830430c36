/**
 * The double-entry ledger as SQL. Why it looks as it does:
 * - `ledger_balance` has four counters per account and shard, so that a limit is one CHECK that no code path can
 * pass by;
 *   fillfactor 50 keeps its updates on the page (HOT).
 * - A hot account is spread over shards. One call uses one shard number for all its accounts, so two concurrent calls
 *   queue at most when their numbers are equal. A limit cannot be checked on a part of an account: limited accounts
 *   have one shard.
 * - The transfer row is its own body: a repeat is compared column by column, no hash is kept beside it.
 * - A pending transfer is resolved at most once because `ledger_transfer_resolution` is unique.
 * - Locks are taken in one order: transfer ids, then balances by account and shard. No foreign keys on the hot tables:
 *   `ledger_apply` is their only writer and joins the accounts anyway.
 * - Connections keep plans that may have been made when the tables were empty. `lateral (... limit 1)` and the
 * settings of
 *   `ledger_apply` leave index look-ups only, which are right for 1 and for 1000 transfers at any size.
 * SQLSTATEs: LG001 unknown account, LG002 same id with another body, LG004 not pending, LG005 malformed; a limit is
 * the check violation 23514 of `ledger_balance_limit`.
 */
export const ledgerSql = `
create function aaas_append_only() returns trigger language plpgsql as $fn$
begin
  raise exception '% is append-only', tg_table_name using errcode = '55000';
end $fn$;

create table ledger_account (
  id text primary key check (id ~ '^[a-z0-9][a-z0-9:._-]{0,99}$'),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  shards int not null default 1 check (shards between 1 and 256),
  limit_kind text not null default 'none'
    check (limit_kind in ('none', 'debits-within-credits', 'credits-within-debits')),
  created_at timestamptz not null default now(),
  constraint ledger_account_limited_is_whole check (limit_kind = 'none' or shards = 1)
);
create table ledger_balance (
  account text not null references ledger_account (id),
  shard int not null,
  limit_kind text not null,
  debits_posted bigint not null default 0,
  credits_posted bigint not null default 0,
  debits_pending bigint not null default 0,
  credits_pending bigint not null default 0,
  primary key (account, shard),
  constraint ledger_balance_counters check (least(debits_posted, credits_posted, debits_pending, credits_pending) >= 0),
  constraint ledger_balance_limit check (
    case limit_kind
      when 'none' then true
      when 'debits-within-credits' then debits_posted + debits_pending <= credits_posted
      else credits_posted + credits_pending <= debits_posted
    end)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
create table ledger_transfer (
  id uuid primary key,
  kind text not null,
  debit text not null,
  credit text not null,
  debit_shard int not null,
  credit_shard int not null,
  amount bigint not null,
  currency text not null,
  code text not null,
  ref text,
  pending_id uuid,
  released bigint not null default 0,
  created_at timestamptz not null default now(),
  constraint ledger_transfer_sides check (debit <> credit),
  constraint ledger_transfer_amount check (amount between 1 and 1000000000000000),
  constraint ledger_transfer_kind check (
    case when kind in ('posted', 'pending') then pending_id is null
      else kind in ('post', 'void') and pending_id is not null and amount <= released end)
);
create unique index ledger_transfer_resolution on ledger_transfer (pending_id) where pending_id is not null;
create table ledger_entry (
  transfer_id uuid not null,
  account text not null,
  shard int not null,
  amount bigint not null check (amount <> 0),
  primary key (transfer_id, account)
);
comment on column ledger_entry.amount is 'minor units; credits are positive, debits negative';
create trigger ledger_transfer_append_only before update or delete or truncate on ledger_transfer
  for each statement execute function aaas_append_only();
create trigger ledger_entry_append_only before update or delete or truncate on ledger_entry
  for each statement execute function aaas_append_only();

create function ledger_apply(transfers jsonb) returns int language plpgsql
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $fn$
declare
  expected int := jsonb_array_length(transfers);
  seed int := hashtext(transfers->0->>'id') & 2147483647;
  applied int;
begin
  if expected not between 1 and 1000 then
    raise exception 'a call takes 1 to 1000 transfers' using errcode = 'LG005';
  end if;
  with inserted as (
    insert into ledger_transfer (id, kind, debit, credit, debit_shard, credit_shard, amount, currency, code, ref,
      pending_id, released)
    select t.id, t.kind, coalesce(t.debit, p.debit), coalesce(t.credit, p.credit),
      coalesce(p.debit_shard, seed % d.shards), coalesce(p.credit_shard, seed % c.shards), coalesce(t.amount, p.amount),
      coalesce(t.currency, p.currency), coalesce(t.code, p.code), t.ref, t.pending, coalesce(p.amount, 0)
    from jsonb_to_recordset(transfers) as t(id uuid, kind text, pending uuid, ref text, debit text, credit text,
        amount bigint, currency text, code text)
      left join lateral (select * from ledger_transfer where id = t.pending and kind = 'pending' limit 1) p on true
      join lateral (select shards from ledger_account
        where id = coalesce(t.debit, p.debit) and currency = coalesce(t.currency, p.currency) limit 1) d on true
      join lateral (select shards from ledger_account
        where id = coalesce(t.credit, p.credit) and currency = coalesce(t.currency, p.currency) limit 1) c on true
    where t.kind not in ('post', 'void') or p.id is not null
    order by coalesce(t.pending, t.id), t.id
    on conflict do nothing
    returning id, debit, credit, debit_shard, credit_shard, kind in ('posted', 'post') as posts, amount,
      case kind when 'pending' then amount else 0 end - released as waiting
  ), journal as (
    insert into ledger_entry (transfer_id, account, shard, amount)
    select id, side.account, side.shard, side.amount
    from inserted, lateral (values (debit, debit_shard, -inserted.amount), (credit, credit_shard, inserted.amount))
      side(account, shard, amount)
    where posts
  ), moved as (
    -- Nested loops over this sorted list (or over the primary key): the rows are locked in its order.
    update ledger_balance b set
      debits_posted = b.debits_posted + change.dp, credits_posted = b.credits_posted + change.cp,
      debits_pending = b.debits_pending + change.dw, credits_pending = b.credits_pending + change.cw
    from (
      select side.account, side.shard,
        sum(dp)::bigint as dp, sum(cp)::bigint as cp, sum(dw)::bigint as dw, sum(cw)::bigint as cw
      from inserted, lateral (values
        (debit, debit_shard, case when posts then amount else 0 end, 0, waiting, 0),
        (credit, credit_shard, 0, case when posts then amount else 0 end, 0, waiting)
      ) side(account, shard, dp, cp, dw, cw)
      group by side.account, side.shard
      order by side.account, side.shard
    ) change
    where b.account = change.account and b.shard = change.shard
  )
  select count(*) into applied from inserted;
  if applied < expected then perform ledger_explain(transfers); end if;
  return applied;
end $fn$;

-- Accepts exact repeats of transfers that exist; raises the reason for every other one that was not inserted.
create function ledger_explain(transfers jsonb) returns void language plpgsql as $fn$
declare
  item record;
begin
  for item in
    select t.id, t.kind as given_kind, t.pending as given_pending, e.id is not null as known,
      row(e.kind, e.debit, e.credit, e.amount, e.currency, e.code, e.ref, e.pending_id)
        is not distinct from row(t.kind, coalesce(t.debit, p.debit), coalesce(t.credit, p.credit),
          coalesce(t.amount, p.amount), coalesce(t.currency, p.currency), coalesce(t.code, p.code), t.ref,
            t.pending) as same,
      p.id is null as no_pending, coalesce(t.debit, p.debit) as debit, coalesce(t.credit, p.credit) as credit,
      d.id is null as no_debit, c.id is null as no_credit
    from jsonb_to_recordset(transfers) as t(id uuid, kind text, pending uuid, ref text, debit text, credit text,
        amount bigint, currency text, code text)
      left join lateral (select * from ledger_transfer where id = t.pending and kind = 'pending' limit 1) p on true
      left join lateral (select * from ledger_transfer where id = t.id limit 1) e on true
      left join lateral (select id from ledger_account where id = coalesce(t.debit, p.debit) limit 1) d on true
      left join lateral (select id from ledger_account where id = coalesce(t.credit, p.credit) limit 1) c on true
  loop
    if item.known and item.same then continue; end if;
    if item.known then
      raise exception 'transfer % exists with another content', item.id using errcode = 'LG002', detail = item.id::text;
    elsif item.given_kind in ('post', 'void') then
      raise exception 'transfer % is not pending', item.given_pending
        using errcode = 'LG004', detail = coalesce(item.given_pending::text, '');
    elsif item.no_debit or item.no_credit then
      raise exception 'no account %', case when item.no_debit then item.debit else item.credit end
        using errcode = 'LG001', detail = coalesce(case when item.no_debit then item.debit else item.credit end, '');
    else
      raise exception 'transfer % is malformed or its currency is not that of its accounts', item.id
        using errcode = 'LG005', detail = coalesce(item.id::text, '');
    end if;
  end loop;
end $fn$;
`

/** Answers of requests by key, so that a repeat gets the first answer. */
export const idempotencySql = `
create table idempotency (
  scope text not null,
  key text not null,
  body_hash text not null,
  response jsonb,
  created_at timestamptz not null default now(),
  primary key (scope, key)
);
create index idempotency_created on idempotency (created_at);
`
