import { CloudError } from '../../kernel/errors.js'

/** Reads what a `ByteWriter` wrote. Every method throws CloudError `core.ha.bad-message` when it is not there. */
export class ByteReader {
  readonly #buffer: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get left(): number {
    return this.#buffer.length - this.#at
  }

  byte(): number {
    this.#need(1)
    return this.#buffer[this.#at++] as number
  }

  u32(): number {
    this.#need(4)
    this.#at += 4
    return this.#buffer.readUInt32LE(this.#at - 4)
  }

  number(): number {
    const low = this.u32()
    const value = this.u32() * 0x1_0000_0000 + low
    if (value > Number.MAX_SAFE_INTEGER) throw malformed('a number beyond 2^53')
    return value
  }

  /** A view of what was given. */
  bytes(): Buffer {
    return this.take(this.u32())
  }

  take(length: number): Buffer {
    this.#need(length)
    this.#at += length
    return this.#buffer.subarray(this.#at - length, this.#at)
  }

  /** The next `u32` as a count of things of at least `least` bytes each: one that cannot be true is refused. */
  count(least: number): number {
    const count = this.u32()
    if (count * least > this.left) throw malformed('it ends too early')
    return count
  }

  end(): void {
    if (this.left > 0) throw malformed('something follows it')
  }

  #need(bytes: number): void {
    if (bytes > this.left) throw malformed('it ends too early')
  }
}

export function malformed(reason: string): CloudError {
  return new CloudError('core.ha.bad-message', `bytes between nodes are malformed: ${reason}`)
}
