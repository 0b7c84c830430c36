import { type CallOptions, type Clock, CloudError, type ErrorCode, sleep } from '@aaas/core-cloud/kernel'
import { sqlState } from '@aaas/support-cloud/rdbms'
import type { Queryable } from '../rdbms/database.js'
import type { LedgerRefusal, LedgerRejection, LedgerResult, LedgerTransfer } from './ledger.js'

/** What `ledger_run` says about an item that is not plainly applied. */
interface Remark {
  readonly n: number
  readonly amount?: number
  readonly reason?: LedgerRejection | LedgerRefusal
  readonly repeated?: boolean
}

export interface RunOptions extends Pick<CallOptions, 'signal' | 'deadline'> {
  /** Paces repeats after a lost connection; without one the call is repeated once, at once. */
  readonly clock?: Clock | undefined
  readonly within?: string | undefined
}

const lostAttempts = 6
const retried = new Set(['40001', '40P01'])

/**
 * One call of `ledger_run`, repeated after deadlocks and lost connections: the ids make that safe.
 * @param items - JSON array of the transfers.
 */
export async function runTransfers(on: Queryable, items: string, options: RunOptions): Promise<readonly Remark[]> {
  const statement = {
    name: 'ledger_run',
    text: 'select ledger_run($1, false, $2) as remarks',
    values: [items, options.within ?? null],
  }
  let raced = 0
  for (let lost = 0; ; ) {
    try {
      const [row] = await on.query<{ remarks: readonly Remark[] }>(statement)
      return row?.remarks ?? []
    } catch (error) {
      const state = sqlState(error)
      raced += 1
      if (state !== undefined && retried.has(state) && raced < 6) continue
      // Nobody knows whether it was applied; the same call tells.
      if (!CloudError.is(error, 'support.rdbms.unavailable')) throw error
      lost += 1
      await pauseBeforeRepeat(error, lost, options)
    }
  }
}

async function pauseBeforeRepeat(error: CloudError, lost: number, options: RunOptions): Promise<void> {
  options.signal?.throwIfAborted()
  if (options.clock === undefined) {
    if (lost > 1) throw error
    return
  }
  const waitMs = 25 * 2 ** (lost - 1)
  const late = options.deadline !== undefined && options.clock.now() + waitMs >= options.deadline
  if (lost >= lostAttempts || late) throw error
  await sleep(options.clock, waitMs, options.signal)
}

/** Reasons for which nothing was kept, beside `linked-failed` of a chain with one of them. */
const refusals: ReadonlySet<string> = new Set<LedgerRefusal>([
  'conflict',
  'debit-account-not-found',
  'credit-account-not-found',
  'asset-differs',
  'balancing-without-limit',
  'archived',
])

/** @returns a result for each transfer. */
export function resultsOf(transfers: readonly LedgerTransfer[], remarks: readonly Remark[]): readonly LedgerResult[] {
  const byIndex = new Map(remarks.map(remark => [remark.n, remark]))
  return transfers.map((transfer, index): LedgerResult => {
    const { id } = transfer
    const remark = byIndex.get(index)
    const repeated = remark?.repeated ?? false
    if (remark?.reason === undefined) {
      return { status: 'applied', id, amount: remark?.amount ?? transfer.amount ?? 0, repeated }
    }
    const { reason } = remark
    if (
      refusals.has(reason) ||
      (reason === 'linked-failed' && !repeated && inRefusedChain(transfers, index, byIndex))
    ) {
      return { status: 'refused', id, reason: reason as LedgerRefusal }
    }
    return { status: 'rejected', id, reason: reason as LedgerRejection, repeated }
  })
}

function inRefusedChain(
  transfers: readonly LedgerTransfer[],
  index: number,
  remarks: ReadonlyMap<number, Remark>,
): boolean {
  let first = index
  while (first > 0 && transfers[first - 1]?.linked === true) first -= 1
  for (let at = first; at < transfers.length; at++) {
    const reason = remarks.get(at)?.reason
    if (reason !== undefined && refusals.has(reason)) return true
    if (transfers[at]?.linked !== true) break
  }
  return false
}

const codes: Readonly<Record<string, ErrorCode>> = {
  LG001: 'support.transaction.unknown-account',
  LG002: 'support.transaction.conflict',
  LG003: 'support.transaction.insufficient',
  LG004: 'support.transaction.not-pending',
  LG005: 'support.transaction.invalid-transfer',
  LG006: 'support.transaction.archived',
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
