import { CloudError } from '../../kernel/errors.js'

/** A frame on a stream: its length plus one (4 bytes, little-endian), then its bytes. 0 is a sign of life and no frame. */
export const frameHeadBytes = 4

/** What goes before a frame of `length` bytes. */
export function frameHead(length: number): Buffer {
  const head = Buffer.allocUnsafe(frameHeadBytes)
  head.writeUInt32LE(length + 1)
  return head
}

export const signOfLife = Buffer.alloc(frameHeadBytes)

/** First room for a frame that comes in pieces; it doubles as bytes really arrive, whatever length was announced. */
const firstBytes = 4_096

/** A frame shares the memory it arrived in only when it is at least this part of it: else it would keep the rest alive. */
const sharedPart = 1 / 2

/**
 * Cuts a stream of bytes into frames. Whatever comes, it holds at most twice the bytes of the open frame that have
 * arrived, and never more than `maxFrameBytes`.
 */
export class FrameDecoder {
  readonly #maxFrameBytes: number
  readonly #onFrame: (frame: Buffer) => void
  readonly #head = Buffer.alloc(frameHeadBytes)
  #headFilled = 0
  #length = 0
  #body: Buffer | undefined
  #bodyFilled = 0

  constructor(options: { readonly maxFrameBytes: number; readonly onFrame: (frame: Buffer) => void }) {
    this.#maxFrameBytes = options.maxFrameBytes
    this.#onFrame = options.onFrame
  }

  /** Bytes kept for a frame that is not whole. */
  get heldBytes(): number {
    return this.#body?.length ?? 0
  }

  /** @throws CloudError `core.contract.payload-too-large`; then the stream is to be ended. */
  push(chunk: Uint8Array): void {
    let position = 0
    while (position < chunk.length) {
      if (this.#body === undefined) {
        position = this.#takeHead(chunk, position)
        if (this.#headFilled < frameHeadBytes) return
        position = this.#begin(chunk, position)
      } else position = this.#takeBody(chunk, position)
    }
  }

  #takeHead(chunk: Uint8Array, start: number): number {
    let position = start
    while (this.#headFilled < frameHeadBytes && position < chunk.length) {
      this.#head[this.#headFilled++] = chunk[position++] as number
    }
    return position
  }

  /** The head is whole: hands out the frame when all of it is here, else makes room for it. */
  #begin(chunk: Uint8Array, start: number): number {
    this.#headFilled = 0
    const announced = this.#head.readUInt32LE(0)
    if (announced === 0) return start
    this.#length = announced - 1
    if (this.#length > this.#maxFrameBytes) {
      throw new CloudError(
        'core.contract.payload-too-large',
        `a frame of ${this.#length} bytes; the limit is ${this.#maxFrameBytes}`,
      )
    }
    const end = start + this.#length
    if (end > chunk.length) {
      this.#body = Buffer.allocUnsafe(Math.min(this.#length, Math.max(firstBytes, 2 * (chunk.length - start))))
      this.#bodyFilled = 0
      return start
    }
    const shared = Buffer.from(chunk.buffer, chunk.byteOffset + start, this.#length)
    this.#onFrame(this.#length >= chunk.buffer.byteLength * sharedPart ? shared : Buffer.from(shared))
    return end
  }

  #takeBody(chunk: Uint8Array, start: number): number {
    const end = Math.min(chunk.length, start + this.#length - this.#bodyFilled)
    const filled = this.#bodyFilled + end - start
    let body = this.#body as Buffer
    if (filled > body.length) {
      const larger = Buffer.allocUnsafe(Math.min(this.#length, Math.max(filled, 2 * body.length)))
      body.copy(larger, 0, 0, this.#bodyFilled)
      body = larger
      this.#body = larger
    }
    body.set(chunk.subarray(start, end), this.#bodyFilled)
    this.#bodyFilled = filled
    if (filled === this.#length) {
      this.#body = undefined
      this.#onFrame(body.length === filled ? body : body.subarray(0, filled))
    }
    return end
  }
}
