import { ProtocolError } from '../frame.js'
import type { Settlement } from '../stream-log/consumer-core.js'
import type { MessageRecord } from '../stream-log/record.js'
import type { Fetched, FetchRequest, LinkPublish, ReadAnswer } from './stream-link.js'

/*
 * What stream clients and their server say to each other inside the payloads of a bus. Numbers are in network order;
 * strings have one length byte (names, subjects, ids: ASCII) or two (texts: UTF-8), headers two, payloads four.
 */

/** Messages in one request or answer. */
export const maxBatchMessages = 1_024
/** Settlements in one question. */
export const maxSettlements = 8_192

/** A message to publish, and when it enters (0: now). */
export interface WirePublish {
  readonly at: number
  readonly message: LinkPublish
}

export type PublishOutcome =
  | { readonly ok: true; readonly stream: string; readonly sequence: number; readonly duplicate: boolean }
  | { readonly ok: false; readonly error: Buffer }

const kinds = ['ack', 'nak', 'term', 'working', 'back'] as const

/** Writes fields into a buffer that grows. */
class ByteWriter {
  #bytes: Buffer
  #end = 0

  constructor(bytes: number) {
    this.#bytes = Buffer.allocUnsafe(bytes)
  }

  u8(value: number): this {
    this.#room(1)
    this.#bytes[this.#end++] = value
    return this
  }

  u16(value: number): this {
    this.#room(2)
    this.#end = this.#bytes.writeUInt16BE(value, this.#end)
    return this
  }

  f64(value: number): this {
    this.#room(8)
    this.#end = this.#bytes.writeDoubleBE(value, this.#end)
    return this
  }

  ascii(text: string): this {
    this.u8(text.length)
    this.#room(text.length)
    this.#end += this.#bytes.write(text, this.#end, 'latin1')
    return this
  }

  block(bytes: Uint8Array): this {
    return this.u16(bytes.length).raw(bytes)
  }

  long(bytes: Uint8Array): this {
    this.#room(4)
    this.#end = this.#bytes.writeUInt32BE(bytes.length, this.#end)
    return this.raw(bytes)
  }

  raw(bytes: Uint8Array): this {
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.#end)
    this.#end += bytes.length
    return this
  }

  done(): Buffer {
    return this.#bytes.subarray(0, this.#end)
  }

  #room(bytes: number): void {
    if (this.#end + bytes <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#end + bytes, this.#bytes.length * 2))
    this.#bytes.copy(grown, 0, 0, this.#end)
    this.#bytes = grown
  }
}

/** Reads fields in order; every read checks the end. @throws ProtocolError. */
class ByteReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  #take(count: number): number {
    const at = this.#at
    if (at + count > this.#bytes.length) throw new ProtocolError('a message of streams is shorter than its fields')
    this.#at = at + count
    return at
  }

  u8(): number {
    return this.#bytes[this.#take(1)] as number
  }

  u16(): number {
    return this.#bytes.readUInt16BE(this.#take(2))
  }

  /** How many things follow; at most `most`. */
  count(most: number): number {
    const count = this.u16()
    if (count > most) throw new ProtocolError(`${count} things, at most ${most} are allowed`)
    return count
  }

  /** A whole number of at least `least`. */
  whole(least = 0): number {
    const value = this.#bytes.readDoubleBE(this.#take(8))
    if (!Number.isSafeInteger(value) || value < least) throw new ProtocolError('a number that is none')
    return value
  }

  time(): number {
    const value = this.#bytes.readDoubleBE(this.#take(8))
    if (!Number.isFinite(value) || value < 0) throw new ProtocolError('a time that is none')
    return value
  }

  ascii(): string {
    const length = this.u8()
    const at = this.#take(length)
    return this.#bytes.toString('latin1', at, at + length)
  }

  block(): Buffer {
    const length = this.u16()
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }

  long(): Buffer {
    const length = this.#bytes.readUInt32BE(this.#take(4))
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new ProtocolError('a message of streams is longer than its fields')
  }
}

// ---- publishing

/** Bytes of one message in a request, about. */
export function publishBytes({ payload, headers }: LinkPublish): number {
  return payload.length + headers.length + 600
}

export function writePublish(batch: readonly WirePublish[]): Buffer {
  let bytes = 16
  for (const { message } of batch) bytes += publishBytes(message)
  const writer = new ByteWriter(bytes).u16(batch.length)
  for (const { at, message } of batch) {
    writer
      .ascii(message.stream ?? '')
      .ascii(message.subject)
      .ascii(message.messageId)
      .f64(message.deadline)
      .f64(at)
      .f64(message.expectLast ?? -1)
      .f64(message.expectSubject ?? -1)
      .block(message.headers)
      .long(message.payload)
  }
  return writer.done()
}

export function readPublish(bytes: Uint8Array): WirePublish[] {
  const reader = new ByteReader(bytes)
  const batch: WirePublish[] = []
  for (let left = reader.count(maxBatchMessages); left > 0; left--) {
    const stream = reader.ascii()
    const subject = reader.ascii()
    const messageId = reader.ascii()
    const deadline = reader.time()
    const at = reader.time()
    const expectLast = reader.whole(-1)
    const expectSubject = reader.whole(-1)
    const message: LinkPublish = {
      stream: stream === '' ? undefined : stream,
      subject,
      messageId,
      deadline,
      expectLast: expectLast < 0 ? undefined : expectLast,
      expectSubject: expectSubject < 0 ? undefined : expectSubject,
      headers: reader.block(),
      payload: reader.long(),
    }
    batch.push({ at, message })
  }
  reader.end()
  return batch
}

export function writeOutcomes(outcomes: readonly PublishOutcome[]): Buffer {
  const writer = new ByteWriter(16 + outcomes.length * 48).u16(outcomes.length)
  for (const outcome of outcomes) {
    if (outcome.ok)
      writer
        .u8(outcome.duplicate ? 2 : 1)
        .ascii(outcome.stream)
        .f64(outcome.sequence)
    else writer.u8(0).block(outcome.error)
  }
  return writer.done()
}

export function readOutcomes(bytes: Uint8Array): PublishOutcome[] {
  const reader = new ByteReader(bytes)
  const outcomes: PublishOutcome[] = []
  for (let left = reader.count(maxBatchMessages); left > 0; left--) {
    const kind = reader.u8()
    if (kind > 2) throw new ProtocolError('an outcome of an unknown kind')
    if (kind === 0) outcomes.push({ ok: false, error: reader.block() })
    else outcomes.push({ ok: true, stream: reader.ascii(), sequence: reader.whole(), duplicate: kind === 2 })
  }
  reader.end()
  return outcomes
}

// ---- messages

function writeRecord(writer: ByteWriter, record: MessageRecord): void {
  writer
    .f64(record.sequence)
    .f64(record.time)
    .ascii(record.subject)
    .ascii(record.messageId)
    .block(record.headers)
    .long(record.payload)
}

function readRecord(reader: ByteReader): MessageRecord {
  return {
    sequence: reader.whole(1),
    time: reader.time(),
    later: 0,
    target: '',
    subject: reader.ascii(),
    messageId: reader.ascii(),
    headers: reader.block(),
    payload: reader.long(),
  }
}

export function writeRead({ records, next }: ReadAnswer): Buffer {
  let bytes = 16
  for (const { payload, headers } of records) bytes += payload.length + headers.length + 300
  const writer = new ByteWriter(bytes).f64(next).u16(records.length)
  for (const record of records) writeRecord(writer, record)
  return writer.done()
}

export function readRead(bytes: Uint8Array): ReadAnswer {
  const reader = new ByteReader(bytes)
  const next = reader.whole()
  const records: MessageRecord[] = []
  for (let left = reader.count(maxBatchMessages); left > 0; left--) records.push(readRecord(reader))
  reader.end()
  return { records, next }
}

// ---- members

export function writeFetch(member: string, request: FetchRequest): Buffer {
  const { settled, capacity, waitMs, leaving } = request
  const writer = new ByteWriter(256 + settled.length * 24)
    .block(Buffer.from(member))
    .u16(capacity)
    .f64(waitMs)
    .u8(leaving ? 1 : 0)
    .u16(settled.length)
  for (const { sequence, attempt, kind, delayMs, reason } of settled) {
    writer.u8(kinds.indexOf(kind)).f64(sequence).u16(attempt)
    if (kind === 'nak') writer.f64(delayMs ?? -1)
    if (kind === 'nak' || kind === 'term') writer.block(Buffer.from(reason ?? ''))
  }
  return writer.done()
}

export function readFetch(bytes: Uint8Array): { readonly member: string; readonly request: FetchRequest } {
  const reader = new ByteReader(bytes)
  const member = reader.block().toString()
  const capacity = reader.u16()
  const waitMs = reader.time()
  const leaving = reader.u8() === 1
  const settled: Settlement[] = []
  for (let left = reader.count(maxSettlements); left > 0; left--) settled.push(readSettlement(reader))
  reader.end()
  return { member, request: { settled, capacity, waitMs, leaving } }
}

function readSettlement(reader: ByteReader): Settlement {
  const kind = kinds[reader.u8()]
  if (kind === undefined) throw new ProtocolError('a settlement of an unknown kind')
  const settlement = { kind, sequence: reader.whole(1), attempt: reader.u16() }
  if (kind !== 'nak' && kind !== 'term') return settlement
  const delayMs = kind === 'nak' ? reader.whole(-1) : -1
  const reason = reader.block().toString().slice(0, 1_000)
  return { ...settlement, reason, ...(delayMs < 0 ? {} : { delayMs: Math.min(delayMs, 86_400_000) }) }
}

/** @param fetched - undefined: the member is not known. */
export function writeFetched(fetched: Fetched | undefined): Buffer {
  if (fetched === undefined) return Buffer.of(0)
  let bytes = 16
  for (const { record } of fetched) bytes += record.payload.length + record.headers.length + 300
  const writer = new ByteWriter(bytes).u8(1).u16(fetched.length)
  for (const { record, attempt } of fetched) writeRecord(writer.u16(attempt), record)
  return writer.done()
}

export function readFetched(bytes: Uint8Array): Fetched | undefined {
  const reader = new ByteReader(bytes)
  const known = reader.u8()
  if (known > 1) throw new ProtocolError('an answer of an unknown kind')
  const fetched: { record: MessageRecord; attempt: number }[] = []
  if (known === 1) {
    for (let left = reader.count(maxBatchMessages); left > 0; left--) {
      const attempt = reader.u16()
      fetched.push({ attempt, record: readRecord(reader) })
    }
  }
  reader.end()
  return known === 1 ? fetched : undefined
}
