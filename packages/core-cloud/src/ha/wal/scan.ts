import type { LogFile } from '../../kernel/files/files.js'
import { type Chain, RecordType, readRecord, recordHead, recordSpan, type WalRecord } from './record.js'

const chunkBytes = 1_048_576
/** A disk writes all or nothing of so many bytes. */
const sectorBytes = 512
/** How many writes a record that is found by searching can be ahead. */
const farAhead = 1_000_000

/** A place that no crash explains. */
export class Damage extends Error {
  override readonly name = 'Damage'

  constructor(
    readonly place: number,
    reason: string,
  ) {
    super(reason)
  }
}

export interface SegmentToScan {
  readonly file: LogFile
  readonly size: number
  /** Checksum of its head. */
  readonly salt: number
  /** Behind its head. */
  readonly start: number
  /** As of the head. */
  readonly chain: Chain
  /** Where its records end, as the next segment says; undefined for the newest one. */
  readonly end: number | undefined
}

export interface Scanned {
  /** Where its good records end. */
  readonly end: number
  readonly chain: Chain
  /** Type of the last record. */
  readonly lastType: number
  /** Bytes behind the end that an interrupted write left. */
  readonly torn: number
  readonly records: number
}

/**
 * Reads the records of a segment in order.
 *
 * What an interrupted write may leave: of the newest segment, anything in the sectors of one write, which is the one
 * after the last good record, or the one that record is of when it does not end it. A write is begun only when the one
 * before is durable. So a record behind that is of a later write proves that the bad one was durable once, and a bad
 * record that has something in every one of its sectors was written whole. Both are damage; so is every bad record in
 * an older segment. What remains, and looks like a torn write, is taken for one: damage of the very last write can do
 * that only where it had written 512 zeros.
 *
 * @param each - the body is a view that is valid during the call; may throw {@link Damage}.
 * @throws Damage.
 */
export async function scanSegment(
  segment: SegmentToScan,
  each: (record: WalRecord, place: number) => void,
): Promise<Scanned> {
  const { file, size, salt } = segment
  const until = segment.end ?? size
  let buffer: Buffer = Buffer.alloc(0)
  let [base, at] = [segment.start, 0]
  let { chain } = segment
  let [ended, lastType, records] = [true, RecordType.head as number, 0]
  for (;;) {
    const place = base + at
    if (place === until) return { end: place, chain, lastType, torn: 0, records }
    let record = readRecord(buffer, at, base, salt)
    while (record === 'cut' && base + buffer.length < until) {
      // Once to see its length, once more when it is longer than what was read.
      const span = recordSpan(buffer, at)
      const length = Math.max(chunkBytes, typeof span === 'number' ? span : 0)
      buffer = await file.read(place, Math.min(until - place, length))
      base = place
      at = 0
      if (buffer.length === 0) throw new Damage(place, 'the file is shorter than it was')
      record = readRecord(buffer, at, base, salt)
    }
    if (typeof record === 'string') {
      if (segment.end !== undefined) throw new Damage(place, `${faults[record]}, and the log goes on behind it`)
      const torn = await tornBytes(segment, place, ended ? chain.write + 1 : chain.write)
      return { end: place, chain, lastType, torn, records }
    }
    const write = ended ? (chain.write + 1) >>> 0 : chain.write
    if (record.previous !== chain.previous) throw new Damage(place, 'the record before it is not the one that was')
    if (record.write !== write) throw new Damage(place, `it is of write ${record.write} where ${write} should be`)
    each(record, place)
    chain = { previous: record.checksum, write: record.write }
    ended = record.last
    lastType = record.type
    records += 1
    at = record.end
  }
}

const faults = {
  none: 'no record where one was',
  cut: 'a record that does not end',
  length: 'a wrong length',
  checksum: 'a wrong checksum',
} as const

/** @returns how many bytes behind `place` are of an interrupted write. @throws Damage when they cannot be. */
async function tornBytes({ file, size, salt }: SegmentToScan, place: number, write: number): Promise<number> {
  const rest = await file.read(place, size - place)
  let used = rest.length
  while (used > 0 && rest[used - 1] === 0) used -= 1
  if (used === 0) return 0
  const later = laterRecord(rest, place, salt, write)
  if (later !== undefined) {
    throw new Damage(place, `what is here is no record, and there is a good one of a later write at byte ${later}`)
  }
  const span = recordSpan(rest, 0)
  if (span === 'none') return used
  // Room is made before it is written to: a torn write ends within the file, and its lengths are whole.
  if (typeof span !== 'number') throw new Damage(place, faults[span])
  if (span > rest.length) throw new Damage(place, faults.cut)
  if (!hasEmptySector(rest, place, span)) throw new Damage(place, 'a wrong checksum in a record that was written whole')
  return used
}

function laterRecord(rest: Buffer, base: number, salt: number, write: number): number | undefined {
  for (let at = 8; at + recordHead <= rest.length; at += 8) {
    if (rest[at] === 0 && rest.readUInt32LE(at) === 0) continue
    const ahead = (rest.readUInt32LE(at + 12) - write) >>> 0
    if (ahead > 0 && ahead < farAhead && typeof readRecord(rest, at, base, salt) !== 'string') return base + at
  }
  return undefined
}

function hasEmptySector(rest: Buffer, base: number, span: number): boolean {
  for (let at = 0; at < span; ) {
    const end = Math.min(span, at + sectorBytes - ((base + at) % sectorBytes))
    if (rest.subarray(at, end).every(byte => byte === 0)) return true
    at = end
  }
  return false
}
