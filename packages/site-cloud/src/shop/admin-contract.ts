import { defineContract } from '@aaas/core-cloud/contract'
import { Type } from 'typebox'

const strict = { additionalProperties: false } as const

/** What an operator may ask a shop besides its service centres. */
export const shopAdminContract = defineContract({
  name: 'site.shop-admin',
  version: '1.0.0',
  methods: {
    createApiKey: {
      summary: 'Makes a key of the open API; the secret is shown this once.',
      input: Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 80 }),
          scopes: Type.Array(Type.String({ pattern: '^[a-z][a-z.-]*$' }), { maxItems: 20 }),
          requestsPerSecond: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
        },
        strict,
      ),
      output: Type.Object({ keyId: Type.String(), apiKey: Type.String() }),
      scope: 'site.admin',
    },
    listApiKeys: {
      summary: 'Keys that work.',
      input: Type.Object({}, strict),
      output: Type.Object({
        keys: Type.Array(
          Type.Object({
            keyId: Type.String(),
            name: Type.String(),
            scopes: Type.Array(Type.String()),
            requestsPerSecond: Type.Integer(),
            createdAt: Type.Integer(),
          }),
        ),
      }),
      scope: 'site.admin',
      idempotent: true,
    },
    revokeApiKey: {
      summary: 'Ends a key; every instance refuses it within five seconds.',
      input: Type.Object({ keyId: Type.String({ maxLength: 64 }) }, strict),
      output: Type.Object({}),
      scope: 'site.admin',
      idempotent: true,
    },
    consoleViews: {
      summary: 'Console sections that cloudware adds.',
      input: Type.Object({ language: Type.Union([Type.Literal('zh-CN'), Type.Literal('en')]) }, strict),
      output: Type.Object({ views: Type.Array(Type.Object({ package: Type.String(), view: Type.Unknown() })) }),
      scope: 'site.admin',
      idempotent: true,
    },
    checkInvariants: {
      summary: 'Checks stock, orders and ledger against each other.',
      input: Type.Object({}, strict),
      output: Type.Object({ ok: Type.Boolean(), problems: Type.Array(Type.String()) }),
      scope: 'site.admin',
      idempotent: true,
      deadlineMs: 60_000,
    },
  },
})
