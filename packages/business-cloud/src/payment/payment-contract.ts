import { defineContract } from '@aaas/core-cloud/contract'
import { Type } from 'typebox'

/** Payments of orders; talks to the gateway of the access cloud. */
export const orderPaymentContract = defineContract({
  name: 'business.payment',
  version: '1.0.0',
  methods: {
    start: {
      summary: 'Opens the payment of an unpaid order at the gateway and tells where to send the buyer.',
      input: Type.Object(
        { number: Type.String({ maxLength: 40 }), returnUrl: Type.String({ maxLength: 1024 }) },
        { additionalProperties: false },
      ),
      output: Type.Object({ redirectUrl: Type.String() }),
      errors: ['business.order.unknown', 'business.order.invalid-transition', 'access.payment.provider-unavailable'],
      idempotent: true,
    },
    refresh: {
      summary:
        'Asks the gateway how the payment stands and applies it; used when the buyer comes back before the notification.',
      input: Type.Object({ number: Type.String({ maxLength: 40 }) }, { additionalProperties: false }),
      output: Type.Object({ state: Type.String() }),
      errors: ['business.order.unknown'],
      idempotent: true,
    },
  },
})
