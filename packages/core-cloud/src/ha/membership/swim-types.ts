import type { NodeId } from '../raft/types.js'

export type MemberHealth = 'alive' | 'suspect' | 'dead'

/** What is told about a node. A higher incarnation wins; of the same one, dead beats suspect beats alive. */
export interface MemberNews {
  readonly node: NodeId
  readonly health: MemberHealth
  /** Raised by the node itself alone, to refute what is said about it. Integer, 0 to 2^53 - 1. */
  readonly incarnation: number
  /** Who suspects it or found it dead; a node that names itself dead has left. */
  readonly by: NodeId
}

/** What nodes say to each other; every message carries some news. */
export interface SwimMessage {
  /** `probe` asks the receiver to ping `target` for the sender; `no-answer` says that it tried in vain so far. */
  readonly type: 'ping' | 'probe' | 'ack' | 'no-answer'
  /** Chosen by who asks; comes back in the answer. 32 bits. */
  readonly sequence: number
  /** Whom a ping is meant for (another node at the same address is not to answer it), or whom to probe. 0 in answers. */
  readonly target: NodeId
  readonly news: readonly MemberNews[]
}

/** A member of the table changed its health in the eyes of this node. */
export interface MemberChanged {
  readonly node: NodeId
  readonly health: MemberHealth
}

export interface SwimOutput {
  readonly messages: readonly { readonly to: NodeId; readonly message: SwimMessage }[]
  readonly changes: readonly MemberChanged[]
}
