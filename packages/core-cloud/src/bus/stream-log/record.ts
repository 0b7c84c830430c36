import { crc32 } from 'node:zlib'
import { type HeaderBlock, noHeaders } from '../headers.js'

/*
 * A log file is records behind each other: four bytes of length, four of checksum, and that many bytes of content,
 * whose first byte says what it is. Numbers are in network order. The checksum is CRC-32 (IEEE 802.3, the one that the
 * runtime computes natively) of the content, started from the record's place and length: a record that was moved, or
 * an old one that shows through at another place, is not taken for a good one.
 */

/** Bytes before the content of a record. */
export const recordHead = 8
/** Most bytes of a record's content: a full payload and everything around it. */
const maxRecordBytes = 8 * 1024 * 1024 + 131_072

export const RecordType = {
  /** First in every segment; JSON. */
  segment: 1,
  message: 2,
  /** New configuration; JSON. */
  config: 3,
  /** Messages that were forgotten; JSON. */
  purge: 4,
  /** A message that enters later: `sequence` is its number among those, `time` when it enters. */
  later: 5,
  /** The whole state of one consumer; JSON. */
  consumer: 6,
  /** What changed in one consumer. */
  progress: 7,
} as const
export type RecordType = (typeof RecordType)[keyof typeof RecordType]

/** A stored message as it is in a record. Views of the record's bytes. */
export interface MessageRecord {
  readonly sequence: number
  /** Epoch milliseconds: when it was stored, or when it enters. */
  readonly time: number
  /** Number of the waiting message that this one ends; 0 for others. */
  readonly later: number
  readonly subject: string
  /** Empty when there is none. */
  readonly messageId: string
  /** Name of the only consumer that gets it; empty when all do. */
  readonly target: string
  readonly headers: HeaderBlock
  readonly payload: Uint8Array
}

/** A record's content is not what its type promises. */
export class RecordError extends Error {
  override readonly name = 'RecordError'
}

const fixedMessageBytes = 1 + 8 + 8 + 8 + 1 + 1 + 1 + 2

/** Bytes of a record that holds this message, its head included. */
export function messageRecordBytes(message: Omit<MessageRecord, 'sequence' | 'time' | 'later'>): number {
  const { subject, messageId, target, headers, payload } = message
  const strings = subject.length + messageId.length + target.length
  return recordHead + fixedMessageBytes + strings + headers.length + payload.length
}

/** Writes a message's record at a place of a buffer. @returns the place behind it. */
export function writeMessage(into: Buffer, at: number, type: RecordType, message: MessageRecord): number {
  let offset = at + recordHead
  into[offset++] = type
  offset = into.writeDoubleBE(message.sequence, offset)
  offset = into.writeDoubleBE(message.time, offset)
  offset = into.writeDoubleBE(message.later, offset)
  for (const text of [message.subject, message.messageId, message.target]) {
    into[offset++] = text.length
    offset += into.write(text, offset, 'latin1')
  }
  offset = into.writeUInt16BE(message.headers.length, offset)
  into.set(message.headers, offset)
  offset += message.headers.length
  into.set(message.payload, offset)
  return offset + message.payload.length
}

/** Reads the content of a message's record. @throws RecordError. */
export function readMessage(content: Buffer): MessageRecord {
  if (content.length < fixedMessageBytes) throw new RecordError('a message shorter than its fields')
  let at = 25
  const text = (): string => {
    const end = at + 1 + (content[at] ?? 0)
    if (end > content.length) throw new RecordError('a message shorter than its fields')
    const value = content.toString('latin1', at + 1, end)
    at = end
    return value
  }
  const sequence = content.readDoubleBE(1)
  const time = content.readDoubleBE(9)
  const later = content.readDoubleBE(17)
  if (!Number.isSafeInteger(sequence) || sequence < 1 || !Number.isSafeInteger(later) || later < 0 || !(time >= 0)) {
    throw new RecordError('a message with numbers that are none')
  }
  const subject = text()
  const messageId = text()
  const target = text()
  if (at + 2 > content.length) throw new RecordError('a message shorter than its fields')
  const headersEnd = at + 2 + content.readUInt16BE(at)
  if (headersEnd > content.length) throw new RecordError('a message shorter than its fields')
  const headers = headersEnd === at + 2 ? noHeaders : content.subarray(at + 2, headersEnd)
  return { sequence, time, later, subject, messageId, target, headers, payload: content.subarray(headersEnd) }
}

/** A record whose content is its type and JSON. */
export function jsonRecord(type: RecordType, value: unknown): Buffer {
  const text = JSON.stringify(value)
  const record = Buffer.allocUnsafe(recordHead + 1 + Buffer.byteLength(text))
  record[recordHead] = type
  record.write(text, recordHead + 1)
  return record
}

/** @throws RecordError when it is not a JSON object. */
export function readJson(content: Buffer): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(content.toString('utf8', 1))
  } catch (cause) {
    throw new RecordError('a record that is not JSON', { cause })
  }
  if (typeof value !== 'object' || value === null) throw new RecordError('a record that is not a JSON object')
  return value as Readonly<Record<string, unknown>>
}

/** Sets length and checksum of the record that begins at `at` of the buffer and will be at `place` of the file. */
export function seal(buffer: Buffer, at: number, end: number, place: number): void {
  const length = end - at - recordHead
  buffer.writeUInt32BE(length, at)
  buffer.writeUInt32BE(crc32(buffer.subarray(at + recordHead, end), start(place, length)), at + 4)
}

function start(place: number, length: number): number {
  return (place * 31 + length) >>> 0
}

export type RecordFault = 'cut' | 'length' | 'checksum'

/**
 * Looks at the record at `at` of a buffer that is the file from `base` on.
 * @returns its end in the buffer, or what is wrong: `cut` when the bytes end before it does.
 */
export function checkRecord(buffer: Buffer, at: number, base: number): number | RecordFault {
  if (buffer.length - at < recordHead) return 'cut'
  const length = buffer.readUInt32BE(at)
  if (length === 0 || length > maxRecordBytes) return 'length'
  const end = at + recordHead + length
  if (end > buffer.length) return 'cut'
  const found = crc32(buffer.subarray(at + recordHead, end), start(base + at, length))
  return found === buffer.readUInt32BE(at + 4) ? end : 'checksum'
}
