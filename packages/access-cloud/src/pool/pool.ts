import type { CallOptions } from '@aaas/core-cloud/kernel'

export interface PoolRequest extends Pick<CallOptions, 'signal'> {
  /** Who wants capacity; shares are fair among tenants that wait. */
  readonly tenant: string
  /** Absolute epoch milliseconds; a request that cannot be served by then is refused at once. */
  readonly deadline: number
}

export interface RateRequest extends PoolRequest {
  /** Units wanted, an integer from 1 (default) to the limit of the pool. */
  readonly cost?: number
}

/**
 * A share of a scarce rate (frequency slice): never more than `limit` units in any window of `intervalMs`
 * (half open: `[t, t + intervalMs)`, wherever it starts), fair by weight among the tenants that wait,
 * work-conserving (an idle tenant's share goes to the others).
 */
export interface RatePool extends AsyncDisposable {
  /**
   * Waits for capacity. Within one tenant the earliest deadline is served first. A request of several units is
   * never overtaken once it is its turn, so that small ones cannot starve it.
   * @throws CloudError `access.pool.timeout` (retryable): at once when the requests ahead of it already take the time
   *   up to its deadline; later, when others got ahead of it, at its deadline at the latest.
   *   `access.pool.full` when the tenant's line is at its limit (default 1_000), or 1_000 tenants wait.
   *   `core.contract.invalid-input` when `cost` can never be served; `core.kernel.stopped` after disposal.
   *   The signal's reason when it aborts; nothing was taken then.
   */
  acquire(request: RateRequest): Promise<void>
  /** Units for `granted`, requests for the others. */
  stats(): { readonly waiting: number; readonly granted: number; readonly refused: number }
}

/** An exclusive use of one access point for a time (time slice). Disposing it gives the access point back. */
export interface Lease extends AsyncDisposable {
  /** Name of the access point. */
  readonly resource: string
  /** Grows with every lease of this resource; resources refuse writes with an older token. */
  readonly fencingToken: number
  /** Epoch milliseconds when the lease ends unless renewed. */
  readonly expiresAt: number
  /** Aborts before the lease can end; from then on the holder must not use the access point. */
  readonly signal: AbortSignal
  /**
   * Starts the full time again from now.
   * @throws CloudError `access.pool.timeout` when the lease has ended, was given back, or its signal has aborted.
   */
  renew(): Promise<void>
}

export interface LeaseRequest extends PoolRequest {
  /** Length of the lease in milliseconds, 4 to 86_400_000. */
  readonly ttlMs: number
}

/** Access points of which each is used by one holder at a time; fair by turns among the tenants that wait. */
export interface LeasePool extends AsyncDisposable {
  /** @throws CloudError as {@link RatePool.acquire}; `access.pool.timeout` comes at the deadline. */
  lease(request: LeaseRequest): Promise<Lease>
  stats(): { readonly free: number; readonly leased: number; readonly waiting: number }
}
