import type { Handlers } from '@aaas/core-cloud/contract'
import { type CallContext, type Clock, CloudError, type Ids, type Logger } from '@aaas/core-cloud/kernel'
import type { Database } from '@aaas/support-cloud/rdbms'
import { type DeliverPaymentEvent, EventDelivery } from './event-delivery.js'
import { type Disposition, NotificationInbox } from './notification-inbox.js'
import { appendAudit } from './payment-audit.js'
import { applyRefunds, nextCheckAt } from './payment-changes.js'
import type { Payment, paymentContract } from './payment-contract.js'
import {
  claimDuePayments,
  claimDueRefunds,
  findPayment,
  findRefund,
  insertPayment,
  lockPayment,
  newestPayments,
  type PaymentRow,
  type RefundRow,
  refundsOf,
  savePayment,
  toPayment,
} from './payment-records.js'
import { Poller } from './poller.js'
import type { PaymentProvider, ProviderCall } from './provider.js'
import { ProviderCalls } from './provider-calls.js'

export interface PaymentGatewayDeps {
  /** Migrated by `paymentMigrations`. */
  readonly database: Database
  readonly providers: readonly PaymentProvider[]
  readonly deliver: DeliverPaymentEvent
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** Milliseconds between looks for events to deliver, default 1_000; new ones are delivered at once. */
  readonly deliverEveryMs?: number
  /** Milliseconds between looks for payments to resolve, default 5_000. */
  readonly resolveEveryMs?: number
}

type Handler = Handlers<typeof paymentContract>
type Input<K extends keyof Handler> = Parameters<Handler[K]>[0]

/** Payments and refunds resolved per round, and the time each may take. */
const resolveBatch = 16
const resolveMs = 15_000

/**
 * Payments of all tenants at all providers. Money never moves here: providers move it, and this is the record of what
 * they said. Every change is one transaction of state, event for the tenant and audit record.
 */
export class PaymentGateway implements AsyncDisposable {
  readonly #deps: PaymentGatewayDeps
  readonly #calls: ProviderCalls
  readonly #inbox: NotificationInbox
  readonly #delivery: EventDelivery
  readonly #deliveryPoller: Poller
  readonly #resolvePoller: Poller

  constructor(deps: PaymentGatewayDeps) {
    this.#deps = deps
    const { clock, logger } = deps
    this.#delivery = new EventDelivery(deps)
    this.#deliveryPoller = new Poller({
      name: 'payment delivery',
      clock,
      logger,
      intervalMs: deps.deliverEveryMs ?? 1_000,
      run: () => this.#delivery.runDue(),
    })
    this.#resolvePoller = new Poller({
      name: 'payment resolver',
      clock,
      logger,
      intervalMs: deps.resolveEveryMs ?? 5_000,
      run: () => this.resolveUnknown(),
    })
    const committed = (): void => this.#deliveryPoller.poke()
    this.#calls = new ProviderCalls({ ...deps, committed })
    this.#inbox = new NotificationInbox({ ...deps, committed })
  }

  /** Starts delivering events and resolving what is unknown. */
  start(): void {
    this.#deliveryPoller.start()
    this.#resolvePoller.start()
  }

  /** Stops the background work and waits for what is in flight. Calls and notifications are still served. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#deliveryPoller.stop(), this.#resolvePoller.stop()])
  }

  /** The contract's methods; the caller's tenant owns what it touches. */
  handlers(): Handlers<typeof paymentContract> {
    return {
      prepay: (input, context) => this.prepay(input, context),
      get: (input, context) => this.get(input, context),
      close: (input, context) => this.close(input, context),
      refund: (input, context) => this.refund(input, context),
      list: (input, context) => this.list(input, context),
    }
  }

  async prepay(input: Input<'prepay'>, context: CallContext): Promise<{ payment: Payment; redirectUrl: string }> {
    const tenant = tenantOf(context)
    const provider = this.#calls.provider(input.provider)
    const row =
      (await findPayment(this.#deps.database, { tenant, paymentId: input.paymentId })) ??
      (await this.#open(tenant, input)) ??
      (await this.#existing(tenant, input.paymentId))
    const same = row.provider === input.provider && row.amount === input.amount && row.currency === input.currency
    if (!same) {
      throw new CloudError(
        'access.payment.conflict',
        `payment ${input.paymentId} has another provider, amount or currency`,
      )
    }
    if (row.state === 'closed' || row.state === 'unknown' || row.closing) {
      throw new CloudError('access.payment.invalid-state', `payment ${input.paymentId} is closed or being closed`)
    }
    if (row.state !== 'created') return { payment: toPayment(row), redirectUrl: row.return_url }
    if (row.expires_at <= this.#deps.clock.now()) {
      throw new CloudError('access.payment.invalid-state', `payment ${input.paymentId} has expired`)
    }
    const redirectUrl = provider.prepay({
      tradeId: row.id,
      amount: row.amount,
      subject: row.subject,
      returnUrl: row.return_url,
      expiresAt: row.expires_at,
    })
    return { payment: toPayment(row), redirectUrl }
  }

  async get(input: Input<'get'>, context: CallContext): Promise<Payment> {
    const row = await this.#existing(tenantOf(context), input.paymentId)
    const open =
      row.state === 'created' || row.state === 'unknown' || (row.state === 'closed' && row.next_check_at !== null)
    if (!input.refresh || !open) return toPayment(row)
    try {
      return toPayment(await this.#calls.query(row, callOf(row, context)))
    } catch (error) {
      // Nothing was asked: what we know is still what we know.
      if (context.signal.aborted) throw error
      return toPayment(row)
    }
  }

  async close(input: Input<'close'>, context: CallContext): Promise<Payment> {
    const { id } = await this.#existing(tenantOf(context), input.paymentId)
    const row = await this.#deps.database.transaction(async tx => {
      const locked = await lockPayment(tx, id)
      if (locked === undefined || (locked.state !== 'created' && locked.state !== 'unknown')) return locked
      const at = this.#deps.clock.now()
      const intent = { ...locked, closing: true }
      const next = { ...intent, next_check_at: nextCheckAt(intent, at) }
      await savePayment(tx, next)
      await appendAudit(tx, { tenant: next.tenant, payment: id, at, act: 'close.intended', data: { from: next.state } })
      return next
    })
    if (row === undefined) throw unknownOrder(input.paymentId)
    return toPayment(row.closing ? await this.#calls.close(row, callOf(row, context)) : row)
  }

  async refund(input: Input<'refund'>, context: CallContext): Promise<Payment> {
    const tenant = tenantOf(context)
    const row = await this.#existing(tenant, input.paymentId)
    const intended = await this.#intendRefund(row.id, input)
    if (intended.refund.state === 'refused') {
      const details = { code: intended.refund.code }
      throw new CloudError('access.payment.provider-refused', 'the provider refused this refund', { details })
    }
    if (intended.refund.state === 'done') return toPayment(intended.row)
    try {
      return toPayment(await this.#calls.refund(intended.row, intended.refund, callOf(row, context)))
    } catch (error) {
      // No quota now, or the caller left: the refund is recorded and the resolver sends it.
      if (CloudError.is(error, 'access.payment.provider-refused')) throw error
      this.#deps.logger.warn('refund put off', { payment: row.id, error })
      return toPayment(intended.row)
    }
  }

  async list(input: Input<'list'>, context: CallContext): Promise<{ payments: Payment[] }> {
    const rows = await newestPayments(this.#deps.database, { tenant: tenantOf(context), limit: input.limit ?? 50 })
    return { payments: rows.map(toPayment) }
  }

  /** Takes a provider's notification; see {@link NotificationInbox.receive}. */
  receive(provider: string, params: Readonly<Record<string, string>>): Promise<Disposition> {
    return this.#inbox.receive(this.#calls.provider(provider), params)
  }

  /** Delivers events that are due, at most one batch. @returns how many were taken. */
  deliverDue(): Promise<number> {
    return this.#delivery.runDue()
  }

  /**
   * Asks providers about payments that are due: unknown ones, unpaid ones whose notification may be lost, and refunds
   * under way. Waits for the provider's quota no longer than its deadline; what finds no place is tried again later.
   * @returns how many were looked at.
   */
  async resolveUnknown(): Promise<number> {
    const { database, clock } = this.#deps
    const now = clock.now()
    const payments = await claimDuePayments(database, { now, limit: resolveBatch })
    const refunds = await claimDueRefunds(database, { now, limit: resolveBatch })
    await Promise.all([
      ...payments.map(row => this.#resolve(row.id, () => this.#resolvePayment(row))),
      ...refunds.map(refund => this.#resolve(refund.payment, () => this.#resolveRefund(refund))),
    ])
    return payments.length + refunds.length
  }

  async #open(tenant: string, input: Input<'prepay'>): Promise<PaymentRow | undefined> {
    const { database, clock, ids } = this.#deps
    const now = clock.now()
    if (!/^https?:\/\/[^\s]+$/.test(input.returnUrl) || !URL.canParse(input.returnUrl))
      throw invalid('returnUrl', 'must be an http(s) URL')
    if (input.expiresAt <= now) throw invalid('expiresAt', 'must be in the future')
    if (input.expiresAt > now + 15 * 86_400_000) throw invalid('expiresAt', 'must be within 15 days')
    return database.transaction(async tx => {
      const row = await insertPayment(tx, {
        id: ids.uuid().replaceAll('-', ''),
        tenant,
        payment_id: input.paymentId,
        provider: input.provider,
        amount: input.amount,
        currency: input.currency,
        subject: input.subject,
        return_url: input.returnUrl,
        expires_at: input.expiresAt,
        created_at: now,
        next_check_at: Math.min(now + 60_000, input.expiresAt + 5_000),
      })
      if (row === undefined) return undefined
      const data = { paymentId: row.payment_id, provider: row.provider, amount: row.amount, currency: row.currency }
      await appendAudit(tx, { tenant, payment: row.id, at: now, act: 'payment.opened', data })
      return row
    })
  }

  async #intendRefund(
    id: string,
    input: Input<'refund'>,
  ): Promise<{ readonly row: PaymentRow; readonly refund: RefundRow }> {
    const { database, clock, ids } = this.#deps
    return database.transaction(async tx => {
      const row = await lockPayment(tx, id)
      if (row === undefined) throw unknownOrder(input.paymentId)
      const known = await findRefund(tx, { tenant: row.tenant, refundId: input.refundId })
      if (known !== undefined) {
        if (known.payment === row.id && known.amount === input.amount) return { row, refund: known }
        throw new CloudError(
          'access.payment.conflict',
          `refund ${input.refundId} was used with another payment or amount`,
        )
      }
      const taken = (await refundsOf(tx, id)).filter(other => other.state !== 'refused')
      const left = row.amount - taken.reduce((sum, other) => sum + other.amount, 0)
      if (row.state !== 'paid' && row.state !== 'refunding' && row.state !== 'refunded') {
        throw new CloudError('access.payment.invalid-state', `payment ${input.paymentId} is ${row.state}, not paid`)
      }
      if (input.amount > left) {
        const details = { left }
        throw new CloudError('access.payment.invalid-state', 'more than what is left of the payment', {
          field: 'amount',
          details,
        })
      }
      const at = clock.now()
      const [refund] = await tx.query<RefundRow>({
        name: 'refund-insert',
        text: `insert into payment_refund (id, payment, tenant, refund_id, amount, reason, created_at, next_check_at)
          values ($1, $2, $3, $4, $5, $6, $7, $8) returning *`,
        values: [
          ids.uuid().replaceAll('-', ''),
          id,
          row.tenant,
          input.refundId,
          input.amount,
          input.reason,
          at,
          at + resolveMs,
        ],
      })
      if (refund === undefined) throw new Error('the refund was not inserted')
      const { row: next } = await applyRefunds(tx, this.#deps, row)
      const data = { refundId: input.refundId, amount: input.amount }
      await appendAudit(tx, { tenant: row.tenant, payment: id, at, act: 'refund.intended', data })
      return { row: next, refund }
    })
  }

  async #resolvePayment(row: PaymentRow): Promise<void> {
    const call = { tenant: row.tenant, deadline: this.#deps.clock.now() + resolveMs }
    if (row.closing && (row.state === 'created' || row.state === 'unknown')) await this.#calls.close(row, call)
    else await this.#calls.query(row, call)
  }

  async #resolveRefund(refund: RefundRow): Promise<void> {
    const row = await lockPayment(this.#deps.database, refund.payment)
    if (row === undefined) return
    await this.#calls.refund(row, refund, { tenant: row.tenant, deadline: this.#deps.clock.now() + resolveMs })
  }

  /** One that cannot be resolved now must not stop the others; it is due again by the time set when it was claimed. */
  async #resolve(payment: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#deps.logger.warn('payment not resolved yet', { payment, error })
    }
  }

  async #existing(tenant: string, paymentId: string): Promise<PaymentRow> {
    const row = await findPayment(this.#deps.database, { tenant, paymentId })
    if (row === undefined) throw unknownOrder(paymentId)
    return row
  }
}

function tenantOf(context: CallContext): string {
  if (context.tenant === undefined || context.tenant === '') {
    throw new CloudError('core.contract.unauthenticated', 'the payment gateway serves calls of tenants only')
  }
  return context.tenant
}

function callOf(row: PaymentRow, context: CallContext): ProviderCall {
  return { tenant: row.tenant, deadline: context.deadline, signal: context.signal }
}

function unknownOrder(paymentId: string): CloudError {
  return new CloudError('access.payment.unknown-order', `no payment ${paymentId}`)
}

function invalid(field: string, message: string): CloudError {
  return new CloudError('core.contract.invalid-input', `${field} ${message}`, { field })
}
