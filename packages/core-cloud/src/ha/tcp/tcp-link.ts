import type { Socket } from 'node:net'
import { maxFrameBytes } from '../network.js'
import type { NodeId } from '../raft/types.js'

/** In the place of a length: is anybody there, and the answer. */
const ping = 0xffff_ffff
const pong = 0xffff_fffe

/** Frames up to this many bytes are copied together: one small write is cheaper than several pieces. */
const copyBytes = 64 * 1024

export interface LinkEvents {
  readonly frame: (frame: Uint8Array) => void
  readonly ended: () => void
}

/** A connection of frames that has been proved: each is its length (4 bytes, little-endian) and its bytes. */
export class TcpLink {
  readonly #socket: Socket
  readonly #maxQueuedBytes: number
  readonly #events: LinkEvents
  #corked = false
  #chunks: Buffer[] = []
  #have = 0
  #needed = 4
  #heard = 0

  constructor(
    readonly peer: NodeId,
    readonly life: Buffer,
    /** The lower of the two ids dialled: of two connections at once this one stays. */
    readonly preferred: boolean,
    socket: Socket,
    options: { readonly maxQueuedBytes: number; readonly events: LinkEvents },
  ) {
    this.#socket = socket
    this.#maxQueuedBytes = options.maxQueuedBytes
    this.#events = options.events
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 5_000)
    socket.on('close', () => this.#events.ended())
    socket.on('data', chunk => this.#take(chunk))
    socket.resume()
  }

  send(pieces: readonly Uint8Array[]): boolean {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
    const queued = this.#socket.writableLength
    if (this.#socket.destroyed || length > maxFrameBytes) return false
    if (queued > 0 && queued + length > this.#maxQueuedBytes) return false
    const head = Buffer.allocUnsafe(4)
    head.writeUInt32LE(length)
    this.#cork()
    if (length <= copyBytes) this.#socket.write(Buffer.concat([head, ...pieces], 4 + length))
    else {
      this.#socket.write(head)
      for (const piece of pieces) if (piece.length > 0) this.#socket.write(piece)
    }
    return true
  }

  /** Counts everything that came: it rises when the other side lives and was asked by {@link ping}. */
  get heard(): number {
    return this.#heard
  }

  ping(): void {
    this.#control(ping)
  }

  /** Sends what is queued, then ends. */
  end(): void {
    this.#socket.end()
    this.#socket.removeAllListeners('data')
    this.#socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** What is written in one turn leaves in one call of the system. */
  #cork(): void {
    if (this.#corked) return
    this.#corked = true
    this.#socket.cork()
    process.nextTick(() => {
      this.#corked = false
      this.#socket.uncork()
    })
  }

  #control(word: number): void {
    if (this.#socket.destroyed) return
    const bytes = Buffer.allocUnsafe(4)
    bytes.writeUInt32LE(word)
    this.#socket.write(bytes)
  }

  #take(chunk: Buffer): void {
    this.#heard += 1
    this.#chunks.push(chunk)
    this.#have += chunk.length
    while (this.#have >= this.#needed && !this.#socket.destroyed) {
      const bytes = this.#joined()
      const length = bytes.readUInt32LE(0)
      if (length === ping || length === pong) {
        if (length === ping) this.#control(pong)
        this.#keep(bytes.subarray(4))
        continue
      }
      if (length > maxFrameBytes) {
        this.#socket.destroy()
        return
      }
      if (this.#have < 4 + length) {
        this.#needed = 4 + length
        return
      }
      this.#keep(bytes.subarray(4 + length))
      this.#events.frame(bytes.subarray(4, 4 + length))
    }
  }

  /** Everything that has come, in one piece: done when a length or a whole frame is there, not for every chunk. */
  #joined(): Buffer {
    const joined = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks)
    this.#chunks = [joined]
    return joined
  }

  #keep(rest: Buffer): void {
    this.#chunks = rest.length === 0 ? [] : [rest]
    this.#have = rest.length
    this.#needed = 4
  }
}
