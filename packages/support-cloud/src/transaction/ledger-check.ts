/**
 * One statement, so that it sees one snapshot: entries against posted counters, open pending transfers against
 * pending ones. Archived entries count as they were carried.
 */
export const ledgerCheckSql = `
with side as (
  select t.id, t.kind, t.created_at, s.account, s.shard, s.dp, s.cp from ledger_transfer t,
    lateral (values (t.debit, t.debit_shard, t.amount, 0), (t.credit, t.credit_shard, 0, t.amount)) s(account,
      shard, dp, cp)
  where t.reason is null
), open as (
  select account, shard, sum(dp) as dp, sum(cp) as cp from side
  where kind = 'pending' and not exists (select from ledger_resolution r where r.pending_id = side.id)
  group by account, shard
), entries as (
  select account, shard, sum(dp) as dp, sum(cp) as cp from (
    select account, shard, greatest(-amount, 0) as dp, greatest(amount, 0) as cp from ledger_entry
    union all select account, shard, debits_posted, credits_posted from ledger_carry) x
  group by account, shard
), wrong as (
  select account from ledger_balance b full join entries e using (account, shard) full join open o using (account,
    shard)
  where (b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending) is distinct from
    (coalesce(e.dp, 0), coalesce(e.cp, 0), coalesce(o.dp, 0), coalesce(o.cp, 0))
  union
  -- A posted transfer has exactly its two entries; others have none.
  select side.account from side left join ledger_entry e on (e.transfer_id, e.account, e.shard) = (side.id,
    side.account, side.shard)
  where e.amount is distinct from case when side.kind in ('posted', 'post') then cp - dp end
    and side.created_at >= (select coalesce(max(upper_bound), '-infinity') from ledger_archive where kind = 'entry')
  union
  select e.account from ledger_entry e left join ledger_transfer t on t.id = e.transfer_id
  where (t.id is null or t.reason is not null)
    and (e.transfer_id < ledger_horizon() and substr(e.transfer_id::text, 15, 1) = '7') is not true
), named as (select distinct account from wrong order by account limit 100)
select (select coalesce(sum(credits_posted - debits_posted), 0)::bigint from ledger_balance) as difference,
  (select count(*) from ledger_account) as accounts,
  (select count(*) from ledger_transfer where reason is null) as transfers,
  (select coalesce(json_agg(account), '[]') from named) as "wrongAccounts",
  not exists (select from wrong)
    and not exists (select from ledger_balance b join ledger_account a on a.id = b.account
      group by a.currency, a.scale
      having sum(credits_posted) <> sum(debits_posted) or sum(credits_pending) <> sum(debits_pending)) as balanced
`
