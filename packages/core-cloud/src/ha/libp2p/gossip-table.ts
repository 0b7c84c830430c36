import type { NodeId } from '../raft/types.js'
import type { GroupId } from '../storage.js'
import type { GossipMessage, LeaderHint, LoadDigest, ServiceAdvert } from './gossip-records.js'

export interface GossipMember {
  readonly node: NodeId
  readonly address: string
  readonly zone: string
}

/** What one node said last. */
interface Voice {
  readonly member: GossipMember
  readonly epoch: number
  readonly counter: number
  /** Gone when `now` is past it. */
  readonly until: number
  readonly leaving: boolean
  readonly services: readonly ServiceAdvert[]
  readonly loads: readonly LoadDigest[]
}

export interface GossipTableOptions {
  /** Default 256. */
  readonly maxNodes?: number
  /** Groups whose leader is remembered, default 4_096; the oldest hint makes room. */
  readonly maxGroups?: number
  /** Milliseconds for which a node's words hold. */
  readonly ttlMs: number
}

/** What is known from gossip. Pure: a node's newest words replace its older ones, whatever comes first, and run out. */
export class GossipTable {
  readonly #maxNodes: number
  readonly #maxGroups: number
  readonly #ttlMs: number
  readonly #voices = new Map<NodeId, Voice>()
  readonly #leaders = new Map<GroupId, LeaderHint>()

  constructor(options: GossipTableOptions) {
    this.#maxNodes = options.maxNodes ?? 256
    this.#maxGroups = options.maxGroups ?? 4_096
    this.#ttlMs = options.ttlMs
  }

  /** @returns false for what is older than what is known, or when there is no room. */
  take(message: GossipMessage, now: number): boolean {
    const { from: node, epoch, counter, address, zone, leaving, services, loads } = message
    const known = this.#voices.get(node)
    if (known !== undefined && (epoch < known.epoch || (epoch === known.epoch && counter <= known.counter)))
      return false
    if (known === undefined && this.#voices.size >= this.#maxNodes && !this.#forgetOne(now)) return false
    const member = { node, address, zone }
    const said = leaving ? { services: [], loads: [] } : { services, loads }
    this.#voices.set(node, { member, epoch, counter, until: now + this.#ttlMs, leaving, ...said })
    for (const hint of message.leaders) this.hint(hint)
    return true
  }

  /** Remembers a leader when its term is higher than what is known. */
  hint(hint: LeaderHint): boolean {
    const known = this.#leaders.get(hint.group)
    if (known !== undefined && hint.term <= known.term) return false
    this.#leaders.delete(hint.group)
    if (this.#leaders.size >= this.#maxGroups) this.#leaders.delete(this.#leaders.keys().next().value as GroupId)
    this.#leaders.set(hint.group, hint)
    return true
  }

  members(now: number): GossipMember[] {
    return this.#living(now).map(({ member }) => member)
  }

  services(now: number, name: string): (ServiceAdvert & GossipMember)[] {
    return this.#living(now).flatMap(({ services, member }) =>
      services.filter(({ service }) => service === name).map(advert => ({ ...member, ...advert })),
    )
  }

  loads(now: number, name: string): LoadDigest[] {
    return this.#living(now).flatMap(({ loads }) => loads.filter(({ service }) => service === name))
  }

  leaderOf(group: GroupId): LeaderHint | undefined {
    return this.#leaders.get(group)
  }

  #living(now: number): Voice[] {
    return [...this.#voices.values()].filter(({ until, leaving }) => until > now && !leaving)
  }

  /** The dead stay as long as there is room: so their old words are not news when somebody repeats them. */
  #forgetOne(now: number): boolean {
    for (const [node, { until, leaving }] of this.#voices) {
      if (until <= now || leaving) return this.#voices.delete(node)
    }
    return false
  }
}
