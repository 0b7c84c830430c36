import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import type { NodeId } from '../raft/types.js'
import type { Refusal } from './admission.js'
import type { Gate } from './cluster-noise.js'

/** An admission that became no connection is forgotten after this time: an upgrade may take ten seconds. */
const admissionMs = 15_000

interface Binding {
  readonly peer: string
  connections: number
  admittedAt: number
}

/** Which peer is which node, for as long as it lives here; and which refusals have been told already. */
export class PeerBook implements Gate {
  readonly #self: NodeId
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #maxNodes: number
  readonly #selfPeer: () => string
  readonly #bindings = new Map<NodeId, Binding>()
  readonly #nodes = new Map<string, NodeId>()
  readonly #pins = new Map<NodeId, string>()
  readonly #shut = new Set<NodeId>()
  #closed = false
  /** The refusals of the last peers: a peer that comes back every second is one line. */
  readonly #told = new Set<string>()

  constructor(options: {
    readonly self: NodeId
    readonly selfPeer: () => string
    readonly clock: Clock
    readonly logger: Logger
    readonly maxNodes: number
  }) {
    this.#self = options.self
    this.#selfPeer = options.selfPeer
    this.#clock = options.clock
    this.#logger = options.logger
    this.#maxNodes = options.maxNodes
  }

  /** An address with a peer id in it says who the node is. */
  pin(node: NodeId, peer: string | undefined): void {
    this.#shut.delete(node)
    if (peer === undefined) this.#pins.delete(node)
    else this.#pins.set(node, peer)
  }

  /** Lets nobody in any more. */
  close(): void {
    this.#closed = true
  }

  /** Keeps a node out until it is pinned again. */
  shut(node: NodeId): void {
    this.#shut.add(node)
    this.#pins.delete(node)
    // An old removal is forgotten rather than the list growing for ever: ids are not given again.
    if (this.#shut.size > this.#maxNodes) this.#shut.delete(this.#shut.values().next().value as NodeId)
  }

  isShut(node: NodeId): boolean {
    return this.#shut.has(node)
  }

  nodeOf(peer: string): NodeId | undefined {
    return this.#nodes.get(peer)
  }

  peerOf(node: NodeId): string | undefined {
    return this.#bindings.get(node)?.peer
  }

  refuse(node: NodeId, peer: string): Refusal | undefined {
    const reason = this.#duplicate(node, peer)
    if (reason !== undefined) return { code: 'core.ha.duplicate-node', reason }
    if (this.#closed) return { code: 'core.ha.unavailable', reason: 'this node is stopping' }
    if (this.#shut.has(node)) return { code: 'core.ha.unavailable', reason: `node ${node} was removed` }
    if (!this.#bindings.has(node) && this.#bindings.size >= this.#maxNodes && !this.#forgetDead()) {
      return { code: 'core.ha.unavailable', reason: `${this.#maxNodes} nodes are known already` }
    }
    return undefined
  }

  admitted(node: NodeId, peer: string): void {
    const known = this.#bindings.get(node)
    if (known !== undefined && known.peer === peer) {
      known.admittedAt = this.#clock.monotonic()
      return
    }
    if (known !== undefined) this.#nodes.delete(known.peer)
    const before = this.#nodes.get(peer)
    if (before !== undefined) this.#bindings.delete(before)
    this.#bindings.set(node, { peer, connections: 0, admittedAt: this.#clock.monotonic() })
    this.#nodes.set(peer, node)
  }

  connected(peer: string): void {
    const binding = this.#bindings.get(this.#nodes.get(peer) ?? 0)
    if (binding !== undefined) binding.connections += 1
  }

  disconnected(peer: string): void {
    const binding = this.#bindings.get(this.#nodes.get(peer) ?? 0)
    if (binding === undefined || binding.connections === 0) return
    binding.connections -= 1
    // Dead at once: a node that lost its key file comes back as another peer.
    if (binding.connections === 0) binding.admittedAt = Number.NEGATIVE_INFINITY
  }

  refused(peer: string, direction: 'inbound' | 'outbound', error: unknown): void {
    if (!CloudError.is(error) || error.code === 'core.ha.unavailable') return
    this.tell(peer, error, { direction })
  }

  /** Logs an error of a peer unless it was logged already. */
  tell(peer: string, error: CloudError, fields: Readonly<Record<string, unknown>> = {}): void {
    const key = `${peer} ${error.code}`
    if (this.#told.has(key)) return
    if (this.#told.size >= 4 * this.#maxNodes) this.#told.delete(this.#told.values().next().value as string)
    this.#told.add(key)
    this.#logger.warn('a peer is refused', { peer, code: error.code, reason: error.message, ...fields })
  }

  #duplicate(node: NodeId, peer: string): string | undefined {
    if (peer === this.#selfPeer()) return `node ${node} uses the key file of this node`
    if (node === this.#self) return `a peer says that it is node ${node}, which is this node`
    const pinned = this.#pins.get(node)
    if (pinned !== undefined && pinned !== peer) return `node ${node} is known to have another key`
    const living = this.#bindings.get(node)
    if (living !== undefined && living.peer !== peer && this.#alive(living)) return `another node ${node} is alive`
    const other = this.#nodes.get(peer)
    if (other !== undefined && other !== node && this.#alive(this.#bindings.get(other))) {
      return `node ${node} uses the key file of node ${other}`
    }
    return undefined
  }

  #alive(binding: Binding | undefined): boolean {
    if (binding === undefined) return false
    return binding.connections > 0 || this.#clock.monotonic() - binding.admittedAt < admissionMs
  }

  #forgetDead(): boolean {
    for (const [node, binding] of this.#bindings) {
      if (this.#alive(binding)) continue
      this.#bindings.delete(node)
      this.#nodes.delete(binding.peer)
      return true
    }
    return false
  }
}
