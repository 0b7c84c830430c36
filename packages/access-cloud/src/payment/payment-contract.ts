import { defineContract } from '@aaas/core-cloud/contract'
import { type Static, Type } from 'typebox'

const minorUnits = Type.Integer({ minimum: 1, maximum: 100_000_000_00 })
const id = Type.String({ minLength: 8, maxLength: 64, pattern: '^[A-Za-z0-9_-]+$' })

/**
 * created: known, the buyer was not charged; unknown: a provider call ended without an answer and is being resolved;
 * paid; closed: can no longer be paid (if money arrives all the same, it becomes paid);
 * refunding, refunded: the money (or a part, see refundedAmount) goes or went back.
 */
export const PaymentState = Type.Union([
  Type.Literal('created'),
  Type.Literal('unknown'),
  Type.Literal('paid'),
  Type.Literal('closed'),
  Type.Literal('refunding'),
  Type.Literal('refunded'),
])
export type PaymentState = Static<typeof PaymentState>

export const Payment = Type.Object({
  paymentId: id,
  provider: Type.String(),
  state: PaymentState,
  amount: minorUnits,
  currency: Type.String({ pattern: '^[A-Z]{3}$' }),
  refundedAmount: Type.Integer({ minimum: 0 }),
  providerTradeNo: Type.Optional(Type.String()),
  /** Epoch milliseconds. */
  paidAt: Type.Optional(Type.Integer()),
})
export type Payment = Static<typeof Payment>

/** The payment gateway. The caller's tenant owns the payment; ids are unique per tenant. Amounts are minor units. */
export const paymentContract = defineContract({
  name: 'access.payment',
  version: '1.0.0',
  methods: {
    prepay: {
      summary:
        'Opens a payment at the provider and tells where to send the buyer. Repeating it gives the same payment.',
      // A repeat must name the same provider, amount and currency; subject, returnUrl and expiresAt of the first stay.
      // One that was paid meanwhile answers the returnUrl as redirectUrl.
      input: Type.Object(
        {
          paymentId: id,
          provider: Type.Literal('alipay'),
          amount: minorUnits,
          currency: Type.Literal('CNY'),
          subject: Type.String({ minLength: 1, maxLength: 128 }),
          /** Where the provider sends the buyer back. */
          returnUrl: Type.String({ maxLength: 1024 }),
          /** Epoch milliseconds after which the provider refuses payment; in the future, at most 15 days ahead. */
          expiresAt: Type.Integer(),
        },
        { additionalProperties: false },
      ),
      output: Type.Object({ payment: Payment, redirectUrl: Type.String() }),
      errors: ['access.payment.conflict', 'access.payment.invalid-state', 'access.payment.provider-refused'],
      idempotent: true,
    },
    get: {
      summary: 'Reads a payment; `refresh` asks the provider when the state is not final.',
      input: Type.Object({ paymentId: id, refresh: Type.Optional(Type.Boolean()) }, { additionalProperties: false }),
      output: Payment,
      errors: ['access.payment.unknown-order'],
      idempotent: true,
    },
    close: {
      summary: 'Closes a payment so that it can no longer be paid; one that was paid meanwhile comes back as paid.',
      input: Type.Object({ paymentId: id }, { additionalProperties: false }),
      output: Payment,
      errors: [
        'access.payment.unknown-order',
        'access.payment.provider-unavailable',
        'access.payment.provider-refused',
        'access.pool.timeout',
        'access.pool.full',
      ],
      idempotent: true,
    },
    refund: {
      summary: 'Gives money back; repeating it with the same refundId changes nothing.',
      // `refunding` in the answer: recorded, and the gateway goes on until the provider has settled it.
      input: Type.Object(
        { paymentId: id, refundId: id, amount: minorUnits, reason: Type.String({ maxLength: 256 }) },
        { additionalProperties: false },
      ),
      output: Payment,
      errors: [
        'access.payment.unknown-order',
        'access.payment.conflict',
        'access.payment.invalid-state',
        'access.payment.provider-refused',
      ],
      idempotent: true,
    },
    list: {
      summary: 'The newest payments of the caller.',
      input: Type.Object(
        { limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200 })) },
        { additionalProperties: false },
      ),
      output: Type.Object({ payments: Type.Array(Payment) }),
      idempotent: true,
    },
  },
})

/**
 * What a program that takes payments serves. The gateway calls it, at least once per change and in any order,
 * until it answers; `eventId` is the same for every repeat.
 */
export const paymentListenerContract = defineContract({
  name: 'access.payment-listener',
  version: '1.0.0',
  methods: {
    paymentChanged: {
      summary: 'A payment changed.',
      input: Type.Object({ eventId: id, payment: Payment }),
      output: Type.Object({}),
      idempotent: true,
    },
  },
})
