import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import type { BusHeaders } from '../bus.js'
import {
  checkBucketConfig,
  checkConsumerConfig,
  checkDelay,
  checkMessageId,
  checkName,
  checkStart,
  checkStreamConfig,
  checkStreamPublish,
  deadSuffix,
  wholeOr,
} from '../stream/stream-checks.js'
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
import { checkPattern, checkSubject } from '../subject.js'
import { Acks } from './acks.js'
import { ConsumerDesk } from './consumer-desk.js'
import { DeadLetters } from './dead-letters.js'
import { messageIdOf } from './delivery.js'
import { Expectation } from './expectation.js'
import { JetApi } from './jet-api.js'
import { bucketStreamConfig, deadStreamConfig, jetStreamConfig, laterStream } from './jet-config.js'
import { Later } from './later.js'
import { Member } from './member.js'
import { NatsBucket } from './nats-bucket.js'
import type { NatsLink } from './nats-link.js'
import type { NatsStreamsOptions } from './nats-options.js'
import { Reader, type ReadFrom } from './reader.js'
import { Routes } from './route.js'
import { storedMessage, streamMessage } from './stored.js'
import { StreamDesk } from './stream-desk.js'
import { StreamPublisher } from './stream-publisher.js'
import { senderHeaders } from './text-headers.js'

/** Streams on one connection to JetStream. */
export class JetStreams implements Streams {
  readonly #link: NatsLink
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #acks: Acks
  readonly #api: JetApi
  readonly #publisher: StreamPublisher
  readonly #streams: StreamDesk
  readonly #consumers: ConsumerDesk
  readonly #dead: DeadLetters
  readonly #later: Later
  readonly #members = new Set<Member>()
  readonly #readers = new Set<Reader>()
  #lastId = 0
  #closed: CloudError | undefined

  constructor(options: NatsStreamsOptions, link: NatsLink, prefix: string) {
    const { clock, logger, ids } = options
    this.#link = link
    this.#clock = clock
    this.#logger = logger
    const acks = new Acks(link, clock)
    const api = new JetApi({ link, acks, clock, prefix })
    const routes = new Routes([], options.inboxPrefix ?? '_INBOX')
    const expectation = new Expectation({ link, api, clock, ids })
    const publisher = new StreamPublisher({ link, acks, api, clock, routes, expectation })
    this.#acks = acks
    this.#api = api
    this.#publisher = publisher
    this.#streams = new StreamDesk(api, options.assumeSynced === true)
    this.#consumers = new ConsumerDesk(api)
    const read = (stream: string, start: ReadFrom['start']): ReadFrom => this.#read(stream, start)
    const get = (stream: string, seq: number) => storedMessage(api, stream, { seq })
    this.#dead = new DeadLetters({ api, publisher, clock, read, get })
    this.#later = new Later({
      api,
      publisher,
      clock,
      ids,
      logger,
      read,
      enabled: options.scheduler !== false,
      lease: () => this.#lease(),
      make: config => this.#streams.makeBest(config),
      watching: reader => this.#watching(reader),
    })
    link.own({
      up: () => {
        for (const each of [...this.#members, ...this.#readers]) each.lost('connected again')
      },
      down: () => acks.down(),
      refused: () => undefined,
    })
  }

  // ---- streams

  async ensure(config: StreamConfig): Promise<StreamInfo> {
    this.#alive()
    const full = checkStreamConfig(config)
    if (/^(KV_|OBJ_|_aaas-)/.test(full.name))
      throw new CloudError('core.kernel.invalid-config', 'name must not begin with KV_, OBJ_ or _aaas-', {
        field: 'name',
      })
    const info = await this.#streams.ensure(jetStreamConfig(full), full.durability)
    await this.#streams.ensure(deadStreamConfig(full.name, full.durability), full.durability)
    return info
  }

  async info(stream: string): Promise<StreamInfo> {
    this.#alive()
    checkName(stream, 'stream')
    return await this.#streams.info(stream)
  }

  async list(): Promise<readonly string[]> {
    this.#alive()
    const names = await this.#streams.names()
    return names.filter(name => !/^(KV_|OBJ_|_aaas-)/.test(name) && !name.endsWith(deadSuffix)).sort()
  }

  async remove(stream: string): Promise<void> {
    this.#alive()
    checkName(stream, 'stream')
    await this.#later.forget(stream)
    await this.#streams.remove(stream)
    await this.#streams.remove(`${stream}${deadSuffix}`)
  }

  async purge(stream: string, which: { readonly subject?: string; readonly below?: number } = {}): Promise<number> {
    this.#alive()
    checkName(stream, 'stream')
    if (which.subject !== undefined) checkPattern(which.subject)
    return await this.#streams.purge(stream, which)
  }

  // ---- messages

  publish(subject: string, payload: Uint8Array, options?: StreamPublishOptions): Promise<PublishAck> {
    return this.#publisher.publish(subject, payload, options)
  }

  async publishAt(
    at: number,
    subject: string,
    payload: Uint8Array,
    options: { readonly messageId: string; readonly headers?: BusHeaders },
  ): Promise<void> {
    this.#alive()
    checkStreamPublish(subject, payload, {})
    checkMessageId(options.messageId)
    checkDelay(at, this.#clock.now())
    await this.#later.store(at, subject, Buffer.from(payload), options)
  }

  async get(
    stream: string,
    which: { readonly sequence: number } | { readonly lastOf: string },
  ): Promise<StreamMessage | undefined> {
    this.#alive()
    checkName(stream, 'stream')
    if ('lastOf' in which) checkSubject(which.lastOf)
    const question = 'lastOf' in which ? { last_by_subj: which.lastOf } : { seq: which.sequence }
    const stored = await storedMessage(this.#api, stream, question)
    return stored === undefined ? undefined : streamMessage(stream, stored)
  }

  async consume(
    stream: string,
    config: ConsumerConfig,
    handler: (delivery: Delivery) => void | Promise<void>,
    options: ConsumeOptions = {},
  ): Promise<StreamSubscription> {
    this.#alive()
    checkName(stream, 'stream')
    const full = checkConsumerConfig(config)
    const concurrency = wholeOr(options.concurrency, 'concurrency', 16, 1_024)
    const member = new Member({
      link: this.#link,
      acks: this.#acks,
      api: this.#api,
      clock: this.#clock,
      logger: this.#logger,
      nextId: () => ++this.#lastId,
      stream,
      config: full,
      concurrency,
      handler,
      join: () => this.#consumers.join(stream, full, config.start),
      bury: (delivery, attempts, reason) => this.#dead.bury(delivery, full.name, attempts, reason),
    })
    await member.start()
    this.#members.add(member)
    return {
      drain: async () => {
        await member.drain()
        this.#members.delete(member)
      },
    }
  }

  async follow(
    stream: string,
    options: { readonly start?: StartAt; readonly filter?: readonly string[] },
    handler: (message: StreamMessage) => void | Promise<void>,
  ): Promise<StreamSubscription> {
    this.#alive()
    checkName(stream, 'stream')
    checkStart(options.start)
    const { filter } = options
    if (filter !== undefined) checkConsumerConfig({ name: 'follow', filter })
    const start = await this.#consumers.followFrom(stream, options.start)
    const reader = new Reader({
      ...this.#read(stream, start.begin),
      ...(filter === undefined ? {} : { filter }),
      handle: (message, { sequence, storedAt }) => {
        // A replayed dead letter is for its consumer only.
        if (sequence < start.from || message.headers?.has('Aaas-Replay-For') === true) return
        const messageId = messageIdOf(message.headers)
        return handler({
          stream,
          sequence,
          subject: message.subject,
          payload: message.data,
          headers: senderHeaders(message.headers),
          storedAt,
          ...(messageId === undefined ? {} : { messageId }),
        })
      },
    })
    await reader.start()
    const ended = this.#watching(reader)
    return {
      drain: async () => {
        ended()
        await reader.stop()
      },
    }
  }

  async consumerInfo(stream: string, consumer: string): Promise<ConsumerInfo> {
    this.#alive()
    checkName(stream, 'stream')
    checkName(consumer, 'consumer')
    return await this.#consumers.info(stream, consumer)
  }

  async removeConsumer(stream: string, consumer: string): Promise<void> {
    this.#alive()
    checkName(stream, 'stream')
    checkName(consumer, 'consumer')
    await this.#consumers.remove(stream, consumer)
  }

  async deadLetters(
    stream: string,
    page: { readonly after?: number; readonly limit?: number } = {},
  ): Promise<readonly DeadLetter[]> {
    this.#alive()
    checkName(stream, 'stream')
    return await this.#dead.list(stream, page)
  }

  async replayDead(stream: string, sequences: readonly number[]): Promise<number> {
    this.#alive()
    checkName(stream, 'stream')
    return await this.#dead.replay(stream, sequences)
  }

  // ---- buckets

  async bucket(config: BucketConfig): Promise<Bucket> {
    this.#alive()
    const full = checkBucketConfig(config)
    await this.#streams.ensure(bucketStreamConfig(full), full.durability)
    return this.#bucket(config.name)
  }

  async removeBucket(name: string): Promise<void> {
    this.#alive()
    checkName(name, 'name')
    await this.#streams.remove(`KV_${name}`)
  }

  async drain(): Promise<void> {
    this.#alive()
    await Promise.all([...this.#members].map(member => member.drain()))
    await Promise.all([...this.#readers].map(reader => reader.stop()))
    this.#members.clear()
    this.#readers.clear()
    if (this.#link.ready) await this.#link.settled()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed !== undefined) return
    this.#closed = new CloudError('core.kernel.stopped', 'the streams are closed')
    await this.#later.stop()
    this.#publisher.close(this.#closed)
    this.#api.close(this.#closed)
    for (const each of [...this.#members, ...this.#readers]) each.close()
    this.#acks.close()
    await this.#link.close()
  }

  // ---- inside

  #alive(): void {
    if (this.#closed !== undefined) throw this.#closed
  }

  #read(stream: string, start: ReadFrom['start']): ReadFrom {
    return {
      link: this.#link,
      api: this.#api,
      clock: this.#clock,
      logger: this.#logger,
      nextId: () => ++this.#lastId,
      stream,
      start,
    }
  }

  #watching(reader: Reader): () => void {
    this.#readers.add(reader)
    return () => this.#readers.delete(reader)
  }

  #bucket(name: string): Bucket {
    return new NatsBucket({
      name,
      api: this.#api,
      publisher: this.#publisher,
      read: (stream, start) => this.#read(stream, start),
      watching: reader => this.#watching(reader),
    })
  }

  async #lease(): Promise<Bucket> {
    await this.#streams.makeBest(durability =>
      bucketStreamConfig({ name: laterStream, durability, history: 1, maxBytes: 1_048_576 }),
    )
    return this.#bucket(laterStream)
  }
}
