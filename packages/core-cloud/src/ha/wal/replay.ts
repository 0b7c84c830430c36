import { CloudError } from '../../kernel/errors.js'
import type { LogFile, LogFolder } from '../../kernel/files/files.js'
import type { GroupId } from '../storage.js'
import { GroupLog } from './group-log.js'
import { type Chain, RecordType, readRecord, recordSpan, type WalRecord } from './record.js'
import { parseMembership, RecordError, readEntries, readJson, readMark, readWork } from './record-body.js'
import { Damage, type Scanned, scanSegment } from './scan.js'
import {
  groupsOf,
  headDiffers,
  isSegmentName,
  readHead,
  type SegmentHead,
  segmentName,
  type WalIdentity,
} from './segment-head.js'

/** A segment as it is needed to be read again. */
export interface KnownSegment {
  readonly segment: number
  /** Bytes of its good records. */
  readonly bytes: number
  /** Checksum of its head. */
  readonly salt: number
  /** Behind its head. */
  readonly start: number
  /** Number of the write that brought its head. */
  readonly write: number
}

interface ReadSegment extends KnownSegment {
  readonly records: number
}

/** A log as it was found. */
export interface Replayed {
  readonly identity: WalIdentity
  readonly groups: Map<GroupId, GroupLog>
  /** Ascending; the last one is the newest. */
  readonly segments: readonly ReadSegment[]
  readonly chain: Chain
  /** Bytes behind the end of the newest segment that an interrupted write left. */
  readonly torn: number
  /** It was stopped in order. */
  readonly closed: boolean
}

interface OpenSegment {
  readonly name: string
  readonly file: LogFile
  readonly head: SegmentHead
  /** Its first record. */
  readonly record: WalRecord
}

/**
 * Reads all segments of a log.
 * @returns undefined when there is none.
 * @throws CloudError `core.ha.corrupt` with file, place and what to do, and what {@link readHead} throws.
 */
export async function replay(folder: LogFolder, identity?: WalIdentity): Promise<Replayed | undefined> {
  const names = (await folder.list()).filter(isSegmentName).toSorted()
  if (names.length === 0) return undefined
  const opened: OpenSegment[] = []
  try {
    // Heads first: of another cluster, or of a newer version, the rest may look like anything.
    for (const name of names) opened.push(await openSegment(folder, name, identity))
    return await readAll(folder, opened)
  } finally {
    for (const { file } of opened) await file.close()
  }
}

async function readAll(folder: LogFolder, opened: readonly OpenSegment[]): Promise<Replayed> {
  const first = opened[0] as OpenSegment
  const groups = groupsOf(first.head)
  const segments: ReadSegment[] = []
  let scanned: Scanned | undefined
  for (const [at, { name, file, head, record }] of opened.entries()) {
    const next = opened[at + 1]
    if (next !== undefined && next.head.segment !== head.segment + 1) {
      throw corrupt(folder, segmentName(head.segment + 1), 0, 'the file is not there')
    }
    const before = scanned
    scanned = await damageOf(folder, name, () => {
      if (before !== undefined) checkJoint(head, record, before, groups)
      const { checksum: salt, checksum: previous, write, end: start } = record
      const chain = { previous, write }
      const end = next === undefined ? undefined : placeBefore(next.head)
      return scanSegment({ file, size: file.size, salt, start, chain, end }, (found, place) =>
        take(groups, head.segment, found, place),
      )
    })
    const { checksum: salt, end: start, write } = record
    segments.push({ segment: head.segment, bytes: scanned.end, salt, start, write, records: scanned.records + 1 })
  }
  const { chain, torn, lastType } = scanned as Scanned
  if (lastType === RecordType.continued) {
    throw corrupt(folder, segmentName((segments.at(-1) as ReadSegment).segment + 1), 0, 'the file is not there')
  }
  for (const [group, log] of groups) {
    if (log.missing === undefined) continue
    throw corrupt(folder, first.name, 0, `entry ${log.missing} of group ${group} is in a file that is not there`)
  }
  const { cluster, node } = first.head
  const closed = lastType === RecordType.closed && torn === 0
  return { identity: { cluster, node }, groups, segments, chain, torn, closed }
}

async function openSegment(folder: LogFolder, name: string, identity?: WalIdentity): Promise<OpenSegment> {
  const file = await folder.open(name, 'read')
  try {
    return await damageOf(folder, name, async () => {
      const span = recordSpan(await file.read(0, 8), 0)
      if (typeof span !== 'number') throw new Damage(0, 'the file does not begin with its head')
      const record = readRecord(await file.read(0, span), 0, 0, 0)
      // A segment gets its name when its head is durable: no crash leaves it without one.
      if (typeof record === 'string' || record.type !== RecordType.head) {
        throw new Damage(0, 'the file does not begin with its head')
      }
      const head = readHead(record.body, `${folder.path}/${name}`, identity)
      if (segmentName(head.segment) !== name) throw new Damage(0, 'the file is under the name of another')
      return { name, file, head, record }
    })
  } catch (error) {
    await file.close()
    throw error
  }
}

function placeBefore({ before }: SegmentHead): number {
  if (before === undefined) throw new Damage(0, 'the next file says that it is the first one')
  return before.place
}

function checkJoint(
  head: SegmentHead,
  record: WalRecord,
  before: Scanned,
  groups: ReadonlyMap<GroupId, GroupLog>,
): void {
  if (head.before?.checksum !== before.chain.previous || record.previous !== before.chain.previous) {
    throw new Damage(0, 'the file before it does not end as it did')
  }
  const reason = headDiffers(head, groups)
  if (reason !== undefined) throw new Damage(0, reason)
}

/** Brings one record into the groups. @throws Damage when it is not what its type promises. */
function take(groups: Map<GroupId, GroupLog>, segment: number, record: WalRecord, place: number): void {
  try {
    takeSound(groups, segment, record, place)
  } catch (error) {
    if (error instanceof RecordError) throw new Damage(place, error.message)
    throw error
  }
}

function takeSound(groups: Map<GroupId, GroupLog>, segment: number, record: WalRecord, place: number): void {
  const { type, group } = record
  const log = groups.get(group)
  if (type === RecordType.continued || type === RecordType.closed) return
  if (type === RecordType.created) {
    if (log !== undefined) throw new Damage(place, `group ${group} is made a second time`)
    groups.set(group, GroupLog.made(parseMembership(readJson(record.body)), true))
    return
  }
  if (log === undefined) throw new Damage(place, `a record of group ${group}, which was not made`)
  // Entries stay in memory until they are handed out: they do not keep the chunk that was read.
  if (type === RecordType.work) log.work(readWork(Buffer.from(record.body)), segment, record.body.length)
  else if (type === RecordType.copies) log.copies(readEntries(Buffer.from(record.body)), segment)
  else if (type === RecordType.mark) log.snapshot(readMark(record.body))
  else if (type === RecordType.removed) groups.delete(group)
  else throw new Damage(place, `a record of the unknown type ${type}`)
}

/** Says of which file a damage is. */
async function damageOf<T>(folder: LogFolder, name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Damage) throw corrupt(folder, name, error.place, error.message)
    if (error instanceof RecordError || error instanceof TypeError) throw corrupt(folder, name, 0, error.message, error)
    throw error
  }
}

/** What to do with a node whose log cannot be read. Restoring it from a backup would break what it promised since. */
const advice =
  'Do not restore the directory from a backup: the node would forget what it promised to the others. ' +
  'Remove the node from its groups, and add it again with an empty directory and a new id; the others have the data'

export function corrupt(folder: LogFolder, name: string, place: number, reason: string, cause?: Error): CloudError {
  const file = `${folder.path}/${name}`
  return new CloudError('core.ha.corrupt', `${file} is damaged at byte ${place}: ${reason}. ${advice}`, {
    ...(cause === undefined ? {} : { cause }),
    details: { file, place, reason },
  })
}
