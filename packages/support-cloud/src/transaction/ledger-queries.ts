import { CloudError } from '@aaas/core-cloud/kernel'
import type { Queryable } from '../rdbms/database.js'
import type { LedgerAccount, LedgerBalance, LedgerEntry, LedgerPage, LedgerRecord, PageOptions } from './ledger.js'
import { checkLimit } from './ledger-input.js'
import { ledgerError } from './ledger-run.js'

type Row<T> = { [K in keyof T]-?: T[K] | (undefined extends T[K] ? null : never) }

/** SQL gives null for what the port leaves out. */
function present<T extends object>(row: Row<T>): T {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null)) as T
}

export async function readAccounts(
  on: Queryable,
  within: string | undefined,
  page: PageOptions = {},
): Promise<LedgerPage<Required<LedgerAccount>>> {
  const limit = checkLimit(page.limit, 100)
  const rows = await on.query<Required<LedgerAccount>>({
    name: 'ledger_accounts',
    text: `select id, currency, scale, code, shards, limit_kind as limit from ledger_account
      where id > $1 and ($2::text is null or starts_with(id, $2)) order by id limit $3`,
    values: [page.after ?? '', within ?? null, limit + 1],
  })
  return pageOf(rows, limit, row => row.id)
}

function pageOf<T>(rows: readonly T[], limit: number, cursor: (last: T) => string): LedgerPage<T> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return rows.length > limit && last !== undefined ? { items, next: cursor(last) } : { items }
}

/** Refuses UUIDs that the database would not read. */
export async function readTransfers(
  on: Queryable,
  within: string | undefined,
  ids: readonly string[],
): Promise<readonly LedgerRecord[]> {
  if (ids.length > 1000) {
    throw new CloudError('support.transaction.invalid-transfer', 'ids: at most 1000', { field: 'ids' })
  }
  try {
    const rows = await on.query<Row<LedgerRecord>>({
      name: 'ledger_lookup',
      text: `select t.id, t.kind, t.debit, t.credit, t.amount, t.currency, t.code, t.ref, t.pending_id as pending,
          floor(extract(epoch from t.created_at) * 1000)::bigint as at,
          floor(extract(epoch from t.expires_at) * 1000)::bigint as "expiresAt", r.kind as resolved, t.reason
        from ledger_transfer t left join ledger_resolution r on r.pending_id = t.id
        where t.id = any($1::uuid[])
          and ($2::text is null or starts_with(t.debit, $2) and starts_with(t.credit, $2))`,
      values: [ids, within ?? null],
    })
    return rows.map(present)
  } catch (error) {
    throw ledgerError(error)
  }
}

export async function readBalances(
  on: Queryable,
  within: string | undefined,
  accounts: readonly string[] | undefined,
): Promise<readonly LedgerBalance[]> {
  return on.query<LedgerBalance>({
    name: 'ledger_balances',
    text: `select a.id as account, a.currency, sum(debits_posted)::bigint as "debitsPosted",
        sum(credits_posted)::bigint as "creditsPosted", sum(debits_pending)::bigint as "debitsPending",
        sum(credits_pending)::bigint as "creditsPending"
      from ledger_account a join ledger_balance b on b.account = a.id
      where ($1::text[] is null or a.id = any($1)) and ($2::text is null or starts_with(a.id, $2))
      group by a.id order by a.id`,
    values: [accounts ?? null, within ?? null],
  })
}

export async function readBalanceAt(on: Queryable, account: string, at: number): Promise<number> {
  if (!Number.isSafeInteger(at)) {
    throw new CloudError('support.transaction.invalid-transfer', 'at: epoch milliseconds', { field: 'at' })
  }
  try {
    const [row] = await on.query<{ balance: number }>({
      name: 'ledger_balance_at',
      // Until the end of the millisecond: entries have microseconds, callers have not.
      text: `select ledger_balance_at($1, to_timestamp($2 / 1000.0) + interval '999 microseconds') as balance`,
      values: [account, at],
    })
    return row?.balance ?? 0
  } catch (error) {
    throw ledgerError(error)
  }
}

/** Microseconds of the epoch, shard and version of the last entry of a page. */
const cursorForm = /^(\d{1,17})\.(\d{1,3})\.(\d{1,15})$/

export async function readHistory(
  on: Queryable,
  account: string,
  page: PageOptions = {},
): Promise<LedgerPage<LedgerEntry>> {
  const limit = checkLimit(page.limit, 100)
  const cursor = page.after === undefined ? undefined : cursorForm.exec(page.after)
  if (cursor === null) {
    throw new CloudError('support.transaction.invalid-transfer', 'after: the `next` of a page', { field: 'after' })
  }
  const rows = await on.query<LedgerEntry & { micros: number }>({
    name: 'ledger_history',
    text: `select account, shard, version, transfer_id as transfer, amount, balance,
        floor(extract(epoch from at) * 1000)::bigint as at, (extract(epoch from at) * 1000000)::bigint as micros
      from ledger_history($1, 'epoch'::timestamptz + $2::bigint * interval '1 microsecond', $3, $4, $5)`,
    values: [account, cursor?.[1] ?? null, cursor?.[2] ?? null, cursor?.[3] ?? null, limit + 1],
  })
  if (rows.length === 0) await mustExist(on, account)
  const { items, next } = pageOf(rows, limit, last => `${last.micros}.${last.shard}.${last.version}`)
  const entries = items.map(({ micros: _, ...entry }) => entry)
  return next === undefined ? { items: entries } : { items: entries, next }
}

async function mustExist(on: Queryable, account: string): Promise<void> {
  const found = await on.query({ text: 'select id from ledger_account where id = $1', values: [account] })
  if (found.length === 0) throw new CloudError('support.transaction.unknown-account', `no account ${account}`)
}
