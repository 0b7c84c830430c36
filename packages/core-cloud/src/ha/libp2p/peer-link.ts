import type { Connection, MessageStream, Stream } from '@libp2p/interface'
import type { Clock } from '../../kernel/clock.js'
import type { NodeId } from '../raft/types.js'
import { frameHead, frameHeadBytes, signOfLife } from './frame-decoder.js'

/** Frames of a peer: one stream in each direction, for as long as the connection lasts. */
export const frameProtocol = '/aaas/raft/1'

/** What is handed to the stream at once; the rest stays here, where it is counted. */
const maxWriteBytes = 1024 * 1024

export interface PeerLinkOptions {
  readonly node: NodeId
  readonly clock: Clock
  readonly maxQueuedBytes: number
  readonly onState: (node: NodeId, state: 'up' | 'down') => void
}

/** The connections to one peer, and the frames that wait for it. */
export class PeerLink {
  readonly #options: PeerLinkOptions
  readonly #connections: Connection[] = []
  #stream: Stream | undefined
  #opening = false
  #queue: Uint8Array[] = []
  #queuedBytes = 0
  #flushing = false
  #quiet = true
  #heardAt: number

  constructor(options: PeerLinkOptions) {
    this.#options = options
    this.#heardAt = options.clock.monotonic()
  }

  get connection(): Connection | undefined {
    return this.#connections.find(({ status }) => status === 'open')
  }

  add(connection: Connection): void {
    this.#connections.push(connection)
    this.heard()
    connection.addEventListener('close', () => this.#remove(connection))
    if (this.#connections.length === 1) this.#options.onState(this.#options.node, 'up')
    void this.#open()
  }

  /** Something came from the peer. */
  heard(): void {
    this.#heardAt = this.#options.clock.monotonic()
  }

  send(pieces: readonly Uint8Array[], bytes: number): boolean {
    if (this.#connections.length === 0) return false
    const waiting = this.#queuedBytes + (this.#stream?.writeBufferLength ?? 0)
    if (waiting > 0 && waiting + frameHeadBytes + bytes > this.#options.maxQueuedBytes) return false
    this.#queue.push(frameHead(bytes), ...pieces)
    this.#queuedBytes += frameHeadBytes + bytes
    this.#flushSoon()
    return true
  }

  /** Says something when nothing was said since the last call; ends what was silent for too long. */
  beat(maxSilenceMs: number): void {
    const silent = this.#options.clock.monotonic() - this.#heardAt
    if (silent > maxSilenceMs) {
      this.end(new Error(`node ${this.#options.node} was silent for ${Math.round(silent)} ms`))
      return
    }
    if (this.#quiet && this.#stream !== undefined && this.#queue.length === 0) {
      this.#queue.push(signOfLife)
      this.#queuedBytes += signOfLife.length
      this.#flushSoon()
    }
    this.#quiet = true
  }

  /** Cuts every connection. */
  end(reason: Error): void {
    for (const connection of [...this.#connections]) connection.abort(reason)
  }

  #remove(connection: Connection): void {
    const place = this.#connections.indexOf(connection)
    if (place < 0) return
    this.#connections.splice(place, 1)
    if (this.#connections.length > 0) {
      void this.#open()
      return
    }
    this.#drop()
    this.#options.onState(this.#options.node, 'down')
  }

  #drop(): void {
    this.#stream = undefined
    this.#queue = []
    this.#queuedBytes = 0
  }

  /** Opens the stream of outgoing frames on a connection that has one yet to give. */
  async #open(): Promise<void> {
    if (this.#opening || this.#stream !== undefined) return
    this.#opening = true
    for (let connection = this.connection; connection !== undefined; connection = this.connection) {
      try {
        const stream = await connection.newStream(frameProtocol, { maxOutboundStreams: 2 })
        if (stream.status !== 'open') continue
        this.#use(stream)
        break
      } catch (error) {
        connection.abort(error instanceof Error ? error : new Error(String(error)))
      }
    }
    this.#opening = false
  }

  #use(stream: Stream): void {
    this.#stream = stream
    stream.addEventListener('drain', () => this.#flushSoon())
    stream.addEventListener('close', () => {
      if (this.#stream !== stream) return
      // What was under way is lost; the rest would leave a hole, so it is lost, too.
      this.#drop()
      void this.#open()
    })
    this.#flushSoon()
  }

  /** One write for all that one turn of the program has to say. */
  #flushSoon(): void {
    if (this.#flushing || this.#stream === undefined) return
    this.#flushing = true
    queueMicrotask(() => {
      this.#flushing = false
      this.#flush()
    })
  }

  #flush(): void {
    const stream = this.#stream
    while (stream !== undefined && stream === this.#stream && this.#queue.length > 0 && ready(stream)) {
      this.#quiet = false
      if (!write(stream, this.#take())) return
    }
  }

  /** Some of the queue as one piece of memory, at most `maxWriteBytes`. */
  #take(): Uint8Array {
    let count = 0
    let bytes = 0
    for (const piece of this.#queue) {
      if (count > 0 && bytes + piece.length > maxWriteBytes) break
      count += 1
      bytes += piece.length
    }
    const batch = this.#queue.splice(0, count)
    if (bytes <= maxWriteBytes) {
      this.#queuedBytes -= bytes
      return Buffer.concat(batch, bytes)
    }
    const piece = batch[0] as Uint8Array
    this.#queue.unshift(piece.subarray(maxWriteBytes))
    this.#queuedBytes -= maxWriteBytes
    return piece.subarray(0, maxWriteBytes)
  }
}

function ready(stream: MessageStream): boolean {
  return stream.status === 'open' && !stream.writableNeedsDrain
}

/** @returns false when the stream has to be waited for; one that failed says so by its own event. */
function write(stream: MessageStream, bytes: Uint8Array): boolean {
  try {
    return stream.send(bytes)
  } catch {
    return false
  }
}
