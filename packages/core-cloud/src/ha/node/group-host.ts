import type { Clock } from '../../kernel/clock.js'
import type { Ids } from '../../kernel/ids.js'
import type { Logger } from '../../kernel/logger.js'
import type { HaNetwork } from '../network.js'
import type { NodeId } from '../raft/types.js'
import type { RaftStorage } from '../storage.js'
import type { NodeLimits } from './node-limits.js'

/** What a node gives each of its groups. */
export interface GroupHost {
  readonly self: NodeId
  readonly storage: RaftStorage
  readonly network: HaNetwork
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly limits: NodeLimits
  /** An election timeout at rest, milliseconds. */
  readonly electionMs: number
  /** Sends with what the other groups have for the same node. `lost`: it was not sent, for sure. */
  send(to: NodeId, item: Uint8Array, lost?: () => void): void
  /** The group wants a turn. */
  wake(): void
  /** Something happened after which this node must not go on. */
  fail(error: unknown): void
}
