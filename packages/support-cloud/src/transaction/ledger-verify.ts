import type { Database } from '../rdbms/database.js'
import type { LedgerVerdict } from './ledger.js'

/**
 * Each answers the first row that cannot be: which table, which key, why. Sorting and grouping of big tables goes to
 * files of the server beyond its `work_mem`: the memory does not grow with the tables. What is archived is taken as
 * it was carried.
 */
const checks: readonly string[] = [
  `select 'transfer' as row, id::text as key, why from (
    select t.id, case
      when t.kind not in ('posted', 'pending', 'post', 'void') then 'its kind is ' || t.kind
      when (t.pending_id is not null) <> (t.kind in ('post', 'void')) then 'only post and void resolve'
      when t.reason is not null then case when e.count > 0 then 'it is rejected and has entries' end
      when t.amount not between 1 and 1000000000000000 then 'its amount is ' || t.amount
      when d.id is null or c.id is null or (d.currency, d.scale) <> (c.currency, c.scale) or d.currency <> t.currency
        then 'its accounts are not of its asset'
      when t.kind in ('post', 'void') and p.id is null and not archived(t.pending_id)
        then 'what it resolves is not here'
      when p.id is not null and (p.kind <> 'pending' or p.reason is not null) then 'what it resolves is not pending'
      when p.id is not null and (t.debit, t.credit, t.debit_shard, t.credit_shard, t.currency)
        is distinct from (p.debit, p.credit, p.debit_shard, p.credit_shard, p.currency)
        then 'its accounts are not those of what it resolves'
      when t.amount > p.amount then 'its amount is more than what is pending'
      when p.expires_at <= t.created_at then 'what it resolves had timed out'
      when p.id is not null and (r.kind, r.transfer_id) is distinct from (t.kind, t.id)
        then 'what it resolves was ended by another'
      when t.kind in ('pending', 'void') and e.count > 0 then 'it moves nothing and has entries'
      when t.kind in ('posted', 'post') and t.created_at >= (select at from entry_horizon)
        and (e.count, e.low, e.high, e.debit, e.credit) is distinct from (2::bigint, -t.amount, t.amount,
          t.debit || '/' || t.debit_shard, t.credit || '/' || t.credit_shard)
        then 'its entries are not one debit and one credit of its amount'
      end as why
    from ledger_transfer t
      left join ledger_account d on d.id = t.debit left join ledger_account c on c.id = t.credit
      left join ledger_transfer p on p.id = t.pending_id
      left join ledger_resolution r on r.pending_id = t.pending_id
      left join (select transfer_id, count(*), min(amount) as low, max(amount) as high,
          max(account || '/' || shard) filter (where amount < 0) as debit,
          max(account || '/' || shard) filter (where amount > 0) as credit
        from ledger_entry group by transfer_id) e on e.transfer_id = t.id) x
  where why is not null order by id limit 1`,
  `select 'resolution' as row, pending_id::text as key, why from (
    select r.pending_id, case
      when p.id is null then 'what it ends is not here'
      when p.kind <> 'pending' or p.reason is not null then 'what it ends is not pending'
      when r.kind = 'expire' and (p.expires_at <= r.created_at) is not true then 'it expired before its time'
      when r.kind <> 'expire' and t.id is null and not archived(r.transfer_id) then 'its transfer is not here'
      when t.id is not null and (t.kind, t.pending_id, t.reason) is distinct from (r.kind, r.pending_id, null::text)
        then 'its transfer does not end it'
      end as why
    from ledger_resolution r left join ledger_transfer p on p.id = r.pending_id
      left join ledger_transfer t on t.id = r.transfer_id) x
  where why is not null order by pending_id limit 1`,
  `select 'entry' as row, account || '/' || shard || '#' || version as key, why from (
    select e.account, e.shard, e.version, case
      when t.id is null and not archived(e.transfer_id) then 'its transfer is not here'
      when t.kind not in ('posted', 'post') or t.reason is not null then 'its transfer moves nothing'
      when e.version <> coalesce(e.version_before, c.version, 0) + 1 then 'the version before it is missing'
      when e.balance <> coalesce(e.balance_before, c.credits_posted - c.debits_posted, 0) + e.amount
        then 'its balance is not the one before it and its amount'
      when e.at < coalesce(e.at_before, c.at) then 'its time lies before that of the entry before it'
      end as why
    from (select *, lag(version) over w as version_before, lag(balance) over w as balance_before,
        lag(at) over w as at_before
      from ledger_entry window w as (partition by account, shard order by version)) e
      left join ledger_transfer t on t.id = e.transfer_id
      left join ledger_carry c on c.account = e.account and c.shard = e.shard) x
  where why is not null order by account, shard, version limit 1`,
  `select 'balance' as row, account || '/' || shard as key, why from (
    select account, shard, case
      when b.version is null then 'it is missing'
      when a.id is null or b.shard >= a.shards then 'its account has no such shard'
      when b.limits <> array_position(array['none', 'debits-within-credits', 'credits-within-debits'], a.limit_kind) - 1
        then 'its limit is not that of its account'
      when b.version <> coalesce(c.version, 0) + coalesce(e.count, 0) then 'its version is not the count of its entries'
      when (b.debits_posted, b.credits_posted) <> (coalesce(c.debits_posted, 0) + coalesce(e.dp, 0),
        coalesce(c.credits_posted, 0) + coalesce(e.cp, 0)) then 'what is posted is not the sum of its entries'
      when (b.debits_pending, b.credits_pending) <> (coalesce(o.dw, 0), coalesce(o.cw, 0))
        then 'what is pending is not the sum of the open pending transfers'
      when b.limits = 1 and b.debits_posted + b.debits_pending > b.credits_posted
        or b.limits = 2 and b.credits_posted + b.credits_pending > b.debits_posted then 'it passes its limit'
      end as why
    from ledger_balance b
      full join (select account, shard, count(*), coalesce(-sum(amount) filter (where amount < 0), 0) as dp,
          coalesce(sum(amount) filter (where amount > 0), 0) as cp
        from ledger_entry group by account, shard) e using (account, shard)
      full join (select s.account, s.shard, sum(s.dw) as dw, sum(s.cw) as cw from ledger_transfer t,
          lateral (values (t.debit, t.debit_shard, t.amount, 0), (t.credit, t.credit_shard, 0, t.amount))
            s(account, shard, dw, cw)
        where t.kind = 'pending' and t.reason is null
          and not exists (select from ledger_resolution r where r.pending_id = t.id)
        group by s.account, s.shard) o using (account, shard)
      left join ledger_carry c using (account, shard)
      left join ledger_account a on a.id = account) x
  where why is not null order by account, shard limit 1`,
  `select 'asset' as row, currency || '/' || scale as key, 'its debits and credits differ' as why
  from ledger_balance b join ledger_account a on a.id = b.account group by currency, scale
  having sum(credits_posted) <> sum(debits_posted) or sum(credits_pending) <> sum(debits_pending)
  order by currency, scale limit 1`,
]

/** Ids before the horizon, of version 7, are archived; entries before theirs too. */
const horizons = `with entry_horizon as (
  select coalesce(max(upper_bound), '-infinity') as at from ledger_archive where kind = 'entry')`
const archived = (text: string): string =>
  text.replace(/archived\(([a-z._]+)\)/g, `($1 < ledger_horizon() and substr($1::text, 15, 1) = '7') is true`)

/** See {@link Ledger.verify}. */
export function verifyLedger(database: Database): Promise<LedgerVerdict> {
  return database.transaction(async tx => {
    await tx.query({ text: 'set transaction isolation level repeatable read, read only' })
    await tx.query({ text: 'set local statement_timeout = 0' })
    // Without fresh statistics a nested loop over whole tables would look cheap, and take for ever.
    await tx.query({ text: 'set local enable_nestloop = off' })
    await tx.query({ text: 'set local jit = off' })
    const [counts] = await tx.query<Pick<LedgerVerdict, 'accounts' | 'transfers' | 'entries'>>({
      text: `select (select count(*) from ledger_account) as accounts, (select count(*) from ledger_transfer) as transfers,
        (select count(*) from ledger_entry) as entries`,
    })
    const { accounts = 0, transfers = 0, entries = 0 } = counts ?? {}
    for (const text of checks) {
      const [wrong] = await tx.query<NonNullable<LedgerVerdict['wrong']>>({ text: `${horizons} ${archived(text)}` })
      if (wrong !== undefined) return { ok: false, accounts, transfers, entries, wrong: { ...wrong } }
    }
    return { ok: true, accounts, transfers, entries }
  })
}
