import { defineContract } from '@aaas/core-cloud/contract'
import { type Static, Type } from 'typebox'

const email = Type.String({ minLength: 3, maxLength: 254, pattern: '^[^@\\s]+@[^@\\s]+$' })
const password = Type.String({ minLength: 8, maxLength: 128 })
export const Party = Type.Object({
  partyId: Type.String(),
  kind: Type.Union([Type.Literal('guest'), Type.Literal('registered')]),
  name: Type.String(),
  email: Type.Optional(Type.String()),
  groups: Type.Array(Type.String()),
})
export type Party = Static<typeof Party>

/** Buyers. Sessions are opaque tokens, stored as hashes, valid 30 days. Passwords are stored by scrypt. */
export const partyContract = defineContract({
  name: 'business.party',
  version: '1.0.0',
  methods: {
    register: {
      summary: 'Registers a buyer and opens a session.',
      input: Type.Object(
        { email, password, name: Type.String({ minLength: 1, maxLength: 80 }) },
        { additionalProperties: false },
      ),
      output: Type.Object({ party: Party, sessionToken: Type.String() }),
      errors: ['business.party.taken'],
    },
    login: {
      summary: 'Opens a session. Ten wrong tries for one address within 15 minutes lock it for 15 minutes.',
      input: Type.Object({ email, password }, { additionalProperties: false }),
      output: Type.Object({ party: Party, sessionToken: Type.String() }),
      errors: ['business.party.bad-credentials', 'core.contract.rate-limited'],
    },
    bySession: {
      summary: 'The buyer of a session, if it is valid.',
      input: Type.Object({ sessionToken: Type.String({ maxLength: 128 }) }, { additionalProperties: false }),
      output: Type.Object({ party: Type.Optional(Party) }),
      idempotent: true,
    },
    logout: {
      summary: 'Ends a session.',
      input: Type.Object({ sessionToken: Type.String({ maxLength: 128 }) }, { additionalProperties: false }),
      output: Type.Object({}),
      idempotent: true,
    },
    setGroups: {
      summary: 'Sets the groups of a buyer, such as vip.',
      input: Type.Object(
        { email, groups: Type.Array(Type.String({ pattern: '^[a-z][a-z0-9-]{0,31}$' }), { maxItems: 20 }) },
        { additionalProperties: false },
      ),
      output: Party,
      errors: ['business.party.unknown'],
      scope: 'party.write',
      idempotent: true,
    },
  },
})
