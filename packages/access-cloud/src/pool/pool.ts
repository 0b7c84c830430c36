import type { CallOptions } from '@aaas/core-cloud/kernel'

export interface PoolRequest extends Pick<CallOptions, 'signal'> {
  /** Who wants capacity; shares are fair among tenants that wait. */
  readonly tenant: string
  /** Absolute epoch milliseconds; a request that cannot be served by then is refused at once. */
  readonly deadline: number
  /** Units wanted, default 1. */
  readonly cost?: number
}

/**
 * A share of a scarce rate (frequency slice): never more than `limit` units in any window of `intervalMs`,
 * fair by weight among the tenants that wait, work-conserving (an idle tenant's share goes to the others).
 */
export interface RatePool extends AsyncDisposable {
  /**
   * Waits for capacity.
   * @throws CloudError `access.pool.timeout` (retryable) as soon as the deadline cannot be met,
   *   `access.pool.full` when the waiting line is at its limit (default 1_000 per tenant).
   */
  acquire(request: PoolRequest): Promise<void>
  stats(): { readonly waiting: number; readonly granted: number; readonly refused: number }
}

/** An exclusive use of one access point for a time (time slice). */
export interface Lease extends AsyncDisposable {
  /** Name of the access point. */
  readonly resource: string
  /** Grows with every lease of this resource; resources refuse writes with an older token. */
  readonly fencingToken: number
  /** Epoch milliseconds when the lease ends unless renewed. */
  readonly expiresAt: number
  /** Aborts before the lease can end. */
  readonly signal: AbortSignal
  /** @throws CloudError `access.pool.timeout` when the lease has ended already. */
  renew(): Promise<void>
}

/** Access points of which each is used by one holder at a time. */
export interface LeasePool extends AsyncDisposable {
  lease(request: PoolRequest & { readonly ttlMs: number }): Promise<Lease>
  stats(): { readonly free: number; readonly leased: number; readonly waiting: number }
}
