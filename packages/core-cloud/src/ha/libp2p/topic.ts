import type { NodeId } from '../raft/types.js'
import type { ClusterKey } from './admission.js'

/**
 * A topic on which every message says truly which peer sent it. Messages may be lost, repeated, delayed and reordered;
 * nothing waits and nothing is promised. A simulation may implement it, too.
 */
export interface GossipTopic {
  /** Peer id of this node. */
  readonly self: string
  /** Everybody on the topic but this node gets it, or not. */
  publish(data: Uint8Array): void
  onMessage(handler: (from: string, data: Uint8Array) => void): void
  /** Somebody else came to the topic: what was said before was not for it. */
  onJoin(handler: () => void): void
  leave(): void
}

const purpose = 'node'
export const sealBytes = 32

/**
 * Binds peers to nodes on topics, where a message may come over others and its peer was never met: who has the cluster
 * key seals its node id and peer id with it.
 */
export class NodeSeals {
  readonly #key: ClusterKey
  readonly #maxPeers: number
  readonly #known = new Map<string, NodeId>()
  readonly own: Buffer

  constructor(options: {
    readonly key: ClusterKey
    readonly self: NodeId
    readonly peer: string
    /** Peers remembered, default 1_024. */
    readonly maxPeers?: number
  }) {
    this.#key = options.key
    this.#maxPeers = options.maxPeers ?? 1_024
    this.own = this.#key.seal(purpose, parts(options.self, options.peer))
  }

  /** True when the sealed words are the cluster's; asked once per peer. */
  verify(peer: string, node: NodeId, seal: Uint8Array): boolean {
    if (this.#known.get(peer) === node) return true
    if (!this.#key.verify(seal, purpose, parts(node, peer))) return false
    if (this.#known.size >= this.#maxPeers) this.#known.delete(this.#known.keys().next().value as string)
    this.#known.set(peer, node)
    return true
  }
}

function parts(node: NodeId, peer: string): Uint8Array[] {
  const id = Buffer.alloc(4)
  id.writeUInt32LE(node)
  return [id, Buffer.from(peer)]
}
