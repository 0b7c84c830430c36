import type { Durability, Streams } from '@aaas/core-cloud/bus'
import { silentLogger } from '../../kernel/logger.js'
import { stopped } from '../coordination/checks.js'
import { type HoldingOptions, Leases } from '../coordination/leases.js'
import type { Coordination } from '../coordination.js'
import { BucketKeys } from './bucket-keys.js'
import { BucketLeases } from './bucket-leases.js'

export interface NatsKvOptions extends HoldingOptions {
  /** From `natsStreams` of `@aaas/core-cloud/bus/nats`; stays the caller's to dispose. */
  readonly streams: Streams
  /** Name of the two buckets, before `-leases` and `-keys`: 1 to 57 of `A-Z a-z 0-9 _ -`. Default `aaas-ha`. */
  readonly bucket?: string
  /**
   * What leases and keys survive; default `replicated`. With anything but `synced` a loss of power on several machines
   * may take the last writes, and with them tokens that were given out: they would be given again.
   */
  readonly durability?: Durability
  /** Of each bucket, default 64 MiB. */
  readonly maxBytes?: number
}

/**
 * Coordination in two buckets of NATS JetStream, from nats-server 2.9 on: for those who run NATS anyway. Compare-and-set
 * is that of `Streams.bucket`, which knows the servers whose own cannot be relied on. A fencing token is the revision of
 * the write that granted it; it rises as long as the bucket is not removed.
 *
 * What is less than with `raftCoordination`: waiting locks are not in order; a lease of a dead holder is over one lifetime
 * after somebody who wants it has first looked; watchers may miss all but the last change of a key; keys have no
 * lifetime; a read may be answered by a server that has just lost its leadership.
 * @throws CloudError `core.ha.invalid-argument`, and what `Streams.bucket` throws.
 */
export async function natsKvCoordination(options: NatsKvOptions): Promise<Coordination> {
  const { streams, bucket: name = 'aaas-ha', durability = 'replicated', maxBytes, clock, node } = options
  const logger = (options.logger ?? silentLogger).child({ component: 'coordination' })
  const config = { durability, ...(maxBytes === undefined ? {} : { maxBytes }) }
  const [forLeases, forKeys] = await Promise.all([
    streams.bucket({ ...config, name: `${name}-leases` }),
    streams.bucket({ ...config, name: `${name}-keys` }),
  ])
  const driver = new BucketLeases({ bucket: forLeases, clock, logger, node })
  const leases = new Leases(driver, options)
  const closing = new AbortController()
  return {
    driver: 'nats-kv',
    features: { fair: false, keyTtl: false, everyChange: false },
    lease: (lease, how) => leases.lease(lease, how),
    lock: (lease, how) => leases.lock(lease, how),
    elect: (lease, how, lead) => leases.elect(lease, how, lead),
    holder: lease => leases.holder(lease),
    holders: (lease, how) => leases.holders(lease, how),
    keys: new BucketKeys(forKeys, closing.signal),
    async [Symbol.asyncDispose]() {
      if (closing.signal.aborted) return
      await leases[Symbol.asyncDispose]()
      closing.abort(stopped())
      await driver.close()
    },
  }
}
