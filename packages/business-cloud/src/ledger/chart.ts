import type { Database } from '@aaas/support-cloud/rdbms'
import { type LedgerAccount, openLedger } from '@aaas/support-cloud/transaction'

/**
 * Accounts of one shop. Debit raises what somebody owes to the shop, credit what the shop has earned or owes.
 * - sale (pending until paid): `buyers:clearing` to `merchant:revenue`, and `merchant:revenue` to `platform:fees`
 * - refund decided: `merchant:revenue` to `buyers:refunds-due`, and the fee goes back
 * - money that came for a closed order: `buyers:clearing` to `buyers:refunds-due`
 * - refund done by the provider: `buyers:refunds-due` to `buyers:clearing`
 */
export const chart = {
  clearing: 'buyers:clearing',
  revenue: 'merchant:revenue',
  fees: 'platform:fees',
  refundsDue: 'buyers:refunds-due',
} as const

/** Enough parts that 16 to 32 concurrent checkouts seldom meet on one, few enough that a balance is read at once. */
const hotShards = 64

/** The accounts with their shards. @param currency - ISO 4217 code of the shop. */
export function chartAccounts(currency: string): readonly LedgerAccount[] {
  return Object.values(chart).map(id => ({ id, currency, shards: hotShards }))
}

/** Creates the accounts of a shop; run it at release, after the migrations. Running it again changes nothing. */
export async function createChart(database: Database, options: { readonly currency: string }): Promise<void> {
  await openLedger({ database }).createAccounts(chartAccounts(options.currency))
}
