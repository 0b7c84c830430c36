import type { LogLevel } from '../kernel/logger.js'

/** What the host says to a package's process. */
export type HostFrame =
  | {
      readonly t: 'start'
      readonly name: string
      /** Absolute path of the entry module. */
      readonly entry: string
      readonly config: unknown
      readonly hooks: readonly string[]
    }
  | {
      readonly t: 'call'
      readonly id: number
      readonly hook: string
      readonly input: unknown
      readonly eventId?: string
    }
  | { readonly t: 'abort'; readonly id: number }
  | { readonly t: 'ping'; readonly id: number }
  | { readonly t: 'state'; readonly id: number; readonly value?: unknown; readonly error?: ErrorFrame }
  | { readonly t: 'stop' }

/** What a package's process says to the host. Nothing in it is trusted. */
export type PackageFrame =
  | { readonly t: 'ready' }
  | { readonly t: 'failed'; readonly error: ErrorFrame }
  | { readonly t: 'result'; readonly id: number; readonly value?: unknown }
  | { readonly t: 'error'; readonly id: number; readonly error: ErrorFrame }
  | { readonly t: 'pong'; readonly id: number }
  | ({ readonly t: 'state'; readonly id: number } & StateRequest)
  | { readonly t: 'log'; readonly level: LogLevel; readonly message: string; readonly fields?: Record<string, unknown> }
  /** Resident bytes, by its own count, where the host cannot see them. */
  | { readonly t: 'memory'; readonly bytes: number }

/** One use of the package's state. */
export type StateRequest =
  | { readonly op: 'get'; readonly key: string }
  | { readonly op: 'put'; readonly key: string; readonly value: unknown }
  | { readonly op: 'increment'; readonly key: string; readonly by: number }
  | { readonly op: 'increment-once'; readonly key: string; readonly by: number; readonly once: string }

export interface ErrorFrame {
  readonly message: string
  readonly code?: string
}

/** Bytes of one frame. The host kills a process that sends more: it would have to hold all of it. */
export const maxFrameBytes = 1024 * 1024

/** Four bytes of length, big-endian, then JSON. JSON and not structured clone: its parser is safe on hostile bytes. */
export function encodeFrame(frame: HostFrame | PackageFrame): Buffer {
  const text = JSON.stringify(frame)
  const size = Buffer.byteLength(text)
  const bytes = Buffer.allocUnsafe(4 + size)
  bytes.writeUInt32BE(size, 0)
  bytes.write(text, 4)
  return bytes
}

/** Cuts a stream of bytes into frames. After an error it must not be used again. */
export class FrameReader {
  #chunks: Buffer[] = []
  #size = 0
  /** Bytes needed before another look is worth it: keeps a large frame in small chunks from being copied each time. */
  #needed = 4

  /** @throws RangeError when a frame is larger than `maxFrameBytes`, SyntaxError when it is not JSON. */
  read(chunk: Buffer): unknown[] {
    const frames: unknown[] = []
    this.#chunks.push(chunk)
    this.#size += chunk.length
    if (this.#size < this.#needed) return frames
    const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#size)
    let at = 0
    this.#needed = 4
    while (bytes.length - at >= 4) {
      const size = bytes.readUInt32BE(at)
      if (size > maxFrameBytes) throw new RangeError(`a frame of ${size} bytes is more than ${maxFrameBytes}`)
      if (bytes.length - at - 4 < size) {
        this.#needed = 4 + size
        break
      }
      frames.push(JSON.parse(bytes.toString('utf8', at + 4, at + 4 + size)))
      at += 4 + size
    }
    const left = bytes.subarray(at)
    this.#chunks = left.length === 0 ? [] : [left]
    this.#size = left.length
    return frames
  }
}

/** Writes frames; those of one turn of the event loop leave in one system call. */
export class FrameWriter {
  #pending: Buffer[] = []
  readonly #write: (bytes: Buffer) => void

  constructor(write: (bytes: Buffer) => void) {
    this.#write = write
  }

  send(bytes: Buffer): void {
    this.#pending.push(bytes)
    if (this.#pending.length > 1) return
    queueMicrotask(() => {
      const pending = this.#pending
      this.#pending = []
      this.#write(pending.length === 1 && pending[0] !== undefined ? pending[0] : Buffer.concat(pending))
    })
  }
}
