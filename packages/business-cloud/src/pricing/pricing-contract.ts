import type { Hook } from '@aaas/core-cloud/cloudware'
import { defineContract } from '@aaas/core-cloud/contract'
import { type Static, Type } from 'typebox'

/**
 * Highest list price, minor units. 100 lines of 999 units at this price, adjustments included, stay far below 2^53,
 * so that no sum of a quote can lose a unit.
 */
export const maxListAmount = 10_000_000_000

export const OrderLineInput = Type.Object(
  {
    sku: Type.String({ pattern: '^[A-Za-z0-9._-]{1,64}$' }),
    quantity: Type.Integer({ minimum: 1, maximum: 999 }),
  },
  { additionalProperties: false },
)
export type OrderLineInput = Static<typeof OrderLineInput>

/** What a price rule may know of the buyer. */
export const PriceBuyer = Type.Object({
  partyId: Type.Optional(Type.String()),
  /** Groups such as `vip`. */
  groups: Type.Array(Type.String()),
})
export type PriceBuyer = Static<typeof PriceBuyer>

/** A change of a price by a rule; negative amounts are in the buyer's favour. Minor units. */
export const Adjustment = Type.Object({
  code: Type.String({ pattern: '^[a-z][a-z0-9-]{0,63}$' }),
  label: Type.Object({ 'zh-CN': Type.String({ maxLength: 100 }), en: Type.String({ maxLength: 100 }) }),
  amount: Type.Integer(),
})
export type Adjustment = Static<typeof Adjustment>

export const QuoteLine = Type.Object({
  sku: Type.String(),
  quantity: Type.Integer({ minimum: 1 }),
  /** List price of one unit. */
  unitAmount: Type.Integer({ minimum: 0 }),
  adjustments: Type.Array(Adjustment, { maxItems: 20 }),
  /** unitAmount x quantity + adjustments. */
  amount: Type.Integer({ minimum: 0 }),
})
export type QuoteLine = Static<typeof QuoteLine>

/** A frozen answer of the price chain. All amounts are minor units of `currency`; total = lines + freight. */
export const Quote = Type.Object({
  currency: Type.String({ pattern: '^[A-Z]{3}$' }),
  lines: Type.Array(QuoteLine, { minItems: 1, maxItems: 100 }),
  subtotal: Type.Integer({ minimum: 0 }),
  freight: Type.Integer({ minimum: 0 }),
  total: Type.Integer({ minimum: 0 }),
})
export type Quote = Static<typeof Quote>

/**
 * `transform`: receives {buyer, quote} after the built-in steps and returns it with more adjustments on lines.
 * The pricing service takes the adjustments alone and computes amounts, freight and totals again; so does a handler
 * that comes after another one and needs them. Unit prices, SKUs, quantities and the adjustments that were there must
 * stay, and no line may fall below 0: anything else fails the call with `core.cloudware.hook-failed`.
 */
export const quoteHook: Hook = {
  name: 'pricing.quote@1',
  kind: 'transform',
  summary: 'Adds adjustments to the lines of a quote.',
  input: Type.Object({ buyer: PriceBuyer, quote: Quote }),
  output: Type.Object({ buyer: PriceBuyer, quote: Quote }),
}

export const pricingContract = defineContract({
  name: 'business.pricing',
  version: '1.0.0',
  methods: {
    quote: {
      summary: 'Prices lines for a buyer through the whole chain.',
      input: Type.Object(
        { lines: Type.Array(OrderLineInput, { minItems: 1, maxItems: 100 }), buyer: PriceBuyer },
        { additionalProperties: false },
      ),
      output: Quote,
      errors: ['business.catalogue.unknown-product', 'business.pricing.unavailable', 'core.cloudware.hook-failed'],
      idempotent: true,
    },
  },
})
