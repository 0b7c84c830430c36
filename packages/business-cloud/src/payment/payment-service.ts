import type { Payment, paymentContract, paymentListenerContract } from '@aaas/access-cloud/payment'
import { chart } from '@aaas/business-cloud/ledger'
import type { OrderService } from '@aaas/business-cloud/order'
import type { Client, Handlers } from '@aaas/core-cloud/contract'
import {
  type CallContext,
  type CallOptions,
  type Clock,
  CloudError,
  inherit,
  type Logger,
} from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import { openLedger } from '@aaas/support-cloud/transaction'
import { namedUuid } from './named-uuid.js'
import type { orderPaymentContract } from './payment-contract.js'
import { decidePayment, type OrderPaymentState, paymentBackoffMs } from './payment-core.js'
import { changePayment, claimDue, readPayment, recordPayment, refundIdOf, type StoredPayment } from './payment-store.js'

export interface OrderPaymentDeps {
  readonly database: Database
  /** The gateway of the access cloud. */
  readonly gateway: Pick<Client<typeof paymentContract>, 'prepay' | 'get' | 'close' | 'refund'>
  readonly orders: Pick<OrderService, 'find' | 'markPaid' | 'transition'>
  readonly clock: Clock
  readonly logger: Logger
  /** Called after every commit that may have written an event; wakes the relay of the outbox. Must not throw. */
  readonly wake?: () => void
  readonly config?: {
    /** What the provider shows the buyer, before the order's number; default `Order`. */
    readonly subject?: string
    /** Milliseconds one call of the gateway may take; default 8_000. */
    readonly gatewayMs?: number
  }
}

/** Another instance changed the payment between our look and our write: look again. */
class Stale extends Error {}

const consumer = 'business.payment'

/**
 * Payments of orders. A payment is recorded before the gateway hears of it, a refund before it is asked for; what the
 * gateway then says is applied to the payment, the order and the books in one transaction. Locks: order before payment.
 * Needs {@link paymentMigrations}, and `paymentParticipant` among the participants of the orders.
 */
export class OrderPaymentService
  implements Handlers<typeof orderPaymentContract>, Handlers<typeof paymentListenerContract>
{
  constructor(readonly deps: OrderPaymentDeps) {}

  /**
   * Opens the payment, or tells again where to pay. @throws CloudError `business.order.invalid-transition` unless
   * unpaid and in time.
   */
  async start(input: { number: string; returnUrl: string }, context: CallContext): Promise<{ redirectUrl: string }> {
    const order = await this.deps.orders.find(input.number)
    const at = this.deps.clock.now()
    if (order.state !== 'unpaid' || order.expiresAt <= at) {
      const state = order.state === 'unpaid' ? 'expired' : order.state
      throw new CloudError('business.order.invalid-transition', `order ${order.number} is ${state}: cannot pay`, {
        details: { state },
      })
    }
    if (order.currency !== 'CNY') {
      throw new CloudError('business.order.invalid-transition', `the provider takes CNY, not ${order.currency}`, {
        field: 'currency',
      })
    }
    const { number, total: amount, paymentId } = order
    await recordPayment(this.deps.database, {
      paymentId,
      number,
      amount,
      currency: order.currency,
      at,
      firstCheckMs: 60_000,
    })
    const { payment, redirectUrl } = await this.deps.gateway.prepay(
      {
        ...{
          paymentId,
          amount,
          currency: 'CNY',
          provider: 'alipay',
          returnUrl: input.returnUrl,
          expiresAt: order.expiresAt,
        },
        subject: `${this.deps.config?.subject ?? 'Order'} ${number}`,
      },
      this.#options(context),
    )
    await this.#applyReport(payment)
    return { redirectUrl }
  }

  /** @returns the state of the payment; `none` when it was never opened. */
  async refresh(input: { number: string }, context: CallContext): Promise<{ state: string }> {
    const order = await this.deps.orders.find(input.number)
    const known = await readPayment(this.deps.database, 'order_number', order.number)
    if (known === undefined) return { state: 'none' }
    await this.#ask(known, this.#options(context))
    return { state: (await readPayment(this.deps.database, 'order_number', order.number))?.state ?? 'none' }
  }

  /** @throws CloudError `business.payment.unknown` for a payment that this program never opened. */
  async paymentChanged(input: { eventId: string; payment: Payment }): Promise<Record<string, never>> {
    await this.#applyReport(input.payment, input.eventId)
    return {}
  }

  /**
   * Drives payments that are not settled: asks how they stand, closes those of closed orders, gives money back.
   * Call it every few seconds in any number of instances; what fails is tried again after 5 s, doubling to 5 minutes.
   * @param now - epoch milliseconds.
   * @returns how many were asked about; at most `limit` (default 20) a call.
   */
  async reconcile(now: number, limit = 20): Promise<number> {
    const due = await claimDue(this.deps.database, now, limit)
    const deadline = now + (this.deps.config?.gatewayMs ?? 8_000)
    await Promise.all(
      due.map(payment =>
        this.#ask(payment, { deadline }).catch((error: unknown) => {
          const retryInMs = paymentBackoffMs(payment.attempts - 1)
          this.deps.logger.warn('payment not settled', {
            paymentId: payment.paymentId,
            state: payment.state,
            retryInMs,
            error,
          })
        }),
      ),
    )
    return due.length
  }

  async #ask(payment: StoredPayment, options: CallOptions): Promise<void> {
    const { paymentId } = payment
    const { gateway } = this.deps
    if (payment.state === 'refunding') {
      const refund = {
        refundId: payment.refundId ?? refundIdOf(payment.number),
        amount: payment.amount,
        reason: payment.refundReason ?? 'refund',
      }
      await this.#applyReport(await gateway.refund({ paymentId, ...refund }, options))
      return
    }
    const closed = (await this.deps.orders.find(payment.number)).state === 'closed'
    try {
      const report = await (closed && payment.state !== 'paid'
        ? gateway.close({ paymentId }, options)
        : gateway.get({ paymentId, refresh: true }, options))
      await this.#applyReport(report)
    } catch (error) {
      if (!CloudError.is(error, 'access.payment.unknown-order')) throw error
      // The gateway never heard of it. Should our first call still arrive there and be paid, its report brings it back.
      if (closed)
        await changePayment(this.deps.database, paymentId, ['unknown', 'created'], {
          state: 'closed',
          at: this.deps.clock.now(),
        })
    }
  }

  async #applyReport(report: Payment, eventId?: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.deps.database.transaction(async tx => {
          if (eventId === undefined || (await firstTime(tx, eventId))) await this.#apply(tx, report)
        })
        this.deps.wake?.()
        return
      } catch (error) {
        if (!(error instanceof Stale) || attempt === 5) throw error instanceof Stale ? busy(report, error) : error
      }
    }
  }

  async #apply(tx: Queryable, report: Payment): Promise<void> {
    const known = await readPayment(tx, 'payment_id', report.paymentId)
    if (known === undefined) throw new CloudError('business.payment.unknown', `no payment ${report.paymentId}`)
    const decision = decidePayment(known, report)
    const at = this.deps.clock.now()
    const change = async (
      state: OrderPaymentState,
      extra: { problem?: string; refund?: { id: string; reason: string } } = {},
    ): Promise<void> => {
      if (!(await changePayment(tx, known.paymentId, [known.state], { state, at, report, ...extra }))) throw new Stale()
    }
    switch (decision.effect) {
      case 'none':
        return
      case 'mismatch':
        this.deps.logger.error('payment refused: it is not what the order asks for', {
          paymentId: known.paymentId,
          problem: decision.problem,
        })
        return change('mismatch', { problem: decision.problem })
      case 'record':
        return change(decision.state)
      case 'settle':
        await this.#bookReturned(tx, known)
        return change('refunded')
      case 'returned':
        return this.#returned(tx, known, report, at)
      case 'pay': {
        const outcome = await this.deps.orders.markPaid(
          { number: known.number, amount: report.amount, paidAt: report.paidAt ?? at },
          tx,
        )
        if (outcome.applied) return change('paid')
        // The order cannot take it any more: the money is owed to the buyer from now on.
        const state = outcome.reason === 'unknown' ? 'unknown' : outcome.state
        this.deps.logger.warn('payment of an order that cannot take it: refunding', {
          paymentId: known.paymentId,
          order: known.number,
          state,
        })
        await this.#book(tx, known, { purpose: 'late', debit: chart.clearing, credit: chart.refundsDue })
        return change('refunding', { refund: { id: refundIdOf(known.number), reason: `order ${state}` } })
      }
    }
  }

  /** The money of a paid order went back without us: the order follows. */
  async #returned(tx: Queryable, known: StoredPayment, report: Payment, at: number): Promise<void> {
    const note = 'refunded at the provider'
    const outcome = await this.deps.orders.transition({ number: known.number, transition: 'refund', note }, tx)
    if (!outcome.applied) throw new Stale()
    await this.#bookReturned(tx, known)
    // The transition's participant has recorded a refund to be driven; it is done already.
    if (!(await changePayment(tx, known.paymentId, ['paid', 'refunding'], { state: 'refunded', at, report })))
      throw new Stale()
  }

  #bookReturned(tx: Queryable, known: StoredPayment): Promise<void> {
    return this.#book(tx, known, { purpose: 'refund-paid', debit: chart.refundsDue, credit: chart.clearing })
  }

  async #book(
    tx: Queryable,
    known: StoredPayment,
    entry: { purpose: string; debit: string; credit: string },
  ): Promise<void> {
    const { purpose, ...sides } = entry
    const transfer = {
      kind: 'posted',
      id: namedUuid(`${purpose}:${known.paymentId}`),
      code: purpose,
      ref: known.number,
    } as const
    await openLedger(this.deps).apply([{ ...transfer, ...sides, amount: known.amount, currency: known.currency }], tx)
  }

  #options(context: CallContext): CallOptions {
    const deadline = Math.min(context.deadline, this.deps.clock.now() + (this.deps.config?.gatewayMs ?? 8_000))
    return { ...inherit(context), deadline }
  }
}

async function firstTime(tx: Queryable, eventId: string): Promise<boolean> {
  const rows = await tx.query({
    name: 'payment_inbox',
    text: 'insert into aaas_inbox (consumer, message_id) values ($1, $2) on conflict do nothing returning message_id',
    values: [consumer, eventId],
  })
  return rows.length > 0
}

function busy(report: Payment, cause: Stale): CloudError {
  return new CloudError('support.rdbms.unavailable', `payment ${report.paymentId} changes too quickly`, { cause })
}
