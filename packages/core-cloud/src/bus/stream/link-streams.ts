import type { Clock } from '../../kernel/clock.js'
import { Deadlines } from '../../kernel/deadlines.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import { decodeHeaders, encodeHeaders } from '../headers.js'
import { cancelled } from '../pending.js'
import type {
  Bucket,
  BucketConfig,
  ConsumeOptions,
  ConsumerConfig,
  ConsumerInfo,
  DeadLetter,
  Delivery,
  PublishAck,
  StartAt,
  StreamConfig,
  StreamInfo,
  StreamMessage,
  StreamPublishOptions,
  StreamSubscription,
  Streams,
} from '../stream.js'
import { splitHeaders } from '../stream-log/own-headers.js'
import type { MessageRecord } from '../stream-log/record.js'
import { checkPattern, checkSubject } from '../subject.js'
import { bucketStream, StreamBucket } from './stream-bucket.js'
import {
  checkConsumerConfig,
  checkDelay,
  checkName,
  checkStart,
  checkStreamConfig,
  checkStreamPublish,
  deadSuffix,
  whole,
} from './stream-checks.js'
import { Follower } from './stream-follower.js'
import type { LinkPublish, StreamLink } from './stream-link.js'
import { Member } from './stream-member.js'

const defaultDeadlineMs = 10_000

export interface LinkStreamsOptions {
  readonly link: StreamLink
  readonly clock: Clock
  readonly logger: Logger
}

/** The port over a link: what a client of a stream server does itself. */
export class LinkStreams implements Streams {
  readonly #options: LinkStreamsOptions
  readonly #link: StreamLink
  readonly #deadlines: Deadlines
  readonly #members = new Set<Member>()
  readonly #followers = new Set<StreamSubscription>()
  #closed: Promise<void> | undefined

  constructor(options: LinkStreamsOptions) {
    this.#options = options
    this.#link = options.link
    this.#deadlines = new Deadlines(options.clock)
  }

  async ensure(config: StreamConfig): Promise<StreamInfo> {
    this.#check()
    return this.#link.ensure(checkStreamConfig(config))
  }

  async info(stream: string): Promise<StreamInfo> {
    this.#check(stream)
    return this.#link.info(stream)
  }

  async list(): Promise<readonly string[]> {
    this.#check()
    return this.#link.list()
  }

  async remove(stream: string): Promise<void> {
    this.#check(stream)
    if (stream.endsWith(deadSuffix))
      throw new CloudError('core.kernel.invalid-config', 'dead letters go with their stream')
    return this.#link.remove(stream)
  }

  async purge(stream: string, which: { readonly subject?: string; readonly below?: number } = {}): Promise<number> {
    this.#check(stream)
    const { subject, below } = which
    if (subject !== undefined) checkPattern(subject)
    if (below !== undefined) whole(below, 'below', 0, 2 ** 52)
    return this.#link.purge(stream, {
      ...(subject === undefined ? {} : { subject }),
      ...(below === undefined ? {} : { below }),
    })
  }

  async publish(subject: string, payload: Uint8Array, options: StreamPublishOptions = {}): Promise<PublishAck> {
    this.#check()
    checkStreamPublish(subject, payload, options)
    return this.#publish(
      {
        stream: undefined,
        subject,
        messageId: options.messageId ?? '',
        headers: encodeHeaders(options.headers),
        // The caller's bytes may change while they wait.
        payload: Buffer.from(payload),
        expectLast: options.expectLastSequence,
        expectSubject: options.expectLastSubjectSequence,
        deadline: options.deadline ?? this.#options.clock.now() + defaultDeadlineMs,
      },
      options.signal,
    )
  }

  async publishAt(
    at: number,
    subject: string,
    payload: Uint8Array,
    options: { readonly messageId: string; readonly headers?: Readonly<Record<string, string>> },
  ): Promise<void> {
    this.#check()
    checkDelay(at, this.#options.clock.now())
    checkStreamPublish(subject, payload, options)
    await this.#link.publishAt(at, {
      stream: undefined,
      subject,
      messageId: options.messageId,
      headers: encodeHeaders(options.headers),
      payload: Buffer.from(payload),
      expectLast: undefined,
      expectSubject: undefined,
      deadline: this.#options.clock.now() + defaultDeadlineMs,
    })
  }

  async get(
    stream: string,
    which: { readonly sequence: number } | { readonly lastOf: string },
  ): Promise<StreamMessage | undefined> {
    this.#check(stream)
    if ('lastOf' in which) checkSubject(which.lastOf)
    else whole(which.sequence, 'sequence', 0, 2 ** 52)
    const record = await this.#link.get(stream, which)
    return record === undefined ? undefined : this.#message(stream, record)
  }

  async consume(
    stream: string,
    config: ConsumerConfig,
    handler: (delivery: Delivery) => void | Promise<void>,
    options: ConsumeOptions = {},
  ): Promise<StreamSubscription> {
    this.#check(stream)
    const full = checkConsumerConfig(config)
    const concurrency = whole(options.concurrency ?? 16, 'concurrency', 1, 1_024)
    const { link, clock, logger } = this.#options
    const member = new Member({
      link,
      stream,
      config: full,
      start: config.start ?? 'first',
      handler,
      concurrency,
      clock,
      deadlines: this.#deadlines,
      logger,
      onEnd: () => this.#members.delete(member),
    })
    await member.join()
    this.#members.add(member)
    return member
  }

  async follow(
    stream: string,
    options: { readonly start?: StartAt; readonly filter?: readonly string[] },
    handler: (message: StreamMessage) => void | Promise<void>,
  ): Promise<StreamSubscription> {
    this.#check(stream)
    const { start = 'first', filter } = options
    checkStart(start)
    for (const pattern of filter ?? []) checkPattern(pattern)
    const from = await this.#link.startOf(stream, start)
    return this.#follow(stream, { from, filter }, record => handler(this.#message(stream, record)))
  }

  async consumerInfo(stream: string, consumer: string): Promise<ConsumerInfo> {
    this.#check(stream)
    checkName(consumer, 'consumer')
    return this.#link.consumerInfo(stream, consumer)
  }

  async removeConsumer(stream: string, consumer: string): Promise<void> {
    this.#check(stream)
    checkName(consumer, 'consumer')
    return this.#link.removeConsumer(stream, consumer)
  }

  async deadLetters(
    stream: string,
    page: { readonly after?: number; readonly limit?: number } = {},
  ): Promise<readonly DeadLetter[]> {
    this.#check(stream)
    const limit = whole(page.limit ?? 100, 'limit', 1, 1_000)
    let from = whole(page.after ?? 0, 'after', 0, 2 ** 52) + 1
    await this.#link.info(stream)
    const letters: DeadLetter[] = []
    while (letters.length < limit) {
      const request = { from, limit: limit - letters.length, waitMs: 0 }
      const { records, next } = await this.#link.read(`${stream}${deadSuffix}`, request).catch((error: unknown) => {
        // Without a dead letter there is no stream of them yet.
        if (CloudError.is(error, 'core.bus.unknown-stream')) return { records: [], next: from }
        throw error
      })
      for (const record of records) letters.push(letterOf(record))
      if (next === from) break
      from = next
    }
    return letters
  }

  async replayDead(stream: string, sequences: readonly number[]): Promise<number> {
    this.#check(stream)
    if (sequences.length > 1_000)
      throw new CloudError('core.kernel.invalid-config', 'at most 1000 at a time', { field: 'sequences' })
    for (const sequence of sequences) whole(sequence, 'sequences', 1, 2 ** 52)
    return this.#link.replayDead(stream, sequences)
  }

  async bucket(config: BucketConfig): Promise<Bucket> {
    this.#check()
    await this.#link.ensure(bucketStream(config))
    return new StreamBucket({
      link: this.#link,
      name: config.name,
      store: async (subject, value, { stream, headers, expectSubject }) => {
        this.#check()
        const deadline = this.#options.clock.now() + defaultDeadlineMs
        const payload = Buffer.from(value)
        const message = {
          stream,
          subject,
          messageId: '',
          headers,
          payload,
          expectLast: undefined,
          expectSubject,
          deadline,
        }
        return (await this.#publish(message, undefined)).sequence
      },
      follow: (stream, options, handler) => this.#follow(stream, options, handler),
    })
  }

  async removeBucket(name: string): Promise<void> {
    this.#check(name)
    return this.#link.remove(`kv.${name}`)
  }

  async drain(): Promise<void> {
    await Promise.all([...this.#members, ...this.#followers].map(each => each.drain()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  // ---- inside

  async #close(): Promise<void> {
    await Promise.all([...this.#members].map(member => member.close()))
    for (const follower of this.#followers) void follower.drain()
    await this.#link.close()
    this.#deadlines.clear()
  }

  /** @throws CloudError when this is closed, or for a name that none can have. */
  #check(stream?: string): void {
    if (this.#closed !== undefined) throw new CloudError('core.kernel.stopped', 'the streams are closed')
    if (stream !== undefined) checkName(stream, 'stream')
  }

  #publish(message: LinkPublish, signal: AbortSignal | undefined): Promise<PublishAck> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) throw cancelled(message.subject, signal)
      const wait = message.deadline - this.#options.clock.now()
      const late = (): CloudError =>
        new CloudError('core.contract.deadline-exceeded', `${message.subject} was not acknowledged in time`)
      if (!(wait > 0)) throw late()
      const onAbort = (): void => fail(cancelled(message.subject, signal as AbortSignal))
      const timer = this.#deadlines.add(Math.min(wait, 86_400_000), () => fail(late()))
      const end = (): void => {
        this.#deadlines.remove(timer)
        signal?.removeEventListener('abort', onAbort)
      }
      const fail = (error: unknown): void => {
        end()
        reject(error)
      }
      signal?.addEventListener('abort', onAbort)
      this.#link.publish(message, signal).then(ack => {
        end()
        resolve(ack)
      }, fail)
    })
  }

  #follow(
    stream: string,
    options: { readonly from: number; readonly filter: readonly string[] | undefined },
    handler: (record: MessageRecord) => void | Promise<void>,
  ): StreamSubscription {
    const { link, clock, logger } = this.#options
    const follower: Follower = new Follower({
      ...options,
      link,
      stream,
      handler,
      clock,
      logger,
      onEnd: () => this.#followers.delete(follower),
    })
    this.#followers.add(follower)
    return follower
  }

  #message(stream: string, record: MessageRecord): StreamMessage {
    const { sequence, subject, messageId, headers, payload, time } = record
    return {
      stream,
      sequence,
      subject,
      payload: this.#link.givesOwn ? payload : Buffer.from(payload),
      headers: decodeHeaders(headers),
      ...(messageId === '' ? {} : { messageId }),
      storedAt: time,
    }
  }
}

function letterOf({ sequence, headers, payload, time }: MessageRecord): DeadLetter {
  const { own, users } = splitHeaders(headers)
  return {
    sequence,
    consumer: own.get('consumer') ?? '',
    subject: own.get('subject') ?? '',
    payload: Buffer.from(payload),
    headers: decodeHeaders(users),
    originalSequence: Number(own.get('sequence')),
    attempts: Number(own.get('attempts')),
    reason: own.get('reason') ?? '',
    diedAt: time,
  }
}
