import type { Clock } from '../../kernel/clock.js'
import { Deadlines } from '../../kernel/deadlines.js'
import { CloudError } from '../../kernel/errors.js'
import type { LogFiles } from '../../kernel/files/files.js'
import type { Ids } from '../../kernel/ids.js'
import type { Logger } from '../../kernel/logger.js'
import type { BusQuota } from '../quota/quota-limits.js'
import {
  checkDelay,
  checkStreamConfig,
  deadSuffix,
  type FullConsumerConfig,
  type FullStreamConfig,
} from '../stream/stream-checks.js'
import type {
  Fetched,
  FetchRequest,
  Held,
  LinkPublish,
  ReadAnswer,
  ReadRequest,
  ServedLink,
} from '../stream/stream-link.js'
import type { ConsumerInfo, StartAt, StreamInfo } from '../stream.js'
import { overlap } from '../subject.js'
import { SubjectIndex } from '../subject-index.js'
import type { Append } from './batch.js'
import type { Dying } from './consumer-core.js'
import { type EntryOptions, LogEntry } from './log-entry.js'
import type { StreamLimits } from './log-limits.js'
import { LogStream } from './log-stream.js'
import { ownHeader, splitHeaders } from './own-headers.js'
import type { MessageRecord } from './record.js'

export interface LogServerOptions {
  readonly files: LogFiles
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly limits: StreamLimits
  /** False: nothing outlives the process, so that `synced` cannot be given. */
  readonly onDisk: boolean
  /** Quota of the tenant that a stream belongs to; asked when the stream is opened or made. */
  readonly quotaOf: ((stream: string) => BusQuota | undefined) | undefined
}

const routeCacheSize = 4_096

/** The streams of one folder. */
export class LogServer implements ServedLink {
  readonly givesOwn = false
  readonly #options: LogServerOptions
  readonly #deadlines: Deadlines
  readonly #entryOptions: EntryOptions
  readonly #entries = new Map<string, LogEntry>()
  readonly #routes = new SubjectIndex<LogEntry>()
  readonly #known = new Map<string, LogEntry>()
  /** Changes of what streams there are, one after the other. */
  #changing: Promise<unknown> = Promise.resolve()
  #closed = false

  private constructor(options: LogServerOptions) {
    this.#options = options
    const { clock, logger, limits } = options
    this.#deadlines = new Deadlines(clock)
    this.#entryOptions = {
      clock,
      deadlines: this.#deadlines,
      logger,
      limits,
      epoch: options.ids.token(8),
      bury: (stream, consumer, record, dying) => this.#bury(stream, consumer, record, dying),
    }
  }

  /** @throws CloudError `core.bus.corrupt`, `core.kernel.data-too-new`. */
  static async open(options: LogServerOptions): Promise<LogServer> {
    const server = new LogServer(options)
    try {
      for (const name of await options.files.folders()) await server.#openEntry(name)
      for (const name of server.#entries.keys()) {
        // Its stream was removed, and the process ended before it was.
        if (name.endsWith(deadSuffix) && !server.#entries.has(name.slice(0, -5))) await server.#removeEntry(name)
      }
    } catch (error) {
      await server.close()
      throw error
    }
    return server
  }

  // ---- streams

  ensure(config: FullStreamConfig): Promise<StreamInfo> {
    return this.#change(async () => {
      if (config.durability === 'replicated' || (config.durability === 'synced' && !this.#options.onDisk)) {
        const reason = this.#options.onDisk ? 'the local driver has one machine' : 'what is in memory has no disk'
        throw new CloudError('core.bus.unsupported', `${config.durability} cannot be given: ${reason}`, {
          field: 'durability',
        })
      }
      const found = this.#entries.get(config.name)
      if (found !== undefined && found.log.config.durability !== config.durability) {
        throw new CloudError('core.bus.conflict', `${config.name} is ${found.log.config.durability}`, {
          field: 'durability',
        })
      }
      this.#checkSubjects(config)
      if (found === undefined) return (await this.#make(config)).log.info()
      const before = found.log.config
      if (JSON.stringify(before) !== JSON.stringify(config)) {
        await found.log.reconfigure(config)
        this.#unroute(found, before)
        this.#route(found)
      }
      return found.log.info()
    })
  }

  async info(stream: string): Promise<StreamInfo> {
    return this.#entry(stream).log.info()
  }

  async list(): Promise<readonly string[]> {
    return [...this.#entries.keys()].filter(name => !name.startsWith('kv.') && !name.endsWith(deadSuffix)).sort()
  }

  remove(stream: string): Promise<void> {
    return this.#change(async () => {
      // The dead letters last: without their stream they are removed at the next start, the other way round they stay.
      await this.#removeEntry(stream)
      await this.#removeEntry(`${stream}${deadSuffix}`)
    })
  }

  purge(
    stream: string,
    which: { readonly subject?: string; readonly below?: number; readonly sequences?: readonly number[] },
  ): Promise<number> {
    return this.#asked(() => this.#entry(stream).log.purge(which))
  }

  // ---- messages

  publish(message: LinkPublish): Promise<{ stream: string; sequence: number; duplicate: boolean }> {
    return new Promise((resolve, reject) => {
      if (this.#options.clock.now() > message.deadline) {
        throw new CloudError('core.contract.deadline-exceeded', `${message.subject} came after its deadline`)
      }
      const entry = message.stream === undefined ? this.#entryOf(message.subject) : this.#entry(message.stream)
      const done = (sequence: number, duplicate: boolean): void => resolve({ stream: entry.name, sequence, duplicate })
      // Field by field: a spread of two objects costs more than all the rest of this.
      entry.log.append({
        kind: 'message',
        at: 0,
        subject: message.subject,
        messageId: message.messageId,
        target: '',
        headers: message.headers,
        payload: message.payload,
        later: 0,
        expectLast: message.expectLast,
        expectSubject: message.expectSubject,
        done,
        fail: reject,
      })
    })
  }

  publishAt(at: number, message: LinkPublish): Promise<void> {
    return new Promise((resolve, reject) => {
      checkDelay(at, this.#options.clock.now())
      const { log } = this.#entryOf(message.subject)
      log.append({ ...plain, ...message, kind: 'later', at, done: () => resolve(), fail: reject })
    })
  }

  streamOf(subject: string): string {
    return this.#entryOf(subject).name
  }

  async get(
    stream: string,
    which: { readonly sequence?: number; readonly lastOf?: string },
  ): Promise<MessageRecord | undefined> {
    const { log } = this.#entry(stream)
    log.info()
    const sequence = which.lastOf === undefined ? which.sequence : log.index.lastOf(which.lastOf)
    const [record] = await log.read([sequence ?? 0])
    return record
  }

  read(stream: string, request: ReadRequest, signal?: AbortSignal): Promise<ReadAnswer> {
    return this.#asked(() => this.#entry(stream).read(request, signal))
  }

  async startOf(stream: string, start: StartAt): Promise<number> {
    return this.#entry(stream).startOf(start)
  }

  // ---- consumers

  join(
    stream: string,
    config: FullConsumerConfig,
    member: { readonly start: StartAt; readonly previous?: string; readonly working: readonly Held[] },
  ): Promise<{ readonly member: string; readonly kept: readonly Held[] }> {
    return this.#asked(() => this.#entry(stream).join(config, member))
  }

  async fetch(member: string, request: FetchRequest, signal?: AbortSignal): Promise<Fetched | undefined> {
    const [stream = '', consumer = ''] = member.split('/')
    return this.#entries.get(stream)?.consumer(consumer)?.fetch(member, request, signal)
  }

  async consumerInfo(stream: string, consumer: string): Promise<ConsumerInfo> {
    const found = this.#entry(stream).consumer(consumer)
    if (found === undefined) {
      throw new CloudError('core.bus.unknown-stream', `the stream ${stream} has no consumer ${consumer}`)
    }
    return found.info(stream)
  }

  removeConsumer(stream: string, consumer: string): Promise<void> {
    return this.#asked(() => this.#entry(stream).removeConsumer(consumer))
  }

  async replayDead(stream: string, sequences: readonly number[]): Promise<number> {
    const { log } = this.#entry(stream)
    const dead = (await this.#dead(stream)).log
    const records = await dead.read(
      [...new Set(sequences)].sort((a, b) => a - b),
      Number.POSITIVE_INFINITY,
    )
    for (const record of records) {
      const { own, users } = splitHeaders(record.headers)
      await new Promise<void>((done, fail) => {
        log.append({
          ...plain,
          subject: own.get('subject') ?? '',
          target: own.get('consumer') ?? '',
          // A server that ends behind this line finds the message again when it is asked again.
          messageId: `aaas-replay-${record.sequence}`,
          headers: users,
          payload: record.payload,
          done: () => done(),
          fail,
        })
      })
    }
    return dead.purge({ sequences: records.map(({ sequence }) => sequence) })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#changing.catch(() => undefined)
    for (const entry of this.#entries.values()) await entry.close()
    this.#entries.clear()
    this.#deadlines.clear()
    await this.#options.files.close()
  }

  // ---- inside

  #asked<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      work().then(resolve, reject)
    })
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#changing.then(work)
    this.#changing = done.catch(() => undefined)
    return done
  }

  #entry(name: string): LogEntry {
    const entry = this.#entries.get(name)
    if (entry === undefined) throw new CloudError('core.bus.unknown-stream', `there is no stream ${name.slice(0, 80)}`)
    return entry
  }

  #entryOf(subject: string): LogEntry {
    const known = this.#known.get(subject)
    if (known !== undefined) return known
    const [entry] = this.#routes.match(subject)
    if (entry === undefined) throw new CloudError('core.bus.unknown-stream', `no stream has the subject ${subject}`)
    if (this.#known.size >= routeCacheSize) this.#known.clear()
    this.#known.set(subject, entry)
    return entry
  }

  #checkSubjects(config: FullStreamConfig): void {
    if (isOwn(config.name)) return
    for (const entry of this.#entries.values()) {
      if (entry.name === config.name || isOwn(entry.name)) continue
      for (const theirs of entry.log.config.subjects) {
        const ours = config.subjects.find(subject => overlap(subject, theirs))
        if (ours === undefined) continue
        throw new CloudError('core.bus.conflict', `${ours} and ${theirs} of ${entry.name} have subjects in common`, {
          field: 'subjects',
        })
      }
    }
  }

  async #make(config: FullStreamConfig): Promise<LogEntry> {
    const { files, clock, logger, limits, quotaOf } = this.#options
    if (this.#entries.size >= limits.maxStreams) {
      throw new CloudError('core.bus.overloaded', `at most ${limits.maxStreams} streams and buckets`)
    }
    const folder = await files.folder(config.name)
    const log = await LogStream.make({ folder, clock, logger, limits, quotaOf }, config)
    const entry = new LogEntry(this.#entryOptions, folder, log)
    this.#entries.set(config.name, entry)
    this.#route(entry)
    return entry
  }

  async #openEntry(name: string): Promise<void> {
    const { files, clock, logger, limits, quotaOf } = this.#options
    const folder = await files.folder(name)
    const log = await LogStream.open({ folder, clock, logger, limits, quotaOf })
    if (log === undefined) {
      await files.removeFolder(name)
      return
    }
    const entry = new LogEntry(this.#entryOptions, folder, log)
    this.#entries.set(name, entry)
    this.#route(entry)
    await entry.openConsumers()
  }

  async #removeEntry(name: string): Promise<void> {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    this.#entries.delete(name)
    this.#unroute(entry, entry.log.config)
    await entry.close()
    await this.#options.files.removeFolder(name)
  }

  #route(entry: LogEntry): void {
    if (!isOwn(entry.name)) for (const subject of entry.log.config.subjects) this.#routes.add(subject, entry)
    this.#known.clear()
  }

  #unroute(entry: LogEntry, { subjects }: FullStreamConfig): void {
    for (const subject of subjects) this.#routes.remove(subject, entry)
    this.#known.clear()
  }

  /** The dead letters of a stream; made when they are first needed. */
  #dead(stream: string): Promise<LogEntry> {
    const name = `${stream}${deadSuffix}`
    const found = this.#entries.get(name)
    if (found !== undefined) return Promise.resolve(found)
    return this.#change(async () => {
      const { durability } = this.#entry(stream).log.config
      const config = checkStreamConfig({ name: stream, subjects: [`aaas.dead.${stream}`], durability })
      return this.#entries.get(name) ?? this.#make({ ...config, name })
    })
  }

  async #bury(stream: string, consumer: string, record: MessageRecord, dying: Dying): Promise<void> {
    const { log } = await this.#dead(stream)
    const facts = { consumer, subject: record.subject, sequence: record.sequence, attempts: dying.attempts }
    const own = Object.entries(facts).map(([name, value]) => ownHeader(name, String(value)))
    const reason = ownHeader('reason', dying.reason.slice(0, 1_000))
    await new Promise<void>((done, fail) => {
      log.append({
        ...plain,
        subject: `aaas.dead.${stream}`,
        messageId: `${consumer}:${record.sequence}`,
        headers: Buffer.concat([splitHeaders(record.headers).users, ...own, reason]),
        payload: record.payload,
        done: () => done(),
        fail,
      })
    })
  }
}

/** Buckets and dead letters. */
const isOwn = (name: string): boolean => name.startsWith('kv.') || name.endsWith(deadSuffix)

const plain = {
  kind: 'message',
  at: 0,
  messageId: '',
  target: '',
  later: 0,
  expectLast: undefined,
  expectSubject: undefined,
} as const satisfies Partial<Append>
