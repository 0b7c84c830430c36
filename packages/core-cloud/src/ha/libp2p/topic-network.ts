import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import { type BulkInlet, type HaNetwork, maxFrameBytes } from '../network.js'
import type { NodeId } from '../raft/types.js'
import { FrameBulk } from './frame-bulk.js'
import type { GossipTopic, NodeSeals } from './topic.js'
import { decodeTopicMessage, encodeTopicMessage, type TopicBody, type TopicMessage } from './topic-codec.js'
import { IncomingStream, OutgoingStream } from './topic-stream.js'

/** First byte of an inner frame: the user's, or of a bulk transfer. */
const userFrame = 0
const bulkFrame = 1

export interface TopicNetworkOptions {
  readonly self: NodeId
  readonly topic: GossipTopic
  readonly seals: NodeSeals
  /** Brings nodes together, so that the topic reaches them; its frames are not used. Closed with this. */
  readonly carrier: Pick<HaNetwork, 'address' | 'setPeer' | 'removePeer' | 'onPeer' | 'close'>
  readonly clock: Clock
  readonly logger: Logger
  /** When this node started, higher than ever before; default `clock.now()`. */
  readonly epoch?: number
  /** Milliseconds between greetings, default 1_000; a node that is silent for five of them is down. */
  readonly helloMs?: number
  /** Bytes of frames that wait for one node, default 32 MiB. */
  readonly maxQueuedBytes?: number
  /** Nodes known at once, default 256. */
  readonly maxNodes?: number
}

interface Peer {
  readonly node: NodeId
  epoch: number
  counter: number
  heardAt: number
  /** Both have heard each other. */
  up: boolean
  out: { readonly stream: number; readonly frames: OutgoingStream } | undefined
  incoming: { readonly stream: number; readonly frames: IncomingStream } | undefined
}

/**
 * `raft-over-topic`: every message for every node on one topic, addressed. Sound, because Raft asks for nothing but that
 * messages are from whom they say they are; slow, because everybody gets and checks everything: a test of the rest, and
 * a way where nodes can reach each other only over others.
 */
export function topicNetwork(options: TopicNetworkOptions): HaNetwork {
  return new TopicNetwork(options)
}

class TopicNetwork implements HaNetwork {
  readonly self: NodeId
  readonly #options: TopicNetworkOptions
  readonly #epoch: number
  readonly #helloMs: number
  readonly #maxNodes: number
  readonly #peers = new Map<NodeId, Peer>()
  readonly #shut = new Set<NodeId>()
  readonly #bulk: FrameBulk
  #counter = 0
  #streams = 0
  #helloDue = false
  #cancel: () => void = () => undefined
  #frame: (from: NodeId, frame: Uint8Array) => void = () => undefined
  #peer: (node: NodeId, state: 'up' | 'down') => void = () => undefined
  #closed: Promise<void> | undefined

  constructor(options: TopicNetworkOptions) {
    this.#options = options
    const { clock, topic, carrier } = options
    this.self = options.self
    this.#epoch = options.epoch ?? Math.floor(clock.now())
    this.#helloMs = options.helloMs ?? 1_000
    this.#maxNodes = options.maxNodes ?? 256
    this.#bulk = new FrameBulk({
      send: (to, pieces) => this.#sendFrame(to, bulkFrame, pieces),
      pause: () => new Promise(resolve => clock.after(5, resolve)),
    })
    topic.onMessage((from, data) => this.#take(from, data))
    topic.onJoin(() => this.#helloSoon())
    carrier.onPeer((node, state) => {
      // A hint: if there is another way to it, its next greeting brings it back.
      if (state === 'down') this.#down(node)
      else this.#helloSoon()
    })
    this.#beat()
  }

  get address(): string {
    return this.#options.carrier.address
  }

  send(to: NodeId, pieces: readonly Uint8Array[]): boolean {
    return this.#sendFrame(to, userFrame, pieces)
  }

  onFrame(handler: (from: NodeId, frame: Uint8Array) => void): void {
    this.#frame = handler
  }

  onPeer(handler: (node: NodeId, state: 'up' | 'down') => void): void {
    this.#peer = handler
    for (const { node, up } of this.#peers.values()) if (up) handler(node, 'up')
  }

  async sendBulk(...[to, header, body, signal]: Parameters<HaNetwork['sendBulk']>): Promise<void> {
    if (this.#peers.get(to)?.up !== true || this.#closed !== undefined) {
      throw new CloudError('core.ha.unavailable', `no connection to node ${to}`)
    }
    await this.#bulk.send(to, header, body, signal)
  }

  onBulk(accept: (from: NodeId, header: Uint8Array) => Promise<BulkInlet>): void {
    this.#bulk.accept = accept
  }

  setPeer(node: NodeId, address: string): void {
    this.#shut.delete(node)
    this.#options.carrier.setPeer(node, address)
  }

  removePeer(node: NodeId): void {
    this.#shut.add(node)
    if (this.#shut.size > this.#maxNodes) this.#shut.delete(this.#shut.values().next().value as NodeId)
    this.#down(node)
    this.#publish(node, { kind: 'bye' })
    this.#options.carrier.removePeer(node)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#cancel()
    this.#publish(0, { kind: 'bye' })
    for (const peer of [...this.#peers.values()]) this.#down(peer.node)
    this.#options.topic.leave()
    await this.#options.carrier.close()
  }

  #sendFrame(to: NodeId, kind: number, pieces: readonly Uint8Array[]): boolean {
    const peer = this.#peers.get(to)
    if (peer?.up !== true || peer.out === undefined || this.#closed !== undefined) return false
    let bytes = 1
    for (const piece of pieces) bytes += piece.length
    return bytes <= maxFrameBytes + 1 && peer.out.frames.send([Buffer.of(kind), ...pieces], bytes)
  }

  #publish(to: NodeId, body: TopicBody): void {
    this.#counter += 1
    const { topic, seals } = this.#options
    const head = { from: this.self, to, epoch: this.#epoch, counter: this.#counter, seal: seals.own }
    topic.publish(encodeTopicMessage({ ...head, ...body }))
  }

  #take(peer: string, data: Uint8Array): void {
    if (this.#closed !== undefined) return
    try {
      const message = decodeTopicMessage(data)
      if (message.to !== 0 && message.to !== this.self) return
      if (!this.#options.seals.verify(peer, message.from, message.seal)) {
        throw new CloudError('core.ha.wrong-cluster', `node ${message.from} has no seal of this cluster`)
      }
      if (message.from === this.self) {
        throw new CloudError('core.ha.duplicate-node', `another peer says that it is node ${this.self}`)
      }
      if (!this.#shut.has(message.from)) this.#hear(message)
    } catch (error) {
      this.#options.logger.warn('a message on the topic is dropped', { peer, error })
    }
  }

  #hear(message: TopicMessage): void {
    const peer = this.#know(message)
    if (peer === undefined) return
    const now = this.#options.clock.monotonic()
    if (message.kind === 'hello' || message.kind === 'bye') {
      // Older greetings may come later than newer ones, or again.
      if (message.counter <= peer.counter) return
      peer.counter = message.counter
    }
    peer.heardAt = now
    if (message.kind === 'hello') {
      const heardUs = message.heard.some(({ node, epoch }) => node === this.self && epoch === this.#epoch)
      if (heardUs && !peer.up) this.#up(peer)
      else if (!heardUs) {
        if (peer.up) this.#down(peer.node)
        this.#helloSoon()
      }
    } else if (message.kind === 'bye') this.#down(peer.node)
    else if (message.kind === 'segment') this.#takeSegment(peer, message)
    else if (message.stream === peer.out?.stream) peer.out.frames.acknowledged(message.next)
  }

  /** The peer of a message; nobody when it is of an earlier life or there is no room. */
  #know({ from, epoch }: TopicMessage): Peer | undefined {
    const known = this.#peers.get(from)
    if (known !== undefined && epoch === known.epoch) return known
    if (known !== undefined && epoch < known.epoch) return undefined
    if (known === undefined && this.#peers.size >= this.#maxNodes && !this.#forgetOne()) return undefined
    this.#down(from)
    const peer: Peer = { node: from, epoch, counter: 0, heardAt: 0, up: false, out: undefined, incoming: undefined }
    this.#peers.set(from, peer)
    return peer
  }

  #forgetOne(): boolean {
    for (const { node, up } of this.#peers.values()) if (!up) return this.#peers.delete(node)
    return false
  }

  #up(peer: Peer): void {
    const stream = ++this.#streams
    const frames = new OutgoingStream({
      maxQueuedBytes: this.#options.maxQueuedBytes ?? 32 * 1024 * 1024,
      lostMs: 3 * this.#helloMs,
      clock: this.#options.clock,
      publish: segment => this.#publish(peer.node, { kind: 'segment', stream, ...segment }),
    })
    peer.out = { stream, frames }
    peer.up = true
    // The other side may wait for exactly this.
    this.#helloSoon()
    this.#peer(peer.node, 'up')
  }

  #down(node: NodeId): void {
    const peer = this.#peers.get(node)
    if (peer === undefined) return
    const was = peer.up
    peer.up = false
    peer.out = undefined
    peer.incoming?.frames.end()
    if (!was) return
    this.#bulk.lost(node)
    this.#peer(node, 'down')
  }

  #takeSegment(peer: Peer, message: TopicMessage & { readonly kind: 'segment' }): void {
    const { stream } = message
    if (peer.incoming === undefined || peer.incoming.stream < stream) {
      peer.incoming?.frames.end()
      const { clock } = this.#options
      const frames = new IncomingStream({
        maxFrameBytes: maxFrameBytes + 1,
        gapMs: this.#helloMs / 4,
        clock,
        onFrame: frame => this.#takeFrame(peer.node, frame),
        onProgress: next => this.#publish(peer.node, { kind: 'ack', stream, next }),
      })
      peer.incoming = { stream, frames }
    }
    if (peer.incoming.stream === stream) peer.incoming.frames.take(message)
  }

  #takeFrame(from: NodeId, frame: Buffer): void {
    if (frame[0] === userFrame) this.#frame(from, frame.subarray(1))
    else if (frame[0] === bulkFrame) this.#bulk.take(from, frame.subarray(1))
  }

  /** Greets everybody once for all that happens in this turn. */
  #helloSoon(): void {
    if (this.#helloDue || this.#closed !== undefined) return
    this.#helloDue = true
    queueMicrotask(() => {
      this.#helloDue = false
      if (this.#closed === undefined) this.#hello()
    })
  }

  #hello(): void {
    const heard = [...this.#peers.values()]
      .filter(({ node }) => !this.#shut.has(node))
      .map(({ node, epoch }) => ({ node, epoch }))
    this.#publish(0, { kind: 'hello', heard })
  }

  #beat(): void {
    const silent = this.#options.clock.monotonic() - 5 * this.#helloMs
    for (const peer of [...this.#peers.values()]) {
      // It stays known, so that old words of it change nothing when somebody says them again.
      if (peer.heardAt < silent) this.#down(peer.node)
      else peer.out?.frames.beat()
    }
    this.#helloSoon()
    this.#cancel = this.#options.clock.after(this.#helloMs, () => this.#beat())
  }
}
