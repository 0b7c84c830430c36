import type { ErrorCode } from '../kernel/error-codes.js'
import { FrameType } from './frame.js'
import type { HeaderBlock } from './headers.js'
import type { BusIdentity, HubLink, PeerLink } from './link.js'

const slabBytes = 65_536
/**
 * So many bytes are handed over at once, without waiting for the turn's end: the other side begins with the first calls
 * of a burst while this one still makes the last. Waiting for all of it would let only one of the two work at a time.
 */
const pieceBytes = 4_096

/**
 * Collects frames in one buffer and hands them over when the current turn of the program is done, or 4 KiB of them are
 * there: a burst of calls costs few system calls. Fields are bytes in network order; strings that can be long have two
 * length bytes, names and subjects (ASCII) one.
 */
export class FrameWriter {
  readonly #send: (bytes: Uint8Array) => void
  #slab = Buffer.allocUnsafe(slabBytes)
  /** Start of what was not handed over yet. The part before belongs to writes that may still be under way. */
  #start = 0
  #end = 0
  #frame = 0
  #scheduled = false

  readonly #sent: () => boolean

  /**
   * @param send - takes a piece; it must not be changed until it is sent.
   * @param sent - true when every piece taken was sent: its bytes are used again then.
   */
  constructor(send: (bytes: Uint8Array) => void, sent: () => boolean = () => false) {
    this.#send = send
    this.#sent = sent
  }

  /** Bytes written and not handed over yet. */
  get waiting(): number {
    return this.#end - this.#start
  }

  /** Starts a frame; `bytes` is the most it can take after its length and type. */
  open(type: FrameType, bytes: number): this {
    const needed = bytes + 5
    if (this.#start === this.#end && this.#end > slabBytes / 2 && this.#slab.length === slabBytes && this.#sent()) {
      this.#start = 0
      this.#end = 0
    }
    if (this.#end + needed > this.#slab.length) this.#renew(needed)
    this.#frame = this.#end
    this.#slab[this.#end + 4] = type
    this.#end += 5
    return this
  }

  u8(value: number): this {
    this.#slab[this.#end++] = value
    return this
  }

  u32(value: number): this {
    const slab = this.#slab
    const at = this.#end
    slab[at] = value >>> 24
    slab[at + 1] = value >>> 16
    slab[at + 2] = value >>> 8
    slab[at + 3] = value
    this.#end = at + 4
    return this
  }

  f64(value: number): this {
    this.#end = this.#slab.writeDoubleBE(value, this.#end)
    return this
  }

  /** At most 255 ASCII characters. */
  ascii(text: string): this {
    const slab = this.#slab
    const length = text.length
    slab[this.#end++] = length
    // A loop beats the call into the runtime for short strings.
    if (length < 24) for (let index = 0; index < length; index++) slab[this.#end + index] = text.charCodeAt(index)
    else slab.write(text, this.#end, 'latin1')
    this.#end += length
    return this
  }

  /** At most 65_535 bytes. */
  block(bytes: Uint8Array): this {
    const length = bytes.length
    this.#slab[this.#end] = length >>> 8
    this.#slab[this.#end + 1] = length
    this.#end += 2
    return length === 0 ? this : this.rest(bytes)
  }

  rest(bytes: Uint8Array): this {
    this.#slab.set(bytes, this.#end)
    this.#end += bytes.length
    return this
  }

  /** Ends the frame and sees to it that it is sent. */
  close(): void {
    const length = this.#end - this.#frame - 4
    this.#slab.writeUInt32BE(length, this.#frame)
    if (this.#end - this.#start >= pieceBytes) {
      // What is scheduled finds nothing, or what comes until then.
      const scheduled = this.#scheduled
      this.flush()
      this.#scheduled = scheduled
      return
    }
    if (this.#scheduled) return
    this.#scheduled = true
    // After the promise reactions that are queued now: what they write goes into the same piece.
    process.nextTick(this.#atEnd)
  }

  readonly #atEnd = (): void => this.flush()

  /** Hands over what is written. For the end of a turn that nothing will be added in. */
  flush(): void {
    this.#scheduled = false
    if (this.#end === this.#start) return
    const piece = this.#slab.subarray(this.#start, this.#end)
    this.#start = this.#end
    this.#send(piece)
  }

  #renew(needed: number): void {
    const scheduled = this.#scheduled
    this.flush()
    this.#scheduled = scheduled
    this.#slab = Buffer.allocUnsafe(Math.max(slabBytes, needed))
    this.#start = 0
    this.#end = 0
  }
}

/** Writes what a peer asks of its hub. */
export function hubLinkOver(writer: FrameWriter): HubLink & { hello(version: number, token: string): void } {
  return {
    hello(version, token) {
      const bytes = Buffer.from(token)
      writer
        .open(FrameType.hello, 3 + bytes.length)
        .u8(version)
        .block(bytes)
        .close()
    },
    publish(id, subject, headers, payload) {
      writer
        .open(FrameType.publish, 7 + subject.length + headers.length + payload.length)
        .u32(id)
        .ascii(subject)
        .block(headers)
        .rest(payload)
        .close()
    },
    request(id, deadline, subject, headers, payload, many) {
      writer
        .open(many ? FrameType.requestMany : FrameType.request, 15 + subject.length + headers.length + payload.length)
        .u32(id)
        .f64(deadline)
        .ascii(subject)
        .block(headers)
        .rest(payload)
        .close()
    },
    cancel: id => writer.open(FrameType.cancel, 4).u32(id).close(),
    subscribe(id, subscription, pattern, queue) {
      writer
        .open(FrameType.subscribe, 10 + pattern.length + queue.length)
        .u32(id)
        .u32(subscription)
        .ascii(pattern)
        .ascii(queue)
        .close()
    },
    unsubscribe: (id, subscription) => writer.open(FrameType.unsubscribe, 8).u32(id).u32(subscription).close(),
    reply(delivery, headers, payload) {
      writer
        .open(FrameType.reply, 6 + headers.length + payload.length)
        .u32(delivery)
        .block(headers)
        .rest(payload)
        .close()
    },
    replyError: (delivery, code, text) => writeError(writer, FrameType.replyError, delivery, code, text),
    flush: id => writer.open(FrameType.flush, 4).u32(id).close(),
  }
}

/** Writes what a hub tells a peer. */
export function peerLinkOver(
  writer: FrameWriter,
): PeerLink & { welcome(identity: BusIdentity): void; rejected(code: ErrorCode, text: string): void } {
  return {
    welcome: identity =>
      writer
        .open(FrameType.welcome, 2 + 128 + 128)
        .ascii(identity.name)
        .ascii(identity.kind.slice(0, 64))
        .close(),
    rejected: (code, text) => writeError(writer, FrameType.rejected, 0, code, text),
    accepted: id => writer.open(FrameType.accepted, 4).u32(id).close(),
    answered(id, sender, headers, payload) {
      writer
        .open(FrameType.answered, 7 + sender.length + headers.length + payload.length)
        .u32(id)
        .ascii(sender)
        .block(headers)
        .rest(payload)
        .close()
    },
    failed: (id, code, text, retryAfterMs) => writeError(writer, FrameType.failed, id, code, text, retryAfterMs),
    deliver(subscription, delivery, deadline, sender, subject, headers, payload) {
      writer
        .open(FrameType.deliver, 20 + sender.length + subject.length + headers.length + payload.length)
        .u32(subscription)
        .u32(delivery)
        .f64(deadline)
        .ascii(sender)
        .ascii(subject)
        .block(headers)
        .rest(payload)
        .close()
    },
    cancelled: (delivery, code) => writeError(writer, FrameType.cancelled, delivery, code, ''),
  }
}

function writeError(
  writer: FrameWriter,
  type: FrameType,
  id: number,
  code: string,
  text: string,
  retryAfterMs?: number,
): void {
  const bytes: HeaderBlock = Buffer.from(text.slice(0, 500))
  writer
    .open(type, 11 + code.length + bytes.length)
    .u32(id)
    .ascii(code)
    .block(bytes)
  // Left out where there is none: peers that do not know the field never see it.
  if (retryAfterMs !== undefined) writer.u32(Math.min(retryAfterMs, 0xffff_ffff))
  writer.close()
}
