export { bodyHash, forgetIdempotency, type IdempotentRequest, withIdempotency } from './idempotency.js'
export type { Job, JobHandler, JobRequest, JobSchedule, Jobs, JobWorker, ParkedJob } from './job.js'
export type {
  Ledger,
  LedgerAccount,
  LedgerBalance,
  LedgerEntry,
  LedgerLimit,
  LedgerMovement,
  LedgerPage,
  LedgerRecord,
  LedgerRefusal,
  LedgerRejection,
  LedgerReport,
  LedgerResolution,
  LedgerResult,
  LedgerTransfer,
  LedgerVerdict,
  PageOptions,
} from './ledger.js'
export { type ArchivedPartition, type LedgerArchive, openLedgerArchive } from './ledger-archive.js'
export { createLedgerBatcher, type LedgerBatcher, type LedgerBatcherOptions } from './ledger-batcher.js'
export { type PgJobsOptions, pgJobs } from './pg-jobs.js'
export { type LedgerOptions, ledgerError, openLedger } from './pg-ledger.js'
export { type PgSagasOptions, pgSagas } from './pg-sagas.js'
export { type PgTransactionsOptions, pgTransactions } from './pg-transactions.js'
export type {
  SagaAction,
  SagaAudit,
  SagaCompensationContext,
  SagaDefinition,
  SagaForce,
  SagaKnowledge,
  SagaOperator,
  SagaParkCode,
  SagaRetry,
  SagaStart,
  SagaState,
  SagaStep,
  SagaStepContext,
  SagaStepState,
  SagaStepView,
  SagaSummary,
  Sagas,
  SagaView,
  SagaWait,
  SagaWorker,
} from './saga.js'
export { systemNetworkGuard } from './system-network-guard.js'
export {
  type BarrierAnswer,
  type BranchMessage,
  type BranchOp,
  barrier,
  forgetBranches,
  type TccBranch,
  type TccContext,
  tccDefinition,
} from './tcc.js'
export type {
  GuardedTransaction,
  PipelinedAnswer,
  PipelinedStatement,
  TransactionAnswer,
  TransactionEvent,
  TransactionGuard,
  TransactionLedger,
  TransactionOptions,
  TransactionOutcome,
  TransactionScope,
  TransactionStats,
  Transactions,
} from './transaction.js'
export { transactionMigrations } from './transaction-migrations.js'
