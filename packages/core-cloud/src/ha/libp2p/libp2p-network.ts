import type { Connection, Libp2p, Stream, StreamMessageEvent } from '@libp2p/interface'
import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Ids } from '../../kernel/ids.js'
import type { Logger } from '../../kernel/logger.js'
import { type BulkInlet, type HaNetwork, maxFrameBytes } from '../network.js'
import type { NodeId } from '../raft/types.js'
import { bulkProtocol, maxInboundBulks, receiveBulk, sendBulk } from './bulk-transfer.js'
import { Dialer } from './dialer.js'
import { FrameDecoder } from './frame-decoder.js'
import type { Libp2pModules } from './load-libp2p.js'
import type { PeerBook } from './peer-book.js'
import { frameProtocol, PeerLink } from './peer-link.js'

/** Milliseconds between signs of life on a connection that has nothing to say. */
const beatMs = 1_000

export interface Libp2pNetworkOptions {
  readonly modules: Libp2pModules
  readonly node: Libp2p
  readonly self: NodeId
  readonly book: PeerBook
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly maxQueuedBytes: number
  readonly maxSilenceMs: number
  readonly dialTimeoutMs: number
  readonly announce: string | undefined
}

/** Frames and bulk transfers on streams of libp2p. */
export class Libp2pNetwork implements HaNetwork {
  readonly self: NodeId
  readonly #options: Libp2pNetworkOptions
  readonly #links = new Map<NodeId, PeerLink>()
  readonly #inbound = new Map<NodeId, Stream>()
  readonly #up = new Set<NodeId>()
  readonly #dialer: Dialer
  readonly #closing = new AbortController()
  #frame: (from: NodeId, frame: Uint8Array) => void = () => undefined
  #peer: (node: NodeId, state: 'up' | 'down') => void = () => undefined
  #bulk: ((from: NodeId, header: Uint8Array) => Promise<BulkInlet>) | undefined
  #cancelBeat: () => void = () => undefined
  #beatAt: number
  #closed: Promise<void> | undefined

  constructor(options: Libp2pNetworkOptions) {
    this.#options = options
    this.self = options.self
    const { clock, ids } = options
    this.#beatAt = clock.monotonic()
    this.#dialer = new Dialer({
      clock,
      ids,
      minMs: 20,
      maxMs: 2_000,
      patienceMs: node => (node < this.self ? 100 : 0),
      connected: node => this.#links.get(node)?.connection !== undefined,
      dial: (node, address) => this.#dial(node, address),
    })
  }

  /** Begins to let peers in. */
  async start(): Promise<void> {
    const { node } = this.#options
    node.addEventListener('connection:open', ({ detail }) => this.#connected(detail))
    await node.handle(frameProtocol, (stream, connection) => this.#takeFrames(stream, connection), {
      maxInboundStreams: 2,
      maxOutboundStreams: 2,
    })
    await node.handle(bulkProtocol, (stream, connection) => this.#takeBulk(stream, connection), {
      maxInboundStreams: maxInboundBulks,
    })
    await node.start()
    this.#beat()
  }

  get address(): string {
    const { announce, node } = this.#options
    const [first] = node.getMultiaddrs().map(String)
    return announce === undefined ? (first ?? '') : `${announce}/p2p/${node.peerId}`
  }

  send(to: NodeId, pieces: readonly Uint8Array[]): boolean {
    let bytes = 0
    for (const piece of pieces) bytes += piece.length
    if (bytes > maxFrameBytes || this.#closed !== undefined) return false
    return this.#links.get(to)?.send(pieces, bytes) ?? false
  }

  onFrame(handler: (from: NodeId, frame: Uint8Array) => void): void {
    this.#frame = handler
  }

  onPeer(handler: (node: NodeId, state: 'up' | 'down') => void): void {
    this.#peer = handler
    for (const node of this.#up) handler(node, 'up')
  }

  async sendBulk(
    to: NodeId,
    header: Uint8Array,
    body: (offset: number) => AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const connection = this.#closed === undefined ? this.#links.get(to)?.connection : undefined
    if (connection === undefined) throw new CloudError('core.ha.unavailable', `no connection to node ${to}`)
    await sendBulk({ connection, header, body, signal })
  }

  onBulk(accept: (from: NodeId, header: Uint8Array) => Promise<BulkInlet>): void {
    this.#bulk = accept
  }

  /** @throws CloudError `core.kernel.invalid-config` for what is no multiaddr. */
  setPeer(node: NodeId, address: string): void {
    if (this.#closed !== undefined || node === this.self) return
    const peer = this.#peerIn(address)
    this.#options.book.pin(node, peer)
    if (peer !== undefined && (this.#options.book.peerOf(node) ?? peer) !== peer) {
      this.#links.get(node)?.end(new Error('the node has another key now'))
    }
    this.#dialer.set(node, address)
  }

  removePeer(node: NodeId): void {
    this.#dialer.remove(node)
    this.#options.book.shut(node)
    this.#links.get(node)?.end(new Error('the node was removed'))
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#closing.abort(new CloudError('core.ha.stopped', 'the network is closed'))
    this.#options.book.close()
    this.#cancelBeat()
    this.#dialer.stop()
    for (const link of this.#links.values()) link.end(new Error('the network is closed'))
    await this.#options.node.stop()
  }

  async #dial(node: NodeId, address: string): Promise<void> {
    const { modules, dialTimeoutMs, book, clock } = this.#options
    const late = new AbortController()
    const cancel = clock.after(dialTimeoutMs, () => late.abort(new Error('dial timeout')))
    try {
      const connection = await this.#options.node.dial(modules.multiaddr(address), {
        signal: AbortSignal.any([this.#closing.signal, late.signal]),
      })
      const peer = connection.remotePeer.toString()
      const found = book.nodeOf(peer)
      if (found === node) return
      const reason = `the address of node ${node} leads to node ${found}: ${address}`
      book.tell(peer, new CloudError('core.ha.duplicate-node', reason))
      throw new CloudError('core.ha.unavailable', reason)
    } finally {
      cancel()
    }
  }

  #peerIn(address: string): string | undefined {
    try {
      return this.#options.modules
        .multiaddr(address)
        .getComponents()
        .findLast(({ name }) => name === 'p2p')?.value
    } catch (cause) {
      throw new CloudError('core.kernel.invalid-config', `'${address}' is no multiaddr`, { field: 'address', cause })
    }
  }

  #connected(connection: Connection): void {
    const { book, clock, maxQueuedBytes } = this.#options
    const peer = connection.remotePeer.toString()
    const node = book.nodeOf(peer)
    if (node === undefined || this.#closed !== undefined || book.isShut(node)) {
      connection.abort(new Error('not admitted'))
      return
    }
    let link = this.#links.get(node)
    if (link === undefined) {
      link = new PeerLink({ node, clock, maxQueuedBytes, onState: (at, state) => this.#turned(at, state) })
      this.#links.set(node, link)
    }
    book.connected(peer)
    connection.addEventListener('close', () => book.disconnected(peer))
    link.add(connection)
  }

  #turned(node: NodeId, state: 'up' | 'down'): void {
    if (state === 'up') this.#up.add(node)
    else {
      this.#up.delete(node)
      this.#links.delete(node)
      this.#inbound.delete(node)
    }
    this.#peer(node, state)
    if (state === 'down') this.#dialer.lost(node)
  }

  #takeFrames(stream: Stream, connection: Connection): void {
    const { book } = this.#options
    const peer = connection.remotePeer.toString()
    const node = book.nodeOf(peer)
    if (node === undefined) {
      stream.abort(new Error('not admitted'))
      return
    }
    // Frames of two streams would mix: only the newest counts.
    this.#inbound.get(node)?.abort(new Error('replaced by a newer stream'))
    this.#inbound.set(node, stream)
    const decoder = new FrameDecoder({ maxFrameBytes, onFrame: frame => this.#frame(node, frame) })
    stream.addEventListener('message', ({ data }: StreamMessageEvent) => {
      this.#links.get(node)?.heard()
      try {
        for (const chunk of data instanceof Uint8Array ? [data] : data) decoder.push(chunk)
      } catch (error) {
        // The handler's own errors come here, too: what the peer said is not understood, so it is not listened to.
        const told = CloudError.from(error)
        book.tell(peer, told)
        connection.abort(told)
      }
    })
  }

  #takeBulk(stream: Stream, connection: Connection): void {
    const node = this.#options.book.nodeOf(connection.remotePeer.toString())
    const accept = this.#bulk
    void receiveBulk(stream, async header => {
      if (node === undefined || accept === undefined) throw new CloudError('core.ha.unavailable', 'nobody takes it')
      return await accept(node, header)
    })
  }

  #beat(): void {
    const { clock, maxSilenceMs } = this.#options
    const now = clock.monotonic()
    // After a stall of this process, what peers said meanwhile waits unread: nobody was silent.
    const stalled = now - this.#beatAt > 2 * beatMs
    this.#beatAt = now
    for (const link of [...this.#links.values()]) link.beat(stalled ? Number.POSITIVE_INFINITY : maxSilenceMs)
    this.#cancelBeat = clock.after(beatMs, () => this.#beat())
  }
}
