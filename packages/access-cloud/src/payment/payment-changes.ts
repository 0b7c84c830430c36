import type { Clock, Ids } from '@aaas/core-cloud/kernel'
import type { Queryable } from '@aaas/support-cloud/rdbms'
import { appendAudit } from './payment-audit.js'
import { nextState, type PaymentEvent } from './payment-machine.js'
import { type PaymentRow, refundsOf, savePayment, toPayment } from './payment-records.js'
import type { Trade } from './provider.js'

/** What an event brings along. `cause` says who told us: `notification`, `query`, `close`, `refund`. */
export interface EventFacts {
  readonly cause: string
  readonly providerTradeNo?: string
  readonly paidAt?: number
  readonly refundedAmount?: number
}

export interface Change {
  readonly row: PaymentRow
  readonly changed: boolean
}

const graceMs = 5_000
const minuteMs = 60_000

/**
 * When to ask the provider about a payment although nothing came from it. Unpaid payments are asked after a minute,
 * two, four ... (a lost notification) and when they expire; unknown ones quickly; one that was closed before it
 * expired once more then, because the provider had no trade to close and the buyer may still hold the link.
 */
export function nextCheckAt(row: PaymentRow, now: number): number | null {
  const backoff = 2 ** Math.min(row.checks, 10)
  switch (row.state) {
    case 'created':
    case 'unknown': {
      const first = row.state === 'unknown' || row.closing ? graceMs : minuteMs
      const soon = now + Math.min(15 * minuteMs, first * backoff)
      const expiry = row.expires_at + graceMs
      return expiry > now ? Math.min(soon, expiry) : soon
    }
    case 'closed':
      return row.next_check_at !== null && row.expires_at > now ? row.expires_at + graceMs : null
    default:
      return null
  }
}

/**
 * Applies an event to a payment whose row the transaction has locked: state, event for the site and audit record in
 * one commit. An event that the state does not allow changes nothing and is written to the audit log as ignored.
 */
export async function applyEvent(
  tx: Queryable,
  deps: { readonly clock: Clock; readonly ids: Ids },
  { row, event, facts }: { readonly row: PaymentRow; readonly event: PaymentEvent; readonly facts: EventFacts },
): Promise<Change> {
  const at = deps.clock.now()
  const state = nextState(row.state, event)
  const refunded = facts.refundedAmount ?? row.refunded_amount
  const changed = state !== undefined || refunded !== row.refunded_amount
  const data = { event, cause: facts.cause, from: row.state, to: state ?? row.state, refundedAmount: refunded }
  if (!changed) {
    // A refund in progress says so again with every step: no news.
    if (row.state !== event && event !== 'refund-pending') await audit(tx, row, { at, act: 'payment.ignored', data })
    return { row, changed: false }
  }
  const draft: PaymentRow = {
    ...row,
    state: state ?? row.state,
    closing: event === 'close-unanswered' ? row.closing : false,
    refunded_amount: refunded,
    provider_trade_no: facts.providerTradeNo ?? row.provider_trade_no,
    paid_at: state === 'paid' && row.paid_at === null ? (facts.paidAt ?? at) : row.paid_at,
  }
  const next: PaymentRow = { ...draft, next_check_at: nextCheckAt(draft, at) }
  await savePayment(tx, next)
  await tx.query({
    name: 'payment-event-insert',
    text: 'insert into payment_event (event_id, tenant, payment, created_at, next_at) values ($1, $2, $3, $4, $4)',
    values: [deps.ids.uuid(), next.tenant, JSON.stringify(toPayment(next)), at],
  })
  await audit(tx, next, { at, act: `payment.${event}`, data })
  return { row: next, changed: true }
}

/**
 * Applies what the provider says of a trade.
 * @returns undefined when it says another amount than the payment's: nothing changes then, and the audit log has it.
 */
export async function applyTrade(
  tx: Queryable,
  deps: { readonly clock: Clock; readonly ids: Ids },
  { row, trade, cause }: { readonly row: PaymentRow; readonly trade: Trade; readonly cause: string },
): Promise<Change | undefined> {
  const now = deps.clock.now()
  if (trade.status === 'paid' && trade.amount !== row.amount) {
    const data = { cause, expected: row.amount, got: trade.amount ?? null }
    await audit(tx, row, { at: now, act: 'payment.mismatch', data })
    return undefined
  }
  const facts: EventFacts = {
    cause,
    ...(trade.providerTradeNo === undefined ? {} : { providerTradeNo: trade.providerTradeNo }),
    ...(trade.paidAt === undefined ? {} : { paidAt: trade.paidAt }),
  }
  if (trade.status === 'paid') return applyEvent(tx, deps, { row, event: 'paid', facts })
  if (trade.status === 'closed') {
    return applyEvent(tx, deps, { row: { ...row, next_check_at: null }, event: 'closed', facts })
  }
  if (trade.status === 'absent') {
    // Nobody opened the page. It can be opened until it expires, or when we want it closed only watched.
    const over = row.closing || now >= row.expires_at
    return over ? applyEvent(tx, deps, { row, event: 'closed', facts }) : { row, changed: false }
  }
  return { row, changed: false }
}

/** Brings the state of a payment in line with its refunds, all of which the transaction sees. */
export async function applyRefunds(
  tx: Queryable,
  deps: { readonly clock: Clock; readonly ids: Ids },
  row: PaymentRow,
): Promise<Change> {
  const refunds = await refundsOf(tx, row.id)
  const refundedAmount = refunds
    .filter(refund => refund.state === 'done')
    .reduce((sum, refund) => sum + refund.amount, 0)
  const pending = refunds.some(refund => refund.state === 'pending')
  const event = pending ? 'refund-pending' : refundedAmount > 0 ? 'refund-done' : 'refund-refused'
  return applyEvent(tx, deps, { row, event, facts: { cause: 'refund', refundedAmount } })
}

function audit(
  tx: Queryable,
  row: PaymentRow,
  record: { readonly at: number; readonly act: string; readonly data: Readonly<Record<string, unknown>> },
): Promise<void> {
  return appendAudit(tx, { tenant: row.tenant, payment: row.id, ...record })
}
