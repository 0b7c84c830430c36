import type { HeaderBlock } from '../headers.js'
import { isHeaderBlock, noHeaders } from '../headers.js'

/**
 * What our own programs say to each other inside a NATS message: one record after the other. A record begins with
 * `AA A5`, which no UTF-8 text does, so a message of a plain NATS client is told from ours by its first bytes.
 *
 *     call     AA A5 01  id:4  deadline:6  headers:2  payload:4  headers  payload
 *     publish  AA A5 02  headers:2  payload:4  headers  payload
 *     reply    AA A5 03  id:4  worker:4  headers:2  payload:4  headers  payload
 *     failure  AA A5 04  id:4  worker:4  final:1  code:1  text:2  code  text
 *     cancel   AA A5 05  id:4  inbox:1  inbox
 *
 * Numbers are bytes in network order. A deadline is epoch milliseconds. `worker` is a number the answering connection
 * chose for itself. `final` is 0 when another receiver of the same call may still answer it well.
 */
export const RecordKind = { call: 1, publish: 2, reply: 3, failure: 4, cancel: 5 } as const
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind]

const first = 0xaa
const second = 0xa5

/** Bytes before headers and payload. */
export const callBytes = 19
export const publishBytes = 9
export const replyBytes = 17

/** True for a message that begins with a record. */
export function isRecord(bytes: Uint8Array): boolean {
  return bytes.length > 2 && bytes[0] === first && bytes[1] === second
}

/** A message that is not what one of our programs sends. */
export class RecordError extends Error {
  override readonly name = 'RecordError'
}

function u32(into: Buffer, at: number, value: number): number {
  into[at] = value >>> 24
  into[at + 1] = value >>> 16
  into[at + 2] = value >>> 8
  into[at + 3] = value
  return at + 4
}

function open(into: Buffer, at: number, kind: RecordKind): number {
  into[at] = first
  into[at + 1] = second
  into[at + 2] = kind
  return at + 3
}

function body(into: Buffer, start: number, headers: HeaderBlock, payload: Uint8Array): number {
  let at = start
  into[at] = headers.length >>> 8
  into[at + 1] = headers.length
  at = u32(into, at + 2, payload.length)
  if (headers.length > 0) into.set(headers, at)
  at += headers.length
  into.set(payload, at)
  return at + payload.length
}

/** @returns the place behind it; `into` must have {@link callBytes} and the lengths of headers and payload left. */
export function writeCall(
  into: Buffer,
  at: number,
  id: number,
  deadline: number,
  headers: HeaderBlock,
  payload: Uint8Array,
): number {
  let place = u32(into, open(into, at, RecordKind.call), id)
  const high = Math.floor(deadline / 0x1_0000_0000)
  into[place] = high >>> 8
  into[place + 1] = high
  place = u32(into, place + 2, deadline >>> 0)
  return body(into, place, headers, payload)
}

export function publishRecord(headers: HeaderBlock, payload: Uint8Array): Buffer {
  const record = Buffer.allocUnsafe(publishBytes + headers.length + payload.length)
  body(record, open(record, 0, RecordKind.publish), headers, payload)
  return record
}

/** @returns the place behind it. */
export function writeReply(
  into: Buffer,
  at: number,
  id: number,
  worker: number,
  headers: HeaderBlock,
  payload: Uint8Array,
): number {
  return body(into, u32(into, u32(into, open(into, at, RecordKind.reply), id), worker), headers, payload)
}

/** @param final - nobody else can answer the call. */
export function failureRecord(
  id: number,
  worker: number,
  { final, code, text }: { readonly final: boolean; readonly code: string; readonly text: string },
): Buffer {
  const message = Buffer.from(text.slice(0, 500))
  const record = Buffer.allocUnsafe(15 + code.length + message.length)
  let at = u32(record, u32(record, open(record, 0, RecordKind.failure), id), worker)
  record[at++] = final ? 1 : 0
  record[at++] = code.length
  record[at++] = message.length >>> 8
  record[at++] = message.length
  at += record.write(code, at, 'latin1')
  record.set(message, at)
  return record
}

export function cancelRecord(id: number, inbox: string): Buffer {
  const record = Buffer.allocUnsafe(8 + inbox.length)
  const at = u32(record, open(record, 0, RecordKind.cancel), id)
  record[at] = inbox.length
  record.write(inbox, at + 1, 'latin1')
  return record
}

/**
 * Reads the records of one message, one after the other, into its fields: those that the kind has are valid until the
 * next {@link RecordReader.next}. Allocates nothing but views.
 */
export class RecordReader {
  #bytes: Buffer = noHeaders
  #at = 0
  id = 0
  deadline = 0
  worker = 0
  final = false
  headers: HeaderBlock = noHeaders
  payload: Uint8Array = noHeaders
  code = ''
  text = ''
  inbox = ''

  start(bytes: Uint8Array): void {
    this.#bytes =
      bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength)
    this.#at = 0
  }

  /** @returns the next record's kind, or 0 at the end. @throws RecordError when the rest is not a record. */
  next(): RecordKind | 0 {
    const at = this.#at
    const bytes = this.#bytes
    if (at === bytes.length) return 0
    const kind = bytes[at + 2] as RecordKind
    if (at + 3 > bytes.length || bytes[at] !== first || bytes[at + 1] !== second) throw new RecordError('no record')
    this.#at = at + 3
    switch (kind) {
      case RecordKind.call:
        this.id = this.#u32()
        this.deadline = this.#u16() * 0x1_0000_0000 + this.#u32()
        this.#body()
        return kind
      case RecordKind.publish:
        this.#body()
        return kind
      case RecordKind.reply:
        this.id = this.#u32()
        this.worker = this.#u32()
        this.#body()
        return kind
      case RecordKind.failure:
        this.#failure()
        return kind
      case RecordKind.cancel:
        this.id = this.#u32()
        this.inbox = this.#ascii(this.#u8())
        return kind
      default:
        throw new RecordError('a record of an unknown kind')
    }
  }

  #failure(): void {
    this.id = this.#u32()
    this.worker = this.#u32()
    this.final = this.#u8() !== 0
    const code = this.#u8()
    const text = this.#u16()
    this.code = this.#ascii(code)
    const start = this.#take(text)
    this.text = this.#bytes.toString('utf8', start, start + text)
  }

  #body(): void {
    const headers = this.#u16()
    const payload = this.#u32()
    const start = this.#take(headers)
    this.headers = headers === 0 ? noHeaders : this.#bytes.subarray(start, start + headers)
    if (headers > 0 && !isHeaderBlock(this.headers)) throw new RecordError('headers that are not allowed')
    const from = this.#take(payload)
    this.payload = this.#bytes.subarray(from, from + payload)
  }

  #take(count: number): number {
    const at = this.#at
    if (at + count > this.#bytes.length) throw new RecordError('a record is shorter than its fields')
    this.#at = at + count
    return at
  }

  #u8(): number {
    return this.#bytes[this.#take(1)] as number
  }

  #u16(): number {
    const at = this.#take(2)
    return ((this.#bytes[at] as number) << 8) | (this.#bytes[at + 1] as number)
  }

  #u32(): number {
    const at = this.#take(4)
    const bytes = this.#bytes
    return (
      (((bytes[at] as number) << 24) |
        ((bytes[at + 1] as number) << 16) |
        ((bytes[at + 2] as number) << 8) |
        (bytes[at + 3] as number)) >>>
      0
    )
  }

  #ascii(length: number): string {
    const at = this.#take(length)
    return this.#bytes.toString('latin1', at, at + length)
  }
}
