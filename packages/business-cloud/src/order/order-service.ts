import { timingSafeEqual } from 'node:crypto'
import type { Handlers } from '@aaas/core-cloud/contract'
import { type CallContext, CloudError } from '@aaas/core-cloud/kernel'
import type { Queryable } from '@aaas/support-cloud/rdbms'
import type { Static } from 'typebox'
import { Checkout } from './checkout.js'
import type { Order, OrderSummary, orderContract } from './order-contract.js'
import type { OrderDeps } from './order-deps.js'
import { listOrders, type OrderFilter, readOrder, type StoredOrder } from './order-reader.js'
import { type OrderMove, OrderTransitions, type TransitionOutcome } from './order-transitions.js'

type PlaceInput = Static<(typeof orderContract)['methods']['place']['input']>
type Access = { readonly number: string; readonly accessToken?: string; readonly partyId?: string }

/** Orders of a shop. Needs {@link orderMigrations} and the accounts of `createChart`. */
export class OrderService implements Handlers<typeof orderContract> {
  readonly #checkout: Checkout
  readonly #transitions: OrderTransitions

  constructor(readonly deps: OrderDeps) {
    this.#transitions = new OrderTransitions(deps)
    this.#checkout = new Checkout(deps)
  }

  /**
   * Places an order in one call of the database. A repeat with the same key and body gets the first answer, whatever
   * changed meanwhile; one that ended in `support.rdbms.unavailable` may be repeated and cannot order twice.
   */
  async place(input: PlaceInput, context: CallContext): Promise<Order> {
    const { order, accessToken } = await this.#checkout.place(input, context)
    // Nothing to pay: such an order is paid at once. A crash in between is mended by the buyer's repeat or ends closed.
    if (order.total > 0 || order.state !== 'unpaid') return { ...order, accessToken }
    await this.markPaid({ number: order.number, amount: 0, paidAt: this.deps.clock.now() })
    const { order: paid } = await this.#find(order.number)
    return { ...paid, accessToken }
  }

  async get(input: Access, context: CallContext): Promise<Order> {
    return (await this.#readable(input, context, 'order.read')).order
  }

  async list(input: OrderFilter): Promise<{ total: number; orders: OrderSummary[] }> {
    return listOrders(this.deps.database, input)
  }

  async cancel(input: Access, context: CallContext): Promise<Order> {
    await this.#readable(input, context, 'order.write')
    return this.#move({ number: input.number, transition: 'cancel' }, context)
  }

  async ship(input: { number: string; carrier: string; trackingNumber: string }, context: CallContext): Promise<Order> {
    const { number, ...shipment } = input
    return this.#move({ number, transition: 'ship', shipment }, context)
  }

  async complete(input: { number: string }, context: CallContext): Promise<Order> {
    return this.#move({ number: input.number, transition: 'complete' }, context)
  }

  /** Books the whole amount as owed to the buyer; the payment centre gives it back and repeats until it is done. */
  async refund(input: { number: string; reason: string }, context: CallContext): Promise<Order> {
    return this.#move({ number: input.number, transition: 'refund', note: input.reason }, context)
  }

  /**
   * Reads an order for another centre of the same program, without the caller's rights. @throws CloudError
   * `business.order.unknown`
   */
  async find(number: string): Promise<Order> {
    return (await this.#find(number)).order
  }

  /**
   * Applies a payment. Never throws for an order that cannot take it: the caller decides what to do with the money.
   * @param input.amount - paid, minor units; must be the order's total.
   * @param tx - a transaction to take part in; absent: one of its own.
   */
  async markPaid(
    input: { readonly number: string; readonly amount: number; readonly paidAt: number },
    tx?: Queryable,
  ): Promise<TransitionOutcome> {
    return this.#transitions.run({ ...input, transition: 'pay' }, tx)
  }

  /** Runs any transition of the machine for another centre; `tx` as in {@link markPaid}. */
  async transition(move: OrderMove, tx?: Queryable): Promise<TransitionOutcome> {
    return this.#transitions.run(move, tx)
  }

  /**
   * Closes orders that were not paid in time and gives their stock back.
   * @param now - epoch milliseconds.
   * @returns how many; at most `limit` (default 50) a call.
   */
  async closeExpired(now: number, limit = 50): Promise<number> {
    const rows = await this.deps.database.query<{ number: string }>({
      name: 'order_expired',
      text: `select number from trade_order where state = 'unpaid' and expires_at_ms <= $1 order by expires_at_ms
        limit $2`,
      values: [now, limit],
    })
    let closed = 0
    for (const { number } of rows) {
      const outcome = await this.#transitions.run({ number, transition: 'expire', at: now })
      if (outcome.applied) closed += 1
    }
    return closed
  }

  async #move(move: OrderMove, context: CallContext): Promise<Order> {
    const actor = context.actor?.id
    const outcome = await this.#transitions.run(actor === undefined ? move : { ...move, actor })
    if (!outcome.applied && outcome.reason === 'unknown') throw unknownOrder(move.number)
    const { order } = await this.#find(move.number)
    if (!outcome.applied && !(await this.#isRepeat(move, outcome.state))) {
      throw new CloudError(
        'business.order.invalid-transition',
        `order ${move.number} is ${outcome.state}: cannot ${move.transition}`,
        {
          details: { state: outcome.state, reason: outcome.reason },
        },
      )
    }
    return order
  }

  /** A repeat of what brought the order where it is: the same transition, for `ship` also the same parcel. */
  async #isRepeat(move: OrderMove, state: string): Promise<boolean> {
    const [row] = await this.deps.database.query({
      text: `select from trade_order o join order_history h on h.order_number = o.number
        where o.number = $1 and h.transition = $2 and h.to_state = $3 and ($4::jsonb is null or o.shipment = $4)`,
      values: [move.number, move.transition, state, move.shipment === undefined ? null : JSON.stringify(move.shipment)],
    })
    return row !== undefined
  }

  async #find(number: string): Promise<StoredOrder> {
    const stored = await readOrder(this.deps.database, 'number', number)
    if (stored === undefined) throw unknownOrder(number)
    return stored
  }

  /** Without the scope, the token or the buyer the order does not exist for the caller. */
  async #readable(input: Access, context: CallContext, scope: string): Promise<StoredOrder> {
    const stored = await this.#find(input.number)
    const scopes = context.actor?.scopes ?? []
    if (scopes.includes(scope) || scopes.includes('*')) return stored
    if (input.partyId !== undefined && input.partyId === stored.partyId) return stored
    if (input.accessToken !== undefined && sameSecret(input.accessToken, stored.accessToken)) return stored
    throw unknownOrder(input.number)
  }
}

function unknownOrder(number: string): CloudError {
  return new CloudError('business.order.unknown', `no order ${number}`)
}

function sameSecret(given: string, stored: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(stored)]
  return a.length === b.length && timingSafeEqual(a, b)
}
