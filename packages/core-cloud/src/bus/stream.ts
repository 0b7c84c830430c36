import type { BusHeaders } from './bus.js'

/**
 * What an acknowledged message survives.
 * - `relaxed`: the end of any process of the bus, `kill -9` included; a loss of power may take the last seconds.
 * - `replicated`: also the loss of one machine with its disk. Needs three servers; the local driver refuses it.
 * - `synced`: also a loss of power: acknowledged after the disk said so.
 */
export type Durability = 'relaxed' | 'replicated' | 'synced'

/** Messages of some subjects, kept in order. */
export interface StreamConfig {
  /** 1 to 64 of `A-Z a-z 0-9 _ -`; not ending with `-dead`, which names the stream of its dead letters. */
  readonly name: string
  /** 1 to 64 subject patterns; no subject belongs to two streams. */
  readonly subjects: readonly string[]
  readonly durability: Durability
  /** Kept at most; default 10_000_000. */
  readonly maxMessages?: number
  /** Payloads, headers, subjects and ids together, with at most 64 bytes that the driver adds to each; default 1 GiB. */
  readonly maxBytes?: number
  /** Milliseconds a message is kept, at least 100; default for ever (as far as the other limits allow). */
  readonly maxAgeMs?: number
  /** Of one subject; default no limit of its own. */
  readonly maxPerSubject?: number
  /** At a limit: forget the oldest (default), or refuse the new one with `core.bus.stream-full`. */
  readonly discard?: 'old' | 'new'
  /** Milliseconds in which a message id is known again; default 120_000, 100 to 86_400_000. */
  readonly dedupMs?: number
}

export interface StreamInfo {
  readonly config: Required<Omit<StreamConfig, 'maxAgeMs' | 'maxPerSubject'>> &
    Pick<StreamConfig, 'maxAgeMs' | 'maxPerSubject'>
  readonly messages: number
  readonly bytes: number
  /** 1 in a new stream; `lastSequence` + 1 when it is empty. */
  readonly firstSequence: number
  /** 0 in a new stream. Sequences rise by one and are never used again. */
  readonly lastSequence: number
}

export interface StreamPublishOptions {
  readonly headers?: BusHeaders
  /** 1 to 200 printable ASCII characters. A repeat within the stream's `dedupMs` is acknowledged and not stored again. */
  readonly messageId?: string
  /** Store only when this is the stream's last sequence; otherwise `core.bus.conflict`. */
  readonly expectLastSequence?: number
  /** The same for the last message of this subject; 0: there is none. */
  readonly expectLastSubjectSequence?: number
  /** Absolute epoch milliseconds; default ten seconds from now. After it the outcome is unknown: repeat with the id. */
  readonly deadline?: number
  readonly signal?: AbortSignal
}

export interface PublishAck {
  readonly stream: string
  /** Of the first one when `duplicate`. */
  readonly sequence: number
  readonly duplicate: boolean
}

/** A stored message. The payload belongs to the reader. */
export interface StreamMessage {
  readonly stream: string
  readonly sequence: number
  readonly subject: string
  readonly payload: Uint8Array
  readonly headers: BusHeaders
  readonly messageId?: string
  /** Epoch milliseconds when it was stored. */
  readonly storedAt: number
}

/** Where a new consumer begins: the first kept message, only new ones, the last one, a sequence, a time (epoch ms). */
export type StartAt = 'first' | 'new' | 'last' | { readonly sequence: number } | { readonly time: number }

/** A named place in a stream with everything not yet settled behind it. Survives its members. */
export interface ConsumerConfig {
  /** 1 to 64 of `A-Z a-z 0-9 _ -`. Members with the same name share the messages. */
  readonly name: string
  /** Patterns of the subjects it wants, at most 16; default all. */
  readonly filter?: readonly string[]
  /** Only when the consumer is made; default `first`. */
  readonly start?: StartAt
  /** Milliseconds a member may hold a message without a word; then another gets it, at once. Default 30_000, least 10. */
  readonly ackWaitMs?: number
  /** Deliveries until a message is given up to the dead letters, 1 to 1_000; default 12. */
  readonly maxDeliveries?: number
  /** Milliseconds before the second, third ... delivery; the last one repeats. Default 500, 1_000, 2_000 ... 60_000. */
  readonly backoffMs?: readonly number[]
  /** Messages delivered and not settled, over all members; default 1_024, at most 65_536. 1 keeps the order even through failures. */
  readonly maxUnsettled?: number
}

/**
 * One delivery. When the handler resolves without having settled it, it is acknowledged; when the handler throws, it
 * comes again after the pause. Settling twice changes nothing.
 */
export interface Delivery extends StreamMessage {
  /** From 1. */
  readonly attempt: number
  /** Aborts when the streams are closed, or when the time of this delivery is over and another may have the message. */
  readonly signal: AbortSignal
  /** Done. Not confirmed: when it is lost, the message comes again. */
  ack(): void
  /** Once more, after `delayMs` (default: the pause of this attempt). Counts as a delivery. */
  nak(options?: { readonly delayMs?: number }): void
  /** Never again: goes to the dead letters with the reason (at most 1_000 characters are kept). */
  term(reason: string): void
  /** Starts `ackWaitMs` again. */
  inProgress(): void
}

export interface ConsumeOptions {
  /** Handlers of this member at a time, 1 to 1_024; default 16. */
  readonly concurrency?: number
}

export interface StreamSubscription {
  /**
   * Stops receiving; running handlers finish and are settled, messages not begun go back at once. Resolves when the
   * server has everything. The consumer stays and can be joined again.
   */
  drain(): Promise<void>
}

export interface ConsumerInfo {
  readonly stream: string
  readonly name: string
  /** Messages it has not delivered yet. */
  readonly pending: number
  /** Delivered, not settled. */
  readonly unsettled: number
  /** Everything up to here is settled. */
  readonly settledSequence: number
}

/** A message that was given up, in the stream `<stream>-dead`. */
export interface DeadLetter {
  /** In the dead-letter stream: names it for `replayDead`. */
  readonly sequence: number
  readonly consumer: string
  readonly subject: string
  readonly payload: Uint8Array
  readonly headers: BusHeaders
  /** Where it was in its own stream. */
  readonly originalSequence: number
  readonly attempts: number
  readonly reason: string
  /** Epoch milliseconds. */
  readonly diedAt: number
}

/**
 * Durable streams on top of a bus. Subjects and headers as in {@link Bus}; payloads are at most 8 MiB less 128 KiB.
 *
 * A message that was acknowledged to its publisher is delivered to every consumer at least once, in the order of the
 * stream on the first delivery. What a lost acknowledgement repeats has the same `stream` and `sequence`: an inbox
 * keyed by those makes the effect happen once. All methods fail with `core.bus.disconnected` (retryable) when the
 * server cannot be reached in ten seconds, and with `core.bus.unknown-stream` for a stream that is not there.
 */
export interface Streams extends AsyncDisposable {
  /**
   * Makes a stream, or changes the limits of one that is there. Its dead-letter stream is made with it.
   * @throws CloudError `core.bus.invalid-subject`, `core.kernel.invalid-config` (a limit, the name; `field`),
   *   `core.bus.conflict` when another stream has one of the subjects or when durability differs,
   *   `core.bus.unsupported` when the driver cannot give the durability.
   */
  ensure(config: StreamConfig): Promise<StreamInfo>
  info(stream: string): Promise<StreamInfo>
  /** Names, sorted; dead-letter streams and buckets are not listed. */
  list(): Promise<readonly string[]>
  /** With its consumers and its dead letters. Unknown ones: nothing happens. */
  remove(stream: string): Promise<void>
  /** Forgets messages: of one subject pattern, below a sequence, or all. @returns how many. */
  purge(stream: string, which?: { readonly subject?: string; readonly below?: number }): Promise<number>

  /**
   * Resolves when the stream of the subject has the message in the sense of its durability.
   * @throws CloudError `core.bus.unknown-stream` when no stream has the subject, `core.bus.conflict` (an expectation),
   *   `core.bus.stream-full`, `core.contract.payload-too-large`, `core.bus.overloaded` (too many wait for their
   *   acknowledgement; retryable), `core.contract.deadline-exceeded` (unknown outcome).
   */
  publish(subject: string, payload: Uint8Array, options?: StreamPublishOptions): Promise<PublishAck>
  /**
   * Stores a message now that enters the stream at `at` (epoch milliseconds, at most 400 days ahead), or up to two
   * seconds later. It enters once: the id is its message id. @throws as `publish`.
   */
  publishAt(
    at: number,
    subject: string,
    payload: Uint8Array,
    options: { readonly messageId: string; readonly headers?: BusHeaders },
  ): Promise<void>
  /** The message at a sequence, or the last of a subject (no wildcards); undefined when there is none. */
  get(
    stream: string,
    which: { readonly sequence: number } | { readonly lastOf: string },
  ): Promise<StreamMessage | undefined>

  /**
   * Joins a consumer, which is made when it is not there. Settings other than `start` are those of the last caller.
   * The driver takes the consumer up again by itself after a lost connection or a restarted server.
   */
  consume(
    stream: string,
    config: ConsumerConfig,
    handler: (delivery: Delivery) => void | Promise<void>,
    options?: ConsumeOptions,
  ): Promise<StreamSubscription>
  /**
   * Reads in the order of the stream, one message after the other, without acknowledging: nothing is remembered.
   * After any interruption it goes on behind the last message whose handler resolved. A handler that throws gets the
   * same message again after a second.
   */
  follow(
    stream: string,
    options: { readonly start?: StartAt; readonly filter?: readonly string[] },
    handler: (message: StreamMessage) => void | Promise<void>,
  ): Promise<StreamSubscription>
  /** @throws CloudError `core.bus.unknown-stream` also when the stream has no such consumer. */
  consumerInfo(stream: string, consumer: string): Promise<ConsumerInfo>
  /** Its members must be drained before: one that is not makes it again. Unknown ones: nothing happens. */
  removeConsumer(stream: string, consumer: string): Promise<void>

  /** Oldest first, behind `after`, at most `limit` (1 to 1_000, default 100). */
  deadLetters(
    stream: string,
    page?: { readonly after?: number; readonly limit?: number },
  ): Promise<readonly DeadLetter[]>
  /**
   * Puts dead letters into their stream again, for the consumer that gave them up only (the others pass by), and
   * removes them. @returns how many; sequences that are not there are left out.
   */
  replayDead(stream: string, sequences: readonly number[]): Promise<number>

  /** Opens a bucket; made when it is not there. @throws as `ensure`. */
  bucket(config: BucketConfig): Promise<Bucket>
  /** With everything in it. Unknown ones: nothing happens. */
  removeBucket(name: string): Promise<void>

  /** Stops receiving, waits for running handlers and outstanding acknowledgements. Publishing stays possible. */
  drain(): Promise<void>
}

export interface BucketConfig {
  /** 1 to 64 of `A-Z a-z 0-9 _ -`. */
  readonly name: string
  readonly durability: Durability
  /** Milliseconds after which a value is gone, at least 100; default never. Watchers are not told of it. */
  readonly ttlMs?: number
  /** Values kept of each key, 1 to 64; default 1. */
  readonly history?: number
  /** Default 64 MiB; beyond it writes fail with `core.bus.stream-full`. */
  readonly maxBytes?: number
}

export interface BucketEntry {
  readonly key: string
  readonly value: Uint8Array
  /** Rises with every change of the bucket. */
  readonly revision: number
  /** Epoch milliseconds. */
  readonly changedAt: number
}

/** What a watcher sees: a value, or that the key is gone. */
export type BucketChange =
  | ({ readonly kind: 'put' } & BucketEntry)
  | { readonly kind: 'delete'; readonly key: string; readonly revision: number }

/**
 * Keys and values with compare-and-set. Keys have the form of subjects, at most 150 characters; values are at most
 * 1 MiB. A deleted key goes on taking its name and up to 64 bytes until `ttlMs`.
 */
export interface Bucket {
  readonly name: string
  get(key: string): Promise<BucketEntry | undefined>
  /** @returns the revision. */
  put(key: string, value: Uint8Array): Promise<number>
  /** Only when the key is not there (or was deleted). @throws CloudError `core.bus.conflict`. */
  create(key: string, value: Uint8Array): Promise<number>
  /** Only when the key's revision is this one. @throws CloudError `core.bus.conflict`. */
  update(key: string, value: Uint8Array, revision: number): Promise<number>
  /** Unknown keys: nothing happens. With `revision` as `update`. */
  delete(key: string, options?: { readonly revision?: number }): Promise<void>
  /** Keys that a pattern covers (default all), sorted, at most `limit` (default and at most 10_000). */
  keys(pattern?: string, options?: { readonly limit?: number }): Promise<readonly string[]>
  /** Oldest first; at most the bucket's `history`. */
  history(key: string): Promise<readonly BucketChange[]>
  /**
   * Gives the present values, then every change in order, one after the other. Resolves when the present ones have
   * been handled. Takes itself up again after a lost connection without leaving a key's last state out.
   */
  watch(pattern: string, handler: (change: BucketChange) => void | Promise<void>): Promise<StreamSubscription>
}
