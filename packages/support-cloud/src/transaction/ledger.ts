import type { Queryable } from '../rdbms/database.js'

/** Forbids one side of an account to grow beyond the other; pending amounts count. */
export type LedgerLimit = 'none' | 'debits-within-credits' | 'credits-within-debits'

export interface LedgerAccount {
  /** 1 to 100 characters `a-z 0-9 : . _ -`, such as `merchant:revenue`. */
  readonly id: string
  /** ISO 4217 code; an account keeps one currency. */
  readonly currency: string
  /**
   * Parts of the balance, 1 to 256, default 1: concurrent calls on the same account queue only when they hit the
   * same part. Accounts with a limit have one.
   */
  readonly shards?: number
  readonly limit?: LedgerLimit
}

/** Moves `amount` minor units (1 to 10^15) from `debit` to `credit`; `pending` only reserves it. */
export interface LedgerMovement {
  readonly kind: 'posted' | 'pending'
  /** UUID chosen by the caller; version 7 keeps the indexes dense. Repeating a call with the same ids is safe. */
  readonly id: string
  readonly debit: string
  readonly credit: string
  readonly amount: number
  readonly currency: string
  /** What the movement is, such as `sale` or `fee`. */
  readonly code: string
  /** What it belongs to, such as an order's number. */
  readonly ref?: string
}

/** Ends a pending movement: `post` moves the amount (or less; the rest is released), `void` releases all of it. */
export interface LedgerResolution {
  readonly kind: 'post' | 'void'
  readonly id: string
  readonly pending: string
  /** Only of `post`; default the whole pending amount. */
  readonly amount?: number
  readonly ref?: string
}

export type LedgerTransfer = LedgerMovement | LedgerResolution

/** A stored transfer. Amounts are minor units. */
export interface LedgerRecord {
  readonly id: string
  readonly kind: LedgerTransfer['kind']
  readonly debit: string
  readonly credit: string
  readonly amount: number
  readonly currency: string
  readonly code: string
  readonly ref?: string
  readonly pending?: string
}

/** The four counters of an account, its shards added up. Minor units. */
export interface LedgerBalance {
  readonly account: string
  readonly currency: string
  readonly debitsPosted: number
  readonly creditsPosted: number
  readonly debitsPending: number
  readonly creditsPending: number
}

export interface LedgerReport {
  readonly balanced: boolean
  readonly accounts: number
  readonly transfers: number
  /** Sum over all accounts of posted credits - debits; zero when balanced. */
  readonly difference: number
  /** At most 100 accounts whose counters differ from what transfers and entries say. */
  readonly wrongAccounts: readonly string[]
}

/**
 * A double-entry ledger. Transfers and entries are never changed or deleted. Amounts are integers in minor units;
 * counters beyond 2^53 - 1 cannot be read. A refused transfer leaves no trace: the same id may succeed later.
 */
export interface Ledger {
  /**
   * Creates accounts that do not exist; an account that exists with the same properties is left alone.
   * @throws CloudError `support.transaction.conflict` when one exists with others,
   *   `support.transaction.invalid-transfer` when a property is out of its limits.
   */
  createAccounts(accounts: readonly LedgerAccount[], tx?: Queryable): Promise<void>
  /**
   * Applies 1 to 1000 transfers, all or none; limits are checked on the result of the whole call. A pending transfer
   * can be resolved by later calls only. Exact repeats of stored transfers are accepted and change nothing.
   * @param tx - a transaction to take part in; its caller must roll back when this throws.
   * @returns how many were new.
   * @throws CloudError `support.transaction.unknown-account`, `.conflict` (id used with another content),
   *   `.insufficient` (a limit), `.not-pending`, `.invalid-transfer` (amount, currency, sides, kind).
   */
  apply(transfers: readonly LedgerTransfer[], tx?: Queryable): Promise<number>
  /** @returns the stored ones of at most 1000 ids, in no particular order. */
  lookup(ids: readonly string[], tx?: Queryable): Promise<readonly LedgerRecord[]>
  /** @returns balances of the given accounts (of all without a list) by id. */
  balances(accounts?: readonly string[], tx?: Queryable): Promise<readonly LedgerBalance[]>
  /** Recomputes every counter from transfers and entries, in one statement: safe while others write. */
  check(): Promise<LedgerReport>
}
