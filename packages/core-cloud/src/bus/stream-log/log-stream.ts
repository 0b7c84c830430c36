import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { LogFolder } from '../../kernel/files/files.js'
import type { Logger } from '../../kernel/logger.js'
import { DueHeap } from '../due-heap.js'
import type { BusQuota } from '../quota/quota-limits.js'
import { deadSuffix, type FullStreamConfig } from '../stream/stream-checks.js'
import type { StreamInfo } from '../stream.js'
import { type Append, Batch } from './batch.js'
import type { StreamLimits } from './log-limits.js'
import { chooseMerge, mergeSegments } from './log-merge.js'
import { LogReader } from './log-reader.js'
import { jsonRecord, type MessageRecord, RecordType, seal } from './record.js'
import { Retained } from './retained.js'
import type { Segment } from './segment.js'
import { makeSegment, readSegments } from './segments.js'
import { type Purge, StreamIndex } from './stream-index.js'
import { writeError } from './write-error.js'

/** Bytes and messages that are written at once. */
const batchBytes = 4 * 1_048_576
const batchMessages = 4_096
const longestTimer = 2_000_000_000

export interface LogStreamOptions {
  readonly folder: LogFolder
  readonly clock: Clock
  readonly logger: Logger
  readonly limits: StreamLimits
  /** Opens the quota of the tenant that a stream belongs to; it is closed with the stream. */
  readonly quotaOf: ((stream: string) => BusQuota | undefined) | undefined
}

/** A change that is not a message: written alone, then done. */
interface Control {
  readonly kind: 'control'
  readonly record: () => Buffer | undefined
  readonly done: () => void
  readonly fail: (error: CloudError) => void
}

type Job = Append | Control

/**
 * One stream: its files, what is in them, and the one writer. What waits while a write is under way is written together
 * by the next one (group commit), and acknowledged when the operating system, or for `synced` the disk, has all of it.
 */
export class LogStream {
  readonly #options: LogStreamOptions
  readonly #index: StreamIndex
  readonly #watchers = new Set<() => void>()
  readonly #heap = new DueHeap()
  readonly #reader: LogReader
  readonly #retained: Retained | undefined
  #jobs: Job[] = []
  #jobBytes = 0
  #writing: Promise<void> | undefined
  #merging: Promise<void> | undefined
  #closed: CloudError | undefined
  #cancelTimer: (() => void) | undefined
  /** The file may be longer than what is good of it: a write failed. */
  #dirty = false

  private constructor(options: LogStreamOptions, index: StreamIndex) {
    this.#options = options
    this.#index = index
    this.#reader = new LogReader(options.folder, index, options.limits.cacheBytes)
    const refuses = !index.config.name.endsWith(deadSuffix)
    const quota = options.quotaOf?.(refuses ? index.config.name : index.config.name.slice(0, -deadSuffix.length))
    if (quota !== undefined) this.#retained = new Retained({ quota, kept: index.bytes + index.laterBytes, refuses })
    for (const { at, id } of index.laters.values()) this.#heap.push({ at, sequence: id })
    this.#arm()
    this.#tidy()
  }

  /** @returns undefined when there is no such stream in the folder. @throws CloudError `core.bus.corrupt`. */
  static async open(options: LogStreamOptions): Promise<LogStream | undefined> {
    const index = await readSegments(options.folder)
    return index === undefined ? undefined : new LogStream(options, index)
  }

  static async make(options: LogStreamOptions, config: FullStreamConfig): Promise<LogStream> {
    const index = new StreamIndex(config)
    try {
      const head = { base: 1, first: 1, lastLater: 0, coversTo: 0, config }
      index.segments.push(await makeSegment(options.folder, head, true))
    } catch (error) {
      throw writeError(error, options.folder.path)
    }
    return new LogStream(options, index)
  }

  /** For questions; nobody else changes it. */
  get index(): StreamIndex {
    return this.#index
  }

  get config(): FullStreamConfig {
    return this.#index.config
  }

  info(): StreamInfo {
    this.#index.expire(this.#options.clock.now())
    const { config, messages, bytes, first, last } = this.#index
    return { config, messages, bytes, firstSequence: first, lastSequence: last }
  }

  /** Called after every change. @returns a function that ends it. */
  onChange(watcher: () => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  // ---- changes

  /** Takes a message into the queue; its `done` or `fail` is called. */
  append(append: Append): void {
    const { limits } = this.#options
    if (this.#closed !== undefined) append.fail(this.#closed)
    else if (this.#jobs.length >= limits.maxWaiting || this.#jobBytes >= limits.maxWaitingBytes) {
      append.fail(new CloudError('core.bus.overloaded', `too many messages of ${this.config.name} wait to be written`))
    } else {
      try {
        this.#retained?.reserve(roomOf(append))
      } catch (error) {
        append.fail(CloudError.from(error))
        return
      }
      this.#jobBytes += append.payload.length
      this.#queue(append)
    }
  }

  reconfigure(config: FullStreamConfig): Promise<void> {
    return this.#control(
      () => jsonRecord(RecordType.config, { config }),
      () => this.#index.reconfigure(config),
    )
  }

  /** @returns how many messages were forgotten. */
  async purge(which: Purge): Promise<number> {
    let count = 0
    await this.#control(
      () => jsonRecord(RecordType.purge, which),
      () => {
        count = this.#index.purge(which)
      },
    )
    return count
  }

  /** The kept ones of these sequences, in order; the first always, further ones while they fit. */
  read(sequences: readonly number[], maxBytes?: number): Promise<MessageRecord[]> {
    return this.#reader.read(sequences, maxBytes)
  }

  // ---- end

  /** Writes what waits and closes the files. */
  async close(): Promise<void> {
    this.#closed ??= new CloudError('core.kernel.stopped', `the stream ${this.config.name} is closed`)
    this.#cancelTimer?.()
    await this.#writing
    await this.#merging
    for (const { file } of this.#index.segments) await file.close()
    this.#retained?.close()
    for (const watcher of this.#watchers) watcher()
  }

  // ---- the writer

  #control(record: () => Buffer, apply: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) throw this.#closed
      const done = (): void => {
        apply()
        resolve()
      }
      this.#queue({ kind: 'control', record, done, fail: reject })
    })
  }

  #queue(job: Job): void {
    this.#jobs.push(job)
    this.#writing ??= this.#write()
  }

  async #write(): Promise<void> {
    // What the rest of this turn asks for goes into the first batch.
    await Promise.resolve()
    while (this.#jobs.length > 0) {
      const jobs = this.#take()
      try {
        await this.#roll()
        const [first] = jobs
        if (first?.kind === 'control') await this.#writeControl(first)
        else await this.#writeBatch(jobs as Append[])
      } catch (error) {
        const failure = writeError(error, this.#options.folder.path)
        this.#options.logger.error('a stream cannot be written', { stream: this.config.name, error: failure })
        for (const job of jobs) job.fail(failure)
      }
      for (const job of jobs) if (job.kind !== 'control') this.#retained?.release(roomOf(job))
      this.#notify()
      this.#tidy()
    }
    this.#writing = undefined
    this.#arm()
  }

  #take(): Job[] {
    let count = 0
    let bytes = 0
    for (const job of this.#jobs) {
      if (count > 0 && (job.kind === 'control' || count === batchMessages || bytes > batchBytes)) break
      count += 1
      if (job.kind === 'control') break
      bytes += job.payload.length
    }
    this.#jobBytes -= bytes
    if (count === this.#jobs.length) {
      const jobs = this.#jobs
      this.#jobs = []
      return jobs
    }
    return this.#jobs.splice(0, count)
  }

  async #writeBatch(jobs: readonly Append[]): Promise<void> {
    const index = this.#index
    const now = Math.max(this.#options.clock.now(), index.lastTime)
    index.expire(now)
    const batch = new Batch(index, now, this.#options.limits)
    for (const job of jobs) {
      if (job.later === 0 || index.laters.has(job.later)) batch.add(job)
    }
    if (batch.placed.length > 0) {
      const segment = this.#active()
      const place = segment.size
      await this.#append(batch.encode(place))
      for (const { append, record, place: offset, size } of batch.placed) {
        if (append.kind === 'later') {
          index.later(record, segment, place + offset, size)
          this.#heap.push({ at: record.time, sequence: record.sequence })
        } else {
          index.message(record, segment, place + offset, size)
          this.#reader.remember(record, size)
        }
      }
    }
    batch.settle()
    if (batch.endedLaters.length > 0) void this.purge({ laters: batch.endedLaters }).catch(() => undefined)
  }

  async #writeControl(control: Control): Promise<void> {
    const record = control.record()
    if (record !== undefined) {
      seal(record, 0, record.length, this.#active().size)
      await this.#append(record)
    }
    control.done()
  }

  async #append(bytes: Buffer): Promise<void> {
    const segment = this.#active()
    if (this.#dirty) {
      // What a failed write left behind would be read as a message that nobody was told of.
      await segment.file.truncate(segment.size)
      this.#dirty = false
    }
    this.#dirty = true
    await segment.file.write([bytes], segment.size)
    if (this.config.durability === 'synced') await segment.file.sync()
    this.#dirty = false
    segment.size += bytes.length
  }

  async #roll(): Promise<void> {
    const active = this.#active()
    if (active.size < this.#options.limits.segmentBytes) return
    if (this.#dirty) await active.file.truncate(active.size)
    this.#dirty = false
    const { last, first, lastLater, config } = this.#index
    // Two files cannot have one name: one that holds no message is used on.
    if (active.base > last) return
    const head = { base: last + 1, first, lastLater, coversTo: 0, config }
    this.#index.segments.push(await makeSegment(this.#options.folder, head, config.durability === 'synced'))
  }

  #active(): Segment {
    return this.#index.segments[this.#index.segments.length - 1] as Segment
  }

  #notify(): void {
    this.#retained?.match(this.#index.bytes + this.#index.laterBytes)
    for (const watcher of this.#watchers) watcher()
  }

  /** Removes files that hold nothing any more, and merges those that hold little. */
  #tidy(): void {
    if (this.#merging !== undefined || this.#index.segments.length < 2 || this.#closed !== undefined) return
    const now = this.#options.clock.now()
    const [front] = this.#index.segments as [Segment]
    const empty = front.live === 0 && front.laters === 0 && front.newestId + this.config.dedupMs <= now
    const merge = empty ? undefined : chooseMerge(this.#index, this.#options.limits.segmentBytes, now)
    if (!empty && merge === undefined) return
    const { folder, logger } = this.#options
    const work = merge === undefined ? this.#removeFront() : mergeSegments(folder, this.#index, merge)
    this.#merging = work.then(
      () => {
        this.#merging = undefined
        this.#tidy()
      },
      (error: unknown) => {
        // Tried again with the next change.
        this.#merging = undefined
        logger.warn('a log could not be tidied', { stream: this.config.name, error })
      },
    )
  }

  async #removeFront(): Promise<void> {
    const front = this.#index.segments.shift() as Segment
    await front.file.close()
    await this.#options.folder.remove(front.name)
  }

  // ---- time

  #arm(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    if (this.#closed !== undefined) return
    const now = this.#options.clock.now()
    const old = this.#index.expire(now)
    const next = Math.min(old ?? Number.POSITIVE_INFINITY, this.#heap.first?.at ?? Number.POSITIVE_INFINITY)
    if (next === Number.POSITIVE_INFINITY) return
    const wait = Math.min(Math.max(1, next - now), longestTimer)
    this.#cancelTimer = this.#options.clock.after(wait, () => void this.#due())
  }

  async #due(): Promise<void> {
    const now = this.#options.clock.now()
    for (let next = this.#heap.first; next !== undefined && next.at <= now; next = this.#heap.first) {
      this.#heap.pop()
      await this.#enter({ at: next.at, id: next.sequence })
    }
    this.#index.expire(now)
    this.#notify()
    this.#tidy()
    this.#arm()
  }

  /** Turns a waiting message into one of the stream; when that fails, once more in a second. */
  async #enter(due: { readonly id: number; readonly at: number }): Promise<void> {
    const later = this.#index.laters.get(due.id)
    if (later === undefined || this.#closed !== undefined) return
    try {
      const record = await this.#reader.readAt(later)
      this.append({
        ...record,
        kind: 'message',
        at: 0,
        later: due.id,
        expectLast: undefined,
        expectSubject: undefined,
        done: () => undefined,
        fail: error => this.#enterLater(due, error),
      })
    } catch (error) {
      this.#enterLater(due, error)
    }
  }

  #enterLater(due: { readonly id: number; readonly at: number }, error: unknown): void {
    if (this.#closed !== undefined) return
    this.#options.logger.warn('a message for later did not enter', { stream: this.config.name, error })
    this.#heap.push({ at: this.#options.clock.now() + 1_000, sequence: due.id })
    this.#arm()
  }
}

/** Bytes to keep free for a message until it is written; one that waited for its time has its place already. */
function roomOf({ payload, headers, subject, messageId, later }: Append): number {
  return later > 0 ? 0 : payload.length + headers.length + subject.length + messageId.length + 64
}
