import type { LogFolder } from '../../kernel/files/files.js'
import type { Logger } from '../../kernel/logger.js'
import { storageEnded } from '../memory-storage.js'
import type { Entry } from '../raft/types.js'
import type { GroupId } from '../storage.js'
import type { GroupLog } from './group-log.js'
import { type Chain, RecordBuffer, RecordType, type WalRecord } from './record.js'
import { entriesBytes, readEntries, readWork, writeEntries } from './record-body.js'
import { corrupt, type KnownSegment, type Replayed } from './replay.js'
import { Damage, scanSegment } from './scan.js'
import { SegmentFile, sealSegment } from './segment-file.js'
import { encodeHead, segmentName, type WalIdentity } from './segment-head.js'

/** What waits is written without being asked for when it is so much. */
const lazyBytes = 1_048_576
const copyRecordBytes = 4 * 1024 * 1024

export interface WalOptions {
  readonly folder: LogFolder
  readonly identity: WalIdentity
  /** Of a segment; a larger record makes a larger one. */
  readonly segmentBytes: number
  readonly logger: Logger
}

/** A record that waits to be written. */
export interface WalItem {
  /** False when nobody needs it on the disk: it goes with the next that is needed. */
  readonly sync: boolean
  /** It makes entries obsolete: segments may go. */
  readonly frees?: boolean
  /** Brings what it says into the groups, when it is durable. */
  readonly effect?: (segment: number) => void
  /** When it and all before are durable; when `sync` is false, when all before are. */
  readonly done: () => void
  /** Instead of `done`, when the log ended before. */
  readonly fail?: (error: Error) => void
}

/**
 * The log of all groups of a node. Everything that comes while a write is under way becomes the next write: one call
 * that returns when it is on the disk, however many groups and callers wait for it.
 */
export class WriteAheadLog {
  readonly failed: Promise<Error>
  readonly groups: Map<GroupId, GroupLog>
  readonly #options: WalOptions
  #file: SegmentFile
  /** Ascending. */
  readonly #sealed: KnownSegment[]
  #chain: Chain
  #items: WalItem[] = []
  /** Of `#items`, how many were told that they are done. */
  #told = 0
  #filling = new RecordBuffer()
  #spare = new RecordBuffer()
  #wanted = false
  #running: Promise<void> | undefined
  /** What earlier lives left is looked at with the first write. */
  #untidy = true
  #copying: Promise<void> | undefined
  #copies: { readonly segment: number; readonly entries: Map<GroupId, Map<number, Entry>> } | undefined
  #ended: 'open' | 'closed' | Error = 'open'
  #fail: (error: Error) => void = () => undefined

  private constructor(options: WalOptions, found: Replayed | undefined, file: SegmentFile, chain: Chain) {
    this.#options = options
    this.groups = found?.groups ?? new Map()
    this.#sealed = [...(found?.segments ?? [])]
    this.#file = file
    this.#chain = chain
    this.failed = new Promise(resolve => {
      this.#fail = resolve
    })
  }

  /** Cuts off what an interrupted write left of the log that was found, and goes on in a new segment. */
  static async open(options: WalOptions, found: Replayed | undefined): Promise<WriteAheadLog> {
    const { folder, identity, segmentBytes, logger } = options
    for (const name of await folder.list()) if (name.endsWith('.new')) await folder.remove(name)
    const newest = found?.segments.at(-1)
    const segment = (newest?.segment ?? 0) + 1
    const chain = found?.chain ?? { previous: 0, write: 0 }
    const before = newest === undefined ? undefined : { place: newest.bytes, checksum: chain.previous }
    const head = encodeHead({ ...identity, segment, before }, found?.groups ?? new Map())
    if (newest !== undefined && found !== undefined) {
      if (found.torn > 0) {
        const file = `${folder.path}/${segmentName(newest.segment)}`
        logger.warn('cut what an interrupted write left', { file, place: newest.bytes, bytes: found.torn })
      }
      await settle(folder, newest)
    }
    const made = await SegmentFile.make(folder, { segment, head, chain, limit: segmentBytes })
    const wal = new WriteAheadLog(options, found, made.file, made.chain)
    if (newest !== undefined) {
      const file = await folder.open(segmentName(newest.segment))
      await sealSegment(file, newest.bytes, newest.salt, chain).finally(() => file.close())
    }
    return wal
  }

  /** @throws CloudError `core.ha.stopped`. */
  checkOpen(): void {
    if (this.#ended !== 'open') throw storageEnded(this.#ended === 'closed' ? undefined : this.#ended)
  }

  /** @param encode - writes the record, or nothing. @throws CloudError `core.ha.stopped`. */
  add(item: WalItem, encode: (into: RecordBuffer) => void): void {
    this.checkOpen()
    encode(this.#filling)
    this.#items.push(item)
    if (item.sync) this.#wanted = true
    this.#start()
  }

  /** Writes what waits, and that it was everything. */
  async close(): Promise<void> {
    await this.#copying
    if (this.#ended === 'open') {
      this.add({ sync: true, done: () => undefined, fail: () => undefined }, into => {
        into.put(RecordType.closed, 0, new Uint8Array(0))
      })
      this.#ended = 'closed'
    }
    await this.#running
    await this.#file.close()
  }

  /** Ends everything: what came before may be durable or not, and nobody is told. */
  end(error: Error): void {
    if (this.#ended instanceof Error) return
    this.#ended = error
    const items = this.#items
    this.#items = []
    for (const { fail } of items) fail?.(storageEnded(error))
    this.#fail(error)
  }

  // ---- the writer

  #start(): void {
    if (this.#running !== undefined) return
    const run = Promise.resolve().then(() => this.#run())
    this.#running = run
  }

  async #run(): Promise<void> {
    try {
      while (!(this.#ended instanceof Error) && this.#items.length > this.#told) {
        if (this.#wanted || this.#filling.length > lazyBytes) await this.#write()
        else this.#tellLazy()
      }
    } catch (error) {
      this.end(error instanceof Error ? error : new Error(String(error)))
    } finally {
      this.#running = undefined
    }
  }

  /** What needs no disk is done when everything before it is; it is written with the next that does. */
  #tellLazy(): void {
    while (!this.#wanted && this.#told < this.#items.length) {
      const item = this.#items[this.#told] as WalItem
      this.#told += 1
      item.done()
    }
  }

  async #write(): Promise<void> {
    const [items, told, buffer] = [this.#items, this.#told, this.#filling]
    this.#items = []
    this.#told = 0
    this.#filling = this.#spare
    this.#wanted = false
    try {
      const copies = this.#liveCopies()
      const bytes = copies.buffer.length + buffer.length
      if (bytes > 0) {
        const { place, start } = this.#file
        if (place > start && place + bytes > this.#options.segmentBytes) await this.#roll()
        const chain = this.#seal(copies.buffer, buffer)
        await this.#file.write([copies.buffer.view(), buffer.view()])
        this.#chain = chain
      }
      const { segment } = this.#file
      for (const { group, first, last } of copies.ranges) this.groups.get(group)?.relabel(first, last, segment)
      let frees = copies.ranges.length > 0 || this.#untidy
      for (const item of items) {
        item.effect?.(segment)
        frees ||= item.frees === true
      }
      // Ended while it was written: nothing may be vouched for after that.
      if (this.#ended instanceof Error) throw this.#ended
      for (let at = told; at < items.length; at++) (items[at] as WalItem).done()
      this.#untidy = false
      if (frees) await this.#clean()
    } catch (error) {
      const cause = storageEnded(error instanceof Error ? error : new Error(String(error)))
      for (const { fail } of items) fail?.(cause)
      throw error
    } finally {
      buffer.clear()
      this.#spare = buffer
    }
  }

  #seal(copies: RecordBuffer, buffer: RecordBuffer): Chain {
    const { place, salt } = this.#file
    const { write } = this.#chain
    const { previous } = copies.seal(place, salt, this.#chain, buffer.length === 0)
    return buffer.seal(place + copies.length, salt, { previous, write }, true)
  }

  async #roll(): Promise<void> {
    const old = this.#file
    const chain = this.#chain
    const segment = old.segment + 1
    const before = { place: old.place, checksum: chain.previous }
    const head = encodeHead({ ...this.#options.identity, segment, before }, this.groups)
    const { folder, segmentBytes } = this.#options
    const made = await SegmentFile.make(folder, { segment, head, chain, limit: segmentBytes })
    this.#file = made.file
    this.#chain = made.chain
    this.#sealed.push(old.known)
    await old.seal(chain)
  }

  // ---- segments that are not needed any more

  /** Removes the oldest segments that nothing is needed of. In their order: a gap would look like damage. */
  async #clean(): Promise<void> {
    for (let oldest = this.#sealed[0]; oldest !== undefined; oldest = this.#sealed[0]) {
      const { segment } = oldest
      for (const { runs } of this.groups.values()) {
        if (!runs.some(run => run.segment === segment)) continue
        this.#copyWhenWorthIt(oldest)
        return
      }
      const { folder } = this.#options
      await folder.remove(segmentName(segment))
      await folder.sync()
      this.#sealed.shift()
    }
  }

  /**
   * One slow group must not keep everything that came after its oldest entry: when less than half of the log is needed,
   * what is needed of the oldest segment is written once more at the end. So the log has at most twice the bytes that
   * are needed, and two segments.
   */
  #copyWhenWorthIt(oldest: KnownSegment): void {
    if (this.#ended !== 'open' || this.#sealed.length < 2 || this.#copying !== undefined || this.#copies !== undefined)
      return
    let live = 0
    for (const { runs } of this.groups.values()) for (const { bytes } of runs) live += bytes
    // A short segment, as every start leaves one, counts for more than its bytes: their number is limited too.
    const least = this.#options.segmentBytes / 16
    const all = this.#sealed.reduce((sum, { bytes }) => sum + Math.max(bytes, least), this.#file.place)
    if (live * 2 >= all) return
    this.#copying = this.#collect(oldest)
      .catch((error: unknown) => this.end(error instanceof Error ? error : new Error(String(error))))
      .finally(() => {
        this.#copying = undefined
      })
  }

  /** Reads what is needed of a segment. At most a segment of memory. */
  async #collect({ segment, bytes, salt, start, write }: KnownSegment): Promise<void> {
    const { folder } = this.#options
    const name = segmentName(segment)
    const entries = new Map<GroupId, Map<number, Entry>>()
    const collect = ({ type, group, body }: WalRecord): void => {
      if (type !== RecordType.work && type !== RecordType.copies) return
      const log = this.groups.get(group)
      if (log === undefined) return
      for (const entry of type === RecordType.work ? readWork(body).entries : readEntries(body)) {
        if (!log.isIn(entry.index, segment)) continue
        const kept = entries.get(group) ?? new Map<number, Entry>()
        entries.set(group, kept.set(entry.index, { ...entry, data: Buffer.from(entry.data) }))
      }
    }
    const file = await folder.open(name, 'read')
    try {
      const chain = { previous: salt, write }
      await scanSegment({ file, size: file.size, salt, start, chain, end: bytes }, collect)
    } catch (error) {
      if (error instanceof Damage) throw corrupt(folder, name, error.place, error.message)
      throw error
    } finally {
      await file.close()
    }
    this.#copies = { segment, entries }
    if (this.#ended === 'open') this.add({ sync: true, done: () => undefined }, () => undefined)
  }

  /** Records of what was collected, as far as it is still needed at this place of the log. */
  #liveCopies(): { buffer: RecordBuffer; ranges: { group: GroupId; first: number; last: number }[] } {
    const buffer = new RecordBuffer(0)
    const ranges: { group: GroupId; first: number; last: number }[] = []
    const { segment, entries } = this.#copies ?? { segment: 0, entries: new Map<GroupId, Map<number, Entry>>() }
    // Taken now: the next ones may come while these are written.
    this.#copies = undefined
    for (const [group, kept] of entries) {
      const log = this.groups.get(group)
      const live = [...kept.values()].filter(({ index }) => log?.isIn(index, segment)).sort((a, b) => a.index - b.index)
      for (let at = 0; at < live.length; ) {
        const part: Entry[] = []
        let bytes = 0
        for (let entry = live[at]; entry !== undefined && bytes < copyRecordBytes; entry = live[++at]) {
          if (part.length > 0 && entry.index !== (part.at(-1) as Entry).index + 1) break
          part.push(entry)
          bytes += entry.data.length
        }
        const { bytes: into, at: start } = buffer.add(RecordType.copies, group, entriesBytes(part))
        writeEntries(into, start, part)
        ranges.push({ group, first: (part[0] as Entry).index, last: (part.at(-1) as Entry).index })
      }
    }
    return { buffer, ranges }
  }
}

/** What was read is to be vouched for: also what a killed process had written and not synced. */
async function settle(folder: LogFolder, { segment, bytes }: KnownSegment): Promise<void> {
  const file = await folder.open(segmentName(segment))
  try {
    if (file.size > bytes) await file.truncate(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}
