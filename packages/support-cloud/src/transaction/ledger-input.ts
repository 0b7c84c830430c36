import { CloudError } from '@aaas/core-cloud/kernel'
import type { LedgerTransfer } from './ledger.js'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const accountId = /^[a-z0-9][a-z0-9:._-]{0,99}$/
const asset = /^[A-Z][A-Z0-9]{2,11}$/

/** Most transfers of a call. */
const maxTransfers = 1000
const maxAmount = 1e15
const maxTimeoutMs = 315_360_000_000

function bad(field: string, message: string): CloudError {
  return new CloudError('support.transaction.invalid-transfer', `${field}: ${message}`, { field })
}

/**
 * Checks what can be told without a database: a malformed transfer never reaches it, so it can spoil no batch.
 * @throws CloudError `support.transaction.invalid-transfer` with `field`, such as `transfers/3/amount`.
 */
export function checkTransfers(transfers: readonly LedgerTransfer[]): void {
  if (transfers.length < 1 || transfers.length > maxTransfers) throw bad('transfers', `1 to ${maxTransfers} of them`)
  for (const [index, transfer] of transfers.entries()) checkTransfer(transfer, `transfers/${index}`)
  checkChains(transfers)
}

function checkTransfer(transfer: LedgerTransfer, at: string): void {
  if (!uuid.test(transfer.id)) throw bad(`${at}/id`, 'a UUID')
  checkText(transfer.ref, `${at}/ref`, 200)
  if (transfer.kind === 'posted' || transfer.kind === 'pending') checkMovement(transfer, at)
  else if (transfer.kind === 'post' || transfer.kind === 'void') checkResolution(transfer, at)
  else throw bad(`${at}/kind`, 'posted, pending, post or void')
}

function checkMovement(transfer: LedgerTransfer & { kind: 'posted' | 'pending' }, at: string): void {
  if ('pending' in transfer && transfer.pending !== undefined) throw bad(`${at}/pending`, 'only of post and void')
  for (const side of ['debit', 'credit'] as const) {
    if (typeof transfer[side] !== 'string' || !accountId.test(transfer[side])) throw bad(`${at}/${side}`, 'an account')
  }
  if (transfer.debit === transfer.credit) throw bad(`${at}/credit`, 'another account than debit')
  checkAmount(transfer.amount, `${at}/amount`)
  if (typeof transfer.currency !== 'string' || !asset.test(transfer.currency)) throw bad(`${at}/currency`, 'an asset')
  if (transfer.code === undefined) throw bad(`${at}/code`, 'missing')
  checkText(transfer.code, `${at}/code`, 100)
  const { timeoutMs } = transfer
  if (timeoutMs === undefined) return
  if (transfer.kind !== 'pending') throw bad(`${at}/timeoutMs`, 'only of pending')
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > maxTimeoutMs) {
    throw bad(`${at}/timeoutMs`, `an integer from 1 to ${maxTimeoutMs}`)
  }
}

function checkResolution(transfer: LedgerTransfer & { kind: 'post' | 'void' }, at: string): void {
  if (!uuid.test(transfer.pending)) throw bad(`${at}/pending`, 'a UUID')
  if (transfer.pending.toLowerCase() === transfer.id.toLowerCase())
    throw bad(`${at}/pending`, 'another id than its own')
  for (const field of ['debit', 'credit', 'timeoutMs', 'balancingDebit', 'balancingCredit'] as const) {
    if (field in transfer) throw bad(`${at}/${field}`, 'only of posted and pending')
  }
  if (transfer.amount === undefined) return
  if (transfer.kind === 'void') throw bad(`${at}/amount`, 'a void releases all')
  checkAmount(transfer.amount, `${at}/amount`)
}

function checkAmount(amount: unknown, field: string): void {
  if (typeof amount !== 'number' || Number.isNaN(amount)) throw bad(field, 'a number')
  if (amount < 0) throw bad(field, 'must not be negative')
  if (amount === 0) throw bad(field, 'must not be zero')
  if (!Number.isInteger(amount)) throw bad(field, 'must be whole: it counts minor units')
  if (!Number.isSafeInteger(amount) || amount > maxAmount) throw bad(field, `at most ${maxAmount}`)
}

/** PostgreSQL's text takes neither NUL nor halves of surrogate pairs; one such would fail a whole batch. */
function checkText(text: unknown, field: string, most: number): void {
  if (text === undefined) return
  if (typeof text !== 'string' || text.length < 1 || text.length > most) throw bad(field, `1 to ${most} characters`)
  if (text.includes('\0') || Buffer.from(text).toString() !== text) throw bad(field, 'well-formed text without NUL')
}

/** A chain must end, and name each id once; what it resolves must not come later in it. */
function checkChains(transfers: readonly LedgerTransfer[]): void {
  const last = transfers.length - 1
  if (transfers[last]?.linked === true) throw bad(`transfers/${last}/linked`, 'the chain is left open')
  let chain = new Map<string, number>()
  let waiting = new Map<string, number>()
  for (const [index, transfer] of transfers.entries()) {
    const inChain = transfer.linked === true || chain.size > 0
    if (!inChain) continue
    const id = transfer.id.toLowerCase()
    if (chain.has(id)) throw bad(`transfers/${index}/id`, 'the chain names this id twice')
    const early = waiting.get(id)
    if (early !== undefined) throw bad(`transfers/${early}/pending`, 'a cycle: comes later in the same chain')
    chain.set(id, index)
    if ('pending' in transfer && transfer.pending !== undefined && !chain.has(transfer.pending.toLowerCase())) {
      waiting.set(transfer.pending.toLowerCase(), index)
    }
    if (transfer.linked === true) continue
    chain = new Map()
    waiting = new Map()
  }
}

/** @throws CloudError `support.transaction.invalid-transfer`, field `limit`. */
export function checkLimit(limit: number | undefined, fallback: number): number {
  const wanted = limit ?? fallback
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > 1000) throw bad('limit', 'an integer from 1 to 1000')
  return wanted
}

/** A tenant's ledger reaches no account outside of its prefix, and tells nothing about those. */
export function checkWithin(within: string | undefined, account: string, field: string): void {
  if (within === undefined || account.startsWith(within)) return
  throw new CloudError('support.transaction.unknown-account', `${field}: no account ${account}`, { field })
}
