import { connectBus, directBus, quotaDesk } from '@aaas/core-cloud/bus'
import type { ReadingSpool } from '@aaas/core-cloud/metering'
import { type CollectedFamily, familyOf } from '@aaas/core-cloud/telemetry'
import type { Bus } from '../bus/bus.js'
import type { Clock } from '../kernel/clock.js'
import type { Ids } from '../kernel/ids.js'
import type { Logger } from '../kernel/logger.js'
import { type DirectSettings, keysOf } from './direct-issuer.js'
import type { InstanceOptions } from './instance-messages.js'

/** An instance's way to all others. Disposing it closes the bus, then hands over the last readings. */
export interface InstanceBus extends AsyncDisposable {
  readonly bus: Bus
  /** A new credential for the direct path. */
  renew(credential: string): void
  metrics(): readonly CollectedFamily[]
}

/**
 * Signs of life of the direct path, and how long a new subscription waits for instances that do not answer: one that was
 * killed is remembered for three signs, and must not hold up the one that takes its place. Listeners of instances share
 * their subjects as members of one queue, so a caller that hears late of one loses nothing.
 */
const directLimits = { refreshMs: 15_000, settleMs: 50 }

/** Where readings of an instance's own quota desk come from. */
export const directSource = (instance: string): string => `${instance}.direct`

/**
 * Connects to the host's hub, with the direct path in front when the host gave what it takes. When that cannot be opened,
 * everything goes over the hub.
 */
export async function openInstanceBus(options: {
  readonly wanted: Pick<InstanceOptions, 'instanceId' | 'busSocket' | 'busToken' | 'direct'>
  /** Takes what tenants used of this instance directly. */
  readonly spool: ReadingSpool
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
}): Promise<InstanceBus> {
  const { wanted, clock, ids, logger } = options
  const connect = (): Promise<Bus> =>
    connectBus({ socketPath: wanted.busSocket, token: wanted.busToken, clock, ids, logger })
  const hub = await connect()
  if (wanted.direct === undefined) return plainBus(hub)
  try {
    return await openDirect(hub, wanted.direct, options)
  } catch (error) {
    logger.error('the direct path cannot be used; calls go over the hub', { error })
    return plainBus(await connect())
  }
}

function plainBus(bus: Bus): InstanceBus {
  return {
    bus,
    renew: () => undefined,
    metrics: () => [],
    [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose](),
  }
}

async function openDirect(
  below: Bus,
  direct: DirectSettings,
  { wanted, spool, clock, ids, logger }: Parameters<typeof openInstanceBus>[0],
): Promise<InstanceBus> {
  const { privateKey, issuer } = keysOf(direct)
  const { socketPath, cluster, tenantLimits } = direct
  let credential = direct.credential
  const source = directSource(wanted.instanceId)
  const desk =
    tenantLimits === undefined ? undefined : quotaDesk({ source, limitsOf: () => tenantLimits, clock, ids, spool })
  const bus = await directBus({
    below,
    instance: wanted.instanceId,
    credential: () => credential,
    privateKey,
    issuers: [issuer],
    cluster,
    listen: { socketPath },
    clock,
    ids,
    logger,
    limits: directLimits,
    ...(desk === undefined ? {} : { quota: desk }),
  })
  return {
    bus,
    renew(next) {
      credential = next
    },
    metrics() {
      const { direct: calls, otherWay, peers, callers } = bus.info()
      const one = (value: number) => [{ labels: {}, value }]
      return [
        familyOf('counter', 'aaas_bus_direct_calls_total', 'Calls given to a peer directly.', one(calls)),
        familyOf('counter', 'aaas_bus_direct_fallbacks_total', 'Of those, sent over the hub after all.', one(otherWay)),
        familyOf('gauge', 'aaas_bus_direct_peers', 'Other instances known.', one(peers.length)),
        familyOf('gauge', 'aaas_bus_direct_callers', 'Instances connected to this one.', one(callers)),
      ]
    },
    async [Symbol.asyncDispose]() {
      await bus[Symbol.asyncDispose]()
      await desk?.[Symbol.asyncDispose]()
    },
  }
}
