import { coreErrorCodes } from '../kernel/error-codes/core.js'
import type { ErrorCode } from '../kernel/error-codes.js'
import { FrameType, ProtocolError } from './frame.js'
import { type HeaderBlock, isHeaderBlock } from './headers.js'
import { type HubLink, identityForm, maxPayloadBytes, type PeerLink } from './link.js'

/** Reads the fields of one frame in order; every read checks the end. */
class FrameCursor {
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0

  reset(frame: Buffer): void {
    this.#bytes = frame
    this.#at = 0
  }

  /** Moves over `count` bytes and gives where they began. */
  #take(count: number): number {
    const at = this.#at
    if (at + count > this.#bytes.length) throw new ProtocolError('a frame is shorter than its fields')
    this.#at = at + count
    return at
  }

  u8(): number {
    return this.#bytes[this.#take(1)] as number
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#take(4))
  }

  /** An id that names something: not 0. */
  id(): number {
    const id = this.u32()
    if (id === 0) throw new ProtocolError('an id of 0')
    return id
  }

  deadline(): number {
    const value = this.#bytes.readDoubleBE(this.#take(8))
    if (!Number.isFinite(value) || value < 0) throw new ProtocolError('a deadline that is not a time')
    return value
  }

  ascii(): string {
    const length = this.u8()
    const at = this.#take(length)
    return this.#bytes.toString('latin1', at, at + length)
  }

  text(): string {
    return this.#block().toString('utf8')
  }

  headers(): HeaderBlock {
    const block = this.#block()
    if (block.length > 0 && !isHeaderBlock(block)) throw new ProtocolError('headers that are not allowed')
    return block
  }

  #block(): Buffer {
    const at = this.#take(2)
    const length = ((this.#bytes[at] as number) << 8) | (this.#bytes[at + 1] as number)
    const start = this.#take(length)
    return this.#bytes.subarray(start, start + length)
  }

  /** A last field that may be absent. */
  lastU32(): number | undefined {
    return this.#at === this.#bytes.length ? undefined : this.u32()
  }

  payload(): Uint8Array {
    const rest = this.#bytes.subarray(this.#at)
    if (rest.length > maxPayloadBytes) throw new ProtocolError('a payload above the limit')
    this.#at = this.#bytes.length
    return rest
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new ProtocolError('a frame is longer than its fields')
  }
}

const cursor = new FrameCursor()

/** Codes a peer may answer a delivery with; anything else it sends becomes an internal error. */
function answerCode(code: string): ErrorCode {
  return Object.hasOwn(coreErrorCodes, code) ? (code as ErrorCode) : 'core.kernel.internal'
}

/**
 * Hands one frame of a peer to the hub's side of its link.
 * @throws ProtocolError when it is not a well-formed frame of a peer.
 */
export function readPeerFrame(frame: Buffer, hub: HubLink & { hello(version: number, token: string): void }): void {
  cursor.reset(frame)
  switch (cursor.u8()) {
    case FrameType.request:
      hub.request(cursor.id(), cursor.deadline(), cursor.ascii(), cursor.headers(), cursor.payload(), false)
      return
    case FrameType.reply:
      hub.reply(cursor.id(), cursor.headers(), cursor.payload())
      return
    case FrameType.publish:
      hub.publish(cursor.id(), cursor.ascii(), cursor.headers(), cursor.payload())
      return
    case FrameType.hello:
      whole([cursor.u8(), cursor.text()] as const, ([version, token]) => hub.hello(version, token))
      return
    case FrameType.cancel:
      whole(cursor.id(), id => hub.cancel(id))
      return
    case FrameType.subscribe:
      whole([cursor.id(), cursor.id(), cursor.ascii(), cursor.ascii()] as const, fields => hub.subscribe(...fields))
      return
    case FrameType.unsubscribe:
      whole([cursor.id(), cursor.id()] as const, fields => hub.unsubscribe(...fields))
      return
    case FrameType.replyError:
      whole([cursor.id(), cursor.ascii(), cursor.text()] as const, ([id, code, text]) =>
        hub.replyError(id, answerCode(code), text),
      )
      return
    case FrameType.requestMany:
      hub.request(cursor.id(), cursor.deadline(), cursor.ascii(), cursor.headers(), cursor.payload(), true)
      return
    case FrameType.flush:
      whole(cursor.id(), id => hub.flush(id))
      return
    default:
      throw new ProtocolError('a frame of an unknown type')
  }
}

/** What the hub says about the connection itself. */
export interface Greeting {
  welcome(name: string, kind: string): void
  rejected(code: string, text: string): void
}

/**
 * Hands one frame of the hub to the peer's side of its link.
 * @throws ProtocolError when it is not a well-formed frame of a hub.
 */
export function readHubFrame(frame: Buffer, peer: PeerLink & Greeting): void {
  cursor.reset(frame)
  switch (cursor.u8()) {
    case FrameType.answered:
      peer.answered(cursor.id(), sender(), cursor.headers(), cursor.payload())
      return
    case FrameType.deliver:
      peer.deliver(
        cursor.id(),
        cursor.u32(),
        cursor.deadline(),
        sender(),
        cursor.ascii(),
        cursor.headers(),
        cursor.payload(),
      )
      return
    case FrameType.accepted:
      whole(cursor.id(), id => peer.accepted(id))
      return
    case FrameType.failed:
      whole([cursor.id(), cursor.ascii(), cursor.text(), cursor.lastU32()] as const, ([id, code, text, after]) =>
        after === undefined ? peer.failed(id, code, text) : peer.failed(id, code, text, after),
      )
      return
    case FrameType.cancelled:
      whole([cursor.id(), cursor.ascii(), cursor.text()] as const, ([id, code]) => peer.cancelled(id, code))
      return
    case FrameType.welcome:
      whole([cursor.ascii(), cursor.ascii()] as const, fields => peer.welcome(...fields))
      return
    case FrameType.rejected:
      whole([cursor.u32(), cursor.ascii(), cursor.text()] as const, ([, code, text]) => peer.rejected(code, text))
      return
    default:
      throw new ProtocolError('a frame of an unknown type')
  }
}

/** Empty, or a name as the hub stamps it. */
function sender(): string {
  const name = cursor.ascii()
  if (name !== '' && !identityForm.test(name)) throw new ProtocolError('a sender that is not a name')
  return name
}

function whole<T>(fields: T, use: (fields: T) => void): void {
  cursor.end()
  use(fields)
}
