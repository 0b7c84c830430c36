import type { Clock } from '../../kernel/clock.js'
import type { Deadlines } from '../../kernel/deadlines.js'
import { CloudError } from '../../kernel/errors.js'
import type { LogFolder } from '../../kernel/files/files.js'
import type { Logger } from '../../kernel/logger.js'
import type { FullConsumerConfig } from '../stream/stream-checks.js'
import type { Held, ReadAnswer, ReadRequest } from '../stream/stream-link.js'
import type { StartAt } from '../stream.js'
import { freshState, LogConsumer } from './consumer.js'
import type { Dying } from './consumer-core.js'
import { ConsumerLog, type StoredConsumer } from './consumer-log.js'
import type { StreamLimits } from './log-limits.js'
import type { LogStream } from './log-stream.js'
import type { MessageRecord } from './record.js'

/** Messages that one question looks at before it answers with where to go on: the process has other things to do. */
const maxLooked = 100_000

export interface EntryOptions {
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly logger: Logger
  readonly limits: StreamLimits
  /** Differs in every life of the server. */
  readonly epoch: string
  readonly bury: (stream: string, consumer: string, record: MessageRecord, dying: Dying) => Promise<void>
}

/** A stream with its consumers. */
export class LogEntry {
  readonly #options: EntryOptions
  readonly #folder: LogFolder
  readonly #consumers = new Map<string, LogConsumer>()
  #consumerLog: Promise<ConsumerLog> | undefined
  #lastMember = 0

  constructor(
    options: EntryOptions,
    folder: LogFolder,
    readonly log: LogStream,
  ) {
    this.#options = options
    this.#folder = folder
  }

  get name(): string {
    return this.log.config.name
  }

  /** Takes up the consumers that the folder knows. */
  async openConsumers(): Promise<void> {
    if ((await this.#folder.list()).includes('consumers.log')) await this.#openLog()
  }

  #openLog(): Promise<ConsumerLog> {
    this.#consumerLog ??= ConsumerLog.open(this.#folder, {
      logger: this.#options.logger,
      states: () => new Map([...this.#consumers].map(([name, consumer]) => [name, consumer.stored])),
    }).then(({ log, consumers }) => {
      for (const [name, stored] of consumers) this.#consumers.set(name, this.#newConsumer(log, stored))
      return log
    })
    return this.#consumerLog
  }

  #newConsumer(log: ConsumerLog, stored: StoredConsumer): LogConsumer {
    const { clock, deadlines, logger, limits, bury, epoch } = this.#options
    const { name } = stored.config
    return new LogConsumer(
      {
        stream: this.log,
        log,
        clock,
        deadlines,
        logger,
        limits,
        bury: (consumer, record, dying) => bury(this.name, consumer, record, dying),
        newMemberId: () => `${this.name}/${name}/${epoch}.${++this.#lastMember}`,
      },
      stored,
    )
  }

  async join(
    config: FullConsumerConfig,
    member: { readonly start: StartAt; readonly previous?: string; readonly working: readonly Held[] },
  ): Promise<{ readonly member: string; readonly kept: readonly Held[] }> {
    const log = await this.#openLog()
    let consumer = this.#consumers.get(config.name)
    if (consumer === undefined) {
      if (this.#consumers.size >= this.#options.limits.maxConsumers) {
        throw new CloudError(
          'core.bus.overloaded',
          `at most ${this.#options.limits.maxConsumers} consumers of a stream`,
        )
      }
      const stored = { config, state: freshState(this.startOf(member.start)) }
      consumer = this.#newConsumer(log, stored)
      this.#consumers.set(config.name, consumer)
      await log.replace(config.name, stored)
    } else if (JSON.stringify(consumer.stored.config) !== JSON.stringify(config)) {
      consumer.configure(config)
      await log.replace(config.name, consumer.stored)
    }
    return consumer.join(member.previous, member.working)
  }

  consumer(name: string): LogConsumer | undefined {
    return this.#consumers.get(name)
  }

  async removeConsumer(name: string): Promise<void> {
    const consumer = this.#consumers.get(name)
    if (consumer === undefined) return
    this.#consumers.delete(name)
    consumer.close()
    await (await this.#openLog()).replace(name, undefined)
  }

  startOf(start: StartAt): number {
    const { index } = this.log
    this.log.info()
    if (start === 'first') return index.first
    if (start === 'new') return index.last + 1
    if (start === 'last') return Math.max(index.first, index.last)
    return 'sequence' in start ? start.sequence : index.firstSince(start.time)
  }

  /** Waits for the first message when there is none. */
  async read(request: ReadRequest, signal: AbortSignal | undefined): Promise<ReadAnswer> {
    const until = this.#options.clock.monotonic() + request.waitMs
    for (let from = request.from; ; ) {
      this.log.info()
      const { sequences, next } = this.#look(from, request)
      const records = await this.log.read(sequences)
      const left = until - this.#options.clock.monotonic()
      if (records.length > 0 || next <= this.log.index.last || left <= 0 || signal?.aborted === true) {
        const last = records[records.length - 1]
        // What did not fit any more is the next page's.
        const cut = records.length < sequences.length && last !== undefined
        return { records: request.bodies === false ? records.map(bare) : records, next: cut ? last.sequence + 1 : next }
      }
      from = next
      await this.#change(left, signal)
    }
  }

  #look(from: number, { filter, lastOnly, limit }: ReadRequest): { sequences: number[]; next: number } {
    const { index } = this.log
    const wanted = filter === undefined ? undefined : index.subjectFilter(filter)
    const sequences: number[] = []
    let looked = 0
    for (const [segment, row] of index.rows(from)) {
      const sequence = segment.sequence(row)
      if (sequences.length === limit || looked === maxLooked) return { sequences, next: sequence }
      looked += 1
      const subject = segment.subject(row)
      if (index.targets.has(sequence)) continue
      if (lastOnly === true && !index.isLastOfSubject(sequence, subject)) continue
      if (wanted === undefined || wanted(subject)) sequences.push(sequence)
    }
    return { sequences, next: Math.max(from, index.last + 1) }
  }

  #change(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise(resolve => {
      const done = (): void => {
        stop()
        this.#options.deadlines.remove(timer)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const timer = this.#options.deadlines.add(ms, done)
      const stop = this.log.onChange(done)
      signal?.addEventListener('abort', done)
    })
  }

  async close(): Promise<void> {
    for (const consumer of this.#consumers.values()) consumer.close()
    const log = await this.#consumerLog?.catch(() => undefined)
    await log?.close()
    await this.log.close()
  }
}

const bare = (record: MessageRecord): MessageRecord => ({ ...record, payload: new Uint8Array(0) })
