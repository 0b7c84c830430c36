import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import type { NodeId } from '../raft/types.js'
import type { GroupId } from '../storage.js'
import {
  decodeGossip,
  encodeGossip,
  type LeaderHint,
  type LoadDigest,
  maxRecords,
  type ServiceAdvert,
} from './gossip-records.js'
import { type GossipMember, GossipTable } from './gossip-table.js'
import type { GossipTopic, NodeSeals } from './topic.js'

/** Changes are said together after this time, milliseconds. */
const gatherMs = 50

export interface GossipPlaneOptions {
  readonly self: NodeId
  readonly topic: GossipTopic
  readonly seals: NodeSeals
  /** Where others reach this node: of the network. */
  readonly address: () => string
  readonly zone?: string
  readonly clock: Clock
  readonly logger: Logger
  /** When this node started, higher than ever before; default `clock.now()`. */
  readonly epoch?: number
  /** Milliseconds between repetitions, default 1_000; what was not repeated ten times is gone. */
  readonly intervalMs?: number
  readonly maxNodes?: number
  readonly maxGroups?: number
}

/**
 * What nodes tell everybody, and nobody may rely on: who is a member, where services are, who seems to lead, how busy
 * they are. Never a grant, a lease or a commit.
 */
export interface GossipPlane extends AsyncDisposable {
  /**
   * Tells of an instance until the returned function is called; told again under the same name, it replaces.
   * @throws CloudError `core.ha.overloaded` for more than 128 instances of this node.
   */
  advertise(advert: ServiceAdvert): () => void
  /** Replaces what was reported of the same instance; as many as instances. Goes out with the next repetition. */
  reportLoad(load: LoadDigest): void
  /** This node, or one it heard of, leads a group: told at once when the term is higher than what is known. */
  hintLeader(hint: LeaderHint): void
  /** Others that were heard lately, this node not among them. */
  members(): readonly GossipMember[]
  /** Instances of a service on other nodes. */
  services(service: string): readonly (ServiceAdvert & GossipMember)[]
  loads(service: string): readonly LoadDigest[]
  leaderOf(group: GroupId): LeaderHint | undefined
  /** One handler, called after others said something new. */
  onChange(handler: () => void): void
}

export function gossipPlane(options: GossipPlaneOptions): GossipPlane {
  return new TopicGossip(options)
}

class TopicGossip implements GossipPlane {
  readonly #options: GossipPlaneOptions
  readonly #epoch: number
  readonly #intervalMs: number
  readonly #table: GossipTable
  readonly #services = new Map<string, ServiceAdvert>()
  readonly #loads = new Map<string, LoadDigest>()
  /** Hints to be told: the newest of each group, some times. */
  readonly #hints = new Map<GroupId, { readonly hint: LeaderHint; times: number }>()
  #counter = 0
  #cancel: () => void
  #cancelSoon: (() => void) | undefined
  #changed: () => void = () => undefined
  #closed = false

  constructor(options: GossipPlaneOptions) {
    this.#options = options
    const { clock, topic, intervalMs = 1_000 } = options
    this.#epoch = options.epoch ?? Math.floor(clock.now())
    this.#intervalMs = intervalMs
    this.#table = new GossipTable({
      ttlMs: 10 * intervalMs,
      ...(options.maxNodes === undefined ? {} : { maxNodes: options.maxNodes }),
      ...(options.maxGroups === undefined ? {} : { maxGroups: options.maxGroups }),
    })
    topic.onMessage((from, data) => this.#take(from, data))
    topic.onJoin(() => this.#soon())
    this.#cancel = clock.after(intervalMs, () => this.#beat())
    this.#soon()
  }

  advertise(advert: ServiceAdvert): () => void {
    const key = `${advert.service} ${advert.instance}`
    if (!this.#services.has(key) && this.#services.size >= maxRecords) {
      throw new CloudError('core.ha.overloaded', `this node advertises ${maxRecords} instances already`)
    }
    this.#services.set(key, advert)
    this.#soon()
    return () => {
      if (this.#services.get(key) !== advert) return
      this.#services.delete(key)
      this.#loads.delete(key)
      this.#soon()
    }
  }

  reportLoad(load: LoadDigest): void {
    const key = `${load.service} ${load.instance}`
    if (this.#services.has(key)) this.#loads.set(key, load)
  }

  hintLeader(hint: LeaderHint): void {
    if (!this.#table.hint(hint)) return
    this.#hints.delete(hint.group)
    if (this.#hints.size >= maxRecords) this.#hints.delete(this.#hints.keys().next().value as GroupId)
    this.#hints.set(hint.group, { hint, times: 3 })
    this.#soon()
  }

  members(): readonly GossipMember[] {
    return this.#table.members(this.#now())
  }

  services(service: string): readonly (ServiceAdvert & GossipMember)[] {
    return this.#table.services(this.#now(), service)
  }

  loads(service: string): readonly LoadDigest[] {
    return this.#table.loads(this.#now(), service)
  }

  leaderOf(group: GroupId): LeaderHint | undefined {
    return this.#table.leaderOf(group)
  }

  onChange(handler: () => void): void {
    this.#changed = handler
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#cancel()
    this.#cancelSoon?.()
    this.#say('leaving')
    this.#closed = true
    this.#options.topic.leave()
  }

  #now(): number {
    return this.#options.clock.monotonic()
  }

  #take(peer: string, data: Uint8Array): void {
    if (this.#closed) return
    try {
      const message = decodeGossip(data)
      const { seals, self } = this.#options
      if (!seals.verify(peer, message.from, Buffer.from(message.seal, 'base64'))) {
        throw new CloudError('core.ha.wrong-cluster', `node ${message.from} has no seal of this cluster`)
      }
      if (message.from === self) {
        throw new CloudError('core.ha.duplicate-node', `another peer says that it is node ${self}`)
      }
      if (this.#table.take(message, this.#now())) this.#changed()
    } catch (error) {
      this.#options.logger.warn('a gossip message is dropped', { peer, error })
    }
  }

  #soon(): void {
    if (this.#closed) return
    this.#cancelSoon ??= this.#options.clock.after(gatherMs, () => {
      this.#cancelSoon = undefined
      this.#say('here')
    })
  }

  #beat(): void {
    this.#cancel = this.#options.clock.after(this.#intervalMs, () => this.#beat())
    this.#say('here')
  }

  #say(state: 'here' | 'leaving'): void {
    const { self, seals, address, zone = '', topic, logger } = this.#options
    this.#counter += 1
    const leaders = [...this.#hints.values()].map(({ hint }) => hint)
    for (const [group, entry] of this.#hints) {
      entry.times -= 1
      if (entry.times === 0) this.#hints.delete(group)
    }
    try {
      topic.publish(
        encodeGossip({
          version: 1,
          from: self,
          epoch: this.#epoch,
          counter: this.#counter,
          seal: seals.own.toString('base64'),
          address: address(),
          zone,
          leaving: state === 'leaving',
          services: [...this.#services.values()],
          leaders,
          loads: [...this.#loads.values()],
        }),
      )
    } catch (error) {
      logger.error('what this node advertises is too much for one message', { error })
    }
  }
}
