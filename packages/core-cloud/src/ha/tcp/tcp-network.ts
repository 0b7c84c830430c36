import { createConnection, createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Ids } from '../../kernel/ids.js'
import type { Logger } from '../../kernel/logger.js'
import { type BulkInlet, type HaNetwork, maxBulkHeaderBytes } from '../network.js'
import type { NodeId } from '../raft/types.js'
import { SocketReader } from './socket-reader.js'
import { sendBulk, takeBulk } from './tcp-bulk.js'
import { ConnectionRefused, connectionEnded, namedRefusal, type TcpRefusal } from './tcp-errors.js'
import { dial, type Identity, listen, newLife, type Proved } from './tcp-handshake.js'
import { TcpLink } from './tcp-link.js'

export interface TcpNetworkOptions {
  readonly node: NodeId
  /**
   * At least 16 bytes; whoever has it is a node of the cluster. It is never sent. What is sent is neither encrypted nor
   * protected against changes on the way: a network that others share needs the libp2p driver, or a tunnel.
   */
  readonly clusterKey: string | Uint8Array
  /** Where it listens: `host:port`, default `127.0.0.1:0`. */
  readonly listen?: string
  /** What the others are told, when that is not where it listens. */
  readonly address?: string
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** Bytes waiting for one peer, default 32 MiB. */
  readonly maxQueuedBytes?: number
  /** Connections that have not proved themselves yet, default 64. */
  readonly maxStrangers?: number
  /** A peer, and why it was not connected: every reason of every peer once until a connection succeeds. */
  readonly onRefusal?: (error: CloudError) => void
}

interface Peer {
  readonly node: NodeId
  address: string | undefined
  waitMs: number
  dialling: boolean
  cancel: () => void
}

/** Milliseconds. */
const times = { shake: 5_000, firstWait: 50, longestWait: 1_000, courtesy: 100, probe: 1_000 }

/**
 * A network of plain TCP: one connection for frames between two nodes, one for each bulk transfer.
 * @throws CloudError `core.kernel.invalid-config` for a key that is too short; what listening throws.
 */
export async function openTcpNetwork(options: TcpNetworkOptions): Promise<HaNetwork> {
  const key = Buffer.from(options.clusterKey)
  if (key.length < 16) {
    const text = `a cluster key of ${key.length} bytes; at least 16 are needed`
    throw new CloudError('core.kernel.invalid-config', text, { field: 'clusterKey' })
  }
  const network = new TcpNetwork(options, { node: options.node, life: newLife(), key })
  await network.start()
  return network
}

class TcpNetwork implements HaNetwork {
  readonly self: NodeId
  address = ''
  readonly #options: TcpNetworkOptions
  readonly #identity: Identity
  readonly #server: Server
  readonly #peers = new Map<NodeId, Peer>()
  readonly #links = new Map<NodeId, TcpLink>()
  readonly #shut = new Set<NodeId>()
  /** Everything that is open, with whom. */
  readonly #sockets = new Map<Socket, NodeId>()
  #strangers = 0
  readonly #said = new Set<string>()
  #frame: (from: NodeId, frame: Uint8Array) => void = () => undefined
  #peer: ((node: NodeId, state: 'up' | 'down') => void) | undefined
  #bulk: ((from: NodeId, header: Uint8Array) => Promise<BulkInlet>) | undefined
  #closed = false

  constructor(options: TcpNetworkOptions, identity: Identity) {
    this.self = options.node
    this.#options = options
    this.#identity = identity
    this.#server = createServer(socket => this.#welcome(socket))
  }

  async start(): Promise<void> {
    const { host, port } = parsed(this.#options.listen ?? '127.0.0.1:0')
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    this.#server.on('error', error => this.#options.logger.error('listening failed', { error }))
    const bound = this.#server.address() as { readonly port: number }
    this.address = this.#options.address ?? `${host}:${bound.port}`
  }

  // ---- the port

  send(to: NodeId, pieces: readonly Uint8Array[]): boolean {
    return this.#links.get(to)?.send(pieces) ?? false
  }

  onFrame(handler: (from: NodeId, frame: Uint8Array) => void): void {
    this.#frame = handler
  }

  onPeer(handler: (node: NodeId, state: 'up' | 'down') => void): void {
    this.#peer = handler
    for (const node of this.#links.keys()) handler(node, 'up')
  }

  onBulk(accept: (from: NodeId, header: Uint8Array) => Promise<BulkInlet>): void {
    this.#bulk = accept
  }

  async sendBulk(
    to: NodeId,
    header: Uint8Array,
    body: (offset: number) => AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted()
    const address = this.#peers.get(to)?.address
    if (!this.#links.has(to) || address === undefined) {
      throw new CloudError('core.ha.unavailable', `there is no connection to node ${to}, or its address is not known`)
    }
    if (header.length > maxBulkHeaderBytes) throw new RangeError(`a header of ${header.length} bytes`)
    let giveUp: () => void = () => undefined
    const ended = new Promise<never>((_, reject) => {
      giveUp = () => reject(signal.reason as Error)
    })
    ended.catch(() => undefined)
    signal.addEventListener('abort', giveUp, { once: true })
    const socket = this.#connect(to, address)
    const over = new Promise<never>((_, reject) => socket.once('close', () => reject(connectionEnded())))
    over.catch(() => undefined)
    try {
      await Promise.race([this.#deliver(socket, to, header, body), ended, over])
    } catch (error) {
      signal.throwIfAborted()
      throw CloudError.is(error) ? error : connectionEnded(error)
    } finally {
      signal.removeEventListener('abort', giveUp)
      socket.destroy()
    }
  }

  async #deliver(
    socket: Socket,
    to: NodeId,
    header: Uint8Array,
    body: (offset: number) => AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const reader = new SocketReader(socket)
    await this.#shaken(socket, dial(socket, reader, { self: this.#identity, wanted: to, purpose: 'bulk' }))
    await sendBulk(socket, reader, header, body)
  }

  setPeer(node: NodeId, address: string): void {
    if (node === this.self || this.#closed) return
    parsed(address)
    this.#shut.delete(node)
    const peer = this.#peers.get(node) ?? this.#newPeer(node)
    const known = peer.address === address
    peer.address = address
    if (!known || !peer.dialling) this.#dialAfter(peer, 0)
  }

  removePeer(node: NodeId): void {
    this.#peers.get(node)?.cancel()
    this.#peers.delete(node)
    this.#shut.add(node)
    for (const [socket, of] of this.#sockets) if (of === node) socket.destroy()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const peer of this.#peers.values()) peer.cancel()
    const stopped = new Promise<void>(resolve => this.#server.close(() => resolve()))
    // What was sent last leaves; nobody is waited for.
    for (const link of this.#links.values()) link.end()
    this.#links.clear()
    for (const socket of this.#sockets.keys()) setImmediate(() => socket.destroy())
    await stopped
  }

  // ---- dialling

  #newPeer(node: NodeId): Peer {
    const peer: Peer = {
      node,
      address: undefined,
      waitMs: times.firstWait,
      dialling: false,
      cancel: () => undefined,
    }
    this.#peers.set(node, peer)
    return peer
  }

  /** The higher id waits a little for the lower one: usually there is one connection, not two of which one has to go. */
  #dialAfter(peer: Peer, ms: number): void {
    peer.cancel()
    const courtesy = this.self > peer.node ? times.courtesy : 0
    peer.cancel = this.#options.clock.after(ms + courtesy, () => {
      if (!this.#links.has(peer.node) && !peer.dialling) void this.#dial(peer)
    })
  }

  async #dial(peer: Peer): Promise<void> {
    const { node, address } = peer
    if (address === undefined || this.#closed) return
    peer.dialling = true
    const socket = this.#connect(node, address)
    const reader = new SocketReader(socket)
    try {
      const shake = dial(socket, reader, { self: this.#identity, wanted: node, purpose: 'frames' })
      this.#joined(socket, reader, await this.#shaken(socket, shake), this.self < node)
      peer.waitMs = times.firstWait
    } catch (error) {
      if (!(error instanceof ConnectionRefused)) socket.destroy()
      this.#refusal(error, `node ${node} at ${address}`)
      peer.waitMs = Math.min(times.longestWait, peer.waitMs * 2)
    } finally {
      peer.dialling = false
      if (this.#peers.get(node) === peer && !this.#links.has(node) && !this.#closed) {
        this.#dialAfter(peer, peer.waitMs * (0.5 + this.#options.ids.random() / 2))
      }
    }
  }

  #connect(node: NodeId, address: string): Socket {
    const socket = createConnection(parsed(address))
    this.#hold(socket, node)
    return socket
  }

  #hold(socket: Socket, node: NodeId): void {
    this.#sockets.set(socket, node)
    socket.setNoDelay(true)
    socket.on('error', () => undefined)
    socket.on('close', () => this.#sockets.delete(socket))
  }

  /** A handshake has an end. */
  async #shaken(socket: Socket, shake: Promise<Proved>): Promise<Proved> {
    const cancel = this.#options.clock.after(times.shake, () => socket.destroy())
    try {
      return await shake
    } finally {
      cancel()
    }
  }

  // ---- being dialled

  #welcome(socket: Socket): void {
    if (this.#strangers >= (this.#options.maxStrangers ?? 64) || this.#closed) {
      socket.destroy()
      return
    }
    this.#strangers += 1
    this.#hold(socket, 0)
    this.#admit(socket).catch((error: unknown) => {
      // A refusal says its reason before it ends.
      if (!(error instanceof ConnectionRefused)) socket.destroy()
      this.#refusal(error, `a node at ${socket.remoteAddress ?? 'an unknown address'}`)
    })
  }

  async #admit(socket: Socket): Promise<void> {
    const reader = new SocketReader(socket)
    let shaking = true
    let peer: Proved
    try {
      const shake = listen(socket, reader, this.#identity, async proved => this.#judge(proved))
      peer = await this.#shaken(socket, shake)
      shaking = false
    } finally {
      this.#strangers -= 1
      if (shaking) reader.release()
      if (shaking) socket.resume()
    }
    this.#sockets.set(socket, peer.node)
    if (peer.purpose === 'frames') {
      this.#joined(socket, reader, peer, peer.node < this.self)
      return
    }
    const accept = this.#bulk
    if (accept === undefined) throw new CloudError('core.ha.unavailable', 'nobody takes bulk transfers here')
    try {
      await takeBulk(socket, reader, header => accept(peer.node, header))
    } catch (error) {
      this.#options.logger.debug('a bulk transfer failed', { from: peer.node, error })
    }
  }

  async #judge({ node, life, purpose }: Proved): Promise<TcpRefusal | undefined> {
    if (node === this.self) return 'duplicate-node'
    if (this.#shut.has(node) || this.#closed) return 'not-welcome'
    const link = this.#links.get(node)
    if (link === undefined) return undefined
    if (link.life.equals(life)) {
      return purpose === 'bulk' || !link.preferred ? undefined : 'already-connected'
    }
    // The same id in another life: it was started again, and its old connection has not ended yet, or there are two.
    const before = link.heard
    link.ping()
    await new Promise<void>(resolve => this.#options.clock.after(times.probe, resolve))
    if (this.#links.get(node) !== link) return undefined
    if (link.heard > before) return 'duplicate-node'
    link.destroy()
    return undefined
  }

  // ---- connections

  #joined(socket: Socket, reader: SocketReader, { node, life }: Proved, preferred: boolean): void {
    if (socket.destroyed || this.#closed) throw connectionEnded()
    const before = this.#links.get(node)
    if (before?.preferred && before.life.equals(life)) {
      socket.destroy()
      return
    }
    reader.release()
    const link: TcpLink = new TcpLink(node, Buffer.from(life), preferred, socket, {
      maxQueuedBytes: this.#options.maxQueuedBytes ?? 32 * 1024 * 1024,
      events: {
        frame: frame => this.#frame(node, frame),
        ended: () => this.#ended(link),
      },
    })
    this.#links.set(node, link)
    for (const said of this.#said) if (said.startsWith(`node ${node} `)) this.#said.delete(said)
    if (before === undefined) this.#peer?.(node, 'up')
    else before.end()
  }

  #ended(link: TcpLink): void {
    if (this.#links.get(link.peer) !== link) return
    this.#links.delete(link.peer)
    if (this.#closed) return
    this.#peer?.(link.peer, 'down')
    for (const [socket, of] of this.#sockets) if (of === link.peer) socket.destroy()
    const peer = this.#peers.get(link.peer)
    if (peer !== undefined) this.#dialAfter(peer, 0)
  }

  #refusal(error: unknown, who: string): void {
    const named = error instanceof ConnectionRefused ? namedRefusal(error, who) : undefined
    if (named === undefined || this.#closed) return
    const said = `${who} ${named.code} ${(error as ConnectionRefused).by}`
    if (this.#said.has(said) || this.#said.size >= 1_000) return
    this.#said.add(said)
    this.#options.logger.error('a connection was refused', { error: named })
    this.#options.onRefusal?.(named)
  }
}

/** @throws CloudError `core.kernel.invalid-config`. */
function parsed(address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(':')
  const port = Number(address.slice(at + 1))
  const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1')
  if (at > 0 && host !== '' && Number.isInteger(port) && port >= 0 && port <= 65_535) return { host, port }
  throw new CloudError('core.kernel.invalid-config', `${address} is no address: host:port`, { field: 'address' })
}
