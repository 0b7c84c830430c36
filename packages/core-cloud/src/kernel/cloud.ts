import {
  busClient,
  type CallerSigner,
  type CallerVerifier,
  type CallObserver,
  type Client,
  type Contract,
  type Handlers,
  localClient,
  type ServeOptions,
  type StreamLimits,
  serveContract,
  type VersionRoutes,
} from '@aaas/core-cloud/contract'
import type { Bus } from '../bus/bus.js'
import type { Clock } from './clock.js'
import { CloudError } from './errors.js'
import type { Ids } from './ids.js'
import { Lifecycle } from './lifecycle.js'
import { type Logger, silentLogger } from './logger.js'
import { systemClock } from './system-clock.js'
import { systemIds } from './system-ids.js'

export interface CloudOptions {
  /** Name of this program, for logs. */
  readonly name: string
  readonly clock?: Clock
  readonly ids?: Ids
  /** Default: nothing is logged. */
  readonly logger?: Logger
  /** Serves what is provided to other processes and reaches what they provide. Stays the caller's to dispose. */
  readonly bus?: Bus
  /** Where this program's services are on the bus, such as `service.payment`; default the name. */
  readonly prefix?: string
  /** Milliseconds that {@link Cloud.stop} may take; default 10_000. */
  readonly stopMs?: number
  /** Sees every call, here and over the bus: see `@aaas/core-cloud/telemetry`. */
  readonly observer?: CallObserver
  /** Signs for whom calls over the bus are made. */
  readonly signer?: CallerSigner
  /** Wants that signature of calls that come over the bus. */
  readonly verifier?: CallerVerifier
  /** Which versions of other services get the calls. */
  readonly routes?: VersionRoutes
  readonly streams?: StreamLimits
}

/** How a provided service is on the bus. */
export interface ProvideOptions
  extends Pick<ServeOptions<Contract>, 'queue' | 'authorize' | 'maxInFlight' | 'maxQueued'> {
  /** False: only this process may call it. Default true. */
  readonly remote?: boolean
}

export interface UseOptions {
  /** Where the service is on the bus when this process does not provide it; default this program's own prefix. */
  readonly prefix?: string
}

/** The services of one program. */
export interface Cloud extends AsyncDisposable {
  readonly lifecycle: Lifecycle
  /** Offers a service; before {@link Cloud.start}. One contract name once. */
  provide<C extends Contract>(contract: C, handlers: Handlers<C>, options?: ProvideOptions): void
  /**
   * A client: a plain call when this process provides the service (also when it does so later), else over the bus.
   * The choice is made at the first call, so parts may be wired in any order.
   */
  use<C extends Contract>(contract: C, options?: UseOptions): Client<C>
  /** Serves everything provided on the bus; resolves when the bus has acknowledged all of it. */
  start(): Promise<void>
  /** Takes no further calls, waits for the running ones, then disposes in reverse order of start. */
  stop(): Promise<void>
}

/**
 * Puts services together without a container: each part says what it provides and what it uses.
 *
 * @example
 * const cloud = createCloud({ name: 'shop' })
 * cloud.provide(greeterContract, { greet: async ({ name }) => ({ text: `hello ${name}` }) })
 * await cloud.start()
 * await cloud.use(greeterContract).greet({ name: 'Ada' })
 */
export function createCloud(options: CloudOptions): Cloud {
  const clock = options.clock ?? systemClock()
  const ids = options.ids ?? systemIds()
  const logger = (options.logger ?? silentLogger).child({ cloud: options.name })
  const prefix = options.prefix ?? options.name
  const lifecycle = new Lifecycle({ clock, ...(options.stopMs === undefined ? {} : { deadlineMs: options.stopMs }) })
  const { observer, signer, verifier, routes, streams } = options
  const calling = present({ observer, streams })
  const provided = new Map<string, { readonly client: unknown; readonly serve: (bus: Bus) => Promise<void> }>()
  let started: Promise<void> | undefined

  const clientOf = <C extends Contract>(contract: C, use: UseOptions): Client<C> => {
    const local = provided.get(contract.name)
    if (local !== undefined) return local.client as Client<C>
    if (options.bus !== undefined)
      return busClient({
        bus: options.bus,
        contract,
        prefix: use.prefix ?? prefix,
        clock,
        ids,
        ...calling,
        ...present({ signer, routes }),
      })
    throw new CloudError(
      'core.bus.no-responder',
      `${options.name} does not provide ${contract.name} and has no bus to reach it`,
    )
  }

  return {
    lifecycle,
    provide(contract, handlers, how = {}) {
      if (started !== undefined) throw new Error(`${options.name}: provide ${contract.name} before start`)
      if (provided.has(contract.name)) throw new Error(`${options.name}: ${contract.name} is provided twice`)
      const { remote = true, ...serving } = how
      provided.set(contract.name, {
        client: localClient({ contract, handlers, clock, ids, ...present({ observer }) }),
        async serve(bus) {
          if (!remote) return
          const place = { bus, contract, handlers, prefix, clock, ids, logger }
          const served = await serveContract({ ...serving, ...place, ...calling, ...present({ verifier }) })
          lifecycle.add({
            name: contract.name,
            drain: () => served.drain(),
            dispose: () => Promise.resolve(served[Symbol.asyncDispose]()),
          })
        },
      })
    },
    use: (contract, use = {}) => lateClient(contract, () => clientOf(contract, use)),
    start() {
      started ??= startAll(options.bus, [...provided.values()])
      return started
    },
    stop: () => lifecycle.stop(),
    [Symbol.asyncDispose]: () => lifecycle.stop(),
  }
}

async function startAll(
  bus: Bus | undefined,
  services: readonly { readonly serve: (bus: Bus) => Promise<void> }[],
): Promise<void> {
  if (bus === undefined) return
  for (const service of services) await service.serve(bus)
}

/** The options that were given. */
function present<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never
}

type AnyCall = (...args: readonly unknown[]) => unknown

/** A client that finds out at its first call where the service is. */
function lateClient<C extends Contract>(contract: C, find: () => Client<C>): Client<C> {
  let found: Readonly<Record<string, AnyCall>> | undefined
  const client: Record<string, AnyCall> = {}
  for (const [name, { stream }] of Object.entries(contract.methods)) {
    const call: AnyCall = (...args) => {
      found ??= find() as unknown as Readonly<Record<string, AnyCall>>
      return (found[name] as AnyCall)(...args)
    }
    // What streams out is an iterable, not a promise of one.
    client[name] = stream === 'out' || stream === 'both' ? call : async (...args) => call(...args)
  }
  return client as Client<C>
}
