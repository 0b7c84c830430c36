import { CloudError } from '../../kernel/errors.js'
import type { LogFiles, LogFolder } from '../../kernel/files/files.js'
import { type Logger, silentLogger } from '../../kernel/logger.js'
import { checkGroup, gap, groupExists, unknownGroup } from '../memory-storage.js'
import type { Recovered } from '../raft/raft-core.js'
import type { AppendWork, Entry, Membership, SnapshotMark } from '../raft/types.js'
import type { GroupId, RaftStorage, SnapshotInlet, StoredSnapshot } from '../storage.js'
import { GroupLog } from './group-log.js'
import { type RecordBuffer, RecordType } from './record.js'
import { encodeMark, type StoredMark, type WorkBody, workBytes, writeWork } from './record-body.js'
import { corrupt, replay } from './replay.js'
import type { WalIdentity } from './segment-head.js'
import { isSnapshotName, Snapshots } from './snapshots.js'
import { WriteAheadLog } from './wal.js'

export interface DiskStorageOptions extends WalIdentity {
  /** A place of this node's own: `diskFiles(dir, pid)`. Closed with the storage. */
  readonly files: LogFiles
  /** Of a file of the log; 64 KiB to 1 GiB. Default 64 MiB. A larger one is removed later, and holds more. */
  readonly segmentBytes?: number
  /** Groups that can be made, at most 100,000. Default 10,000: each of them is in the head of every file. */
  readonly maxGroups?: number
  readonly logger?: Logger
}

export const logFolder = 'log'
export const snapshotFolder = 'snapshots'
/** Says that there was a log: a node whose log is gone must not begin anew under its id. */
const identityFile = 'identity'
/** Entries of one record; a work with more becomes several, of which a crash may leave the first ones. */
const maxWorkBytes = 16 * 1024 * 1024
/** Far more than a message between members can have. */
const maxEntryBytes = 32 * 1024 * 1024
const nothing = Buffer.alloc(0)

/**
 * Keeps groups in a directory: one write-ahead log for all of them, and their snapshots.
 * @throws CloudError `core.ha.corrupt`, `core.ha.wrong-cluster`, `core.ha.duplicate-node`, `core.ha.newer-version`,
 *   `core.kernel.not-writable`, `core.kernel.invalid-config` with `field`. Nothing was changed then.
 */
export async function openDiskStorage(options: DiskStorageOptions): Promise<RaftStorage> {
  const { files, logger = silentLogger, segmentBytes = 64 * 1024 * 1024, maxGroups = 10_000 } = options
  checkRange('segmentBytes', segmentBytes, 65_536, 1_073_741_824)
  checkRange('maxGroups', maxGroups, 1, 100_000)
  checkRange('node', options.node, 1, 0xffff_ffff)
  if (options.cluster === '') throw new CloudError('core.kernel.invalid-config', 'no name', { field: 'cluster' })
  const identity = { cluster: options.cluster, node: options.node }
  let wal: WriteAheadLog | undefined
  try {
    const folder = await files.folder(logFolder)
    const states = await files.folder(snapshotFolder)
    const found = await replay(folder, identity)
    if (found === undefined) await checkNotLost(folder, states)
    const marks = new Map([...(found?.groups ?? [])].map(([group, log]) => [group, log.mark] as const))
    const failed = (error: Error): void => wal?.end(error)
    const snapshots = await Snapshots.open({ folder: states, identity, failed }, marks)
    wal = await WriteAheadLog.open({ folder, identity, segmentBytes, logger }, found)
    await leaveIdentity(folder, identity)
    await snapshots.tidy(marks)
    return new DiskStorage(files, wal, snapshots, maxGroups)
  } catch (cause) {
    await wal?.close().catch(() => undefined)
    if (CloudError.is(cause)) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new CloudError('core.kernel.not-writable', `the log of node ${identity.node} cannot be used: ${reason}`, {
      cause,
      field: 'dir',
    })
  }
}

function checkRange(field: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return
  throw new CloudError('core.kernel.invalid-config', `${value} is not an integer from ${least} to ${most}`, { field })
}

/** @throws CloudError `core.ha.corrupt` when there was a log here. */
async function checkNotLost(folder: LogFolder, states: LogFolder): Promise<void> {
  if ((await folder.list()).includes(identityFile)) {
    throw corrupt(folder, identityFile, 0, 'there was a log beside this file, and it is gone')
  }
  const snapshot = (await states.list()).find(isSnapshotName)
  if (snapshot !== undefined) throw corrupt(states, snapshot, 0, 'the log that it belongs to is gone')
}

async function leaveIdentity(folder: LogFolder, identity: WalIdentity): Promise<void> {
  if ((await folder.list()).includes(identityFile)) return
  const file = await folder.open(identityFile)
  try {
    await file.write([Buffer.from(`${JSON.stringify(identity)}\n`)], 0)
    await file.sync()
    await folder.sync()
  } finally {
    await file.close()
  }
}

class DiskStorage implements RaftStorage {
  readonly failed: Promise<Error>
  readonly #files: LogFiles
  readonly #wal: WriteAheadLog
  readonly #snapshots: Snapshots
  readonly #maxGroups: number
  /** The last index of every group when everything that waits is written. */
  readonly #last = new Map<GroupId, number>()
  /** Nothing may be written of them any more. */
  readonly #removing = new Set<GroupId>()
  readonly #saving = new Map<GroupId, Promise<void>>()
  #closing: Promise<void> | undefined

  constructor(files: LogFiles, wal: WriteAheadLog, snapshots: Snapshots, maxGroups: number) {
    this.#files = files
    this.#wal = wal
    this.#snapshots = snapshots
    this.#maxGroups = maxGroups
    this.failed = wal.failed
    for (const [group, log] of wal.groups) this.#last.set(group, log.last)
  }

  get groups(): readonly GroupId[] {
    return [...this.#wal.groups.keys()].toSorted((a, b) => a - b)
  }

  recovered(group: GroupId): Recovered | undefined {
    return this.#wal.groups.get(group)?.take()
  }

  async create(group: GroupId, first: Membership): Promise<Recovered> {
    this.#wal.checkOpen()
    checkGroup(group)
    if (this.#last.has(group)) throw groupExists(group)
    if (this.#last.size >= this.#maxGroups) {
      const text = `the node has ${this.#maxGroups} groups, which is its limit`
      throw new CloudError('core.kernel.invalid-config', text, { field: 'maxGroups' })
    }
    this.#last.set(group, 0)
    const log = GroupLog.made(first, false)
    const body = Buffer.from(JSON.stringify(first))
    await this.#put(RecordType.created, group, body, () => this.#wal.groups.set(group, log))
    return log.take()
  }

  append(group: GroupId, work: AppendWork, done: () => void): void {
    this.#wal.checkOpen()
    const { hardState, snapshot, entries } = work
    let last = this.#last.get(group)
    if (last === undefined || this.#removing.has(group)) throw unknownGroup(group)
    if (snapshot !== undefined) last = snapshot.index
    const large = entries.find(({ data }) => data.length > maxEntryBytes)
    if (large !== undefined) throw new RangeError(`entry ${large.index} has ${large.data.length} bytes`)
    const first = entries[0]?.index ?? last + 1
    if (first > last + 1) throw gap(first, last)
    if (entries.length > 0) this.#last.set(group, (entries.at(-1) as Entry).index)
    else this.#last.set(group, last)
    const mark = snapshot === undefined ? undefined : this.#marked(group, snapshot)
    const bodies = worksOf({ hardState, mark, entries })
    const sync = work.sync || entries.length > 0 || mark !== undefined
    for (const [at, body] of bodies.entries()) {
      const ends = at === bodies.length - 1
      const bytes = workBytes(body, nothing)
      const effect = (segment: number): void => this.#wal.groups.get(group)?.work(body, segment, bytes)
      this.#wal.add({ sync, frees: mark !== undefined, effect, done: ends ? done : noop }, into =>
        encodeWork(into, group, body),
      )
    }
    if (bodies.length === 0) this.#wal.add({ sync, done }, noop)
    if (mark !== undefined) this.#pruneLater(group, mark)
  }

  saveSnapshot(group: GroupId, mark: SnapshotMark, state: AsyncIterable<Uint8Array>): Promise<void> {
    // One at a time: two of the same mark would be one file.
    const before = this.#saving.get(group) ?? Promise.resolve()
    const saved = before.then(() => this.#saveSnapshot(group, mark, state))
    const ended = saved
      .catch(() => undefined)
      .finally(() => {
        if (this.#saving.get(group) === ended) this.#saving.delete(group)
      })
    this.#saving.set(group, ended)
    return saved
  }

  async #saveSnapshot(group: GroupId, mark: SnapshotMark, state: AsyncIterable<Uint8Array>): Promise<void> {
    const log = this.#group(group)
    if (mark.index <= log.mark.mark.index) return
    const stored = await this.#snapshots.save(group, mark, state)
    this.#wal.checkOpen()
    // A received one may have come in between, or the group may have gone.
    if (this.#wal.groups.get(group) !== log || this.#removing.has(group)) return
    const found: StoredMark = { mark, state: stored }
    this.#last.set(group, Math.max(mark.index, this.#last.get(group) ?? 0))
    await this.#put(RecordType.mark, group, encodeMark(found), () => log.snapshot(found))
    await this.#snapshots.prune(group, log.mark)
  }

  async openSnapshot(group: GroupId): Promise<StoredSnapshot | undefined> {
    this.#group(group)
    return this.#snapshots.newest(group)
  }

  async receiveSnapshot(group: GroupId, mark: SnapshotMark, bytes: number, sha256: Uint8Array): Promise<SnapshotInlet> {
    this.#group(group)
    return this.#snapshots.receive(group, mark, { bytes, sha256: Buffer.from(sha256).toString('hex') })
  }

  async remove(group: GroupId): Promise<void> {
    this.#wal.checkOpen()
    if (!this.#last.has(group) || this.#removing.has(group)) return
    this.#removing.add(group)
    await this.#put(RecordType.removed, group, nothing, () => this.#wal.groups.delete(group))
    // Files that a crash leaves here are removed at the next start: no group of the log has them.
    await this.#snapshots.remove(group)
    this.#removing.delete(group)
    this.#last.delete(group)
  }

  close(): Promise<void> {
    this.#closing ??= this.#wal.close().finally(() => this.#files.close())
    return this.#closing
  }

  #group(group: GroupId): GroupLog {
    this.#wal.checkOpen()
    const log = this.#wal.groups.get(group)
    if (log === undefined || this.#removing.has(group)) throw unknownGroup(group)
    return log
  }

  #marked(group: GroupId, mark: SnapshotMark): StoredMark {
    return { mark, state: this.#snapshots.find(group, mark) }
  }

  #pruneLater(group: GroupId, mark: StoredMark): void {
    const done = (): void => {
      this.#snapshots.prune(group, mark).catch((error: unknown) => this.#wal.end(error as Error))
    }
    this.#wal.add({ sync: false, done, fail: noop }, noop)
  }

  /** Adds a record, and waits until it is durable. */
  #put(type: RecordType, group: GroupId, body: Buffer, effect: () => void): Promise<void> {
    return new Promise((done, fail) => {
      this.#wal.add({ sync: true, frees: true, effect, done, fail }, into => into.put(type, group, body))
    })
  }
}

const noop = (): void => undefined

/** A work as its records: none when it has nothing to keep, several when it is too large for one. */
function worksOf(work: WorkBody): readonly WorkBody[] {
  const { hardState, mark, entries } = work
  if (hardState === undefined && mark === undefined && entries.length === 0) return []
  const parts: Entry[][] = [[]]
  let bytes = 0
  for (const entry of entries) {
    if (bytes > 0 && bytes + entry.data.length > maxWorkBytes) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)?.push(entry)
    bytes += entry.data.length + 32
  }
  if (parts.length === 1) return [work]
  return parts.map((part, at) => (at === 0 ? { hardState, mark, entries: part } : { ...noStates, entries: part }))
}

const noStates = { hardState: undefined, mark: undefined }

function encodeWork(into: RecordBuffer, group: GroupId, work: WorkBody): void {
  const mark = work.mark === undefined ? nothing : encodeMark(work.mark)
  const { bytes, at } = into.add(RecordType.work, group, workBytes(work, mark))
  writeWork(bytes, at, work, mark)
}
