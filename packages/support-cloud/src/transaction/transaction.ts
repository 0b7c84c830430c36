import type { Queryable, Statement } from '../rdbms/database.js'
import type { Ledger } from './ledger.js'

/** How one keyed transaction is to run. */
export interface TransactionOptions {
  /** Tells callers and operations apart that draw keys of their own; 1 to 100 characters, default `tx`. */
  readonly scope?: string
  /** What the key stands for, JSON. A repeat of the key with another body is refused. Default null. */
  readonly body?: unknown
  /** Absolute epoch milliseconds; what is not done by then is given up. Default now + 10 s, at most an hour away. */
  readonly deadline?: number
  /** Ends the waiting of the caller like the deadline does. */
  readonly signal?: AbortSignal
  /** Default `read committed`. */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable'
}

/** What `tx.run` gave. */
export interface TransactionAnswer<T> {
  /** What the function returned, after JSON: the first answer and a replay look the same. */
  readonly result: T
  /** True when the key had been committed before and the function did not run. */
  readonly replayed: boolean
}

/** An event to be written with the transaction. */
export interface TransactionEvent {
  /** UUID; drawn when absent. */
  readonly eventId?: string
  readonly topic: string
  /** Events of one key stay in order; default empty: no order. */
  readonly key?: string
  readonly payload: unknown
}

/**
 * The inside of one transaction. Statements that are not awaited one by one are sent without waiting in between.
 * Useless when the function has ended: a late statement is refused.
 */
export interface TransactionScope extends Queryable {
  readonly key: string
  /** From 1; above 1 an earlier try of this call was undone by the database. */
  readonly attempt: number
  /** Aborts when the deadline passes or the caller gives up. */
  readonly signal: AbortSignal
  /** The ledger, its writes part of this transaction. Refuses when the service was made without a ledger. */
  readonly ledger: TransactionLedger
  /** Writes an event that leaves when, and only when, the transaction commits. */
  emit(event: TransactionEvent): Promise<void>
  /**
   * Runs a part that may fail on its own: when it rejects, its statements are undone, the transaction can go on, and
   * the rejection is passed on. Parts do not overlap: await one before the next.
   */
  savepoint<T>(work: () => Promise<T>): Promise<T>
}

export interface TransactionLedger {
  apply(transfers: Parameters<Ledger['apply']>[0]): ReturnType<Ledger['apply']>
  lookup(ids: Parameters<Ledger['lookup']>[0]): ReturnType<Ledger['lookup']>
  balances(accounts: Parameters<Ledger['balances']>[0]): ReturnType<Ledger['balances']>
}

/** What became of a key. */
export type TransactionOutcome =
  | { readonly state: 'committed'; readonly result: unknown; readonly at: number }
  /** Nothing was committed under this key, and nobody was at it when the answer was made. */
  | { readonly state: 'absent' }
  /** Somebody is at it, and was for as long as the caller would wait. */
  | { readonly state: 'running' }

/** A statement of a pipelined transaction. */
export interface PipelinedStatement extends Statement {
  /** Rows it must touch or return. Any other number rolls the transaction back; costs a round trip more. */
  readonly expectRows?: number
}

export interface PipelinedAnswer {
  /** Rows of each statement, in order; absent for a replay. */
  readonly rows?: readonly (readonly Record<string, unknown>[])[]
  readonly replayed: boolean
}

export interface TransactionStats {
  readonly committed: number
  readonly replayed: number
  /** Tries that the database undid (serialization failure, deadlock) or that lost their connection, run again. */
  readonly retried: number
  /** COMMITs whose answer was lost and whose outcome was then learnt. */
  readonly resolved: number
  /** Calls that ended without knowing. */
  readonly unknown: number
}

/**
 * Keyed transactions: everything a request does to the database, the ledger and the outbox, and the answer to the
 * request, are committed together under the request's key, once.
 *
 * - A key that was committed is answered from the stored result for ever (until `forgetIdempotency`); the function does
 *   not run again. Concurrent calls of one key wait for the first.
 * - **The function may run more than once** until one try commits: after a serialization failure, a deadlock or a lost
 *   connection, with a pause of random length, until the deadline. It must have no other effects than on the
 *   database through its scope: no calls of other services, which a saga is for.
 * - When the connection dies at COMMIT, nothing is guessed: the key's row is in the same transaction, so claiming the
 *   key again waits for the lost one's end and then tells what became of it.
 * - A transaction that the database rolled back is an error however COMMIT was answered.
 * - There is no nesting: a part that may fail is a `savepoint`; a `run` inside a `run` is another transaction on another
 *   connection, and is refused where a guard is installed.
 */
export interface Transactions extends AsyncDisposable {
  /**
   * @param key - 1 to 200 characters, the caller's own.
   * @param fn - answers JSON, at most `maxResultBytes` (default 64 KiB) as text.
   * @throws CloudError `support.transaction.conflict` (key used with another body), `.outcome-unknown` (retryable by
   *   the same key: ask `outcome` or call again), `.rolled-back`, `.too-large`, `.network-call` and `.nested`
   *   (development), `core.contract.deadline-exceeded`, `core.contract.invalid-input`, `support.rdbms.unavailable`
   *   and `.overloaded` (nothing was committed), and whatever `fn` throws: then nothing was committed either.
   */
  run<T>(
    key: string,
    fn: (tx: TransactionScope) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<TransactionAnswer<T>>
  /**
   * Runs 1 to 100 statements as one transaction, sent in one go: BEGIN, the key, the statements and COMMIT, without
   * waiting in between. The first failing statement undoes all and is what is thrown. Same promises as `run`; a replay
   * does not give rows again.
   */
  pipeline(
    key: string,
    statements: readonly PipelinedStatement[],
    options?: TransactionOptions,
  ): Promise<PipelinedAnswer>
  /** Asks what became of a key, waiting for who is at it until the deadline. */
  outcome(key: string, options?: Pick<TransactionOptions, 'scope' | 'deadline' | 'signal'>): Promise<TransactionOutcome>
  stats(): TransactionStats
}

/** Keeps network calls and nested transactions out of transactions; see `systemNetworkGuard`. */
export interface TransactionGuard {
  /** Called where a transaction is begun. @throws CloudError `support.transaction.nested` inside of another one. */
  begin(name: string): GuardedTransaction
  /** Runs `work` outside: for the transaction's own statements. */
  outside<T>(work: () => T): T
}

export interface GuardedTransaction {
  /** Runs `work` as the inside of the transaction. What it does to the network is refused, and makes it reject. */
  inside<T>(work: () => Promise<T>): Promise<T>
}
