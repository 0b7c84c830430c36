import { type Clock, CloudError, type Ids, type Logger } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import { appendAudit } from './payment-audit.js'
import { applyEvent, applyRefunds, applyTrade, nextCheckAt } from './payment-changes.js'
import {
  beginAttempt,
  endAttempt,
  lockPayment,
  type PaymentRow,
  type RefundRow,
  savePayment,
} from './payment-records.js'
import type { Outcome, PaymentProvider, ProviderCall, Trade } from './provider.js'

export interface ProviderCallsDeps {
  readonly database: Database
  readonly providers: readonly PaymentProvider[]
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** Called after a commit that may have left something to deliver. */
  readonly committed: () => void
}

/** Limits of the column `code`; providers' messages can be long. */
const maxCodeChars = 100

/**
 * Calls to providers with their book-keeping: the intent is committed before the call and the outcome after it, so
 * that a crash in between leaves a row that says what may have happened. No transaction is open during a call.
 */
export class ProviderCalls {
  readonly #deps: ProviderCallsDeps

  constructor(deps: ProviderCallsDeps) {
    this.#deps = deps
  }

  provider(name: string): PaymentProvider {
    const provider = this.#deps.providers.find(candidate => candidate.name === name)
    if (provider === undefined) {
      throw new CloudError('core.contract.invalid-input', `no provider ${name} is configured`, { field: 'provider' })
    }
    return provider
  }

  /** Asks where the trade stands and applies the answer. An unknown outcome changes nothing. */
  async query(row: PaymentRow, call: ProviderCall): Promise<PaymentRow> {
    const { outcome } = await this.#attempt(row.id, 'query', () => this.provider(row.provider).query(row.id, call))
    if (outcome.outcome !== 'done') {
      this.#deps.logger.warn('payment query without result', { payment: row.id, ...outcome })
      return row
    }
    return this.#settleTrade(row, outcome.value, 'query')
  }

  /**
   * Closes the trade and applies the outcome.
   * @throws CloudError `access.payment.provider-unavailable` (the payment is `unknown` now and is being resolved),
   *   `access.payment.provider-refused`, or what the pool says when nothing was sent.
   */
  async close(row: PaymentRow, call: ProviderCall): Promise<PaymentRow> {
    const operation = (): Promise<Outcome<Trade>> => this.provider(row.provider).close(row.id, call)
    const { outcome } = await this.#attempt(row.id, 'close', operation).catch(async (error: unknown) => {
      await this.#change(row.id, (tx, locked) => this.#notSent(tx, locked))
      throw error
    })
    if (outcome.outcome === 'done') return this.#settleTrade(row, outcome.value, 'close')
    if (outcome.outcome === 'unknown') {
      const facts = { cause: `close: ${outcome.code}` }
      await this.#change(row.id, async (tx, locked) => {
        return (await applyEvent(tx, this.#deps, { row: locked, event: 'close-unanswered', facts })).row
      })
      throw new CloudError(
        'access.payment.provider-unavailable',
        'the provider did not say whether it closed the payment',
      )
    }
    await this.#change(row.id, (tx, locked) => this.#notSent(tx, locked))
    if (outcome.outcome === 'retry') {
      throw new CloudError('access.payment.provider-unavailable', `the provider is busy: ${outcome.message}`)
    }
    throw refusal(outcome)
  }

  /** Sends a refund that is recorded as pending and applies the outcome; unknown and retry leave it pending. */
  async refund(row: PaymentRow, refund: RefundRow, call: ProviderCall): Promise<PaymentRow> {
    const order = { tradeId: row.id, refundId: refund.id, amount: refund.amount, reason: refund.reason }
    const { outcome } = await this.#attempt(row.id, 'refund', () => this.provider(row.provider).refund(order, call))
    const settled = outcome.outcome === 'done' ? 'done' : outcome.outcome === 'refused' ? 'refused' : undefined
    const code = outcome.outcome === 'done' ? null : outcome.code.slice(0, maxCodeChars)
    const next = await this.#change(row.id, async (tx, locked) => {
      await tx.query({
        name: 'refund-settle',
        // A refund that was settled meanwhile stays settled: a late "unknown" says nothing about it.
        text: `update payment_refund set state = $2, code = $3, next_check_at = $4 where id = $1 and state = 'pending'`,
        values: [refund.id, settled ?? 'pending', code, settled === undefined ? this.#retryAt(refund) : null],
      })
      const data = { refundId: refund.refund_id, amount: refund.amount, outcome: outcome.outcome, code }
      const { row: after } = await applyRefunds(tx, this.#deps, locked)
      await appendAudit(tx, {
        tenant: row.tenant,
        at: this.#deps.clock.now(),
        act: 'refund.answered',
        payment: row.id,
        data,
      })
      return after
    })
    if (outcome.outcome === 'refused') throw refusal(outcome)
    return next
  }

  #retryAt(refund: RefundRow): number {
    return this.#deps.clock.now() + Math.min(15 * 60_000, 5_000 * 2 ** Math.min(refund.checks, 8))
  }

  async #settleTrade(row: PaymentRow, trade: Trade, cause: string): Promise<PaymentRow> {
    return this.#change(row.id, async (tx, locked) => {
      const change = await applyTrade(tx, this.#deps, { row: locked, trade, cause })
      if (change === undefined) {
        this.#deps.logger.error('the provider names another amount than the payment', { payment: row.id, cause })
      }
      if (change?.changed) return change.row
      const next = { ...locked, next_check_at: nextCheckAt(locked, this.#deps.clock.now()) }
      await savePayment(tx, next)
      return next
    })
  }

  /** The close was not made: a payment that was payable is so as before; an unknown one stays unknown. */
  async #notSent(tx: Queryable, locked: PaymentRow): Promise<PaymentRow> {
    if (locked.state !== 'created') return locked
    const next = { ...locked, closing: false }
    await savePayment(tx, next)
    return next
  }

  async #change(id: string, work: (tx: Queryable, locked: PaymentRow) => Promise<PaymentRow>): Promise<PaymentRow> {
    const row = await this.#deps.database.transaction(async tx => {
      const locked = await lockPayment(tx, id)
      if (locked === undefined) throw new CloudError('access.payment.unknown-order', 'the payment is gone')
      return work(tx, locked)
    })
    this.#deps.committed()
    return row
  }

  async #attempt<T>(
    payment: string,
    operation: 'query' | 'close' | 'refund',
    run: () => Promise<Outcome<T>>,
  ): Promise<{ readonly outcome: Outcome<T> }> {
    const { database, clock } = this.#deps
    const id = await beginAttempt(database, { payment, operation, at: clock.now() })
    try {
      const outcome = await run()
      const code = outcome.outcome === 'done' ? undefined : outcome.code.slice(0, maxCodeChars)
      const end = { id, outcome: outcome.outcome, at: clock.now() }
      await endAttempt(database, code === undefined ? end : { ...end, code })
      return { outcome }
    } catch (error) {
      await endAttempt(database, { id, outcome: 'unsent', code: CloudError.from(error).code, at: clock.now() })
      throw error
    }
  }
}

function refusal(outcome: { readonly code: string; readonly message: string }): CloudError {
  const { code, message } = outcome
  return new CloudError('access.payment.provider-refused', `the provider refused: ${message}`, { details: { code } })
}
