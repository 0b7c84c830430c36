import type { Payment } from '@aaas/access-cloud/payment'
import type { OrderPaymentDeps } from '@aaas/business-cloud/payment'
import { CloudError } from '@aaas/core-cloud/kernel'

type Gateway = OrderPaymentDeps['gateway']

/** A gateway in memory that keeps its promises: repeats change nothing, a paid payment cannot be closed. */
export class FakeGateway implements Gateway {
  readonly payments = new Map<string, Payment>()
  readonly refunds = new Map<string, number>()
  /** The next calls fail after their effect with an unknown outcome. */
  failures = 0

  async prepay(input: Parameters<Gateway['prepay']>[0]): Promise<{ payment: Payment; redirectUrl: string }> {
    const { paymentId, provider, amount, currency } = input
    const payment = this.payments.get(paymentId) ?? {
      paymentId,
      provider,
      amount,
      currency,
      state: 'created',
      refundedAmount: 0,
    }
    this.payments.set(paymentId, payment)
    return this.#answer({ payment, redirectUrl: `https://cashier/${paymentId}` })
  }

  async get({ paymentId }: { paymentId: string }): Promise<Payment> {
    return this.#answer(this.#known(paymentId))
  }

  async close({ paymentId }: { paymentId: string }): Promise<Payment> {
    const payment = this.#known(paymentId)
    return this.#answer(payment.state === 'created' ? this.set(paymentId, { state: 'closed' }) : payment)
  }

  async refund({
    paymentId,
    refundId,
    amount,
  }: {
    paymentId: string
    refundId: string
    amount: number
  }): Promise<Payment> {
    if (!this.refunds.has(refundId)) {
      if (this.#known(paymentId).state !== 'paid') throw new CloudError('access.payment.invalid-state', 'not paid')
      this.refunds.set(refundId, amount)
      this.set(paymentId, { state: 'refunded', refundedAmount: amount })
    }
    return this.#answer(this.#known(paymentId))
  }

  /** The buyer pays, unless the payment is closed. */
  pay(paymentId: string): Payment {
    return this.set(paymentId, { state: 'paid', paidAt: 99, providerTradeNo: 'T1' })
  }

  set(paymentId: string, change: Partial<Payment>): Payment {
    const payment = { ...this.#known(paymentId), ...change }
    this.payments.set(paymentId, payment)
    return payment
  }

  #known(paymentId: string): Payment {
    const payment = this.payments.get(paymentId)
    if (payment === undefined) throw new CloudError('access.payment.unknown-order', `no payment ${paymentId}`)
    return payment
  }

  #answer<T>(value: T): T {
    if (this.failures > 0) {
      this.failures -= 1
      throw new CloudError('access.payment.provider-unavailable', 'no answer')
    }
    return value
  }
}
