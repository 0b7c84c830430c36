import {
  type BusClientOptions,
  busClient,
  type Client,
  type Contract,
  type Handlers,
  localClient,
  type ServeOptions,
  serveContract,
} from '@aaas/core-cloud/contract'
import type { Endpoint } from '../balance/endpoint.js'
import { checkName, invalid } from '../coordination/checks.js'
import { BalancedCalls, type CallingOptions } from './balanced-client.js'
import { type Advert, advertise, Discovery } from './discovery.js'
import { type AnyCall, type EndpointSource, GivenEndpoints, type ServiceEndpoint } from './endpoints.js'
import type { WrapPlace } from './place.js'

export interface StatelessOptions<C extends Contract> extends CallingOptions {
  readonly mode: 'stateless'
  /** Who serves, when it is known; default: found on the bus. */
  readonly endpoints?: readonly (Endpoint & { readonly client: Client<C> })[]
  /** Milliseconds between two rounds of looking for instances on the bus, 100 to 600_000; default 10_000. */
  readonly refreshMs?: number
}

export type ServingOptions = Pick<
  ServeOptions<Contract>,
  'authorize' | 'verifier' | 'maxInFlight' | 'maxQueued' | 'readyMs'
> & {
  /** Share of the work relative to the others, 0.01 to 100; default 1. */
  readonly weight?: number
}

/** Any number of equal instances as one service. */
export interface StatelessService<C extends Contract> extends AsyncDisposable {
  /** What `cloud.use` gives, whoever serves. Beyond its errors: `core.ha.overloaded`. */
  readonly client: Client<C>
  /** Serves as one of the instances. Disposing it tells callers, finishes what runs and goes. */
  provide(handlers: Handlers<C>, options?: ServingOptions): Promise<AsyncDisposable>
  /** Replaces the endpoints that were given. */
  update(endpoints: readonly (Endpoint & { readonly client: Client<C> })[]): void
  /** What is known of the endpoints. */
  view(): ReturnType<BalancedCalls['view']>
}

/** @throws CloudError `core.ha.invalid-argument`. */
export function statelessService<C extends Contract>(
  contract: C,
  place: WrapPlace,
  options: StatelessOptions<C>,
  isIdempotent?: (method: string) => boolean,
): StatelessService<C> {
  const { clock, ids, zone, bus } = place
  const { endpoints, refreshMs = 10_000 } = options
  if (!(refreshMs >= 100 && refreshMs <= 600_000)) throw invalid('refreshMs', 'it is 100 to 600000')
  const given = new GivenEndpoints()
  const source: EndpointSource =
    endpoints !== undefined || bus === undefined
      ? given
      : new Discovery({
          bus,
          clock,
          logger: place.logger,
          place: `${place.prefix}.${contract.name}._ha`,
          refreshMs,
          version: contract.version,
          connect: advert => endpointAt(contract, place, advert),
        })
  if (endpoints !== undefined) given.replace(endpoints as readonly ServiceEndpoint[])
  const calls = new BalancedCalls({
    ...options,
    contract,
    source,
    clock,
    random: () => ids.random(),
    ...(zone === undefined ? {} : { zone }),
    ...(isIdempotent === undefined ? {} : { isIdempotent }),
  })
  return {
    client: calls.client(contract),
    async provide(handlers, how = {}) {
      if (bus !== undefined) return await provideOnBus(contract, place, handlers, how)
      if (endpoints !== undefined) throw invalid('endpoints', 'without a bus nobody else could find this instance')
      const client = localClient({ contract, handlers, ...callPlaceOf(place) })
      given.replace([{ id: ids.token(8), client: client as unknown as ServiceEndpoint['client'] }])
      return { [Symbol.asyncDispose]: async () => given.replace([]) }
    },
    update(list) {
      if (endpoints === undefined) throw invalid('endpoints', 'the endpoints are found on the bus')
      for (const [at, { id }] of list.entries()) if (id === '') throw invalid(`endpoints/${at}/id`, 'it is empty')
      given.replace(list as readonly ServiceEndpoint[])
    },
    view: () => calls.view(),
    [Symbol.asyncDispose]: () => Promise.resolve(source[Symbol.asyncDispose]()),
  }
}

async function provideOnBus<C extends Contract>(
  contract: C,
  place: WrapPlace,
  handlers: Handlers<C>,
  { weight, ...how }: ServingOptions,
): Promise<AsyncDisposable> {
  const { bus, ids, prefix, zone, clock, logger } = place
  if (bus === undefined) throw invalid('bus', 'a service is provided on a bus')
  if (weight !== undefined && !(weight >= 0.01 && weight <= 100)) throw invalid('weight', 'it is 0.01 to 100')
  if (zone !== undefined) checkName(zone, 'zone')
  const advert: Advert = {
    id: ids.token(12),
    version: contract.version,
    ...(zone === undefined ? {} : { zone }),
    ...(weight === undefined ? {} : { weight }),
  }
  const served = await serveContract({
    ...how,
    bus,
    contract,
    handlers,
    prefix: instancePrefix(prefix, advert.id),
    clock,
    ids,
    logger,
    ...(place.observer === undefined ? {} : { observer: place.observer }),
    ...(how.verifier === undefined && place.verifier !== undefined ? { verifier: place.verifier } : {}),
  })
  const advertised = await advertise(bus, `${prefix}.${contract.name}._ha`, advert)
  return {
    async [Symbol.asyncDispose]() {
      await advertised[Symbol.asyncDispose]()
      await served.drain()
    },
  }
}

function endpointAt(contract: Contract, place: WrapPlace, { id, zone, weight }: Advert): ServiceEndpoint {
  const client = clientAt(contract, place, instancePrefix(place.prefix, id))
  return {
    id,
    client: client as unknown as Readonly<Record<string, AnyCall>>,
    ...(zone === undefined ? {} : { zone }),
    ...(weight === undefined ? {} : { weight }),
  }
}

/** A client of who serves the contract at a prefix of the bus. */
export function clientAt<C extends Contract>(contract: C, place: WrapPlace, prefix: string): Client<C> {
  const { bus, signer, streams } = place
  const options: Omit<BusClientOptions<C>, 'bus'> = { contract, prefix, ...callPlaceOf(place) }
  if (bus === undefined) throw invalid('bus', 'a service is reached over a bus')
  return busClient({
    ...options,
    bus,
    ...(signer === undefined ? {} : { signer }),
    ...(streams === undefined ? {} : { streams }),
  })
}

function callPlaceOf({
  clock,
  ids,
  observer,
}: WrapPlace): Pick<WrapPlace, 'clock' | 'ids'> & Pick<WrapPlace, 'observer'> {
  return { clock, ids, ...(observer === undefined ? {} : { observer }) }
}

function instancePrefix(prefix: string, id: string): string {
  return `${prefix}.at.${id}`
}
