import type { Payment } from '@aaas/access-cloud/payment'

/** State of a payment here: those of the gateway, and `mismatch` for one that a person must look at. */
export type OrderPaymentState = Payment['state'] | 'mismatch'

/** What is known here. */
export interface KnownPayment {
  readonly state: OrderPaymentState
  readonly amount: number
  readonly currency: string
}

/**
 * What a report of the gateway means.
 * - `pay`: money arrived: the order becomes paid, or the money goes back when the order cannot take it
 * - `settle`: the refund that was recorded here is done
 * - `returned`: somebody else gave the money of a paid order back
 * - `record`: only the state is new
 */
export type PaymentDecision =
  | { readonly effect: 'none' }
  | { readonly effect: 'mismatch'; readonly problem: string }
  | { readonly effect: 'pay' | 'settle' | 'returned' }
  | { readonly effect: 'record'; readonly state: 'created' | 'closed' | 'refunded' }

/** Reports come late, twice and in any order: only those that know more than we do count. */
const rank: Readonly<Record<OrderPaymentState, number>> = {
  unknown: 0,
  created: 1,
  closed: 2,
  paid: 3,
  refunding: 4,
  refunded: 5,
  mismatch: 6,
}

export function decidePayment(known: KnownPayment, report: Payment): PaymentDecision {
  if (rank[report.state] <= rank[known.state]) return { effect: 'none' }
  if (report.amount !== known.amount || report.currency !== known.currency) {
    const problem = `the gateway says ${report.amount} ${report.currency}, the order ${known.amount} ${known.currency}`
    return { effect: 'mismatch', problem }
  }
  switch (report.state) {
    case 'created':
    case 'closed':
      return { effect: 'record', state: report.state }
    case 'paid':
      return { effect: 'pay' }
    case 'refunding':
      // Not asked for here: wait how it ends.
      return { effect: 'none' }
    case 'refunded':
      return refunded(known, report)
    default:
      return { effect: 'none' }
  }
}

function refunded(known: KnownPayment, report: Payment): PaymentDecision {
  if (report.refundedAmount !== known.amount) {
    return {
      effect: 'mismatch',
      problem: `${report.refundedAmount} of ${known.amount} ${known.currency} were refunded`,
    }
  }
  if (known.state === 'refunding') return { effect: 'settle' }
  // Before the payment was known here the order never took the money: nothing to take back.
  return known.state === 'paid' ? { effect: 'returned' } : { effect: 'record', state: 'refunded' }
}

/** Milliseconds until the next question after `attempts` of them: 5 s, doubling, at most 5 minutes. */
export function paymentBackoffMs(attempts: number): number {
  return Math.min(5_000 * 2 ** Math.min(attempts, 10), 300_000)
}
