import { type Static, Type } from 'typebox'

// Only the factory reads this file (it validates site.json); a generated site runs on `site-view.ts`, which needs no TypeBox.

const language = Type.Union([Type.Literal('zh-CN'), Type.Literal('en')])
const localized = (maxLength: number) =>
  Type.Object(
    { 'zh-CN': Type.String({ minLength: 1, maxLength }), en: Type.String({ minLength: 1, maxLength }) },
    { additionalProperties: false },
  )
const amount = Type.Integer({ minimum: 0, maximum: 100_000_000 })

/** What a site owner says about a shop: the `config` of site.json. Amounts are minor units of the currency. */
export const ShopConfig = Type.Object(
  {
    name: localized(40),
    /** One line below the name, in the hero of the home page and in search results. */
    tagline: Type.Optional(localized(80)),
    /** Two or three sentences about the shop: the hero's text and the home page's description. */
    about: Type.Optional(localized(300)),
    languages: Type.Array(language, { minItems: 1, maxItems: 2, uniqueItems: true, default: ['zh-CN', 'en'] }),
    /** Must be one of `languages`. */
    defaultLanguage: Type.Union([Type.Literal('zh-CN'), Type.Literal('en')], { default: 'zh-CN' }),
    currency: Type.Literal('CNY', { default: 'CNY' }),
    theme: Type.Object(
      {
        preset: Type.Union([Type.Literal('pine'), Type.Literal('ink'), Type.Literal('clay'), Type.Literal('ocean')], {
          default: 'pine',
        }),
        /** Replaces the preset's accent; text on it turns black or white by itself. */
        accent: Type.Optional(Type.String({ pattern: '^#[0-9a-fA-F]{6}$' })),
        corners: Type.Optional(Type.Union([Type.Literal('sharp'), Type.Literal('soft'), Type.Literal('round')])),
      },
      { additionalProperties: false, default: { preset: 'pine' } },
    ),
    freight: Type.Object(
      {
        amount,
        /** Orders from this subtotal on ship free. */
        freeFrom: amount,
      },
      { additionalProperties: false, default: { amount: 1000, freeFrom: 9900 } },
    ),
    /** IANA name; times on pages are shown in it. */
    timeZone: Type.String({ pattern: '^[A-Za-z0-9_+/-]{1,64}$', default: 'Asia/Shanghai' }),
    contact: Type.Optional(
      Type.Object(
        {
          company: Type.Optional(localized(80)),
          email: Type.Optional(Type.String({ maxLength: 254, pattern: '^[^@\\s]+@[^@\\s]+$' })),
          phone: Type.Optional(Type.String({ maxLength: 32, pattern: '^[0-9+() -]+$' })),
          hours: Type.Optional(localized(80)),
          address: Type.Optional(localized(160)),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)
export type ShopConfig = Static<typeof ShopConfig>

/** What a short site.json leaves out: the factory merges it below the owner's config before it validates. */
export const shopConfigDefaults = {
  languages: ['zh-CN', 'en'],
  defaultLanguage: 'zh-CN',
  currency: 'CNY',
  theme: { preset: 'pine' },
  freight: { amount: 1000, freeFrom: 9900 },
  timeZone: 'Asia/Shanghai',
} as const satisfies Partial<ShopConfig>
