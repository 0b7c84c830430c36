import type { Queryable } from '@aaas/support-cloud/rdbms'
import type { Payment, PaymentState } from './payment-contract.js'

export interface PaymentRow {
  readonly id: string
  readonly tenant: string
  readonly payment_id: string
  readonly provider: string
  readonly amount: number
  readonly currency: string
  readonly subject: string
  readonly return_url: string
  readonly expires_at: number
  readonly state: PaymentState
  readonly closing: boolean
  readonly refunded_amount: number
  readonly provider_trade_no: string | null
  readonly paid_at: number | null
  readonly created_at: number
  readonly next_check_at: number | null
  readonly checks: number
}

export interface RefundRow {
  readonly id: string
  readonly payment: string
  readonly tenant: string
  readonly refund_id: string
  readonly amount: number
  readonly reason: string
  readonly state: 'pending' | 'done' | 'refused'
  readonly code: string | null
  readonly checks: number
}

/** What callers see of a payment. */
export function toPayment(row: PaymentRow): Payment {
  return {
    paymentId: row.payment_id,
    provider: row.provider,
    state: row.state,
    amount: row.amount,
    currency: row.currency,
    refundedAmount: row.refunded_amount,
    ...(row.provider_trade_no === null ? {} : { providerTradeNo: row.provider_trade_no }),
    ...(row.paid_at === null ? {} : { paidAt: row.paid_at }),
  }
}

/** @returns the new row, or undefined when the tenant used the payment id before. */
export async function insertPayment(
  tx: Queryable,
  row: Omit<PaymentRow, 'state' | 'closing' | 'refunded_amount' | 'provider_trade_no' | 'paid_at' | 'checks'>,
): Promise<PaymentRow | undefined> {
  const [inserted] = await tx.query<PaymentRow>({
    name: 'payment-insert',
    text: `insert into payment (id, tenant, payment_id, provider, amount, currency, subject, return_url, expires_at,
        created_at, next_check_at)
      values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict (tenant, payment_id) do nothing returning *`,
    values: [
      row.id,
      row.tenant,
      row.payment_id,
      row.provider,
      row.amount,
      row.currency,
      row.subject,
      row.return_url,
      row.expires_at,
      row.created_at,
      row.next_check_at,
    ],
  })
  return inserted
}

export async function findPayment(
  database: Queryable,
  key: { readonly tenant: string; readonly paymentId: string },
): Promise<PaymentRow | undefined> {
  const [row] = await database.query<PaymentRow>({
    name: 'payment-find',
    text: 'select * from payment where tenant = $1 and payment_id = $2',
    values: [key.tenant, key.paymentId],
  })
  return row
}

/** Locks the row until the end of the transaction; whoever changes a payment holds this lock. */
export async function lockPayment(tx: Queryable, id: string): Promise<PaymentRow | undefined> {
  const [row] = await tx.query<PaymentRow>({
    name: 'payment-lock',
    text: 'select * from payment where id = $1 for update',
    values: [id],
  })
  return row
}

export async function savePayment(tx: Queryable, row: PaymentRow): Promise<void> {
  await tx.query({
    name: 'payment-save',
    text: `update payment set state = $2, closing = $3, refunded_amount = $4, provider_trade_no = $5, paid_at = $6,
      next_check_at = $7, checks = $8 where id = $1`,
    values: [
      row.id,
      row.state,
      row.closing,
      row.refunded_amount,
      row.provider_trade_no,
      row.paid_at,
      row.next_check_at,
      row.checks,
    ],
  })
}

export async function newestPayments(
  database: Queryable,
  { tenant, limit }: { readonly tenant: string; readonly limit: number },
): Promise<readonly PaymentRow[]> {
  return database.query<PaymentRow>({
    name: 'payment-newest',
    text: 'select * from payment where tenant = $1 order by created_at desc, id desc limit $2',
    values: [tenant, limit],
  })
}

/** Takes due payments for this process: they are not due again for a minute, so that a crash only delays them. */
export async function claimDuePayments(
  database: Queryable,
  { now, limit }: { readonly now: number; readonly limit: number },
): Promise<readonly PaymentRow[]> {
  return database.query<PaymentRow>({
    name: 'payment-claim',
    text: `update payment set next_check_at = $1 + 60000, checks = checks + 1 where id in (
        select id from payment where next_check_at <= $1 order by next_check_at limit $2 for update skip locked)
      returning *`,
    values: [now, limit],
  })
}

export async function claimDueRefunds(
  database: Queryable,
  { now, limit }: { readonly now: number; readonly limit: number },
): Promise<readonly RefundRow[]> {
  return database.query<RefundRow>({
    name: 'refund-claim',
    text: `update payment_refund set next_check_at = $1 + 60000, checks = checks + 1 where id in (
        select id from payment_refund where next_check_at <= $1 order by next_check_at limit $2 for update skip locked)
      returning *`,
    values: [now, limit],
  })
}

export async function findRefund(
  database: Queryable,
  key: { readonly tenant: string; readonly refundId: string },
): Promise<RefundRow | undefined> {
  const [row] = await database.query<RefundRow>({
    name: 'refund-find',
    text: 'select * from payment_refund where tenant = $1 and refund_id = $2',
    values: [key.tenant, key.refundId],
  })
  return row
}

export async function refundsOf(tx: Queryable, payment: string): Promise<readonly RefundRow[]> {
  return tx.query<RefundRow>({
    name: 'refunds-of',
    text: 'select * from payment_refund where payment = $1',
    values: [payment],
  })
}

/** Writes the intent of a provider call before it is made. @returns the id for {@link endAttempt}. */
export async function beginAttempt(
  database: Queryable,
  attempt: { readonly payment: string; readonly operation: 'query' | 'close' | 'refund'; readonly at: number },
): Promise<number> {
  const [row] = await database.query<{ id: number }>({
    name: 'attempt-begin',
    text: 'insert into payment_attempt (payment, operation, started_at) values ($1, $2, $3) returning id',
    values: [attempt.payment, attempt.operation, attempt.at],
  })
  return row?.id ?? 0
}

export async function endAttempt(
  database: Queryable,
  attempt: { readonly id: number; readonly outcome: string; readonly code?: string; readonly at: number },
): Promise<void> {
  await database.query({
    name: 'attempt-end',
    text: 'update payment_attempt set ended_at = $2, outcome = $3, code = $4 where id = $1',
    values: [attempt.id, attempt.at, attempt.outcome, attempt.code ?? null],
  })
}
