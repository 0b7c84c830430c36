import type { Entry, HardState, Membership, SnapshotMark } from '../raft/types.js'

/** A good checksum, and what is inside is still not what its type promises. */
export class RecordError extends Error {
  override readonly name = 'RecordError'
}

/** How a whole snapshot on the disk is known: what the log says of it must be what is there. */
export interface StoredState {
  readonly bytes: number
  /** Hexadecimal. */
  readonly sha256: string
}

/** A mark as the log has it. Witnesses have marks without a state. */
export interface StoredMark {
  readonly mark: SnapshotMark
  readonly state: StoredState | undefined
}

export interface WorkBody {
  readonly hardState: HardState | undefined
  readonly mark: StoredMark | undefined
  readonly entries: readonly Entry[]
}

const kinds = ['command', 'membership', 'noop'] as const
const kindCodes = { command: 0, membership: 1, noop: 2 } as const
const hardStateBytes = 20
const entryHead = 16
/** What is before the first entry: how many, and the first index. */
const entriesHead = 12

const hasHardState = 1
const hasMark = 2

// ---- works and copies

export function entriesBytes(entries: readonly Entry[]): number {
  let sum = entriesHead
  for (const { data } of entries) sum += entryHead + data.length
  return sum
}

export function workBytes(work: WorkBody, mark: Uint8Array): number {
  const states = (work.hardState === undefined ? 0 : hardStateBytes) + (work.mark === undefined ? 0 : 4 + mark.length)
  return 4 + states + entriesBytes(work.entries)
}

/** @param mark - the work's mark by {@link encodeMark}, or nothing. */
export function writeWork(into: Buffer, start: number, work: WorkBody, mark: Uint8Array): void {
  const { hardState } = work
  let at = into.writeUInt32LE(
    (hardState === undefined ? 0 : hasHardState) + (work.mark === undefined ? 0 : hasMark),
    start,
  )
  if (hardState !== undefined) {
    at = writeNumber(into, hardState.term, at)
    at = writeNumber(into, hardState.commit, at)
    at = into.writeUInt32LE(hardState.vote, at)
  }
  if (work.mark !== undefined) {
    at = into.writeUInt32LE(mark.length, at)
    into.set(mark, at)
    at += mark.length
  }
  writeEntries(into, at, work.entries)
}

/** @throws RecordError. */
export function readWork(body: Buffer): WorkBody {
  if (body.length < 4) throw new RecordError('a work shorter than its fields')
  const parts = body.readUInt32LE(0)
  if (parts > hasHardState + hasMark) throw new RecordError('a work with unknown parts')
  let at = 4
  let hardState: HardState | undefined
  let mark: StoredMark | undefined
  if ((parts & hasHardState) !== 0) {
    if (body.length < at + hardStateBytes) throw new RecordError('a work shorter than its fields')
    const [term, commit, vote] = [readNumber(body, at), readNumber(body, at + 8), body.readUInt32LE(at + 16)]
    hardState = { term, vote, commit }
    at += hardStateBytes
  }
  if ((parts & hasMark) !== 0) {
    const length = body.length < at + 4 ? Number.POSITIVE_INFINITY : body.readUInt32LE(at)
    if (body.length < at + 4 + length) throw new RecordError('a work shorter than its fields')
    mark = readMark(body.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return { hardState, mark, entries: readEntries(body.subarray(at)) }
}

/** Entries without a gap; none are 12 bytes too. */
export function writeEntries(into: Buffer, start: number, entries: readonly Entry[]): void {
  let at = into.writeUInt32LE(entries.length, start)
  at = writeNumber(into, entries[0]?.index ?? 0, at)
  for (const { term, kind, data } of entries) {
    at = writeNumber(into, term, at)
    at = into.writeUInt32LE(data.length, at)
    at = into.writeUInt32LE(kindCodes[kind], at)
    into.set(data, at)
    at += data.length
  }
}

/** The data are views of the body. @throws RecordError. */
export function readEntries(body: Buffer): readonly Entry[] {
  if (body.length < entriesHead) throw new RecordError('entries shorter than their fields')
  const count = body.readUInt32LE(0)
  const first = readNumber(body, 4)
  const entries: Entry[] = []
  let at = entriesHead
  for (let place = 0; place < count; place++) {
    if (body.length < at + entryHead) throw new RecordError('entries shorter than their fields')
    const length = body.readUInt32LE(at + 8)
    const kind = kinds[body.readUInt32LE(at + 12)]
    const begin = at + entryHead
    if (kind === undefined || begin + length > body.length) throw new RecordError('an entry that is none')
    entries.push({ index: first + place, term: readNumber(body, at), kind, data: body.subarray(begin, begin + length) })
    at = begin + length
  }
  if (at !== body.length) throw new RecordError('more than its entries')
  return entries
}

// ---- marks and memberships: rare, and good to read

export function encodeMark({ mark, state }: StoredMark): Buffer {
  const { index, term, membership } = mark
  return Buffer.from(JSON.stringify({ index, term, membership, ...(state === undefined ? {} : { state }) }))
}

/** @throws RecordError. */
export function readMark(body: Buffer): StoredMark {
  return parseMark(readJson(body))
}

/** @throws RecordError. */
export function parseMark(value: unknown): StoredMark {
  const { index, term, membership, state } = value as Readonly<{ [key: string]: unknown }>
  if (!isNumber(index) || !isNumber(term)) throw new RecordError('a mark with wrong numbers')
  return { mark: { index, term, membership: parseMembership(membership) }, state: parseState(state) }
}

function parseState(value: unknown): StoredState | undefined {
  if (value === undefined) return undefined
  const { bytes, sha256 } = value as Readonly<{ [key: string]: unknown }>
  if (isNumber(bytes) && typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256)) return { bytes, sha256 }
  throw new RecordError('a mark with a wrong state')
}

/** @throws RecordError. */
export function parseMembership(value: unknown): Membership {
  if (typeof value !== 'object' || value === null) throw new RecordError('a membership that is none')
  const { voters, outgoing, learners, learnersNext, witnesses, autoLeave } = value as Readonly<{
    [key: string]: unknown
  }>
  const nodes = (list: unknown): readonly number[] => {
    if (Array.isArray(list) && list.every(isNumber)) return list
    throw new RecordError('a membership that is none')
  }
  return {
    voters: nodes(voters),
    outgoing: nodes(outgoing),
    learners: nodes(learners),
    learnersNext: nodes(learnersNext),
    witnesses: nodes(witnesses),
    autoLeave: autoLeave === true,
  }
}

/** @throws RecordError when it is not a JSON object. */
export function readJson(body: Buffer): Readonly<{ [key: string]: unknown }> {
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch (cause) {
    throw new RecordError('a record that is not JSON', { cause })
  }
  if (typeof value !== 'object' || value === null) throw new RecordError('a record that is not a JSON object')
  return value as Readonly<{ [key: string]: unknown }>
}

/** An integer from 0 to 2^53 - 1. */
export function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** Eight bytes as two halves: exact up to 2^53 - 1. */
function writeNumber(into: Buffer, value: number, at: number): number {
  into.writeUInt32LE(value >>> 0, at)
  return into.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4)
}

function readNumber(from: Buffer, at: number): number {
  const value = from.readUInt32LE(at) + from.readUInt32LE(at + 4) * 0x1_0000_0000
  if (!Number.isSafeInteger(value)) throw new RecordError('a number that is none')
  return value
}
