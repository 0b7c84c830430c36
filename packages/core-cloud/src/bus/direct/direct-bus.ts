import { Deadlines } from '../../kernel/deadlines.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import type {
  BusHeaders,
  BusMessage,
  BusSubscription,
  RequestManyOptions,
  RequestOptions,
  SubscribeOptions,
} from '../bus.js'
import { encodeHeaders } from '../headers.js'
import { maxPayloadBytes, maxWaitMs } from '../link.js'
import { checkSubject, coveredBy, isSubject } from '../subject.js'
import { defaultMaxInFlight, defaultMaxQueued } from '../subscriber.js'
import { DirectCall, type DirectTarget } from './direct-call.js'
import { CredentialCheck, rawKey } from './direct-credential.js'
import { DirectDesk } from './direct-desk.js'
import { DirectDirectory } from './direct-directory.js'
import { DirectDiscovery, type DiscoveredPeer } from './direct-discovery.js'
import { type DirectPlaces, type DirectSocket, isNeighbour, listenDirect } from './direct-endpoint.js'
import type { DirectSelf } from './direct-handshake.js'
import { DirectHome } from './direct-home.js'
import { DirectInbound } from './direct-inbound.js'
import { DirectLink } from './direct-link.js'
import {
  type DirectBus,
  type DirectBusOptions,
  type DirectInfo,
  type DirectLimits,
  defaultDirectLimits,
} from './direct-options.js'
import { DirectSubscriber } from './direct-subscriber.js'

/**
 * Puts a direct path in front of any bus. Instances announce over it where they can be reached and what they listen to;
 * a request that exactly one member of one queue (or one lone subscriber) is to get goes to that member over a unix
 * socket or TLS, everything else takes the bus below. What could not be written, or was certainly not run, takes the
 * bus below without the caller noticing; a connection lost after that is `core.bus.disconnected` (outcome unknown).
 *
 * `subscribe` resolves when every known instance has heard of it (at most `settleMs`): from then on no direct call goes
 * past it. Between `publish` and direct requests there is no order.
 *
 * Trust: whoever holds the issuer's key decides who calls as whom; a credential carries the rights, the callee enforces
 * them, and `sender` is the name in it. A peer proves its key in every connection, in both directions. Who can read the
 * folder of the sockets can dial but not call; who can put a socket into it can only make calls take the bus below.
 * @throws CloudError `core.kernel.invalid-config`, `core.deploy.already-running`, `core.bus.refused` when the identity
 *   may not use the discovery subjects, `core.bus.bad-signature` when the own credential is not good.
 */
export async function directBus(options: DirectBusOptions): Promise<DirectBus> {
  const bus = new Direct(options)
  try {
    await bus.open()
  } catch (error) {
    await bus[Symbol.asyncDispose]()
    throw error
  }
  return bus
}

class Direct implements DirectBus {
  readonly #options: DirectBusOptions
  readonly #limits: DirectLimits
  readonly #instance: string
  readonly #logger: Logger
  readonly #check: CredentialCheck
  readonly #deadlines: Deadlines
  readonly #desk = new DirectDesk()
  readonly #directory = new DirectDirectory()
  readonly #links = new Map<string, { readonly peer: DiscoveredPeer; readonly link: DirectLink }>()
  readonly #inbound = new Set<DirectInbound>()
  readonly #home: DirectHome
  /** Subjects looked at before: true when they may go directly. */
  readonly #mayGo = new Map<string, boolean>()
  #publishRights: readonly string[] = []
  #places: DirectPlaces = {}
  #discovery: DirectDiscovery | undefined
  #closeSockets: () => void = () => undefined
  #direct = 0
  #otherWay = 0
  #closed: Promise<void> | undefined

  constructor(options: DirectBusOptions) {
    this.#options = options
    this.#limits = { ...defaultDirectLimits, ...options.limits }
    this.#instance = options.instance ?? options.ids.uuid()
    if (!isSubject(this.#instance) || this.#instance.includes('.') || this.#instance.length > 64)
      throw new CloudError('core.kernel.invalid-config', 'not the name of an instance', { field: 'instance' })
    checkSubject(this.#discoverySubject)
    this.#logger = options.logger.child({ component: 'direct-bus' })
    this.#check = new CredentialCheck(options)
    this.#deadlines = new Deadlines(options.clock)
    this.#home = new DirectHome({ desk: this.#desk, otherWay: call => this.#takeOtherWay(call) })
  }

  get #discoverySubject(): string {
    return this.#options.discovery ?? 'aaas.peers'
  }

  readonly #self = (): DirectSelf => {
    const { credential, privateKey } = this.#options
    return { instance: this.#instance, credential: credential(), privateKey }
  }

  async open(): Promise<void> {
    const { below, listen, privateKey, clock, ids } = this.#options
    const own = this.#check.read(this.#options.credential(), clock.now())
    if (own.key !== rawKey(privateKey))
      throw new CloudError('core.kernel.invalid-config', 'the credential is of another key', { field: 'privateKey' })
    this.#publishRights = own.identity.publish
    this.#home.name = own.identity.name
    if (listen !== undefined) {
      const { places, close } = await listenDirect(listen, privateKey, socket => this.#admit(socket))
      this.#places = places
      this.#closeSockets = close
    }
    this.#discovery = new DirectDiscovery({
      below,
      subject: this.#discoverySubject,
      self: this.#self,
      places: this.#places,
      listeners: () => this.#desk.listeners,
      check: this.#check,
      clock,
      ids,
      logger: this.#logger,
      limits: this.#limits,
      onPeer: peer => this.#meet(peer),
      onGone: instance => this.#part(instance),
    })
    await this.#discovery.open()
  }

  info(): DirectInfo {
    return {
      instance: this.#instance,
      places: this.#places,
      peers: [...this.#links.values()].map(({ peer, link }) => ({
        instance: peer.instance,
        name: peer.credential.identity.name,
        connected: link.connected,
      })),
      callers: [...this.#inbound].filter(({ caller }) => caller !== undefined).length,
      direct: this.#direct,
      otherWay: this.#otherWay,
    }
  }

  // ---- Bus

  publish(subject: string, payload: Uint8Array, options?: { readonly headers?: BusHeaders }): Promise<void> {
    return this.#options.below.publish(subject, payload, options)
  }

  requestMany(subject: string, payload: Uint8Array, options: RequestManyOptions): AsyncIterable<BusMessage> {
    return this.#options.below.requestMany(subject, payload, options)
  }

  async subscribe(
    subject: string,
    handler: (message: BusMessage) => void | Promise<void>,
    options: SubscribeOptions = {},
  ): Promise<BusSubscription> {
    const { below } = this.#options
    let inner: BusSubscription | undefined
    const subscriber = new DirectSubscriber({
      pattern: subject,
      queue: options.queue ?? '',
      handler,
      maxInFlight: options.maxInFlight ?? defaultMaxInFlight,
      maxQueued: options.maxQueued ?? defaultMaxQueued,
      logger: this.#logger,
      hidden: `${this.#discoverySubject}.`,
      stop: async self => {
        this.#desk.remove(self)
        this.#changed()
        // A caller that has not heard of it yet is told so, and takes the bus below.
        void this.#discovery?.announce()
        await inner?.drain()
        await self.idle()
      },
    })
    inner = await below.subscribe(subject, subscriber.fromBelow, options)
    this.#desk.add(subscriber)
    this.#changed()
    await this.#discovery?.announce()
    return subscriber
  }

  request(subject: string, payload: Uint8Array, options: RequestOptions): Promise<BusMessage> {
    const target = this.#targetOf(subject)
    const { signal, deadline } = options
    const wait = Math.min(deadline - this.#options.clock.now(), maxWaitMs)
    // What is wrong with a call is said by the bus below, which knows all about it.
    if (target === undefined || !(wait > 0) || signal?.aborted === true || payload.length > maxPayloadBytes)
      return this.#options.below.request(subject, payload, options)
    return new Promise((resolve, reject) => {
      const headers = encodeHeaders(options.headers)
      const call = new DirectCall(subject, copyOf(payload), headers, options, resolve, reject, this.#deadlines)
      this.#direct += 1
      call.watch(target, wait)
      try {
        target.send(call)
      } catch (error) {
        call.release()
        throw error
      }
    })
  }

  async drain(): Promise<void> {
    await Promise.all(this.#desk.all.map(subscriber => subscriber.drain()))
    await this.#options.below.drain()
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#closeSockets()
    const stopped = new CloudError('core.kernel.stopped', 'the bus is closed')
    for (const { link } of this.#links.values()) link.close(stopped)
    this.#home.close(stopped)
    // Sent before anything else; nobody waits for the word to arrive, for there may be no hub to take it.
    void this.#discovery?.leave()
    await Promise.all([...this.#inbound].map(connection => connection.leave()))
    this.#links.clear()
    await this.#options.below[Symbol.asyncDispose]()
    this.#deadlines.clear()
  }

  // ---- calls

  #targetOf(subject: string): DirectTarget | undefined {
    if (this.#closed !== undefined || this.#discovery?.complete !== true) return undefined
    if (!(this.#mayGo.get(subject) ?? this.#consider(subject))) return undefined
    return this.#directory.choose(subject, this.#random)
  }

  readonly #random = (): number => this.#options.ids.random()

  #consider(subject: string): boolean {
    const { subjects } = this.#options
    const may =
      isSubject(subject) &&
      (subjects === undefined || coveredBy(subjects, subject)) &&
      coveredBy(this.#publishRights, subject)
    if (this.#mayGo.size >= 4_096) this.#mayGo.clear()
    this.#mayGo.set(subject, may)
    return may
  }

  #takeOtherWay(call: DirectCall): void {
    call.release()
    this.#otherWay += 1
    call.resolve(this.#options.below.request(call.subject, call.payload, call.options))
  }

  // ---- peers

  #changed(): void {
    this.#directory.put({ instance: this.#instance, listeners: this.#desk.listeners, target: this.#home })
  }

  #meet(peer: DiscoveredPeer): void {
    const known = this.#links.get(peer.instance)
    const same = known?.peer.credential.key === peer.credential.key
    if (!same) known?.link.retire()
    const link = same && known !== undefined ? known.link : this.#linkTo(peer)
    this.#links.set(peer.instance, { peer, link })
    this.#directory.put({ instance: peer.instance, listeners: peer.listeners, target: link })
  }

  #linkTo(peer: DiscoveredPeer): DirectLink {
    const { clock, ids, listen } = this.#options
    const { socketPath, tcp } = peer.places
    return new DirectLink({
      instance: peer.instance,
      places: {
        ...(socketPath !== undefined && isNeighbour(listen?.socketPath, socketPath) ? { socketPath } : {}),
        ...(tcp === undefined ? {} : { tcp }),
      },
      key: peer.credential.key,
      self: this.#self,
      check: this.#check,
      clock,
      ids,
      logger: this.#logger,
      limits: this.#limits,
      otherWay: call => this.#takeOtherWay(call),
    })
  }

  #part(instance: string): void {
    this.#directory.remove(instance)
    this.#links.get(instance)?.link.retire()
    this.#links.delete(instance)
  }

  #admit(socket: DirectSocket): void {
    if (this.#closed !== undefined || this.#inbound.size >= this.#limits.maxInbound) {
      socket.socket.destroy()
      return
    }
    const { clock, ids } = this.#options
    const connection = new DirectInbound({
      socket,
      desk: this.#desk,
      self: this.#self,
      check: this.#check,
      clock,
      ids,
      logger: this.#logger,
      limits: this.#limits,
      deadlines: this.#deadlines,
      quota: this.#options.quota,
    })
    this.#inbound.add(connection)
    void connection.closed.then(() => this.#inbound.delete(connection))
  }
}

function copyOf(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafe(bytes.length)
  copy.set(bytes)
  return copy
}
