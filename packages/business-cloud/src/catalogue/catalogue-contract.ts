import { defineContract } from '@aaas/core-cloud/contract'
import { type Static, Type } from 'typebox'

export const Language = Type.Union([Type.Literal('zh-CN'), Type.Literal('en')])
export type Language = Static<typeof Language>

/** A text in every language of the catalogue. */
export const Localized = Type.Object({ 'zh-CN': Type.String(), en: Type.String() })
export type Localized = Static<typeof Localized>

const slug = Type.String({ pattern: '^[a-z0-9]+(-[a-z0-9]+)*$', maxLength: 100 })

export const Category = Type.Object({
  slug,
  name: Localized,
  /** Products on the shelf in it. */
  products: Type.Integer({ minimum: 0 }),
})
export type Category = Static<typeof Category>

export const Sku = Type.Object({
  sku: Type.String({ pattern: '^[A-Za-z0-9._-]{1,64}$' }),
  /** What tells it from its siblings, such as {"color": {...}, "size": {...}}; empty for a single SKU. */
  options: Type.Record(Type.String(), Localized),
  /** List price, minor units. */
  amount: Type.Integer({ minimum: 0 }),
  /** Units a buyer can order now. */
  available: Type.Integer(),
})
export type Sku = Static<typeof Sku>

/** A product as lists show it. */
export const ProductSummary = Type.Object({
  slug,
  name: Localized,
  brand: Type.String(),
  category: slug,
  /** Path below the site's assets, such as `art/kettle-blue.svg`. */
  image: Type.String(),
  /** Lowest list price of its SKUs, minor units. */
  amount: Type.Integer({ minimum: 0 }),
  currency: Type.String(),
  available: Type.Integer(),
})
export type ProductSummary = Static<typeof ProductSummary>

export const Product = Type.Object({
  ...ProductSummary.properties,
  description: Localized,
  /** Facts for the table on the product page, such as {"material": {...}}. */
  attributes: Type.Record(Type.String(), Localized),
  skus: Type.Array(Sku),
})
export type Product = Static<typeof Product>

const page = {
  offset: Type.Optional(Type.Integer({ minimum: 0, maximum: 10_000 })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
}
export const ProductSort = Type.Union([
  Type.Literal('relevance'),
  Type.Literal('newest'),
  Type.Literal('price-ascending'),
  Type.Literal('price-descending'),
])
export type ProductSort = Static<typeof ProductSort>

export const ProductPage = Type.Object({ total: Type.Integer(), products: Type.Array(ProductSummary) })
export type ProductPage = Static<typeof ProductPage>

/** SPUs and SKUs on the shelf. */
export const catalogueContract = defineContract({
  name: 'business.catalogue',
  version: '1.0.0',
  methods: {
    listCategories: {
      summary: 'Categories in their order of display.',
      input: Type.Object({}, { additionalProperties: false }),
      output: Type.Object({ categories: Type.Array(Category) }),
      idempotent: true,
      http: { verb: 'GET', path: '/categories' },
    },
    listProducts: {
      summary: 'Products on the shelf, a page at a time.',
      input: Type.Object(
        { category: Type.Optional(slug), sort: Type.Optional(ProductSort), ...page },
        { additionalProperties: false },
      ),
      output: ProductPage,
      idempotent: true,
      http: { verb: 'GET', path: '/products' },
    },
    getProduct: {
      summary: 'One product with its SKUs.',
      input: Type.Object({ slug }, { additionalProperties: false }),
      output: Product,
      errors: ['business.catalogue.unknown-product'],
      idempotent: true,
      http: { verb: 'GET', path: '/products/:slug' },
    },
    search: {
      summary: 'Full-text search in Chinese and English over names, descriptions, brands and attributes.',
      input: Type.Object(
        {
          text: Type.String({ maxLength: 200 }),
          category: Type.Optional(slug),
          brand: Type.Optional(Type.String({ maxLength: 100 })),
          sort: Type.Optional(ProductSort),
          ...page,
        },
        { additionalProperties: false },
      ),
      output: Type.Object({
        total: Type.Integer(),
        products: Type.Array(ProductSummary),
        brands: Type.Array(Type.Object({ brand: Type.String(), count: Type.Integer() })),
      }),
      errors: ['support.search.invalid-query'],
      idempotent: true,
      http: { verb: 'GET', path: '/search' },
    },
    importCsv: {
      summary: 'Replaces or adds products from a CSV, all rows or none.',
      input: Type.Object({ csv: Type.String({ maxLength: 20_000_000 }) }, { additionalProperties: false }),
      output: Type.Object({ products: Type.Integer(), skus: Type.Integer() }),
      errors: ['business.catalogue.invalid-import'],
      scope: 'catalogue.write',
      deadlineMs: 120_000,
      idempotent: true,
    },
  },
})
