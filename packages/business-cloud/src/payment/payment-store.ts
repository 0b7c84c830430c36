import type { Payment } from '@aaas/access-cloud/payment'
import type { TransitionParticipant } from '@aaas/business-cloud/order'
import type { Queryable } from '@aaas/support-cloud/rdbms'
import type { OrderPaymentState } from './payment-core.js'

/** A row of `order_payment`. */
export interface StoredPayment {
  readonly paymentId: string
  readonly number: string
  readonly amount: number
  readonly currency: string
  readonly state: OrderPaymentState
  readonly attempts: number
  readonly refundId: string | null
  readonly refundReason: string | null
}

const columns = `payment_id as "paymentId", order_number as number, amount, currency, state, attempts,
  refund_id as "refundId", refund_reason as "refundReason"`

export async function readPayment(
  on: Queryable,
  by: 'payment_id' | 'order_number',
  value: string,
): Promise<StoredPayment | undefined> {
  const [row] = await on.query<StoredPayment>({
    name: `payment_read_${by}`,
    text: `select ${columns} from order_payment where ${by} = $1`,
    values: [value],
  })
  return row
}

/** Records a payment before the gateway hears of it; one that exists stays as it is. */
export async function recordPayment(
  on: Queryable,
  payment: { paymentId: string; number: string; amount: number; currency: string; at: number; firstCheckMs: number },
): Promise<void> {
  await on.query({
    text: `insert into order_payment (payment_id, order_number, provider, amount, currency, state, next_attempt_ms,
      updated_at_ms)
      values ($1, $2, 'alipay', $3, $4, 'unknown', $6, $5) on conflict do nothing`,
    values: [
      payment.paymentId,
      payment.number,
      payment.amount,
      payment.currency,
      payment.at,
      payment.at + payment.firstCheckMs,
    ],
  })
}

export interface PaymentChange {
  readonly state: OrderPaymentState
  readonly at: number
  readonly report?: Payment
  readonly problem?: string
  readonly refund?: { readonly id: string; readonly reason: string }
}

/**
 * Writes a new state when the row is still in one of the states `from`.
 * @returns false when somebody else was faster.
 */
export async function changePayment(
  on: Queryable,
  paymentId: string,
  from: readonly OrderPaymentState[],
  change: PaymentChange,
): Promise<boolean> {
  const next = change.state === 'refunding' ? change.at : null
  const rows = await on.query({
    name: 'payment_change',
    text: `update order_payment set state = $3, updated_at_ms = $4,
        attempts = case when $3 = 'created' then attempts else 0 end,
        next_attempt_ms = case when $3 in ('created', 'unknown') then next_attempt_ms else $5::bigint end,
        provider_trade_no = coalesce($6, provider_trade_no), paid_at_ms = coalesce($7, paid_at_ms),
        problem = coalesce($8, problem), refund_id = coalesce($9, refund_id), refund_reason = coalesce($10,
          refund_reason)
      where payment_id = $1 and state = any($2) returning payment_id`,
    values: [
      ...[
        paymentId,
        from,
        change.state,
        change.at,
        next,
        change.report?.providerTradeNo ?? null,
        change.report?.paidAt ?? null,
      ],
      ...[change.problem ?? null, change.refund?.id ?? null, change.refund?.reason ?? null],
    ],
  })
  return rows.length > 0
}

/**
 * Takes payments that are due and sets their next attempt, so that no other instance asks at the same time and a crash
 * only delays them.
 */
export async function claimDue(on: Queryable, now: number, limit: number): Promise<readonly StoredPayment[]> {
  return on.query<StoredPayment>({
    name: 'payment_claim',
    text: `update order_payment set attempts = attempts + 1,
        next_attempt_ms = $1 + least(5000 * power(2, least(attempts, 10))::bigint, 300000)
      where payment_id in (select payment_id from order_payment where next_attempt_ms <= $1
        order by next_attempt_ms limit $2 for update skip locked)
      returning ${columns}`,
    values: [now, limit],
  })
}

/** The refund of an order's payment; there is one for good. */
export function refundIdOf(number: string): string {
  return `refund-${number}`
}

/**
 * Records, in the transaction of the order's transition, what the payment centre has to do next:
 * give the money of a refunded order back, close the payment of a closed one at the gateway.
 */
export const paymentParticipant: TransitionParticipant = {
  transitions: ['refund', 'cancel', 'expire'],
  async apply(tx, move) {
    if (move.transition === 'refund') {
      await tx.query({
        text: `update order_payment set state = 'refunding', refund_id = $2, refund_reason = $3, attempts = 0,
          next_attempt_ms = $4, updated_at_ms = $4 where order_number = $1 and state = 'paid'`,
        values: [move.number, refundIdOf(move.number), move.note ?? 'refund', move.at],
      })
    } else {
      await tx.query({
        text: `update order_payment set next_attempt_ms = $2, attempts = 0
          where order_number = $1 and state in ('unknown', 'created')`,
        values: [move.number, move.at],
      })
    }
  },
}
