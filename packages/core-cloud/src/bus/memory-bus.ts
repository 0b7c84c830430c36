import type { Clock } from '../kernel/clock.js'
import { type Logger, silentLogger } from '../kernel/logger.js'
import type { Bus } from './bus.js'
import type { BusIdentity } from './link.js'
import { PeerBus } from './peer-bus.js'
import type { BusQuota } from './quota/quota-limits.js'
import { attachWithQuota } from './quota/quota-port.js'
import { Router } from './router.js'

/** Calls and commands of one bus without an answer. */
export const defaultMaxPending = 16_384
/** Milliseconds that publish, subscribe and drain wait for the hub. */
export const defaultCommandWaitMs = 10_000

/** The bus of a program that is one process: same promises as the others, nothing leaves the process, no identities. */
export function memoryBus({ clock, logger = silentLogger }: { readonly clock: Clock; readonly logger?: Logger }): Bus {
  const router = new Router({ clock })
  return localBus({ router, identity: undefined, clock, logger, onDispose: () => router.close() })
}

/** A bus of the hub's own process. */
export function localBus(options: {
  readonly router: Router
  readonly identity: BusIdentity | undefined
  readonly clock: Clock
  readonly logger: Logger
  readonly quota?: BusQuota | undefined
  readonly onDispose: () => void
}): Bus {
  const { clock, logger, router, identity, quota } = options
  const bus = new PeerBus({
    clock,
    logger,
    maxPending: defaultMaxPending,
    commandWaitMs: defaultCommandWaitMs,
    onDispose: async () => {
      port.detach()
      options.onDispose()
    },
  })
  const port = attachWithQuota(router, { identity, out: bus, local: true }, quota)
  void bus.connected(port)
  return bus
}
