import { defineContract } from '@aaas/core-cloud/contract'
import { type Static, Type } from 'typebox'

const sku = Type.String({ pattern: '^[A-Za-z0-9._-]{1,64}$' })
export const StockLevel = Type.Object({
  sku,
  onHand: Type.Integer(),
  reserved: Type.Integer(),
  /** onHand - reserved */
  available: Type.Integer(),
})
export type StockLevel = Static<typeof StockLevel>

export const inventoryContract = defineContract({
  name: 'business.inventory',
  version: '1.0.0',
  methods: {
    levels: {
      summary: 'Stock of the given SKUs, or a page of all.',
      input: Type.Object(
        {
          skus: Type.Optional(Type.Array(sku, { maxItems: 200 })),
          text: Type.Optional(Type.String({ maxLength: 64 })),
          offset: Type.Optional(Type.Integer({ minimum: 0 })),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200 })),
        },
        { additionalProperties: false },
      ),
      output: Type.Object({ total: Type.Integer(), levels: Type.Array(StockLevel) }),
      scope: 'stock.read',
      idempotent: true,
    },
    adjust: {
      summary: 'Adds (or removes, below zero) units on hand; never below what is reserved.',
      input: Type.Object(
        {
          movementId: Type.String({ minLength: 8, maxLength: 64 }),
          sku,
          delta: Type.Integer(),
          reason: Type.String({ minLength: 1, maxLength: 200 }),
        },
        { additionalProperties: false },
      ),
      output: StockLevel,
      errors: ['business.inventory.sold-out', 'business.catalogue.unknown-product', 'business.inventory.conflict'],
      scope: 'stock.write',
      idempotent: true,
    },
  },
})
