import { CloudError, type ErrorCode } from '@aaas/core-cloud/kernel'
import { sqlState } from '@aaas/support-cloud/rdbms'
import type { Database, Queryable } from '../rdbms/database.js'
import type { Ledger, LedgerAccount, LedgerBalance, LedgerRecord, LedgerReport, LedgerTransfer } from './ledger.js'
import { ledgerCheckSql } from './ledger-check.js'

/** The ledger on PostgreSQL; needs {@link transactionMigrations} applied. Holds no state of its own. */
export function openLedger({ database }: { readonly database: Database }): Ledger {
  return {
    createAccounts: (accounts, tx) => createAccounts(database, accounts, tx),
    apply: (transfers, tx) => apply(database, transfers, tx),
    lookup: (ids, tx = database) => lookup(tx, ids),
    balances: (accounts, tx = database) =>
      tx.query<LedgerBalance>({
        name: 'ledger_balances',
        text: `select a.id as account, a.currency, sum(debits_posted)::bigint as "debitsPosted",
            sum(credits_posted)::bigint as "creditsPosted", sum(debits_pending)::bigint as "debitsPending",
            sum(credits_pending)::bigint as "creditsPending"
          from ledger_account a join ledger_balance b on b.account = a.id
          where $1::text[] is null or a.id = any($1) group by a.id order by a.id`,
        values: [accounts ?? null],
      }),
    async check() {
      const [row] = await database.query<LedgerReport>({ text: ledgerCheckSql })
      if (row === undefined) throw new Error('the check of the ledger answered nothing')
      return row
    },
  }
}

async function apply(database: Database, transfers: readonly LedgerTransfer[], tx?: Queryable): Promise<number> {
  const statement = {
    name: 'ledger_apply',
    text: 'select ledger_apply($1) as applied',
    values: [JSON.stringify(transfers)],
  }
  for (let attempt = 1; ; attempt++) {
    try {
      const [row] = await (tx ?? database).query<{ applied: number }>(statement)
      return row?.applied ?? 0
    } catch (error) {
      // Outside a transaction of the caller a deadlock (two calls that use one id with different bodies) is run again.
      if (tx === undefined && sqlState(error) === '40P01' && attempt < 4) continue
      throw ledgerError(error)
    }
  }
}

async function createAccounts(database: Database, accounts: readonly LedgerAccount[], tx?: Queryable): Promise<void> {
  const wanted = accounts.map(account => ({ shards: 1, limit: 'none', ...account }))
  const work = async (on: Queryable): Promise<void> => {
    const statement = { values: [JSON.stringify(wanted)] }
    await on.query({
      ...statement,
      text: `with given as (select * from jsonb_to_recordset($1) as g(id text, currency text, shards int, "limit"
        text)),
        made as (insert into ledger_account (id, currency, shards, limit_kind)
          select id, currency, shards, "limit" from given order by id on conflict do nothing
          returning id, shards, limit_kind)
        insert into ledger_balance (account, shard, limit_kind)
        select id, shard, limit_kind from made, generate_series(0, shards - 1) shard`,
    })
    const others = await on.query<{ id: string }>({
      ...statement,
      text: `select g.id from jsonb_to_recordset($1) as g(id text, currency text, shards int, "limit" text)
        join ledger_account a using (id) where (a.currency, a.shards, a.limit_kind) <> (g.currency, g.shards,
          g."limit")`,
    })
    if (others[0] !== undefined) {
      throw new CloudError('support.transaction.conflict', `account ${others[0].id} exists with other properties`)
    }
  }
  try {
    await (tx === undefined ? database.transaction(work) : work(tx))
  } catch (error) {
    throw ledgerError(error)
  }
}

type LookupRow = { [K in keyof LedgerRecord]-?: LedgerRecord[K] | (undefined extends LedgerRecord[K] ? null : never) }

async function lookup(on: Queryable, ids: readonly string[]): Promise<readonly LedgerRecord[]> {
  const rows = await on.query<LookupRow>({
    name: 'ledger_lookup',
    text: `select id, kind, debit, credit, amount, currency, code, ref, pending_id as pending from ledger_transfer
      where id = any($1::uuid[]) limit 1000`,
    values: [ids],
  })
  return rows.map(({ ref, pending, ...row }) => ({
    ...row,
    ...(typeof ref === 'string' ? { ref } : {}),
    ...(typeof pending === 'string' ? { pending } : {}),
  }))
}

const codes: Readonly<Record<string, ErrorCode>> = {
  LG001: 'support.transaction.unknown-account',
  LG002: 'support.transaction.conflict',
  LG004: 'support.transaction.not-pending',
  LG005: 'support.transaction.invalid-transfer',
}
/** Bad numbers, UUIDs and missing values of a transfer, as PostgreSQL itself reports them. */
const malformed = new Set(['22P02', '22003', '23502', '22023', '22004'])

/**
 * Translates what `ledger_apply` raises, also when another SQL function called it.
 * @returns a CloudError `support.transaction.*`, or the value itself when it is something else.
 */
export function ledgerError(error: unknown): unknown {
  const state = sqlState(error)
  if (state === undefined || !(error instanceof Error)) return error
  const constraint = 'constraint' in error && typeof error.constraint === 'string' ? error.constraint : ''
  const code = codeOf(state, constraint, 'table' in error ? error.table : undefined)
  return code === undefined ? error : new CloudError(code, error.message, { cause: error })
}

function codeOf(state: string, constraint: string, table: unknown): ErrorCode | undefined {
  if (state === '23514' && constraint === 'ledger_balance_limit') return 'support.transaction.insufficient'
  if (state === '23514' && constraint.startsWith('ledger_')) return 'support.transaction.invalid-transfer'
  if (malformed.has(state) && (table === undefined || String(table).startsWith('ledger_'))) {
    return 'support.transaction.invalid-transfer'
  }
  return codes[state]
}
