import { connectBus } from '@aaas/core-cloud/bus'
import { busClient, type Client, type Handlers, serveContract } from '@aaas/core-cloud/contract'
import type { Bus } from '../bus/bus.js'
import { type Clock, sleep } from '../kernel/clock.js'
import { CloudError } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import type { Logger } from '../kernel/logger.js'
import { controlPlaneContract, controlPrefix, desiredChangedSubject } from './control-plane-contract.js'
import { hostAgentContract, hostPrefix } from './host-agent-contract.js'

export type ControlClient = Client<typeof controlPlaneContract>

/** Control as a host sees it: may be away at any time, also at the start. */
export interface ControlLink extends AsyncDisposable {
  /** Calls wait for the connection within their deadlines; without one they fail with `core.bus.disconnected`. */
  readonly client: ControlClient
  /** Answers control's calls, and listens; from then on the link keeps itself up. */
  serve(handlers: Handlers<typeof hostAgentContract>, onDesiredChanged: () => void): void
}

export interface ControlLinkOptions {
  readonly hostId: string
  readonly socketPath: string
  readonly token: string
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
}

const retryMs = 1_000

/** Dials control's hub in the background, again and again until it answers. */
export function dialControl(options: ControlLinkOptions): ControlLink {
  const { hostId, socketPath, token, clock, ids, logger } = options
  const stop = new AbortController()
  let changed: () => void = () => undefined
  let resolveBus: (bus: Bus) => void = () => undefined
  const connected = new Promise<Bus>(resolve => {
    resolveBus = resolve
  })
  let current: Bus | undefined

  const dial = async (): Promise<void> => {
    for (let attempt = 1; !stop.signal.aborted; attempt++) {
      try {
        const onState = (state: string): void => {
          logger.info('connection to control', { state })
          // Something may have been published while it was down.
          if (state === 'connected') changed()
        }
        current = await connectBus({ socketPath, token, clock, ids, logger, onState, limits: { connectMs: 5_000 } })
        logger.info('connected to control')
        resolveBus(current)
        return
      } catch (error) {
        if (attempt === 1) logger.warn('control does not answer; going on with the last good copy', { error })
        await sleep(clock, retryMs, stop.signal).catch(() => undefined)
      }
    }
  }
  const dialing = dial()

  return {
    client: lateClient(() => current, { clock, ids }),
    serve(handlers, onDesiredChanged) {
      changed = onDesiredChanged
      void connected
        .then(async bus => {
          await serveContract({ bus, contract: hostAgentContract, handlers, prefix: hostPrefix(hostId), clock, logger })
          await bus.subscribe(desiredChangedSubject, onDesiredChanged)
          onDesiredChanged()
        })
        .catch((error: unknown) => logger.error('control cannot call this host', { error }))
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('stopped'))
      await dialing
      await current?.[Symbol.asyncDispose]()
    },
  }
}

/** A client whose bus may come later. Its calls do not wait for the very first connection: nobody knows when that is. */
function lateClient(bus: () => Bus | undefined, ports: { clock: Clock; ids: Ids }): ControlClient {
  let client: ControlClient | undefined
  const ready = (): ControlClient => {
    const open = bus()
    if (open === undefined) throw new CloudError('core.bus.disconnected', 'control has not been reached yet')
    client ??= busClient({ bus: open, contract: controlPlaneContract, prefix: controlPrefix, ...ports })
    return client
  }
  return {
    desiredState: async (input, call) => await ready().desiredState(input, call),
    report: async (input, call) => await ready().report(input, call),
    packageChunk: async (input, call) => await ready().packageChunk(input, call),
    readings: async (input, call) => await ready().readings(input, call),
  }
}
