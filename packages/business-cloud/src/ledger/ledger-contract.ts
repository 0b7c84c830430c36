import { defineContract } from '@aaas/core-cloud/contract'
import { type Static, Type } from 'typebox'

export const AccountBalance = Type.Object({
  account: Type.String(),
  currency: Type.String(),
  debitsPosted: Type.Integer(),
  creditsPosted: Type.Integer(),
  debitsPending: Type.Integer(),
  creditsPending: Type.Integer(),
  /** creditsPosted - debitsPosted */
  balance: Type.Integer(),
})
export type AccountBalance = Static<typeof AccountBalance>

export const LedgerCheck = Type.Object({
  balanced: Type.Boolean(),
  accounts: Type.Integer(),
  transfers: Type.Integer(),
  /** Sum over all accounts of credits - debits; zero when balanced. */
  difference: Type.Integer(),
  /** Accounts whose counters differ from the sum of their entries. */
  wrongAccounts: Type.Array(Type.String(), { maxItems: 100 }),
})
export type LedgerCheck = Static<typeof LedgerCheck>

/** Accounts of the merchant and the platform on the double-entry kernel of the support cloud. */
export const ledgerContract = defineContract({
  name: 'business.ledger',
  version: '1.0.0',
  methods: {
    balances: {
      summary: 'Balances of all accounts; the shards of a hot account are added up.',
      input: Type.Object({}, { additionalProperties: false }),
      output: Type.Object({ accounts: Type.Array(AccountBalance) }),
      scope: 'ledger.read',
      idempotent: true,
    },
    check: {
      summary: 'Recomputes every balance from its entries.',
      input: Type.Object({}, { additionalProperties: false }),
      output: LedgerCheck,
      scope: 'ledger.read',
      idempotent: true,
      deadlineMs: 60_000,
    },
  },
})
