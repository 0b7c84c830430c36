import type { Bus, BusMessage, BusSubscription } from '../bus/bus.js'
import type { Clock } from '../kernel/clock.js'
import { sleep } from '../kernel/clock.js'
import { CloudError } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import type { Logger } from '../kernel/logger.js'
import { systemIds } from '../kernel/system-ids.js'
import { type Authorize, type CallEdge, type ServedOperation, serveCall, serveFrame } from './bus-call.js'
import { operationsOf, unobserved } from './call.js'
import { callPlace } from './call-scope.js'
import { subjectsOf } from './call-targets.js'
import type { CallerVerifier } from './caller-claim.js'
import type { Contract, Handlers } from './contract.js'
import type { CallObserver } from './observer.js'
import { ServiceCounters } from './service-counters.js'
import { checkedLimits, type StreamLimits } from './stream-limits.js'
import { StreamHost } from './stream-server.js'

export interface ServeOptions<C extends Contract> {
  readonly bus: Bus
  readonly contract: C
  readonly handlers: Handlers<C>
  /** Subjects are `<prefix>.<contract name>.<method>`. */
  readonly prefix: string
  /** Instances with the same queue share the calls; each call runs once. Default: the contract's name. */
  readonly queue?: string
  readonly clock: Clock
  readonly logger: Logger
  /** For traces and names of instances and streams; default the machine's. */
  readonly ids?: Ids
  /**
   * May this sender call this method as this actor? `sender` is what the hub stamped, undefined inside one process.
   * Without a verifier the actor is the sender's word: the hub vouches for the sender, not for whom it speaks.
   */
  readonly authorize?: Authorize
  /**
   * Tenant and actor are what a signed claim says, and calls without a good one fail with `core.bus.bad-signature`.
   * Without a verifier the tenant is the sender that the hub stamped, and the actor what the call says.
   */
  readonly verifier?: CallerVerifier
  /** False: only callers that route by version reach this instance. Default true. */
  readonly unversioned?: boolean
  readonly observer?: CallObserver
  readonly streams?: StreamLimits
  /** Calls that run at a time, default 256. */
  readonly maxInFlight?: number
  /** Calls that wait behind those, default 4_096; beyond: `core.bus.overloaded`. */
  readonly maxQueued?: number
  /** Milliseconds in which the bus must bring the instance's own probe back; default 10_000. */
  readonly readyMs?: number
}

/** One method of a served contract and what it has done. */
export interface ServedEndpoint {
  readonly name: string
  readonly subject: string
  readonly queue: string
  readonly counters: Readonly<ServiceCounters>
}

/** A contract on the bus. Disposing it is the same as draining it. */
export interface ServedContract extends AsyncDisposable {
  readonly contract: Contract
  /** Names this instance among those that serve the contract. */
  readonly instance: string
  /** Epoch milliseconds since when it is ready. */
  readonly startedAt: number
  readonly endpoints: readonly ServedEndpoint[]
  /** Calls that run now, open streams among them. */
  readonly inFlight: number
  /**
   * Takes no further call and resolves when the running ones and the open streams are answered, which is at the latest at
   * their deadlines, and the bus has their answers.
   */
  drain(): Promise<void>
}

/**
 * Serves a contract on the bus. Ready when the promise resolves: a probe through the bus has come back to this instance,
 * or, where the bus does not let an instance send to itself, the bus has acknowledged its subscriptions.
 * Input is validated, the deadline of the caller holds here too, and its cancellation aborts `context.signal`. A method
 * with a scope needs it of the actor that the call names; a call without an actor is the sender's own, which is for
 * `authorize` to judge.
 *
 * A plain client in any language may call: a request with JSON and no headers is answered with JSON; an error has the
 * headers `nats-service-error` (text) and `nats-service-error-code` (HTTP status) besides ours. How long such a client
 * waits is the driver's to say.
 * @throws CloudError `core.bus.disconnected` when the probe did not come back in time.
 */
export async function serveContract<C extends Contract>(options: ServeOptions<C>): Promise<ServedContract> {
  const { contract, clock } = options
  const ids = options.ids ?? systemIds()
  const place = callPlace(clock, ids)
  const instance = ids.token(12)
  const limits = checkedLimits(options.streams)
  const streams = new StreamHost({ instance, limits, place, logger: options.logger })
  const edge: CallEdge = {
    name: contract.name,
    version: contract.version,
    authorize: options.authorize,
    verifier: options.verifier,
    place,
    logger: options.logger,
    streams,
    running: 0,
  }
  const served = servedOperations(options)
  const find = finder(served)
  const serve = (message: BusMessage): Promise<void> | undefined => serveCall(message, find(message.subject), edge)
  const subjects = subjectsOf(options.prefix, contract)
  const queue = options.queue ?? contract.name
  const own = await subscribeAll(options, serve, queue, message => serveOwn(message, instance, edge), instance)
  await probe(options, `${subjects.instance(instance)}.ready`, instance, own)
  let drained: Promise<void> | undefined
  const drain = (): Promise<void> => {
    drained ??= drainAll(own, streams)
    return drained
  }
  return {
    contract,
    instance,
    startedAt: clock.now(),
    endpoints: [...served].map(([name, { counters }]) => ({
      name,
      subject: `${options.unversioned === false ? subjects.exact(contract.version) : subjects.plain}.${name}`,
      queue,
      counters,
    })),
    get inFlight() {
      return edge.running + streams.size
    },
    drain,
    [Symbol.asyncDispose]: drain,
  }
}

function servedOperations<C extends Contract>(options: ServeOptions<C>): ReadonlyMap<string, ServedOperation> {
  const { name, version } = options.contract
  return new Map(
    [...operationsOf(options.contract, options.handlers)].map(([method, operation]) => {
      const observer = options.observer?.operation({ contract: name, version, method, surface: 'bus', side: 'server' })
      return [method, { operation, observer: observer ?? unobserved, counters: new ServiceCounters() }]
    }),
  )
}

/** Finds the method of a subject. One call is mostly like the one before it: then no part of the subject is cut out. */
function finder(served: ReadonlyMap<string, ServedOperation>): (subject: string) => ServedOperation | undefined {
  let last = ''
  let found: ServedOperation | undefined
  return subject => {
    if (subject !== last) {
      found = served.get(subject.slice(subject.lastIndexOf('.') + 1))
      last = subject
    }
    return found
  }
}

interface OwnSubscriptions {
  readonly calls: readonly BusSubscription[]
  readonly frames: BusSubscription
}

/** The instance's own subject comes last: what came back over it shows that the bus has the ones before. */
async function subscribeAll<C extends Contract>(
  options: ServeOptions<C>,
  serve: (message: BusMessage) => Promise<void> | undefined,
  queue: string,
  serveFrames: (message: BusMessage) => Promise<void>,
  instance: string,
): Promise<OwnSubscriptions> {
  const { bus, contract, maxInFlight, maxQueued } = options
  const subjects = subjectsOf(options.prefix, contract)
  const limits = {
    ...(maxInFlight === undefined ? {} : { maxInFlight }),
    ...(maxQueued === undefined ? {} : { maxQueued }),
  }
  const places = [subjects.exact(contract.version), subjects.major]
  if (options.unversioned !== false) places.unshift(subjects.plain)
  else places.pop()
  const calls = await Promise.all(places.map(place => bus.subscribe(`${place}.*`, serve, { queue, ...limits })))
  // A held frame waits for a reader or a writer: it must not take the place of one that has something to do.
  const many = { maxInFlight: 65_536 }
  return { calls, frames: await bus.subscribe(`${subjects.instance(instance)}.*`, serveFrames, many) }
}

async function serveOwn(message: BusMessage, instance: string, edge: CallEdge): Promise<void> {
  if (message.subject.endsWith('.ready')) await message.respond?.(Buffer.from(instance))
  else await serveFrame(message, edge)
}

/** Sends to the own subject until it comes back. */
async function probe<C extends Contract>(
  { bus, clock, contract, readyMs = 10_000 }: ServeOptions<C>,
  subject: string,
  instance: string,
  own: OwnSubscriptions,
): Promise<void> {
  const end = clock.now() + readyMs
  let last: unknown
  for (let pauseMs = 5; clock.now() < end; pauseMs = Math.min(pauseMs * 2, 200)) {
    try {
      const answer = await bus.request(subject, new Uint8Array(0), { deadline: Math.min(end, clock.now() + 1_000) })
      if (Buffer.from(answer.payload).toString() === instance) return
      last = new Error('somebody else answered')
    } catch (error) {
      // It may listen but not send to itself: the acknowledged subscriptions have to do.
      if (CloudError.is(error, 'core.bus.refused')) return
      last = error
    }
    await sleep(clock, Math.min(pauseMs, Math.max(0, end - clock.now())))
  }
  await Promise.all([...own.calls, own.frames].map(subscription => subscription.drain()))
  throw new CloudError('core.bus.disconnected', `${contract.name}: the bus did not bring its probe back`, {
    cause: last,
  })
}

async function drainAll({ calls, frames }: OwnSubscriptions, streams: StreamHost): Promise<void> {
  await Promise.all(calls.map(subscription => subscription.drain()))
  await streams.idle()
  // The bus acknowledges the end of this one behind every answer that was given before.
  await frames.drain()
}
