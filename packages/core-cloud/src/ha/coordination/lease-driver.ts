import type { Holder } from '../coordination.js'

/** A try to hold a name. */
export interface Attempt {
  readonly name: string
  /** Unique to this try; a repeat of it is the same try. */
  readonly owner: string
  readonly value: string
  readonly ttlMs: number
  /** Stays in line, where the driver has one, as long as it is repeated within `ttlMs`. */
  readonly wait: boolean
}

export interface Owned {
  readonly name: string
  readonly owner: string
  readonly token: number
}

/**
 * What the leases of a driver rest on. How long a grant lasts is counted by others from a moment after the call that got
 * or renewed it was made: so its holder may count `ttlMs` from the sending, by its own clock.
 */
export interface LeaseDriver {
  /** Asked again while it is held by this owner it renews, and answers with the same token. */
  acquire(attempt: Attempt): Promise<{ readonly token: number } | undefined>
  /** @returns false when it is not held any more, for sure. Rejects when nobody can say. */
  renew(owned: Owned, ttlMs: number): Promise<boolean>
  /** Gives up a name or a place in the line; nothing happens when there is none. */
  release(name: string, owner: string): Promise<void>
  /** @param fresh - false: what is known here will do. */
  holder(name: string, fresh: boolean): Promise<Holder | undefined>
  /**
   * Calls `changed` when the holder may be another one, or the name may be free, and harmlessly at other times.
   * @returns what ends it.
   */
  onChange(name: string, changed: () => void): () => void
}
