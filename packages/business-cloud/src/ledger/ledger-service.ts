import type { Handlers } from '@aaas/core-cloud/contract'
import type { Database } from '@aaas/support-cloud/rdbms'
import { type Ledger, openLedger } from '@aaas/support-cloud/transaction'
import type { AccountBalance, LedgerCheck, ledgerContract } from './ledger-contract.js'

/** Reads the books of a shop. Needs `transactionMigrations` and {@link createChart}. */
export class LedgerService implements Handlers<typeof ledgerContract> {
  readonly #ledger: Ledger

  constructor(readonly deps: { readonly database: Database }) {
    this.#ledger = openLedger(deps)
  }

  async balances(): Promise<{ accounts: AccountBalance[] }> {
    const rows = await this.#ledger.balances()
    return { accounts: rows.map(row => ({ ...row, balance: row.creditsPosted - row.debitsPosted })) }
  }

  async check(): Promise<LedgerCheck> {
    const report = await this.#ledger.check()
    return { ...report, wrongAccounts: [...report.wrongAccounts] }
  }
}
