import type { Hook } from '@aaas/core-cloud/cloudware'
import { defineContract } from '@aaas/core-cloud/contract'
import { type Static, Type } from 'typebox'
import { Language } from '../catalogue/catalogue-contract.js'
import { Adjustment, OrderLineInput } from '../pricing/pricing-contract.js'

export const Address = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 80 }),
    phone: Type.String({ minLength: 5, maxLength: 32, pattern: '^[0-9+() -]+$' }),
    email: Type.Optional(Type.String({ maxLength: 254, pattern: '^[^@\\s]+@[^@\\s]+$' })),
    region: Type.String({ minLength: 1, maxLength: 80 }),
    line: Type.String({ minLength: 1, maxLength: 200 }),
    note: Type.Optional(Type.String({ maxLength: 200 })),
  },
  { additionalProperties: false },
)
export type Address = Static<typeof Address>

/** States of the parent order; the machine itself is data in `order-machine.ts`. */
export const OrderState = Type.Union([
  Type.Literal('unpaid'),
  Type.Literal('paid'),
  Type.Literal('shipped'),
  Type.Literal('completed'),
  Type.Literal('closed'),
  Type.Literal('refunded'),
])
export type OrderState = Static<typeof OrderState>

export const OrderLine = Type.Object({
  sku: Type.String(),
  name: Type.Object({ 'zh-CN': Type.String(), en: Type.String() }),
  image: Type.String(),
  slug: Type.String(),
  quantity: Type.Integer(),
  unitAmount: Type.Integer(),
  adjustments: Type.Array(Adjustment),
  amount: Type.Integer(),
})

export const Order = Type.Object({
  /** Public number, such as `20261120-7F3K9Q2M`; unguessable, but reading an order also needs its access token or its buyer. */
  number: Type.String(),
  state: OrderState,
  currency: Type.String(),
  subtotal: Type.Integer(),
  freight: Type.Integer(),
  total: Type.Integer(),
  lines: Type.Array(OrderLine),
  address: Address,
  /** One per supplier; a site of one merchant has one. */
  supplierOrders: Type.Array(Type.Object({ supplier: Type.String(), state: Type.String(), amount: Type.Integer() })),
  paymentId: Type.String(),
  /** Epoch milliseconds. */
  placedAt: Type.Integer(),
  /** Unpaid orders are closed at this time. */
  expiresAt: Type.Integer(),
  paidAt: Type.Optional(Type.Integer()),
  /** Secret that lets a guest read the order; only in the answer of `place`. */
  accessToken: Type.Optional(Type.String()),
})
export type Order = Static<typeof Order>

export const OrderSummary = Type.Object({
  number: Type.String(),
  state: OrderState,
  total: Type.Integer(),
  currency: Type.String(),
  buyerName: Type.String(),
  units: Type.Integer(),
  placedAt: Type.Integer(),
})
export type OrderSummary = Static<typeof OrderSummary>

/** Data of the events order.placed, order.paid, order.closed, order.shipped, order.completed, order.refunded. */
export const OrderEvent = Type.Object({
  number: Type.String(),
  state: OrderState,
  total: Type.Integer(),
  currency: Type.String(),
  buyer: Type.Object({ partyId: Type.Optional(Type.String()), groups: Type.Array(Type.String()) }),
  lines: Type.Array(Type.Object({ sku: Type.String(), quantity: Type.Integer(), amount: Type.Integer() })),
  at: Type.Integer(),
})
export type OrderEvent = Static<typeof OrderEvent>

/** `validate`: may refuse an order before anything is written; the message is shown to the buyer. */
export const placeHook: Hook = {
  name: 'order.place@1',
  kind: 'validate',
  summary: 'May refuse an order before it is placed.',
  input: Type.Object({
    buyer: Type.Object({ partyId: Type.Optional(Type.String()), groups: Type.Array(Type.String()) }),
    lines: Type.Array(Type.Object({ sku: Type.String(), quantity: Type.Integer(), amount: Type.Integer() })),
    total: Type.Integer(),
    language: Language,
  }),
}

/** `on`: after the commit of the transition, from the outbox, at least once. One hook per event of the order. */
export const orderEventHook = (event: 'placed' | 'paid' | 'closed' | 'shipped' | 'completed' | 'refunded'): Hook => ({
  name: `order.${event}@1`,
  kind: 'on',
  summary: `An order was ${event}.`,
  input: OrderEvent,
})

const number = Type.String({ minLength: 8, maxLength: 40, pattern: '^[A-Z0-9-]+$' })
export const orderContract = defineContract({
  name: 'business.order',
  version: '1.0.0',
  methods: {
    place: {
      summary:
        'One-call checkout: prices the lines, reserves stock, books the ledger and opens the payment. Needs an idempotency key.',
      input: Type.Object(
        {
          lines: Type.Array(OrderLineInput, { minItems: 1, maxItems: 100 }),
          address: Address,
          language: Language,
          /** Total the buyer saw; another price is refused with `business.order.price-changed`. */
          expectedTotal: Type.Optional(Type.Integer({ minimum: 0 })),
          /** Buyer of a session; checked by the surface that takes the call. */
          partyId: Type.Optional(Type.String({ maxLength: 64 })),
        },
        { additionalProperties: false },
      ),
      output: Order,
      errors: [
        'business.catalogue.unknown-product',
        'business.inventory.sold-out',
        'business.order.price-changed',
        'business.order.conflict',
        'core.cloudware.vetoed',
        'core.cloudware.hook-failed',
      ],
      idempotent: true,
      scope: 'order.place',
      http: { verb: 'POST', path: '/orders', status: 201 },
    },
    get: {
      summary: 'One order. Without the scope order.read the access token or the buyer is needed.',
      input: Type.Object(
        {
          number,
          accessToken: Type.Optional(Type.String({ maxLength: 128 })),
          partyId: Type.Optional(Type.String({ maxLength: 64 })),
        },
        { additionalProperties: false },
      ),
      output: Order,
      errors: ['business.order.unknown'],
      idempotent: true,
      http: { verb: 'GET', path: '/orders/:number' },
    },
    list: {
      summary: 'The newest orders, a page at a time.',
      input: Type.Object(
        {
          state: Type.Optional(OrderState),
          partyId: Type.Optional(Type.String({ maxLength: 64 })),
          text: Type.Optional(Type.String({ maxLength: 64 })),
          offset: Type.Optional(Type.Integer({ minimum: 0 })),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
        },
        { additionalProperties: false },
      ),
      output: Type.Object({ total: Type.Integer(), orders: Type.Array(OrderSummary) }),
      scope: 'order.read',
      idempotent: true,
    },
    cancel: {
      summary: 'Closes an unpaid order and gives its stock back; a payment that arrives later is refunded.',
      input: Type.Object(
        {
          number,
          accessToken: Type.Optional(Type.String({ maxLength: 128 })),
          partyId: Type.Optional(Type.String({ maxLength: 64 })),
        },
        { additionalProperties: false },
      ),
      output: Order,
      errors: ['business.order.unknown', 'business.order.invalid-transition'],
      idempotent: true,
    },
    ship: {
      summary: 'Marks a paid order as shipped; its stock leaves the shelf.',
      input: Type.Object(
        { number, carrier: Type.String({ maxLength: 80 }), trackingNumber: Type.String({ maxLength: 80 }) },
        { additionalProperties: false },
      ),
      output: Order,
      errors: ['business.order.unknown', 'business.order.invalid-transition'],
      scope: 'order.write',
      idempotent: true,
    },
    complete: {
      summary: 'Marks a shipped order as received.',
      input: Type.Object({ number }, { additionalProperties: false }),
      output: Order,
      errors: ['business.order.unknown', 'business.order.invalid-transition'],
      scope: 'order.write',
      idempotent: true,
    },
    refund: {
      summary: 'Gives the whole amount of a paid order back.',
      input: Type.Object({ number, reason: Type.String({ maxLength: 200 }) }, { additionalProperties: false }),
      output: Order,
      errors: ['business.order.unknown', 'business.order.invalid-transition'],
      scope: 'order.write',
      idempotent: true,
    },
  },
})
