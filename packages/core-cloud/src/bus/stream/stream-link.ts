import type { ConsumerInfo, StartAt, StreamInfo } from '../stream.js'
import type { Settlement } from '../stream-log/consumer-core.js'
import type { MessageRecord } from '../stream-log/record.js'
import type { FullConsumerConfig, FullStreamConfig } from './stream-checks.js'

/** A delivery that a member works on. */
export interface Held {
  readonly sequence: number
  readonly attempt: number
}

/** What a member says and asks in one go. */
export interface FetchRequest {
  readonly settled: readonly Settlement[]
  /** Deliveries that it works on at a time; those it has count. */
  readonly capacity: number
  /** Milliseconds to wait for messages; an empty answer then is a sign of life. */
  readonly waitMs: number
  /** It goes: what it has is given back. */
  readonly leaving: boolean
}

export type Fetched = readonly { readonly record: MessageRecord; readonly attempt: number }[]

export interface LinkPublish {
  /** Only for the server's own streams; else the subject says it. */
  readonly stream: string | undefined
  readonly subject: string
  readonly messageId: string
  /** As `encodeHeaders` makes them; the server's own may be among them. */
  readonly headers: Buffer
  readonly payload: Uint8Array
  readonly expectLast: number | undefined
  readonly expectSubject: number | undefined
  /** Absolute epoch milliseconds; a message is not taken after it. */
  readonly deadline: number
}

export interface ReadRequest {
  readonly from: number
  readonly filter?: readonly string[]
  /** Only the last message of each subject. */
  readonly lastOnly?: boolean
  /** Without payloads. */
  readonly bodies?: boolean
  /** Messages at most. */
  readonly limit: number
  /** Milliseconds to wait for the first one. */
  readonly waitMs: number
}

export interface ReadAnswer {
  readonly records: readonly MessageRecord[]
  /** Where to go on. */
  readonly next: number
}

/**
 * A stream server as its clients see it: in the same process, or over a bus. Names and sizes are checked by both sides.
 * Every method fails with `core.bus.unknown-stream` for a stream that is not there.
 */
export interface StreamLink {
  /** True when the bytes of what it gives are the reader's; else they must be copied before a user has them. */
  readonly givesOwn: boolean
  ensure(config: FullStreamConfig): Promise<StreamInfo>
  info(stream: string): Promise<StreamInfo>
  list(): Promise<readonly string[]>
  remove(stream: string): Promise<void>
  purge(
    stream: string,
    which: { readonly subject?: string; readonly below?: number; readonly sequences?: readonly number[] },
  ): Promise<number>
  publish(
    message: LinkPublish,
    signal: AbortSignal | undefined,
  ): Promise<{ stream: string; sequence: number; duplicate: boolean }>
  publishAt(at: number, message: LinkPublish): Promise<void>
  /** `lastOf` or `sequence`. */
  get(
    stream: string,
    which: { readonly sequence?: number; readonly lastOf?: string },
  ): Promise<MessageRecord | undefined>
  read(stream: string, request: ReadRequest, signal?: AbortSignal): Promise<ReadAnswer>
  /** Sequence at which a reader begins. */
  startOf(stream: string, start: StartAt): Promise<number>
  join(
    stream: string,
    config: FullConsumerConfig,
    member: { readonly start: StartAt; readonly previous?: string; readonly working: readonly Held[] },
  ): Promise<{ readonly member: string; readonly kept: readonly Held[] }>
  /** @returns undefined when the member is not known (any more). */
  fetch(member: string, request: FetchRequest, signal?: AbortSignal): Promise<Fetched | undefined>
  consumerInfo(stream: string, consumer: string): Promise<ConsumerInfo>
  removeConsumer(stream: string, consumer: string): Promise<void>
  replayDead(stream: string, sequences: readonly number[]): Promise<number>
  close(): Promise<void>
}

/** A link whose owner serves it to others. */
export interface ServedLink extends StreamLink {
  /** The stream that has a subject. @throws CloudError `core.bus.unknown-stream`. */
  streamOf(subject: string): string
}
