import type { Clock } from '../kernel/clock.js'
import { type Deadline, Deadlines } from '../kernel/deadlines.js'
import { CloudError } from '../kernel/errors.js'
import type { HeaderBlock } from './headers.js'
import { IdTable } from './id-table.js'
import { type BusIdentity, type HubLink, maxWaitMs, type PeerLink } from './link.js'
import { checkPattern, checkQueue, checkSubject, coveredBy } from './subject.js'
import { SubjectIndex } from './subject-index.js'

/** Bounds of what one peer may hold at the hub. */
export interface RouterLimits {
  /** Requests of one peer without an answer; beyond: `core.bus.overloaded`. */
  readonly maxRequests: number
  /** Subscriptions of one peer; beyond: `core.bus.overloaded`. */
  readonly maxSubscriptions: number
}

const defaultRouterLimits: RouterLimits = { maxRequests: 16_384, maxSubscriptions: 4_096 }

/** Subjects whose receivers are remembered; a hostile sender of ever new subjects only empties it. */
const routeCacheSize = 4_096

interface Subscription {
  readonly peer: Peer
  readonly id: number
  readonly pattern: string
  readonly queue: string
  /** Requests given to it that are not answered. */
  inFlight: number
}

interface Group {
  readonly members: readonly Subscription[]
  /** Where the next search starts, so that equals take turns. */
  next: number
}

interface Route {
  readonly plain: readonly Subscription[]
  readonly groups: readonly Group[]
}

/** A request under way, as the hub sees it. */
interface Waiting {
  readonly origin: Peer
  readonly id: number
  readonly deliveries: Delivery[]
  timer: Deadline | undefined
  /** True: every answer counts. */
  readonly many: boolean
  /** Receivers that may still answer. */
  open: number
}

interface Delivery {
  readonly waiting: Waiting
  readonly subscription: Subscription
  id: number
}

/** One connection or one in-process bus. */
interface Peer {
  readonly identity: BusIdentity | undefined
  /** In this process: it keeps the bytes it is given instead of writing them to a socket. */
  readonly local: boolean
  readonly sender: string
  readonly out: PeerLink
  readonly subscriptions: Map<number, Subscription>
  /** By the ids of the peer. */
  readonly requests: IdTable<Waiting>
  /** By our ids. */
  readonly deliveries: IdTable<Delivery>
  /** Subjects that were found well-formed and allowed, so that the next message does not pay for it again. */
  readonly allowed: Set<string>
  attached: boolean
}

/** What the owner of a peer's connection holds. */
export interface RouterPort extends HubLink {
  /** The peer is gone: its subscriptions end, callers that waited for it learn that it will not answer. */
  detach(): void
}

/**
 * Carries messages between peers; knows nothing of sockets. Every rule of the bus that the hub enforces is here:
 * who may send and listen where, who gets a message, which answer counts, and what happens when a side goes away.
 */
export class Router {
  readonly #index = new SubjectIndex<Subscription>()
  readonly #routes = new Map<string, Route>()
  readonly #deadlines: Deadlines
  readonly #clock: Clock
  readonly #limits: RouterLimits

  constructor(options: { readonly clock: Clock; readonly limits?: Partial<RouterLimits> }) {
    this.#clock = options.clock
    this.#limits = { ...defaultRouterLimits, ...options.limits }
    this.#deadlines = new Deadlines(options.clock)
  }

  /** @param options.identity - undefined: a peer that may do everything and stamps no sender. */
  attach({
    identity,
    out,
    local,
  }: {
    readonly identity: BusIdentity | undefined
    readonly out: PeerLink
    readonly local: boolean
  }): RouterPort {
    const peer: Peer = {
      identity,
      local,
      sender: identity?.name ?? '',
      out,
      subscriptions: new Map(),
      requests: new IdTable(),
      deliveries: new IdTable(),
      allowed: new Set(),
      attached: true,
    }
    return {
      publish: (id, subject, headers, payload) => this.#publish(peer, id, subject, headers, payload),
      request: (id, deadline, subject, headers, payload, many) =>
        this.#request(peer, id, deadline, subject, headers, payload, many),
      cancel: id => this.#cancel(peer, id),
      subscribe: (id, subscription, pattern, queue) =>
        answering(peer, id, () => this.#subscribe(peer, subscription, pattern, queue)),
      unsubscribe: (id, subscription) => answering(peer, id, () => this.#unsubscribe(peer, subscription)),
      reply: (delivery, headers, payload) => this.#reply(peer, delivery, headers, payload),
      replyError: (delivery, code, text) => this.#giveUp(peer, delivery, code, text),
      flush: id => peer.out.accepted(id),
      detach: () => this.#detach(peer),
    }
  }

  /** Stops every timer; the owner has detached all peers. */
  close(): void {
    this.#deadlines.clear()
  }

  #publish(peer: Peer, id: number, subject: string, headers: HeaderBlock, payload: Uint8Array): void {
    answering(peer, id, () => {
      checkPublish(peer, subject)
      const route = this.#route(subject)
      const owned = new Owned(peer, payload)
      const send = ({ peer: receiver, id: subscription }: Subscription): void => {
        receiver.out.deliver(subscription, 0, 0, peer.sender, subject, headers, owned.for(receiver))
      }
      route.plain.forEach(send)
      for (const group of route.groups) send(choose(group))
    })
  }

  #request(
    peer: Peer,
    id: number,
    deadline: number,
    subject: string,
    headers: HeaderBlock,
    payload: Uint8Array,
    many: boolean,
  ): void {
    const refusal = this.#refusal(peer, id, subject)
    if (refusal !== undefined) {
      peer.out.failed(id, refusal.code, refusal.message)
      return
    }
    const route = this.#route(subject)
    const receivers = route.plain.length + route.groups.length
    if (receivers === 0) {
      peer.out.failed(id, 'core.bus.no-responder', `nobody serves ${subject}`)
      return
    }
    const waiting: Waiting = { origin: peer, id, deliveries: [], timer: undefined, many, open: receivers }
    if (!peer.requests.put(id, waiting, this.#limits.maxRequests)) {
      peer.out.failed(id, 'core.bus.overloaded', `at most ${this.#limits.maxRequests} requests may wait for an answer`)
      return
    }
    waiting.timer = this.#deadlines.add(Math.min(deadline - this.#clock.now(), maxWaitMs), () => this.#expire(waiting))
    const owned = new Owned(peer, payload)
    const send = (subscription: Subscription): void => {
      const receiver = subscription.peer
      const delivery: Delivery = { waiting, subscription, id: 0 }
      delivery.id = receiver.deliveries.add(delivery)
      subscription.inFlight += 1
      waiting.deliveries.push(delivery)
      if (delivery.id === 0)
        this.#drop(delivery, 'core.bus.overloaded', `the receiver of ${subject} has too much to do`)
      else
        receiver.out.deliver(subscription.id, delivery.id, deadline, peer.sender, subject, headers, owned.for(receiver))
    }
    for (const subscription of route.plain) send(subscription)
    for (const group of route.groups) send(choose(group))
  }

  #refusal(peer: Peer, id: number, subject: string): CloudError | undefined {
    try {
      checkPublish(peer, subject)
    } catch (error) {
      return CloudError.from(error)
    }
    return peer.requests.get(id) === undefined
      ? undefined
      : new CloudError('core.bus.refused', `the id ${id} is in use`)
  }

  #reply(peer: Peer, id: number, headers: HeaderBlock, payload: Uint8Array): void {
    const delivery = peer.deliveries.get(id)
    if (delivery === undefined) return
    const { waiting } = delivery
    if (!waiting.many) this.#settle(waiting, 'core.contract.cancelled', delivery)
    waiting.origin.out.answered(waiting.id, peer.sender, headers, new Owned(peer, payload).for(waiting.origin))
    // Answered is as good as given up: one receiver fewer to wait for. The caller may have had enough just now.
    if (waiting.many) this.#giveUp(peer, id, 'core.contract.cancelled', '')
  }

  /** A receiver will not answer. The caller learns it when nobody else is left. */
  #giveUp(peer: Peer, id: number, code: string, text: string): void {
    const delivery = peer.deliveries.release(id)
    if (delivery !== undefined) this.#drop(delivery, code, text)
  }

  #drop(delivery: Delivery, code: string, text: string): void {
    delivery.subscription.inFlight -= 1
    const { waiting } = delivery
    waiting.open -= 1
    if (waiting.open > 0) return
    this.#settle(waiting, code, delivery)
    if (waiting.many) waiting.origin.out.accepted(waiting.id)
    else waiting.origin.out.failed(waiting.id, code, text)
  }

  #expire(waiting: Waiting): void {
    this.#settle(waiting, 'core.contract.deadline-exceeded')
    waiting.origin.out.failed(waiting.id, 'core.contract.deadline-exceeded', 'no answer before the deadline')
  }

  #cancel(peer: Peer, id: number): void {
    const waiting = peer.requests.get(id)
    if (waiting !== undefined) this.#settle(waiting, 'core.contract.cancelled')
  }

  /** Ends a request: every receiver but `except` that still works on it is told that its answer is not wanted. */
  #settle(waiting: Waiting, code: string, except?: Delivery): void {
    waiting.origin.requests.take(waiting.id)
    if (waiting.timer !== undefined) this.#deadlines.remove(waiting.timer)
    for (const delivery of waiting.deliveries) {
      const { peer } = delivery.subscription
      // The id of one that answered may be another's by now.
      if (peer.deliveries.get(delivery.id) !== delivery) continue
      peer.deliveries.release(delivery.id)
      delivery.subscription.inFlight -= 1
      if (delivery !== except) peer.out.cancelled(delivery.id, code)
    }
  }

  #subscribe(peer: Peer, id: number, pattern: string, queue: string): void {
    checkPattern(pattern)
    if (queue !== '') checkQueue(queue)
    if (peer.identity !== undefined && !coveredBy(peer.identity.subscribe, pattern)) {
      throw new CloudError('core.bus.refused', `${peer.identity.name} may not listen on ${pattern}`, {
        field: 'subject',
      })
    }
    if (peer.subscriptions.has(id)) throw new CloudError('core.bus.refused', `the subscription id ${id} is in use`)
    if (peer.subscriptions.size >= this.#limits.maxSubscriptions) {
      throw new CloudError('core.bus.overloaded', `at most ${this.#limits.maxSubscriptions} subscriptions a connection`)
    }
    const subscription: Subscription = { peer, id, pattern, queue, inFlight: 0 }
    peer.subscriptions.set(id, subscription)
    this.#index.add(pattern, subscription)
    this.#routes.clear()
  }

  #unsubscribe(peer: Peer, id: number): void {
    const subscription = peer.subscriptions.get(id)
    if (subscription === undefined) return
    peer.subscriptions.delete(id)
    this.#index.remove(subscription.pattern, subscription)
    this.#routes.clear()
  }

  #detach(peer: Peer): void {
    if (!peer.attached) return
    peer.attached = false
    for (const id of [...peer.subscriptions.keys()]) this.#unsubscribe(peer, id)
    for (const [, waiting] of peer.requests.entries()) this.#settle(waiting, 'core.bus.disconnected')
    for (const [id] of peer.deliveries.entries()) {
      this.#giveUp(
        peer,
        id,
        'core.bus.disconnected',
        'the receiver went away before it answered; the outcome is unknown',
      )
    }
  }

  #route(subject: string): Route {
    const known = this.#routes.get(subject)
    if (known !== undefined) return known
    const plain: Subscription[] = []
    const queues = new Map<string, Subscription[]>()
    for (const subscription of this.#index.match(subject)) {
      if (subscription.queue === '') plain.push(subscription)
      else {
        const members = queues.get(subscription.queue)
        if (members === undefined) queues.set(subscription.queue, [subscription])
        else members.push(subscription)
      }
    }
    const route: Route = { plain, groups: [...queues.values()].map(members => ({ members, next: 0 })) }
    if (this.#routes.size >= routeCacheSize) this.#routes.clear()
    this.#routes.set(subject, route)
    return route
  }
}

/** Bytes on their way: every receiver in this process gets its own, a socket takes a copy anyway. */
class Owned {
  readonly #payload: Uint8Array
  /** True when somebody in this process has the bytes: the sender, who may change them, or a receiver. */
  #taken: boolean

  constructor(from: Peer, payload: Uint8Array) {
    this.#payload = payload
    this.#taken = from.local
  }

  for(receiver: Peer): Uint8Array {
    if (!receiver.local) return this.#payload
    if (this.#taken) return copyOf(this.#payload)
    this.#taken = true
    return this.#payload
  }
}

/** Does what was asked and tells the peer how it went. */
function answering(peer: Peer, id: number, work: () => void): void {
  try {
    work()
  } catch (error) {
    const { code, message } = CloudError.from(error)
    peer.out.failed(id, code, message)
    return
  }
  peer.out.accepted(id)
}

function checkPublish(peer: Peer, subject: string): void {
  if (peer.allowed.has(subject)) return
  checkSubject(subject)
  if (peer.identity !== undefined && !coveredBy(peer.identity.publish, subject)) {
    throw new CloudError('core.bus.refused', `${peer.identity.name} may not send to ${subject}`, { field: 'subject' })
  }
  if (peer.allowed.size >= routeCacheSize) peer.allowed.clear()
  peer.allowed.add(subject)
}

/** The member with the fewest requests under way; equals take turns. */
function choose(group: Group): Subscription {
  const { members } = group
  const count = members.length
  let best = group.next % count
  let chosen = members[best] as Subscription
  for (let step = 1; step < count && chosen.inFlight > 0; step++) {
    const place = (group.next + step) % count
    const member = members[place] as Subscription
    if (member.inFlight < chosen.inFlight) {
      best = place
      chosen = member
    }
  }
  group.next = (best + 1) % count
  return chosen
}

function copyOf(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafe(bytes.length)
  copy.set(bytes)
  return copy
}
