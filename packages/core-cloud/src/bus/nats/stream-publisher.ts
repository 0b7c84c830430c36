import { setMaxListeners } from 'node:events'
import type { Msg, MsgHdrs } from '@nats-io/transport-node'
import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import { maxWaitMs } from '../link.js'
import { cancelled, late } from '../pending.js'
import { checkStreamPublish } from '../stream/stream-checks.js'
import type { PublishAck, StreamPublishOptions } from '../stream.js'
import type { Acks } from './acks.js'
import type { Expectation } from './expectation.js'
import { type JetApi, type JetError, jetError, patienceMs } from './jet-api.js'
import { lost, type NatsLink } from './nats-link.js'
import type { Routes } from './route.js'
import { storedHeaders } from './text-headers.js'

/** Milliseconds after which a message with an id is sent again when no acknowledgement came. */
const repeatMs = 3_000

/** A message on its way into a stream. */
interface Publication {
  readonly subject: string
  readonly bytes: Uint8Array
  readonly headers: MsgHdrs | undefined
  /** Monotonic milliseconds. */
  readonly end: number
  /** The server knows it again: it may be sent twice. */
  readonly repeatable: boolean
  readonly done: (ack: PublishAck) => void
  readonly fail: (error: unknown) => void
  id: number
  over: boolean
}

type Own = readonly (readonly [name: string, value: string])[]

/** Acknowledged publishing without the detour of the official client's `request()`. */
export class StreamPublisher {
  readonly #link: NatsLink
  readonly #acks: Acks
  readonly #api: JetApi
  readonly #clock: Clock
  readonly #routes: Routes
  readonly #expectation: Expectation
  #closed: CloudError | undefined

  constructor(options: {
    readonly link: NatsLink
    readonly acks: Acks
    readonly api: JetApi
    readonly clock: Clock
    readonly routes: Routes
    readonly expectation: Expectation
  }) {
    this.#link = options.link
    this.#acks = options.acks
    this.#api = options.api
    this.#clock = options.clock
    this.#routes = options.routes
    this.#expectation = options.expectation
  }

  close(error: CloudError): void {
    this.#closed = error
  }

  /** Publishes what a user gave. */
  publish(subject: string, payload: Uint8Array, options: StreamPublishOptions = {}): Promise<PublishAck> {
    const { expectLastSubjectSequence: expected } = options
    if (expected === undefined || options.expectLastSequence !== undefined || !this.#expectation.careful)
      return this.#publish(subject, payload, options)
    return this.#publishExpecting(subject, payload, options, expected)
  }

  async #publishExpecting(
    subject: string,
    payload: Uint8Array,
    options: StreamPublishOptions,
    expected: number,
  ): Promise<PublishAck> {
    checkStreamPublish(subject, payload, options)
    const copy = Buffer.from(payload)
    return await this.#expectation.meet(subject, expected, last =>
      this.#publish(subject, copy, last === undefined ? options : { ...options, expectLastSequence: last }),
    )
  }

  #publish(subject: string, payload: Uint8Array, options: StreamPublishOptions): Promise<PublishAck> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) throw this.#closed
      const { signal, messageId } = options
      checkStreamPublish(subject, payload, options)
      this.#routes.of(subject)
      if (signal?.aborted === true) throw cancelled(subject, signal)
      const own: [string, string][] = []
      if (messageId !== undefined) own.push(['Nats-Msg-Id', messageId])
      if (options.expectLastSequence !== undefined)
        own.push(['Nats-Expected-Last-Sequence', String(options.expectLastSequence)])
      if (options.expectLastSubjectSequence !== undefined)
        own.push(['Nats-Expected-Last-Subject-Sequence', String(options.expectLastSubjectSequence)])
      if (signal === undefined) {
        this.#begin(subject, payload, options, own, resolve, reject)
        return
      }
      const onAbort = (): void => {
        if (publication.id !== 0) this.#acks.forget(publication.id)
        this.#fail(publication, cancelled(subject, signal))
      }
      const release = (): void => signal.removeEventListener('abort', onAbort)
      const done = (ack: PublishAck): void => {
        release()
        resolve(ack)
      }
      const fail = (error: unknown): void => {
        release()
        reject(error as Error)
      }
      const publication = this.#begin(subject, payload, options, own, done, fail)
      setMaxListeners(0, signal)
      signal.addEventListener('abort', onAbort)
    })
  }

  /** As {@link StreamPublisher.put}, only when this is the sequence of the subject's last message; 0: it has none. */
  async putExpecting(
    subject: string,
    payload: Uint8Array,
    own: Own,
    expected: number,
    headers?: StreamPublishOptions['headers'],
  ): Promise<PublishAck> {
    const all: Own = [...own, ['Nats-Expected-Last-Subject-Sequence', String(expected)]]
    if (!this.#expectation.careful) return await this.put(subject, payload, all, headers)
    const copy = Buffer.from(payload)
    return await this.#expectation.meet(subject, expected, last => {
      const guard: Own = last === undefined ? [] : [['Nats-Expected-Last-Sequence', String(last)]]
      return this.put(subject, copy, [...all, ...guard], headers)
    })
  }

  /** Publishes to a subject of the bus itself, or of a bucket. */
  put(subject: string, payload: Uint8Array, own: Own, headers?: StreamPublishOptions['headers']): Promise<PublishAck> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) throw this.#closed
      this.#begin(subject, payload, headers === undefined ? {} : { headers }, own, resolve, reject)
    })
  }

  #begin(
    subject: string,
    payload: Uint8Array,
    options: StreamPublishOptions,
    own: Own,
    done: (ack: PublishAck) => void,
    fail: (error: unknown) => void,
  ): Publication {
    const now = this.#clock.monotonic()
    const wait = options.deadline === undefined ? patienceMs : Math.min(options.deadline - this.#clock.now(), maxWaitMs)
    if (!(wait > 0)) throw late(subject)
    const headers = storedHeaders(options.headers, own)
    const size = payload.length + (headers?.bytes ?? 0)
    if (this.#link.ready && size > this.#link.maxPayload)
      throw new CloudError(
        'core.contract.payload-too-large',
        `a message of ${size} bytes with its headers; the NATS server takes at most ${this.#link.maxPayload} (its max_payload)`,
        { field: 'payload' },
      )
    const publication: Publication = {
      subject,
      // The caller may change its bytes as soon as its call returned.
      bytes: Buffer.from(payload),
      headers: headers?.encoded,
      end: now + wait,
      repeatable: own.some(([name]) => name === 'Nats-Msg-Id'),
      done,
      fail,
      id: 0,
      over: false,
    }
    if (this.#link.ready) this.#send(publication, wait)
    else this.#follow(publication, this.#again(publication, 0))
    return publication
  }

  #send(publication: Publication, left: number): void {
    const { subject, bytes, headers, repeatable } = publication
    publication.id = this.#acks.send(subject, bytes, headers, repeatable ? Math.min(left, repeatMs) : left, {
      done: answer => this.#answered(publication, answer),
      broken: () => {
        if (repeatable && this.#closed === undefined) this.#follow(publication, this.#again(publication, 0))
        else this.#fail(publication, this.#closed ?? lost())
      },
      late: () => {
        if (repeatable && this.#clock.monotonic() < publication.end)
          this.#follow(publication, this.#again(publication, 0))
        else this.#fail(publication, late(subject))
      },
    })
  }

  #answered(publication: Publication, answer: Msg): void {
    if (publication.over) return
    const { data } = answer
    if (data.length === 0) {
      this.#follow(publication, this.#nobody(publication))
      return
    }
    let ack: {
      readonly stream?: string
      readonly seq?: number
      readonly duplicate?: boolean
      readonly error?: JetError
    }
    try {
      ack = JSON.parse(asText(data)) as typeof ack
    } catch (cause) {
      this.#fail(publication, new CloudError('core.bus.corrupt', 'an acknowledgement cannot be read', { cause }))
      return
    }
    const { stream, seq, error } = ack
    if (error !== undefined) {
      const failure = jetError(error, publication.subject)
      // No leader at the moment: nothing was stored.
      if (failure.code === 'core.bus.disconnected') this.#follow(publication, this.#again(publication, 100))
      else this.#fail(publication, failure)
    } else if (stream === undefined || seq === undefined) {
      // Somebody answered who is no stream.
      this.#follow(publication, this.#nobody(publication))
    } else {
      publication.over = true
      publication.done({ stream, sequence: seq, duplicate: ack.duplicate === true })
    }
  }

  /** No stream has the subject, or the one that has it has no leader at the moment. */
  async #nobody(publication: Publication): Promise<void> {
    const { streams } = await this.#api.demand<{ readonly streams?: readonly string[] | null }>('STREAM.NAMES', {
      subject: publication.subject,
    })
    if ((streams ?? []).length > 0) return this.#again(publication, 100)
    throw new CloudError('core.bus.unknown-stream', `no stream has the subject ${publication.subject}`)
  }

  async #again(publication: Publication, pauseMs: number): Promise<void> {
    if (pauseMs > 0) await new Promise<void>(resolve => this.#clock.after(pauseMs, resolve))
    let left = publication.end - this.#clock.monotonic()
    if (!this.#link.ready && left > 0) {
      await this.#link.whenReady(Math.min(left, patienceMs)).catch((error: unknown) => {
        throw publication.end <= this.#clock.monotonic() ? late(publication.subject) : error
      })
      left = publication.end - this.#clock.monotonic()
    }
    if (publication.over) return
    if (left <= 0) throw late(publication.subject)
    this.#send(publication, left)
  }

  /** Work behind the caller's back: its failure is the publication's. */
  #follow(publication: Publication, work: Promise<void>): void {
    work.catch((error: unknown) => this.#fail(publication, this.#closed ?? error))
  }

  #fail(publication: Publication, error: unknown): void {
    if (publication.over) return
    publication.over = true
    publication.fail(error)
  }
}

function asText(data: Uint8Array): string {
  return data instanceof Buffer
    ? data.toString('utf8')
    : Buffer.from(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength).toString('utf8')
}
