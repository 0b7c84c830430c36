import type { Msg, MsgHdrs } from '@nats-io/transport-node'
import { CloudError } from '../../kernel/errors.js'
import { checkKey, checkValue, whole } from '../stream/stream-checks.js'
import type { Bucket, BucketChange, BucketEntry, StreamSubscription } from '../stream.js'
import { checkPattern } from '../subject.js'
import type { JetApi } from './jet-api.js'
import { Reader, type ReadFrom, readSome } from './reader.js'
import { type StoredMessage, storedMessage } from './stored.js'
import type { StreamPublisher } from './stream-publisher.js'
import type { DeliveryFacts } from './text-headers.js'

const maxKeys = 10_000
const maxHistory = 64

export interface BucketOptions {
  readonly name: string
  readonly api: JetApi
  readonly publisher: StreamPublisher
  readonly read: (stream: string, start: ReadFrom['start']) => ReadFrom
  /** Told of a watcher, so that a lost connection reaches it. @returns what ends that. */
  readonly watching: (reader: Reader) => () => void
}

/** A bucket as the tools of NATS know it: a stream `KV_<name>` with a subject a key. */
export class NatsBucket implements Bucket {
  readonly #options: BucketOptions
  readonly #stream: string
  readonly #prefix: string

  constructor(options: BucketOptions) {
    this.#options = options
    this.#stream = `KV_${options.name}`
    this.#prefix = `$KV.${options.name}.`
  }

  get name(): string {
    return this.#options.name
  }

  async get(key: string): Promise<BucketEntry | undefined> {
    checkKey(key)
    const stored = await this.#last(key)
    if (stored === undefined || isGone(stored.headers)) return undefined
    return { key, value: stored.payload, revision: stored.sequence, changedAt: stored.storedAt }
  }

  put(key: string, value: Uint8Array): Promise<number> {
    return this.#write(key, value, undefined)
  }

  async create(key: string, value: Uint8Array): Promise<number> {
    try {
      return await this.#write(key, value, 0)
    } catch (error) {
      if (!CloudError.is(error, 'core.bus.conflict')) throw error
      const stored = await this.#last(key)
      if (stored !== undefined && !isGone(stored.headers))
        throw new CloudError('core.bus.conflict', `${key} is there already`, { field: 'key' })
      return await this.#write(key, value, stored?.sequence ?? 0)
    }
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<number> {
    whole(revision, 'revision', 0, 2 ** 52)
    return await this.#write(key, value, revision)
  }

  async delete(key: string, options: { readonly revision?: number } = {}): Promise<void> {
    checkKey(key)
    const { revision } = options
    if (revision !== undefined) whole(revision, 'revision', 0, 2 ** 52)
    else {
      const stored = await this.#last(key)
      if (stored === undefined || isGone(stored.headers)) return
    }
    await this.#store(key, Buffer.alloc(0), revision, [['KV-Operation', 'DEL']])
  }

  async keys(pattern = '>', options: { readonly limit?: number } = {}): Promise<readonly string[]> {
    checkPattern(pattern)
    const limit = whole(options.limit ?? maxKeys, 'limit', 1, maxKeys)
    const keys: string[] = []
    const from = { ...this.#read({ deliver_policy: 'last_per_subject' }, pattern), headersOnly: true }
    await readSome(from, Number.MAX_SAFE_INTEGER, message => {
      if (!isGone(message.headers)) keys.push(this.#keyOf(message))
    })
    return keys.sort().slice(0, limit)
  }

  async history(key: string): Promise<readonly BucketChange[]> {
    checkKey(key)
    const changes: BucketChange[] = []
    await readSome(this.#read({ deliver_policy: 'all' }, key), maxHistory, (message, facts) =>
      changes.push(this.#change(message, facts)),
    )
    return changes
  }

  async watch(pattern: string, handler: (change: BucketChange) => void | Promise<void>): Promise<StreamSubscription> {
    checkPattern(pattern)
    // A key that is gone is none of the present ones.
    let present = true
    const reader = new Reader({
      ...this.#read({ deliver_policy: 'last_per_subject' }, pattern),
      handle: (message, facts) => {
        const change = this.#change(message, facts)
        return present && change.kind === 'delete' ? undefined : handler(change)
      },
    })
    const ended = this.#options.watching(reader)
    const all = await reader.start()
    await all.present
    present = false
    return {
      drain: async () => {
        ended()
        await reader.stop()
      },
    }
  }

  #read(start: ReadFrom['start'], pattern: string): ReadFrom {
    return { ...this.#options.read(this.#stream, start), filter: [`${this.#prefix}${pattern}`] }
  }

  #last(key: string): Promise<StoredMessage | undefined> {
    return storedMessage(this.#options.api, this.#stream, { last_by_subj: `${this.#prefix}${key}` })
  }

  async #write(key: string, value: Uint8Array, revision: number | undefined): Promise<number> {
    checkKey(key)
    checkValue(value)
    return await this.#store(key, value, revision, [])
  }

  async #store(
    key: string,
    value: Uint8Array,
    revision: number | undefined,
    own: readonly (readonly [string, string])[],
  ): Promise<number> {
    const subject = `${this.#prefix}${key}`
    const { publisher } = this.#options
    const { sequence } =
      revision === undefined
        ? await publisher.put(subject, value, own)
        : await publisher.putExpecting(subject, value, own, revision)
    return sequence
  }

  #keyOf(message: Msg): string {
    return message.subject.slice(this.#prefix.length)
  }

  #change(message: Msg, { sequence, storedAt }: DeliveryFacts): BucketChange {
    const key = this.#keyOf(message)
    if (isGone(message.headers)) return { kind: 'delete', key, revision: sequence }
    return { kind: 'put', key, value: message.data, revision: sequence, changedAt: storedAt }
  }
}

function isGone(headers: MsgHdrs | undefined): boolean {
  const operation = headers?.get('KV-Operation') ?? ''
  return operation === 'DEL' || operation === 'PURGE'
}
