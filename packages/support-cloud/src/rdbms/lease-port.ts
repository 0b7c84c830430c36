import { CloudError } from '@aaas/core-cloud/kernel'

/** The right to decide which node is the primary; whoever keeps it elsewhere (a consensus service) gives one of these. */
export interface LeasePort {
  /**
   * Waits until the lease is ours, also when it is already, and draws a new token.
   * @returns the token: higher than every one that anybody got before; 1 to 2^53-1.
   */
  acquire(): Promise<number>
  /** Resolves when the lease is ours still; rejects when it is not, or when nobody can say. */
  renew(): Promise<void>
  /** The token of the last `acquire`; undefined before. */
  readonly token: number | undefined
}

/**
 * The lease of a single process that nobody contends with: tokens that rise from where they were.
 * @param options.after - the highest token ever given.
 */
export function processLease(options: { readonly after: number }): LeasePort {
  if (!Number.isSafeInteger(options.after) || options.after < 0) {
    throw new CloudError('core.kernel.invalid-config', 'after must be a whole number from 0', { field: 'after' })
  }
  let last = options.after
  let token: number | undefined
  return {
    async acquire() {
      last += 1
      token = last
      return last
    },
    async renew() {
      if (token === undefined) throw new CloudError('support.rdbms.lease-lost', 'the lease was never acquired')
    },
    get token() {
      return token
    },
  }
}
