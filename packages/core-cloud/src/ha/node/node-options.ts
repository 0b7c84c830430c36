import type { Clock } from '../../kernel/clock.js'
import type { Ids } from '../../kernel/ids.js'
import type { Logger } from '../../kernel/logger.js'
import type { HaNetwork } from '../network.js'
import type { RaftOptions } from '../raft/options.js'
import type { Membership, NodeId } from '../raft/types.js'
import type { Replica, StateMachine } from '../replica.js'
import type { GroupId, RaftStorage } from '../storage.js'
import type { NodeLimits } from './node-limits.js'
import type { SessionLimits } from './sessions.js'

export interface GroupOptions {
  readonly group: GroupId
  readonly machine: StateMachine
  /**
   * Who the group started with: the same on every node, also on one that is added later. What the disk has goes before.
   * See `initialMembership`.
   */
  readonly first: Membership
  /** Election, reads and windows of this group; the ticks are the node's. */
  readonly raft?: Omit<RaftOptions, 'id' | 'seed' | 'electionTicks' | 'heartbeatTicks'>
  /** The same on every member of the group, for ever. */
  readonly sessions?: Partial<SessionLimits>
}

export interface NodeOptions {
  /** Has to be the network's. */
  readonly node: NodeId
  /** The node's from now on: it closes it. */
  readonly storage: RaftStorage
  /** The node's from now on: it closes it. */
  readonly network: HaNetwork
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly groups: readonly GroupOptions[]
  /** Where the others are, as far as that is known; more by `setPeer`. */
  readonly peers?: ReadonlyMap<NodeId, string>
  /** Milliseconds, default 50. */
  readonly tickMs?: number
  /** Default 10: elections after 500 to 1,000 ms without a leader, sooner when its connection ends. */
  readonly electionTicks?: number
  /** Default 2: every 100 ms. */
  readonly heartbeatTicks?: number
  readonly limits?: Partial<NodeLimits>
}

/** One process of a cluster: drives its groups on one storage, one network and one clock. */
export interface HaNode extends AsyncDisposable {
  readonly self: NodeId
  /** @throws RangeError for a group that is not open here. */
  group(group: GroupId): Replica
  readonly groups: readonly GroupId[]
  /** Opens one more group. */
  open(options: GroupOptions): Promise<Replica>
  setPeer(node: NodeId, address: string): void
  removePeer(node: NodeId): void
  /** Resolves when something failed after which the node has stopped: the disk, or the state machine. Never rejects. */
  readonly failed: Promise<Error>
  /**
   * Stops: no new calls, leadership goes to another member, what is open gets its outcome, the storage is flushed.
   * @param options.withinMs - after this what is still open fails, default 5_000.
   */
  close(options?: { readonly withinMs?: number }): Promise<void>
}
