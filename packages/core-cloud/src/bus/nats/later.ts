import { createHash } from 'node:crypto'
import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Ids } from '../../kernel/ids.js'
import type { Logger } from '../../kernel/logger.js'
import type { BusHeaders } from '../bus.js'
import { DueHeap } from '../due-heap.js'
import type { Bucket } from '../stream.js'
import { isJetError, type JetApi, JetCode } from './jet-api.js'
import { type JetStreamInfo, laterStream, laterStreamConfig, laterSubject } from './jet-config.js'
import { Reader, type ReadFrom } from './reader.js'
import { type StoredMessage, storedMessage } from './stored.js'
import type { StreamPublisher } from './stream-publisher.js'
import { senderHeaders } from './text-headers.js'

const laterHeader = 'Aaas-Later'
/** Milliseconds that a scheduler's word holds, and how often it repeats it. */
const leaseMs = 4_000
const renewMs = 1_000
/** Milliseconds between two looks of the others. */
const lookMs = 2_000
/** Milliseconds until a message that could not be put into its stream is tried again. */
const retryMs = 5_000
/** Messages put into their streams at a time. */
const maxAtOnce = 64

interface LaterFacts {
  readonly at: number
  readonly subject: string
  readonly id: string
}

export interface LaterOptions {
  readonly api: JetApi
  readonly publisher: StreamPublisher
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly read: (stream: string, start: ReadFrom['start']) => ReadFrom
  /** False: others put the messages into their streams. */
  readonly enabled: boolean
  /** The bucket with the lease, made when it is not there. */
  readonly lease: () => Promise<Bucket>
  /** Makes a stream as durable as the cluster can. */
  readonly make: (config: typeof laterStreamConfig) => Promise<void>
  readonly watching: (reader: Reader) => () => void
}

/**
 * Messages for later: they wait in a stream of their own until one of the connected programs, the scheduler, puts them
 * where they belong. It is chosen by a lease in a bucket, and reads that stream to know what is due when. A scheduler
 * that is killed is replaced after at most {@link leaseMs} and {@link lookMs}. Two that overlap for a moment do no
 * harm: a message enters with its id, which the stream knows again for its `dedupMs`.
 */
export class Later {
  readonly #options: LaterOptions
  readonly #name: string
  #bucket: Bucket | undefined
  #revision = 0
  /** Monotonic milliseconds until which the lease is ours. */
  #until = 0
  #reader: Reader | undefined
  #ended: (() => void) | undefined
  readonly #due = new DueHeap()
  #cancelTimer: (() => void) | undefined
  #cancelLook: (() => void) | undefined
  #working = 0
  #made = false
  #looking: Promise<void> | undefined
  #closed = false

  constructor(options: LaterOptions) {
    this.#options = options
    this.#name = options.ids.token()
    this.#lookIn(0)
  }

  async store(
    at: number,
    subject: string,
    payload: Uint8Array,
    { messageId, headers }: { readonly messageId: string; readonly headers?: BusHeaders },
  ): Promise<void> {
    const { api, publisher, make } = this.#options
    const { streams } = await api.demand<{ readonly streams?: readonly string[] | null }>('STREAM.NAMES', { subject })
    const stream = streams?.[0]
    if (stream === undefined) throw new CloudError('core.bus.unknown-stream', `no stream has the subject ${subject}`)
    if (!this.#made) {
      await make(laterStreamConfig)
      this.#made = true
    }
    const facts: LaterFacts = { at, subject, id: messageId }
    // A subject of its own for each id: the first message with it is the one that counts.
    const token = createHash('sha256').update(messageId).digest('base64url')
    try {
      const own = [[laterHeader, JSON.stringify(facts)]] as const
      await publisher.putExpecting(laterSubject(stream, token), payload, own, 0, headers)
    } catch (error) {
      if (!CloudError.is(error, 'core.bus.conflict')) throw error
    }
    if (this.#until === 0) this.#lookIn(0)
  }

  /** Messages for a stream that is removed. */
  async forget(stream: string): Promise<void> {
    const filter = laterSubject(stream, '>')
    await this.#options.api.ask(`STREAM.PURGE.${laterStream}`, { filter }, [JetCode.streamNotFound])
  }

  /** Lets another program take over at once. */
  async stop(): Promise<void> {
    this.#closed = true
    this.#cancelLook?.()
    this.#cancelTimer?.()
    await this.#looking
    const bucket = this.#bucket
    this.#ended?.()
    this.#reader?.close()
    if (bucket === undefined || this.#until === 0) return
    await bucket.delete('scheduler', { revision: this.#revision }).catch(() => undefined)
  }

  // ---- the lease

  #lookIn(ms: number): void {
    this.#cancelLook?.()
    if (this.#closed || !this.#options.enabled) return
    this.#cancelLook = this.#options.clock.after(ms, () => {
      if (this.#looking !== undefined) return
      this.#looking = this.#look()
        .catch((error: unknown) => {
          if (!this.#closed) this.#options.logger.debug('the scheduler could not be looked for', { error })
        })
        .finally(() => {
          this.#looking = undefined
          this.#lookIn(this.#until > 0 ? renewMs : lookMs)
        })
    })
  }

  async #look(): Promise<void> {
    const { api, clock, lease } = this.#options
    if (this.#until > 0 && clock.monotonic() >= this.#until) this.#step(false)
    if (!this.#made) {
      const found = await api.ask<JetStreamInfo>(`STREAM.INFO.${laterStream}`, undefined, [JetCode.streamNotFound])
      if (isJetError(found)) return
      this.#made = true
    }
    this.#bucket ??= await lease()
    // Counted from before the question: the others count from when they see the answer.
    const until = clock.monotonic() + leaseMs
    const value = Buffer.from(JSON.stringify({ holder: this.#name, until: clock.now() + leaseMs }))
    try {
      if (this.#until > 0) this.#revision = await this.#bucket.update('scheduler', value, this.#revision)
      else {
        const held = await this.#bucket.get('scheduler')
        if (held === undefined) this.#revision = await this.#bucket.create('scheduler', value)
        else {
          const { until: theirs } = JSON.parse(Buffer.from(held.value).toString()) as { readonly until: number }
          if (theirs > clock.now()) return
          this.#revision = await this.#bucket.update('scheduler', value, held.revision)
        }
      }
    } catch (error) {
      if (!CloudError.is(error, 'core.bus.conflict')) throw error
      this.#step(false)
      return
    }
    this.#until = until
    if (this.#reader === undefined) this.#step(true)
  }

  /** Becomes the scheduler, or stops being it. */
  #step(up: boolean): void {
    if (!up) {
      this.#until = 0
      this.#ended?.()
      this.#reader?.close()
      this.#reader = undefined
      this.#due.clear()
      this.#cancelTimer?.()
      return
    }
    if (this.#closed) return
    const reader = new Reader({
      ...this.#options.read(laterStream, { deliver_policy: 'all' }),
      headersOnly: true,
      handle: (message, { sequence }) => {
        const facts = factsOf(message.headers?.get(laterHeader))
        if (facts === undefined || this.#reader !== reader) return
        this.#due.push({ at: facts.at, sequence })
        this.#arm()
      },
    })
    this.#reader = reader
    this.#ended = this.#options.watching(reader)
    reader.start().catch((error: unknown) => {
      this.#options.logger.warn('messages for later cannot be read', { error })
      if (this.#reader === reader) this.#step(false)
    })
  }

  // ---- what is due

  #arm(): void {
    const { clock } = this.#options
    this.#cancelTimer?.()
    const next = this.#due.first
    if (next === undefined || this.#until === 0 || this.#working >= maxAtOnce) return
    // A timer of the machine holds 24 days.
    const wait = Math.min(Math.max(0, next.at - clock.now()), 86_400_000)
    this.#cancelTimer = clock.after(wait, () => {
      const now = clock.now()
      for (let due = this.#due.first; due !== undefined && due.at <= now; due = this.#due.first) {
        if (this.#working >= maxAtOnce) break
        this.#due.pop()
        void this.#enter(due.sequence)
      }
      this.#arm()
    })
  }

  async #enter(sequence: number): Promise<void> {
    const { api, clock, logger } = this.#options
    this.#working += 1
    try {
      const stored = await storedMessage(api, laterStream, { seq: sequence })
      const facts = factsOf(stored?.headers?.get(laterHeader))
      if (stored === undefined || facts === undefined || clock.monotonic() >= this.#until) return
      await this.#put(stored, facts)
      await api.ask(`STREAM.MSG.DELETE.${laterStream}`, { seq: sequence, no_erase: true }, [10057, 10043])
    } catch (error) {
      if (this.#closed) return
      logger.error('a message for later could not enter its stream', { sequence, error })
      if (this.#until > 0) this.#due.push({ at: clock.now() + retryMs, sequence })
    } finally {
      this.#working -= 1
      if (!this.#closed) this.#arm()
    }
  }

  async #put(stored: StoredMessage, facts: LaterFacts): Promise<void> {
    try {
      const own = [['Nats-Msg-Id', facts.id]] as const
      await this.#options.publisher.put(facts.subject, stored.payload, own, senderHeaders(stored.headers))
    } catch (error) {
      if (!CloudError.is(error, 'core.bus.unknown-stream')) throw error
      this.#options.logger.error('the stream of a message for later is gone', { subject: facts.subject })
    }
  }
}

function factsOf(text: string | undefined): LaterFacts | undefined {
  try {
    return JSON.parse(text ?? '') as LaterFacts
  } catch {
    return undefined
  }
}
