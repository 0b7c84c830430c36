import { CloudError } from '../kernel/errors.js'
import { type BulkInlet, type HaNetwork, maxFrameBytes } from './network.js'
import type { NodeId } from './raft/types.js'

export interface MemoryHubOptions {
  /**
   * Runs something soon, in the order of the calls; default: the next turn of the event loop. A simulation gives its
   * clock's `after` with a delay.
   */
  readonly defer?: (run: () => void) => void
  /** Bytes waiting for one peer, default 32 MiB. */
  readonly maxQueuedBytes?: number
}

type BulkHandler = (from: NodeId, header: Uint8Array) => Promise<BulkInlet>

/** Connects the networks of nodes in one process. Deterministic: without `defer` it follows the order of the calls. */
export class MemoryHub {
  readonly defer: (run: () => void) => void
  readonly maxQueuedBytes: number
  readonly #nodes = new Map<NodeId, MemoryNetwork>()
  readonly #links = new Map<string, Link>()
  readonly #cuts = new Set<string>()
  #joined = 0

  constructor(options: MemoryHubOptions = {}) {
    this.defer = options.defer ?? (run => void setImmediate(run))
    this.maxQueuedBytes = options.maxQueuedBytes ?? 32 * 1024 * 1024
  }

  /**
   * The network of a node; it has another address every time.
   * @throws CloudError `core.ha.duplicate-node` while one of this id is open.
   */
  join(node: NodeId): HaNetwork {
    if (this.#nodes.has(node)) throw new CloudError('core.ha.duplicate-node', `node ${node} is open already`)
    this.#joined += 1
    const network = new MemoryNetwork(this, node, `memory:${node}:${this.#joined}`)
    this.#nodes.set(node, network)
    this.update()
    return network
  }

  leave(node: NodeId): void {
    this.#nodes.delete(node)
    this.update()
  }

  /** Ends the connection of two nodes and lets none come up until `heal`. */
  cut(one: NodeId, other: NodeId): void {
    this.#cuts.add(pair(one, other))
    this.update()
  }

  /** Without arguments every cut is undone. */
  heal(one?: NodeId, other?: NodeId): void {
    if (one === undefined || other === undefined) this.#cuts.clear()
    else this.#cuts.delete(pair(one, other))
    this.update()
  }

  /** Ends the connection of two nodes; the next one comes up at once. */
  reset(one: NodeId, other: NodeId): void {
    this.cut(one, other)
    this.heal(one, other)
  }

  link(one: NodeId, other: NodeId): Link | undefined {
    return this.#links.get(pair(one, other))
  }

  at(node: NodeId): MemoryNetwork | undefined {
    return this.#nodes.get(node)
  }

  /** Makes the connections what the nodes and the cuts allow. */
  update(): void {
    const nodes = [...this.#nodes.values()]
    for (const [key, link] of this.#links) {
      const [one, other] = link.ends
      const same = this.at(one.self) === one && this.at(other.self) === other
      if (same && this.#connected(one, other)) continue
      this.#links.delete(key)
      link.end()
      for (const [near, far] of [
        [one, other],
        [other, one],
      ] as const) {
        this.defer(() => near.tell(far.self, 'down'))
      }
    }
    for (const [place, one] of nodes.entries()) {
      for (const other of nodes.slice(place + 1)) {
        const key = pair(one.self, other.self)
        if (this.#links.has(key) || !this.#connected(one, other)) continue
        this.#links.set(key, new Link([one, other]))
        this.defer(() => one.tell(other.self, 'up'))
        this.defer(() => other.tell(one.self, 'up'))
      }
    }
  }

  #connected(one: MemoryNetwork, other: MemoryNetwork): boolean {
    if (this.#cuts.has(pair(one.self, other.self))) return false
    if (one.shuts(other.self) || other.shuts(one.self)) return false
    return one.knows(other) || other.knows(one)
  }
}

function pair(one: NodeId, other: NodeId): string {
  return one < other ? `${one}-${other}` : `${other}-${one}`
}

/** One connection; a later one between the same nodes is another. */
class Link {
  readonly ended: Promise<never>
  alive = true
  /** Bytes under way to a node. */
  readonly queued = new Map<NodeId, number>()
  #end: (error: Error) => void = () => undefined

  constructor(readonly ends: readonly [MemoryNetwork, MemoryNetwork]) {
    this.ended = new Promise((_, reject) => {
      this.#end = reject
    })
    this.ended.catch(() => undefined)
  }

  end(): void {
    this.alive = false
    this.#end(lost('the connection ended'))
  }
}

class MemoryNetwork implements HaNetwork {
  readonly #hub: MemoryHub
  readonly #peers = new Map<NodeId, string>()
  readonly #shut = new Set<NodeId>()
  readonly #up = new Set<NodeId>()
  #frame: (from: NodeId, frame: Uint8Array) => void = () => undefined
  #peer: ((node: NodeId, state: 'up' | 'down') => void) | undefined
  #bulk: BulkHandler | undefined

  constructor(
    hub: MemoryHub,
    readonly self: NodeId,
    readonly address: string,
  ) {
    this.#hub = hub
  }

  send(to: NodeId, pieces: readonly Uint8Array[]): boolean {
    const link = this.#link(to)
    if (link === undefined) return false
    // What arrives belongs to the receiver; what was given stays the sender's.
    const frame = Buffer.concat(pieces)
    const queued = link.queued.get(to) ?? 0
    if (frame.length > maxFrameBytes || (queued > 0 && queued + frame.length > this.#hub.maxQueuedBytes)) return false
    link.queued.set(to, queued + frame.length)
    this.#hub.defer(() => {
      link.queued.set(to, (link.queued.get(to) ?? 0) - frame.length)
      if (link.alive) this.#hub.at(to)?.take(this.self, frame)
    })
    return true
  }

  onFrame(handler: (from: NodeId, frame: Uint8Array) => void): void {
    this.#frame = handler
  }

  onPeer(handler: (node: NodeId, state: 'up' | 'down') => void): void {
    this.#peer = handler
    for (const node of this.#up) handler(node, 'up')
  }

  onBulk(accept: BulkHandler): void {
    this.#bulk = accept
  }

  async sendBulk(
    to: NodeId,
    header: Uint8Array,
    body: (offset: number) => AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted()
    const link = this.#link(to)
    const accept = this.#hub.at(to)?.accepting
    if (link === undefined || accept === undefined) throw lost(`no connection to node ${to}`)
    const stopped = link.ended
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    })
    aborted.catch(() => undefined)
    const within = <T>(work: Promise<T>): Promise<T> => Promise.race([work, stopped, aborted])
    const transfer = async (): Promise<void> => {
      const inlet = await within(accept(this.self, Uint8Array.from(header)))
      await within(inlet.take(guarded(body(inlet.offset), within)))
    }
    try {
      await transfer()
    } catch (error) {
      signal.throwIfAborted()
      if (CloudError.is(error, 'core.ha.unavailable')) throw error
      throw new CloudError('core.ha.unavailable', `node ${to} refused: ${String(error)}`, { cause: error })
    }
  }

  setPeer(node: NodeId, address: string): void {
    this.#peers.set(node, address)
    this.#shut.delete(node)
    this.#hub.update()
  }

  removePeer(node: NodeId): void {
    this.#peers.delete(node)
    this.#shut.add(node)
    this.#hub.update()
  }

  async close(): Promise<void> {
    if (this.#hub.at(this.self) === this) this.#hub.leave(this.self)
  }

  // ---- for the hub

  knows(other: MemoryNetwork): boolean {
    return this.#peers.get(other.self) === other.address
  }

  shuts(node: NodeId): boolean {
    return this.#shut.has(node)
  }

  get accepting(): BulkHandler | undefined {
    return this.#bulk
  }

  take(from: NodeId, frame: Uint8Array): void {
    this.#frame(from, frame)
  }

  tell(node: NodeId, state: 'up' | 'down'): void {
    if (state === 'up') this.#up.add(node)
    else this.#up.delete(node)
    this.#peer?.(node, state)
  }

  #link(to: NodeId): Link | undefined {
    return this.#hub.at(this.self) === this && to !== this.self ? this.#hub.link(this.self, to) : undefined
  }
}

async function* guarded(
  body: AsyncIterable<Uint8Array>,
  within: <T>(work: Promise<T>) => Promise<T>,
): AsyncIterable<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]()
  try {
    for (;;) {
      const { done, value } = await within(iterator.next())
      if (done) return
      yield Uint8Array.from(value)
    }
  } finally {
    // Not waited for: a body that hangs must not hold up the receiver.
    void iterator.return?.()?.then(undefined, () => undefined)
  }
}

function lost(reason: string): CloudError {
  return new CloudError('core.ha.unavailable', reason)
}
