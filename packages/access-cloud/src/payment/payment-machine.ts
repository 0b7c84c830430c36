import type { PaymentState } from './payment-contract.js'

/**
 * What can happen to a payment.
 * paid, closed: what the provider says of the trade; close-unanswered: a close call ended without an answer;
 * refund-pending: at least one refund is under way; refund-done: none is, and money went back;
 * refund-refused: none is, and no money went back.
 */
export type PaymentEvent = 'paid' | 'closed' | 'close-unanswered' | 'refund-pending' | 'refund-done' | 'refund-refused'

/**
 * Where each event leads. What is not listed changes nothing: providers repeat themselves, arrive late and out of
 * order. Money that arrives after the close is still money, therefore `closed` leads to `paid`; nothing leads back
 * from `paid` to an unpaid state.
 */
const transitions: Readonly<Record<PaymentState, Partial<Record<PaymentEvent, PaymentState>>>> = {
  created: { paid: 'paid', closed: 'closed', 'close-unanswered': 'unknown' },
  unknown: { paid: 'paid', closed: 'closed' },
  paid: { 'refund-pending': 'refunding' },
  closed: { paid: 'paid' },
  refunding: { 'refund-done': 'refunded', 'refund-refused': 'paid' },
  refunded: { 'refund-pending': 'refunding' },
}

/** @returns the state after the event, or undefined when the event changes nothing in this state. */
export function nextState(state: PaymentState, event: PaymentEvent): PaymentState | undefined {
  return transitions[state][event]
}
