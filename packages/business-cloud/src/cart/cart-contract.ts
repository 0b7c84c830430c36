import { defineContract } from '@aaas/core-cloud/contract'
import { type Static, Type } from 'typebox'

const cartId = Type.String({ minLength: 16, maxLength: 64 })
export const CartLine = Type.Object({ sku: Type.String(), quantity: Type.Integer({ minimum: 1, maximum: 999 }) })
export const Cart = Type.Object({ cartId, lines: Type.Array(CartLine) })
export type Cart = Static<typeof Cart>

/** Lines a buyer collects. The id is a secret of the buyer's browser. At most 100 lines. Carts unused for 30 days are dropped. */
export const cartContract = defineContract({
  name: 'business.cart',
  version: '1.0.0',
  methods: {
    get: {
      summary: 'A cart; an id never used is an empty cart.',
      input: Type.Object({ cartId }, { additionalProperties: false }),
      output: Cart,
      idempotent: true,
    },
    setLine: {
      summary: 'Sets the quantity of a SKU; 0 removes it.',
      input: Type.Object(
        { cartId, sku: Type.String({ maxLength: 64 }), quantity: Type.Integer({ minimum: 0, maximum: 999 }) },
        { additionalProperties: false },
      ),
      output: Cart,
      errors: ['business.catalogue.unknown-product', 'business.cart.limit'],
      idempotent: true,
    },
    addLine: {
      summary: 'Adds units of a SKU to what the cart has.',
      input: Type.Object(
        { cartId, sku: Type.String({ maxLength: 64 }), quantity: Type.Integer({ minimum: 1, maximum: 999 }) },
        { additionalProperties: false },
      ),
      output: Cart,
      errors: ['business.catalogue.unknown-product', 'business.cart.limit'],
    },
    clear: {
      summary: 'Empties a cart, after its order was placed.',
      input: Type.Object({ cartId }, { additionalProperties: false }),
      output: Cart,
      idempotent: true,
    },
    merge: {
      summary: 'Moves the lines of one cart into another, adding quantities; the first is empty afterwards.',
      input: Type.Object({ from: cartId, into: cartId }, { additionalProperties: false }),
      output: Cart,
    },
  },
})
