import { crc32 } from 'node:zlib'
import type { GroupId } from '../storage.js'

/*
 * A segment of the log is records behind each other, each beginning at a multiple of eight. Numbers are little-endian.
 *
 *    0  length      4  bytes of the record, without the zeros that fill it up to a multiple of eight: 27 bits; above them
 *                      5 bits that tell a length from a damaged one
 *    4  checksum    4  of everything behind it, those zeros included
 *    8  previous    4  checksum of the record before: the chain
 *   12  write       4  number of the write to the disk that brought it
 *   16  group       4  0 for none
 *   20  type        1
 *   21  last        1  1 when the write ends here
 *   22  0           2
 *   24  body
 *
 * Length and checksum are in one sector: never torn from each other. The checksum starts from the record's place, its
 * length and the segment's salt (the checksum of its head): a record is good by itself at its place and nowhere else,
 * whatever an entry's data look like. `previous` makes one chain of all records of all segments, so that a missing one
 * is seen. `write` and `last` tell what an interrupted write may have left from what no crash can leave: see scan.ts.
 *
 * Why not the records of the bus's streams: those have neither chain nor number of the write, their lengths may be torn,
 * and they are of messages. Why CRC-32 (IEEE 802.3) and not CRC-32C: the runtime has it natively; a CRC-32C of ours, by
 * eight tables, is as fast up to 256 bytes and three to five times slower on entries of 4 KiB and chunks of snapshots
 * (5.5 against 1.0 us; 907 against 178 us), on the thread that also sends heartbeats. Both find every damage of up to 32
 * bits in a row and miss one of 2^32 others.
 */

export const recordHead = 24
/** Most bytes of a record; larger works become several. */
export const maxRecordBytes = 64 * 1024 * 1024

export const RecordType = {
  /** First of every segment; JSON. */
  head: 1,
  /** A group was made; JSON of its first membership. */
  created: 2,
  removed: 3,
  /** What a core wants stored, all or nothing: hard state, mark of a received snapshot, entries. */
  work: 4,
  /** The group's own snapshot of this place is on the disk. */
  mark: 5,
  /** Entries of a segment that is about to go, once more. */
  copies: 6,
  /** The log goes on in the next segment. */
  continued: 7,
  /** Stopped in order: everything before was durable. */
  closed: 8,
} as const
export type RecordType = (typeof RecordType)[keyof typeof RecordType]

/** Where a log is: what the next record refers to. */
export interface Chain {
  /** Checksum of the last record. */
  readonly previous: number
  /** Number of the last write. */
  readonly write: number
}

export interface WalRecord {
  readonly type: number
  readonly group: GroupId
  readonly write: number
  readonly previous: number
  readonly checksum: number
  /** The write that brought it ends with it. */
  readonly last: boolean
  readonly body: Buffer
  /** Behind it and its filling. */
  readonly end: number
}

const aligned = (bytes: number): number => Math.ceil(bytes / 8) * 8

/**
 * Records on their way to the disk, in one growing buffer. Written when they come, sealed when their place is known.
 */
export class RecordBuffer {
  #bytes: Buffer
  #length = 0
  readonly #starts: number[] = []

  constructor(room = 65_536) {
    this.#bytes = Buffer.allocUnsafeSlow(room)
  }

  get length(): number {
    return this.#length
  }

  /** Makes room for a record of so many bytes of body. @returns the buffer and where the body is to be written. */
  add(type: RecordType, group: GroupId, bodyBytes: number): { readonly bytes: Buffer; readonly at: number } {
    const length = recordHead + bodyBytes
    if (length > maxRecordBytes) throw new RangeError(`a record of ${length} bytes`)
    const start = this.#length
    const end = start + aligned(length)
    this.#reserve(end)
    const bytes = this.#bytes
    this.#starts.push(start)
    this.#length = end
    // The filling first: the body comes over a part of it.
    bytes.fill(0, end - 8, end)
    bytes.writeUInt32LE(withCheck(length), start)
    bytes.writeUInt32LE(group, start + 16)
    bytes.writeUInt32LE(type, start + 20)
    return { bytes, at: start + recordHead }
  }

  /** Adds a record with this body. */
  put(type: RecordType, group: GroupId, body: Uint8Array): void {
    const { bytes, at } = this.add(type, group, body.length)
    bytes.set(body, at)
  }

  /**
   * Makes what is here the write of number `chain.write + 1` at this place of a segment.
   * @param ends - the write ends with the last record.
   * @returns the chain behind it.
   */
  seal(place: number, salt: number, chain: Chain, ends: boolean): Chain {
    const bytes = this.#bytes
    const starts = this.#starts
    const write = (chain.write + 1) >>> 0
    let { previous } = chain
    for (let at = 0; at < starts.length; at++) {
      const start = starts[at] as number
      const end = starts[at + 1] ?? this.#length
      bytes.writeUInt32LE(previous, start + 8)
      bytes.writeUInt32LE(write, start + 12)
      bytes[start + 21] = ends && end === this.#length ? 1 : 0
      const length = bytes.readUInt32LE(start) & lengthMask
      previous = crc32(bytes.subarray(start + 8, end), seed(place + start, length, salt))
      bytes.writeUInt32LE(previous, start + 4)
    }
    return { previous, write }
  }

  /** Valid until `clear`. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  clear(): void {
    this.#length = 0
    this.#starts.length = 0
    // A burst does not keep its memory.
    if (this.#bytes.length > 4 * 1024 * 1024) this.#bytes = Buffer.allocUnsafeSlow(65_536)
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(bytes, this.#bytes.length * 2))
    this.#bytes.copy(grown, 0, 0, this.#length)
    this.#bytes = grown
  }
}

const lengthMask = 0x7ff_ffff

/** Every single wrong bit of a length or of its check is seen. */
function withCheck(length: number): number {
  const folded = length ^ (length >>> 5) ^ (length >>> 10) ^ (length >>> 15) ^ (length >>> 20) ^ (length >>> 25)
  return (length | (((folded ^ 0x15) & 31) << 27)) >>> 0
}

function seed(place: number, length: number, salt: number): number {
  return (salt + Math.imul(place >>> 3, 0x9e37_79b1) + length) >>> 0
}

/** `none`: a length of 0, which nothing has written. `cut`: the bytes end before the record does. */
type RecordFault = 'none' | 'cut' | 'length' | 'checksum'

/** Bytes of the record at `at`, its filling included, or what is wrong with what should say it. */
export function recordSpan(buffer: Buffer, at: number): number | 'none' | 'cut' | 'length' {
  if (buffer.length - at < 8) return 'cut'
  const said = buffer.readUInt32LE(at)
  if (said === 0) return 'none'
  const length = said & lengthMask
  return withCheck(length) === said && length >= recordHead && length <= maxRecordBytes ? aligned(length) : 'length'
}

/**
 * Looks at the record at `at` of a buffer that is the file from `base` on.
 * @returns what is there, a view of the buffer, or what is wrong with it.
 */
export function readRecord(buffer: Buffer, at: number, base: number, salt: number): WalRecord | RecordFault {
  const span = recordSpan(buffer, at)
  if (typeof span !== 'number') return span
  const end = at + span
  if (end > buffer.length) return 'cut'
  const length = buffer.readUInt32LE(at) & lengthMask
  const checksum = buffer.readUInt32LE(at + 4)
  if (crc32(buffer.subarray(at + 8, end), seed(base + at, length, salt)) !== checksum) return 'checksum'
  return {
    type: buffer[at + 20] as number,
    group: buffer.readUInt32LE(at + 16),
    write: buffer.readUInt32LE(at + 12),
    previous: buffer.readUInt32LE(at + 8),
    checksum,
    last: buffer[at + 21] === 1,
    body: buffer.subarray(at + recordHead, at + length),
    end,
  }
}
