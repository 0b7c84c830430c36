import { type Clock, CloudError } from '@aaas/core-cloud/kernel'
import { sqlState } from '@aaas/support-cloud/rdbms'
import type { Database, Queryable } from '../rdbms/database.js'
import type { Ledger, LedgerAccount, LedgerReport, LedgerTransfer } from './ledger.js'
import { ledgerCheckSql } from './ledger-check.js'
import { checkLimit, checkTransfers, checkWithin } from './ledger-input.js'
import { readAccounts, readBalanceAt, readBalances, readHistory, readTransfers } from './ledger-queries.js'
import { ledgerError, resultsOf, runTransfers } from './ledger-run.js'
import { verifyLedger } from './ledger-verify.js'

export { ledgerError } from './ledger-run.js'

export interface LedgerOptions {
  readonly database: Database
  /** Paces the repeats of `submit` after a lost connection, 6 attempts within a second; without one it repeats once. */
  readonly clock?: Clock
  /**
   * A prefix of account ids, such as `tenant-7:`: this ledger then knows no other accounts, nor transfers between others.
   */
  readonly within?: string
}

/** The ledger on PostgreSQL; needs `transactionMigrations` applied. Holds no state of its own. */
export function openLedger({ database, clock, within }: LedgerOptions): Ledger {
  return {
    async createAccounts(accounts, tx) {
      for (const [index, { id }] of accounts.entries()) checkWithin(within, id, `accounts/${index}/id`)
      await createAccounts(database, accounts, tx)
    },
    accounts: (page, tx = database) => readAccounts(tx, within, page),
    async submit(transfers, options) {
      options?.signal?.throwIfAborted()
      checkInput(transfers, within)
      try {
        const items = JSON.stringify(transfers)
        return resultsOf(transfers, await runTransfers(database, items, { ...options, clock, within }))
      } catch (error) {
        throw ledgerError(error)
      }
    },
    async apply(transfers, tx) {
      checkInput(transfers, within)
      return apply(database, transfers, within, tx)
    },
    lookup: (ids, tx = database) => readTransfers(tx, within, ids),
    balances: (accounts, tx = database) => readBalances(tx, within, accounts),
    async balanceAt(account, at, tx = database) {
      checkWithin(within, account, 'account')
      return readBalanceAt(tx, account, at)
    },
    async history(account, page, tx = database) {
      checkWithin(within, account, 'account')
      return readHistory(tx, account, page)
    },
    async expire(limit) {
      const values = [checkLimit(limit, 1000)]
      const [row] = await retryDeadlock(() =>
        database.query<{ ended: number }>({ name: 'ledger_expire', text: 'select ledger_expire($1) as ended', values }),
      )
      return row?.ended ?? 0
    },
    async check() {
      const [row] = await database.query<LedgerReport>({ text: ledgerCheckSql })
      if (row === undefined) throw new Error('the check of the ledger answered nothing')
      return row
    },
    verify: () => verifyLedger(database),
  }
}

/** See {@link Ledger.submit} for what is refused here. */
export function checkInput(transfers: readonly LedgerTransfer[], within: string | undefined): void {
  checkTransfers(transfers)
  if (within === undefined) return
  for (const [index, transfer] of transfers.entries()) {
    if (transfer.kind !== 'posted' && transfer.kind !== 'pending') continue
    checkWithin(within, transfer.debit, `transfers/${index}/debit`)
    checkWithin(within, transfer.credit, `transfers/${index}/credit`)
  }
}

async function retryDeadlock<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      const state = sqlState(error)
      if ((state !== '40P01' && state !== '40001') || attempt === 5) throw error
    }
  }
}

async function apply(
  database: Database,
  transfers: readonly LedgerTransfer[],
  within: string | undefined,
  tx?: Queryable,
): Promise<number> {
  const call = async (): Promise<number> => {
    const [row] = await (tx ?? database).query<{ applied: number }>({
      name: 'ledger_apply',
      text: 'select ledger_apply($1, $2) as applied',
      values: [JSON.stringify(transfers), within ?? null],
    })
    return row?.applied ?? 0
  }
  try {
    // Inside a transaction of the caller only its owner can run it again.
    return await (tx === undefined ? retryDeadlock(call) : call())
  } catch (error) {
    throw ledgerError(error)
  }
}

async function createAccounts(database: Database, accounts: readonly LedgerAccount[], tx?: Queryable): Promise<void> {
  if (accounts.length < 1 || accounts.length > 1000) {
    throw new CloudError('support.transaction.invalid-transfer', 'accounts: 1 to 1000 of them', { field: 'accounts' })
  }
  const wanted = accounts.map(account => ({ shards: 1, limit: 'none', scale: 2, code: 'account', ...account }))
  const given = `with given as (select * from jsonb_to_recordset($1) as g(id text, currency text, scale int, code text,
    shards int, "limit" text))`
  const work = async (on: Queryable): Promise<void> => {
    const statement = { values: [JSON.stringify(wanted)] }
    await on.query({
      ...statement,
      text: `${given}, made as (
          insert into ledger_account (id, currency, scale, code, shards, limit_kind)
          select id, currency, scale, code, shards, "limit" from given order by id on conflict do nothing
          returning id, shards, limit_kind)
        insert into ledger_balance (account, shard, limits)
        select id, shard, case limit_kind when 'none' then 0 when 'debits-within-credits' then 1 else 2 end
        from made, generate_series(0, shards - 1) shard`,
    })
    const others = await on.query<{ id: string }>({
      ...statement,
      text: `${given} select g.id from given g join ledger_account a using (id)
        where (a.currency, a.scale, a.code, a.shards, a.limit_kind) <> (g.currency, g.scale, g.code, g.shards, g."limit")`,
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
