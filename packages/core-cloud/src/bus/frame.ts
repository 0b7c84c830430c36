/** Version of the wire between a peer and its hub; both must speak the same. */
export const wireVersion = 1

/** Most bytes of one frame after its length: a full payload and everything around it. */
export const maxFrameBytes = 8 * 1024 * 1024 + 32_768

/** Most bytes of a frame before the connection showed its token. */
export const maxHelloBytes = 4_096

/** First byte of every frame. Below 32: from a peer to its hub; from 32: from the hub to a peer. */
export const FrameType = {
  hello: 1,
  publish: 2,
  request: 3,
  cancel: 4,
  subscribe: 5,
  unsubscribe: 6,
  reply: 7,
  replyError: 8,
  flush: 9,
  requestMany: 10,
  welcome: 32,
  rejected: 33,
  accepted: 34,
  answered: 35,
  failed: 36,
  deliver: 37,
  cancelled: 38,
} as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

/** What came over the wire is not what the other side may send; the connection is closed. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

/**
 * Cuts a stream of bytes into frames. A frame is four bytes of length and that many bytes.
 * Keeps at most one unfinished frame, and refuses a length above the limit before it keeps anything of it.
 */
export class FrameSplitter {
  /** Most bytes of a frame; may be changed between frames. */
  limit: number
  #parts: Uint8Array[] = []
  #kept = 0
  /** Bytes of the unfinished frame with its length, or 0 while that is not known. */
  #needed = 0

  constructor(limit: number) {
    this.limit = limit
  }

  /** Bytes kept for an unfinished frame. */
  get kept(): number {
    return this.#kept
  }

  /**
   * Calls `onFrame` with each frame that is complete now. Views of the chunk are given out: nobody may write to it after.
   * @throws ProtocolError for a length of 0 or above the limit; the splitter is unusable then.
   */
  push(chunk: Buffer, onFrame: (frame: Buffer) => void): void {
    let rest = chunk
    if (this.#kept > 0) {
      const joined = this.#join(chunk)
      if (joined === undefined) return
      rest = joined
    }
    let offset = 0
    while (rest.length - offset >= 4) {
      const length = this.#check(rest.readUInt32BE(offset))
      const end = offset + 4 + length
      if (end > rest.length) {
        this.#needed = 4 + length
        break
      }
      onFrame(rest.subarray(offset + 4, end))
      offset = end
    }
    if (offset < rest.length) {
      this.#parts = [rest.subarray(offset)]
      this.#kept = rest.length - offset
    }
  }

  #check(length: number): number {
    if (length === 0 || length > this.limit)
      throw new ProtocolError(`a frame of ${length} bytes, at most ${this.limit} are allowed`)
    return length
  }

  /** Adds a chunk to what is kept; gives everything back in one piece once it holds a whole frame. */
  #join(chunk: Buffer): Buffer | undefined {
    this.#parts.push(chunk)
    this.#kept += chunk.length
    if (this.#needed === 0) {
      if (this.#kept < 4) return undefined
      this.#parts = [Buffer.concat(this.#parts, this.#kept)]
      const [head] = this.#parts as [Buffer]
      this.#needed = 4 + this.#check(head.readUInt32BE(0))
    }
    if (this.#kept < this.#needed) return undefined
    const whole = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts, this.#kept)
    this.#parts = []
    this.#kept = 0
    this.#needed = 0
    return whole
  }
}
