import type { Hook } from '@aaas/core-cloud/cloudware'
import { type OrderState, orderEventHook, placeHook } from './order-contract.js'

export type OrderTransition = 'pay' | 'cancel' | 'expire' | 'ship' | 'complete' | 'refund'
export type OrderEventName = Parameters<typeof orderEventHook>[0]

/** `amount`: the paid amount is the order's total; `expired`: the order's time is over. */
export type OrderGuard = 'amount' | 'expired'

/** What one transition does to an order in one state. Effects run in the transaction of the transition. */
export interface OrderEdge {
  readonly from: OrderState
  readonly to: OrderState
  readonly guard?: OrderGuard
  /** To the reservation of the order's lines. */
  readonly stock: 'none' | 'confirm' | 'release' | 'expire' | 'ship'
  /** To the transfers of the supplier orders; `refund` books the amount as owed to the buyer. */
  readonly ledger: 'none' | 'post' | 'void' | 'refund'
  readonly event: OrderEventName
}

/** The machine as data: `order_transition` runs it in the database, {@link orderStep} says it without one. */
export const orderMachine: {
  readonly initial: OrderState
  readonly transitions: Readonly<Record<OrderTransition, readonly OrderEdge[]>>
} = {
  initial: 'unpaid',
  transitions: {
    pay: [{ from: 'unpaid', to: 'paid', guard: 'amount', stock: 'confirm', ledger: 'post', event: 'paid' }],
    cancel: [{ from: 'unpaid', to: 'closed', stock: 'release', ledger: 'void', event: 'closed' }],
    expire: [{ from: 'unpaid', to: 'closed', guard: 'expired', stock: 'expire', ledger: 'void', event: 'closed' }],
    ship: [{ from: 'paid', to: 'shipped', stock: 'ship', ledger: 'none', event: 'shipped' }],
    complete: [{ from: 'shipped', to: 'completed', stock: 'none', ledger: 'none', event: 'completed' }],
    refund: [
      { from: 'paid', to: 'refunded', stock: 'release', ledger: 'refund', event: 'refunded' },
      // Shipped goods come back, if at all, by an adjustment of the stock when somebody has looked at them.
      { from: 'shipped', to: 'refunded', stock: 'none', ledger: 'refund', event: 'refunded' },
      { from: 'completed', to: 'refunded', stock: 'none', ledger: 'refund', event: 'refunded' },
    ],
  },
}

/** What guards look at. */
export interface OrderFacts {
  readonly state: OrderState
  readonly total: number
  /** Epoch milliseconds. */
  readonly expiresAt: number
}

export type OrderStep =
  | { readonly applied: true; readonly edge: OrderEdge }
  | { readonly applied: false; readonly reason: 'state' | OrderGuard }

/**
 * Says what a transition would do.
 * @param input.at - epoch milliseconds.
 * @param input.amount - of `pay`: what was paid, minor units.
 */
export function orderStep(
  order: OrderFacts,
  transition: OrderTransition,
  input: { readonly at: number; readonly amount?: number },
): OrderStep {
  const edge = orderMachine.transitions[transition].find(candidate => candidate.from === order.state)
  if (edge === undefined) return { applied: false, reason: 'state' }
  if (edge.guard === 'amount' && input.amount !== order.total) return { applied: false, reason: 'amount' }
  if (edge.guard === 'expired' && order.expiresAt > input.at) return { applied: false, reason: 'expired' }
  return { applied: true, edge }
}

const events = new Set<OrderEventName>(['placed'])
for (const edges of Object.values(orderMachine.transitions)) for (const edge of edges) events.add(edge.event)

/** Every hook of the order centre: the veto before placing and one event per transition, taken from the machine. */
export const orderHooks: readonly Hook[] = [placeHook, ...[...events].map(orderEventHook)]
