import { CloudError } from '../../kernel/errors.js'
import { noHeaders } from '../headers.js'
import type { Bucket, BucketChange, BucketConfig, BucketEntry, StreamSubscription } from '../stream.js'
import { deleted, isDeleted } from '../stream-log/own-headers.js'
import type { MessageRecord } from '../stream-log/record.js'
import { checkPattern } from '../subject.js'
import {
  checkBucketConfig,
  checkKey,
  checkStreamConfig,
  checkValue,
  type FullStreamConfig,
  whole,
} from './stream-checks.js'
import type { StreamLink } from './stream-link.js'

const maxKeys = 10_000
const pageSize = 256

/** The stream that a bucket is: one message a change, as many of each key as its history is long. */
export function bucketStream(config: BucketConfig): FullStreamConfig {
  const { name, durability, history, maxBytes } = checkBucketConfig(config)
  const stream = checkStreamConfig({
    name,
    subjects: [`aaas.kv.${name}.>`],
    durability,
    maxMessages: 1_000_000_000,
    maxBytes,
    maxPerSubject: history,
    discard: 'new',
    dedupMs: 100,
    ...(config.ttlMs === undefined ? {} : { maxAgeMs: config.ttlMs }),
  })
  return { ...stream, name: `kv.${name}` }
}

export interface BucketOptions {
  readonly link: StreamLink
  readonly name: string
  /** Publishes with the deadline and the checks of the streams it belongs to. */
  readonly store: (
    subject: string,
    value: Uint8Array,
    options: { readonly stream: string; readonly headers: Buffer; readonly expectSubject: number | undefined },
  ) => Promise<number>
  readonly follow: (
    stream: string,
    options: { readonly from: number; readonly filter: readonly string[] },
    handler: (record: MessageRecord) => void | Promise<void>,
  ) => StreamSubscription
}

/** Keys and values over a stream. */
export class StreamBucket implements Bucket {
  readonly name: string
  readonly #options: BucketOptions
  readonly #stream: string
  readonly #prefix: string

  constructor(options: BucketOptions) {
    this.#options = options
    this.name = options.name
    this.#stream = `kv.${options.name}`
    this.#prefix = `aaas.kv.${options.name}.`
  }

  async get(key: string): Promise<BucketEntry | undefined> {
    const record = await this.#last(key)
    return record === undefined || isDeleted(record.headers) ? undefined : this.#entry(record)
  }

  async put(key: string, value: Uint8Array): Promise<number> {
    return this.#store(key, value, undefined)
  }

  async create(key: string, value: Uint8Array): Promise<number> {
    const record = await this.#last(key)
    if (record !== undefined && !isDeleted(record.headers)) throw conflict(key, `revision ${record.sequence}`)
    return this.#store(key, value, record?.sequence ?? 0)
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<number> {
    return this.#store(key, value, whole(revision, 'revision', 0, 2 ** 52))
  }

  async delete(key: string, options: { readonly revision?: number } = {}): Promise<void> {
    const record = await this.#last(key)
    const gone = record === undefined || isDeleted(record.headers)
    if (gone && options.revision === undefined) return
    if (gone) throw conflict(key, 'not there')
    await this.#store(key, new Uint8Array(0), options.revision, deleted)
  }

  async keys(pattern = '>', options: { readonly limit?: number } = {}): Promise<readonly string[]> {
    checkPattern(pattern)
    const limit = whole(options.limit ?? maxKeys, 'limit', 1, maxKeys)
    const keys: string[] = []
    await this.#eachLast(pattern, false, record => {
      if (!isDeleted(record.headers)) keys.push(record.subject.slice(this.#prefix.length))
      return Promise.resolve()
    })
    return keys.sort().slice(0, limit)
  }

  async history(key: string): Promise<readonly BucketChange[]> {
    checkKey(key)
    const request = { from: 1, filter: [this.#prefix + key], limit: 64, waitMs: 0 }
    const changes: BucketChange[] = []
    let from = 1
    for (;;) {
      const { records, next } = await this.#options.link.read(this.#stream, { ...request, from })
      for (const record of records) changes.push(this.#change(record))
      if (next <= from || (records.length === 0 && next > (await this.#end()))) return changes
      from = next
    }
  }

  async watch(pattern: string, handler: (change: BucketChange) => void | Promise<void>): Promise<StreamSubscription> {
    checkPattern(pattern)
    const end = await this.#eachLast(pattern, true, async record => {
      if (!isDeleted(record.headers)) await handler(this.#change(record))
    })
    const filter = [this.#prefix + pattern]
    return this.#options.follow(this.#stream, { from: end + 1, filter }, record => handler(this.#change(record)))
  }

  // ---- inside

  /** Goes through the last message of each key. @returns the bucket's last sequence from which nothing was left out. */
  async #eachLast(pattern: string, bodies: boolean, each: (record: MessageRecord) => Promise<void>): Promise<number> {
    const end = await this.#end()
    const request = { filter: [this.#prefix + pattern], lastOnly: true, bodies, limit: pageSize, waitMs: 0 }
    for (let from = 1; from <= end; ) {
      const { records, next } = await this.#options.link.read(this.#stream, { ...request, from })
      // What changed behind the end is told as a change.
      for (const record of records) if (record.sequence <= end) await each(record)
      from = next
    }
    return end
  }

  async #end(): Promise<number> {
    return (await this.#options.link.info(this.#stream)).lastSequence
  }

  async #last(key: string): Promise<MessageRecord | undefined> {
    checkKey(key)
    return this.#options.link.get(this.#stream, { lastOf: this.#prefix + key })
  }

  async #store(key: string, value: Uint8Array, revision: number | undefined, headers = noHeaders): Promise<number> {
    checkKey(key)
    checkValue(value)
    return this.#options.store(this.#prefix + key, value, { stream: this.#stream, headers, expectSubject: revision })
  }

  #entry({ subject, payload, sequence, time }: MessageRecord): BucketEntry {
    return { key: subject.slice(this.#prefix.length), value: payload, revision: sequence, changedAt: time }
  }

  #change(record: MessageRecord): BucketChange {
    const entry = this.#entry(record)
    if (!isDeleted(record.headers)) return { kind: 'put', ...entry }
    return { kind: 'delete', key: entry.key, revision: entry.revision }
  }
}

function conflict(key: string, found: string): CloudError {
  return new CloudError('core.bus.conflict', `the key ${key} is ${found}`)
}
