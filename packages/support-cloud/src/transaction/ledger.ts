import type { CallOptions } from '@aaas/core-cloud/kernel'
import type { Queryable } from '../rdbms/database.js'

/** Forbids one side of an account to grow beyond the other; pending amounts count. */
export type LedgerLimit = 'none' | 'debits-within-credits' | 'credits-within-debits'

export interface LedgerAccount {
  /** 1 to 100 characters `a-z 0-9 : . _ -`, such as `merchant:revenue`. */
  readonly id: string
  /** What is counted: an ISO 4217 code or 3 to 12 characters `A-Z 0-9` of one's own; an account keeps it for ever. */
  readonly currency: string
  /** Decimal places of a minor unit, 0 to 18, default 2. Money moves only between accounts of one currency and scale. */
  readonly scale?: number
  /** What kind of account it is, 1 to 40 characters as in an id; default `account`. */
  readonly code?: string
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
  /** UUID chosen by the caller; of version 7 please: only those can be archived. Repeating a call is safe. */
  readonly id: string
  readonly debit: string
  readonly credit: string
  readonly amount: number
  readonly currency: string
  /** What the movement is, such as `sale` or `fee`; 1 to 100 characters. */
  readonly code: string
  /** What it belongs to, such as an order's number; 1 to 200 characters. */
  readonly ref?: string
  /**
   * Only of `pending`: milliseconds, 1 to ten years, after which it cannot be posted or voided any more, by the clock of
   * the database. {@link Ledger.expire} gives the amount back.
   */
  readonly timeoutMs?: number
  /** Moves up to `amount`: what the limit `debits-within-credits` of the debit account allows, at least 1. */
  readonly balancingDebit?: boolean
  /** Moves up to `amount`: what the limit `credits-within-debits` of the credit account allows, at least 1. */
  readonly balancingCredit?: boolean
  readonly linked?: boolean
}

/** Ends a pending movement: `post` moves the amount (or less; the rest is released), `void` releases all of it. */
export interface LedgerResolution {
  readonly kind: 'post' | 'void'
  readonly id: string
  readonly pending: string
  /** Only of `post`; default the whole pending amount. */
  readonly amount?: number
  readonly ref?: string
  readonly linked?: boolean
}

/**
 * `linked` ties a transfer to the next one of the call: a chain is a run of linked transfers and the first that is not,
 * and is applied whole or not at all. Being in a chain, and where, is part of the body of a transfer.
 */
export type LedgerTransfer = LedgerMovement | LedgerResolution

/** Why a transfer was decided against. It stays so: a repeat has the same answer for ever. */
export type LedgerRejection =
  | 'exceeds-credits'
  | 'exceeds-debits'
  /** A counter would pass 2^53 - 1. */
  | 'overflow'
  | 'pending-not-found'
  | 'not-pending'
  | 'exceeds-pending'
  | 'already-posted'
  | 'already-voided'
  | 'expired'
  | 'linked-failed'

/** Why a transfer never entered the ledger: it leaves no trace, and its id is as free as it was. */
export type LedgerRefusal =
  | 'conflict'
  | 'debit-account-not-found'
  | 'credit-account-not-found'
  | 'asset-differs'
  | 'balancing-without-limit'
  /** The time in its id lies before what was archived: whether it is a repeat cannot be said any more. */
  | 'archived'
  | 'linked-failed'

export type LedgerResult =
  | { readonly status: 'applied'; readonly id: string; readonly amount: number; readonly repeated: boolean }
  | { readonly status: 'rejected'; readonly id: string; readonly reason: LedgerRejection; readonly repeated: boolean }
  | { readonly status: 'refused'; readonly id: string; readonly reason: LedgerRefusal }

/** A stored transfer. Amounts are minor units. */
export interface LedgerRecord {
  readonly id: string
  readonly kind: LedgerTransfer['kind']
  /** Accounts and asset are absent of a rejected resolution whose pending transfer is unknown. */
  readonly debit?: string
  readonly credit?: string
  /** What was moved, reserved or released; of a rejected one what was asked for. */
  readonly amount: number
  readonly currency?: string
  readonly code?: string
  readonly ref?: string
  readonly pending?: string
  /** Epoch milliseconds. */
  readonly at: number
  /** Epoch milliseconds; of a pending one with a timeout. */
  readonly expiresAt?: number
  /** What ended a pending one. */
  readonly resolved?: 'post' | 'void' | 'expire'
  /** Present of a rejected one. */
  readonly reason?: LedgerRejection
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

/** One side of a posted transfer. */
export interface LedgerEntry {
  readonly account: string
  readonly shard: number
  /** Counts the entries of the shard, from 1, without gaps. */
  readonly version: number
  readonly transfer: string
  /** Credits are positive, debits negative. */
  readonly amount: number
  /** Credits - debits of the shard after this entry. */
  readonly balance: number
  /** Epoch milliseconds; never goes back within a shard. */
  readonly at: number
}

export interface LedgerPage<T> {
  readonly items: readonly T[]
  /** Give it as `after` for the next page; absent at the end. */
  readonly next?: string
}

export interface PageOptions {
  readonly after?: string
  /** 1 to 1000, default 100. */
  readonly limit?: number
}

export interface LedgerReport {
  readonly balanced: boolean
  readonly accounts: number
  /** Applied ones that are not archived. */
  readonly transfers: number
  /** Sum over all accounts of posted credits - debits; zero when balanced. */
  readonly difference: number
  /** At most 100 accounts whose counters differ from what transfers and entries say. */
  readonly wrongAccounts: readonly string[]
}

/** What {@link Ledger.verify} found. */
export interface LedgerVerdict {
  readonly ok: boolean
  readonly accounts: number
  readonly transfers: number
  readonly entries: number
  /** The first row that cannot be, in the order of the checks and then of the keys. */
  readonly wrong?: {
    readonly row: 'transfer' | 'resolution' | 'entry' | 'balance' | 'asset'
    /** The row's key, such as `0190…` or `merchant:revenue/3#17` (account, shard, version). */
    readonly key: string
    readonly why: string
  }
}

/**
 * A double-entry ledger. Transfers and entries are never changed or deleted, only archived. Amounts are integers in
 * minor units; sums beyond 2^53 - 1 cannot be read.
 *
 * There are two ways in:
 * - {@link Ledger.submit} is a call of its own. Each transfer or chain is decided by itself, and a rejection is kept: an
 *   id that was rejected stays rejected.
 * - {@link Ledger.apply} takes part in a transaction: all or nothing, and what it throws is undone with the transaction,
 *   rejections too. An id that it refused is free afterwards, one that `submit` rejected is not.
 *
 * Both: the same id and body have the same answer for ever; the same id with another body is a conflict. Transfers are
 * decided strictly in the order given. Limits hold after each of them, pending amounts included.
 */
export interface Ledger {
  /**
   * Creates 1 to 1000 accounts that do not exist; one that exists with the same properties is left alone.
   * @throws CloudError `support.transaction.conflict` when one exists with others,
   *   `support.transaction.invalid-transfer` when a property is out of its limits.
   */
  createAccounts(accounts: readonly LedgerAccount[], tx?: Queryable): Promise<void>
  /** @returns accounts by id. */
  accounts(page?: PageOptions, tx?: Queryable): Promise<LedgerPage<Required<LedgerAccount>>>
  /**
   * Decides 1 to 1000 transfers. A lost connection or commit is resolved by repeating the call, which is safe.
   * @returns a result for each, in their order.
   * @throws CloudError `support.transaction.invalid-transfer` with the `field` of a malformed transfer or chain: nothing
   *   was written; `support.rdbms.unavailable` (retryable): unknown whether it was, the same call tells.
   */
  submit(transfers: readonly LedgerTransfer[], options?: CallOptions): Promise<readonly LedgerResult[]>
  /**
   * Applies 1 to 1000 transfers, all or none. Exact repeats of applied transfers are accepted and change nothing.
   * @param tx - a transaction to take part in; its caller must roll back when this throws.
   * @returns how many were new.
   * @throws CloudError `support.transaction.unknown-account`, `.conflict` (id used with another content),
   *   `.insufficient` (a limit), `.not-pending`, `.invalid-transfer` (amount, currency, sides, kind), `.archived`.
   */
  apply(transfers: readonly LedgerTransfer[], tx?: Queryable): Promise<number>
  /** @returns the stored ones of at most 1000 ids, in no particular order. */
  lookup(ids: readonly string[], tx?: Queryable): Promise<readonly LedgerRecord[]>
  /** @returns balances of the given accounts (of all without a list) by id. */
  balances(accounts?: readonly string[], tx?: Queryable): Promise<readonly LedgerBalance[]>
  /**
   * Credits - debits of an account after the last entry at or before `at` (epoch milliseconds). Fixed once every
   * transaction that began before `at` has ended.
   * @throws CloudError `support.transaction.unknown-account`; `.archived` when the history of that time is not here.
   */
  balanceAt(account: string, at: number, tx?: Queryable): Promise<number>
  /**
   * Entries of an account, newest first.
   * @throws CloudError `support.transaction.unknown-account`, `.invalid-transfer` (field `after` or `limit`).
   */
  history(account: string, page?: PageOptions, tx?: Queryable): Promise<LedgerPage<LedgerEntry>>
  /**
   * Gives back what timed out, up to `limit` (1 to 1000, default 1000) pending transfers a call; safe beside others that
   * do the same. Until then the amounts still count for limits, though nobody can post them.
   * @returns how many rows of the queue were dealt with; call again while it answers `limit`.
   */
  expire(limit?: number): Promise<number>
  /** Compares every counter with transfers and entries, in one statement: safe while others write. */
  check(): Promise<LedgerReport>
  /**
   * Proves the whole ledger from its rows, in one snapshot: safe while others write, and the memory it takes does not
   * grow with the tables. Takes minutes on big ones, and holds back the vacuum that long.
   */
  verify(): Promise<LedgerVerdict>
}
