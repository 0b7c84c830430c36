export { bodyHash, forgetIdempotency, type IdempotentRequest, withIdempotency } from './idempotency.js'
export type {
  Ledger,
  LedgerAccount,
  LedgerBalance,
  LedgerLimit,
  LedgerMovement,
  LedgerRecord,
  LedgerReport,
  LedgerResolution,
  LedgerTransfer,
} from './ledger.js'
export { ledgerError, openLedger } from './pg-ledger.js'
export { transactionMigrations } from './transaction-migrations.js'
