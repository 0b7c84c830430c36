import type { Msg, Subscription } from '@nats-io/transport-node'
import type { Clock } from '../../kernel/clock.js'
import { type Deadline, Deadlines } from '../../kernel/deadlines.js'
import type { ErrorCode } from '../../kernel/error-codes.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import type { BusHeaders, BusMessage, BusSubscription, SubscribeOptions } from '../bus.js'
import { encodeHeaders, type HeaderBlock } from '../headers.js'
import { IdTable } from '../id-table.js'
import { maxPayloadBytes } from '../link.js'
import { checkPayload } from '../pending.js'
import { PlainMessage, type RequestMessage } from '../served-message.js'
import { checkPattern, checkQueue } from '../subject.js'
import { defaultMaxInFlight, defaultMaxQueued, Subscriber } from '../subscriber.js'
import type { NatsLink } from './nats-link.js'
import { NatsRequest } from './nats-request.js'
import { answerHeaders, plainDeadline, plainFailure, readPlainHeaders } from './plain.js'
import { failureRecord, isRecord, RecordError, RecordKind, RecordReader, replyBytes, writeReply } from './records.js'
import { controlToken, type Routes } from './route.js'

/** Milliseconds between two looks for calls that nobody answered in their time. */
const sweepMs = 5_000
/** Bytes of answers that share a message. */
const maxReplyBytes = 65_536

/** Answers to one caller that share a message in this tick. */
interface ReplyGroup {
  /** Where the first of them goes: it serves for all, for their ids are in the records. */
  readonly replyTo: string
  slab: Buffer
  end: number
}

interface Listening {
  readonly subscriber: Subscriber
  readonly subscription: Subscription
}

export interface ServingOptions {
  readonly link: NatsLink
  readonly routes: Routes
  readonly clock: Clock
  readonly logger: Logger
  /** A number for this connection, 1 to 2^32-1. */
  readonly worker: number
  /** Answers to one caller share messages. */
  readonly batch: boolean
  /** Milliseconds that a plain client waits when it does not say. */
  readonly plainDeadlineMs: number
  /** Resolves when every server knows the subscriptions made before. */
  readonly known: () => Promise<void>
}

/** The receivers' side of the bus. */
export class Serving {
  readonly #options: ServingOptions
  readonly #link: NatsLink
  readonly #deadlines: Deadlines
  readonly #served = new IdTable<NatsRequest>()
  readonly #listening = new Map<number, Listening>()
  /** Cancellations of calls below a pattern come to a subject of their own: how many subscriptions need it. */
  readonly #control = new Map<string, { readonly subscription: Subscription; uses: number }>()
  readonly #reader = new RecordReader()
  readonly #groups = new Map<string, ReplyGroup>()
  readonly #context: { readonly deadlines: Deadlines; readonly clock: Clock }
  #lastId = 0
  #lastReplyTo = ''
  #lastCaller = ''
  #sweeping: Deadline | undefined
  #closed: CloudError | undefined

  constructor(options: ServingOptions) {
    this.#options = options
    this.#link = options.link
    this.#deadlines = new Deadlines(options.clock)
    this.#context = { deadlines: this.#deadlines, clock: options.clock }
  }

  async subscribe(
    pattern: string,
    handler: (message: BusMessage) => void | Promise<void>,
    options: SubscribeOptions,
  ): Promise<BusSubscription> {
    checkPattern(pattern)
    if (options.queue !== undefined) checkQueue(options.queue)
    if (this.#closed !== undefined) throw this.#closed
    if (this.#listening.size >= this.#link.limits.maxSubscriptions) {
      const most = this.#link.limits.maxSubscriptions
      throw new CloudError('core.bus.overloaded', `at most ${most} subscriptions of one bus`)
    }
    await this.#link.whenReady()
    const subscriber = new Subscriber({
      id: ++this.#lastId,
      pattern,
      queue: options.queue ?? '',
      handler,
      maxInFlight: options.maxInFlight ?? defaultMaxInFlight,
      maxQueued: options.maxQueued ?? defaultMaxQueued,
      logger: this.#options.logger,
      onFailure: message =>
        this.#refuse(message as NatsRequest, 'core.kernel.internal', `the handler of ${message.subject} failed`),
      stop: self => this.#unsubscribe(self),
    })
    const refused = await this.#listen(subscriber)
    if (refused) {
      this.#forget(subscriber)
      throw new CloudError('core.bus.refused', `the NATS server does not allow to listen on ${pattern}`, {
        field: 'subject',
      })
    }
    return subscriber
  }

  /** Resolves when the servers know it. @returns true when they do not allow it. */
  async #listen(subscriber: Subscriber): Promise<boolean> {
    const { subject: pattern, queue } = subscriber
    let refused = false
    const control = this.#control.get(pattern)
    if (control !== undefined) control.uses += 1
    else {
      const subscription = this.#link.subscribe(`${controlToken}.C.${pattern}`, message => this.#takeControl(message))
      this.#control.set(pattern, { subscription, uses: 1 })
    }
    // Only a wildcard in front can show what is none of the subscriber's business.
    const guarded = pattern.startsWith('*') || pattern.startsWith('>')
    const exact = !pattern.includes('*') && !pattern.includes('>') ? pattern : undefined
    const subscription = this.#link.subscribe(
      pattern,
      message => {
        const subject = exact ?? message.subject
        if (!guarded || !this.#options.routes.internal(subject)) this.#deliver(subscriber, subject, message)
      },
      {
        ...(queue === '' ? {} : { queue }),
        failed: () => {
          refused = true
        },
      },
    )
    this.#listening.set(subscriber.id, { subscriber, subscription })
    try {
      await this.#options.known()
    } catch (error) {
      this.#forget(subscriber)
      if (this.#closed !== undefined) throw this.#closed
      throw error
    }
    return refused
  }

  /** Stops receiving and waits for the handlers of every subscription. */
  async drain(): Promise<void> {
    await Promise.all([...this.#listening.values()].map(({ subscriber }) => subscriber.drain()))
  }

  /** Tells every caller that waits that it will get no answer. */
  close(error: CloudError): void {
    this.#closed = error
    for (const [, request] of this.#served.entries()) {
      this.#refuse(request, 'core.bus.disconnected', 'the receiver went away before it answered')
      request.abandon('core.bus.disconnected')
    }
    this.#flush()
    for (const { subscriber } of this.#listening.values()) subscriber.discard()
    this.#listening.clear()
    this.#deadlines.clear()
  }

  async #unsubscribe(subscriber: Subscriber): Promise<void> {
    const listening = this.#listening.get(subscriber.id)
    // The servers stop sending, what is on its way still comes: only then nothing follows.
    if (listening !== undefined) {
      await listening.subscription.drain().catch(() => undefined)
      // Afterwards no server of the cluster hands us a call that would find nobody.
      if (this.#closed === undefined) await this.#options.known().catch(() => undefined)
    }
    await subscriber.idle()
    this.#flush()
    this.#forget(subscriber)
  }

  #forget(subscriber: Subscriber): void {
    const listening = this.#listening.get(subscriber.id)
    if (listening === undefined) return
    this.#listening.delete(subscriber.id)
    if (this.#closed !== undefined) return
    if (!listening.subscription.isClosed()) listening.subscription.unsubscribe()
    const control = this.#control.get(subscriber.subject)
    if (control === undefined) return
    control.uses -= 1
    if (control.uses > 0) return
    control.subscription.unsubscribe()
    this.#control.delete(subscriber.subject)
  }

  // ---- messages

  #deliver(subscriber: Subscriber, subject: string, message: Msg): void {
    const { data, reply = '' } = message
    try {
      if (isRecord(data)) this.#records(subscriber, subject, reply, data)
      else this.#plain(subscriber, subject, reply, message)
    } catch (error) {
      if (!(error instanceof RecordError)) throw error
      this.#options.logger.warn('a message cannot be read', { subject, reason: error.message })
    }
  }

  #records(subscriber: Subscriber, subject: string, reply: string, data: Uint8Array): void {
    const reader = this.#reader
    reader.start(data)
    for (;;) {
      switch (reader.next()) {
        case 0:
          return
        case RecordKind.publish:
          subscriber.push(new PlainMessage(subject, reader.payload, reader.headers, ''))
          break
        case RecordKind.call:
          if (reply === '') throw new RecordError('a call that says no place for its answer')
          this.#call(subscriber, subject, reader.id, reader.deadline, reply, reader.headers, reader.payload)
          break
        default:
          throw new RecordError('a record that does not belong here')
      }
    }
  }

  #plain(subscriber: Subscriber, subject: string, reply: string, message: Msg): void {
    let headers: HeaderBlock
    try {
      headers = readPlainHeaders(message.headers)
      checkPayload(message.data)
    } catch (error) {
      const { code, message: text } = CloudError.from(error)
      if (reply !== '') this.#sendPlainFailure(reply, code, text)
      return
    }
    if (reply === '') {
      subscriber.push(new PlainMessage(subject, message.data, headers, ''))
      return
    }
    const deadline = plainDeadline(message.headers, this.#options.clock.now(), this.#options.plainDeadlineMs)
    this.#call(subscriber, subject, 0, deadline, reply, headers, message.data)
  }

  #call(
    subscriber: Subscriber,
    subject: string,
    id: number,
    deadline: number,
    reply: string,
    headers: HeaderBlock,
    payload: Uint8Array,
  ): void {
    const final = subscriber.queue !== ''
    const request = new NatsRequest(this.#context, subject, payload, headers, id, deadline, reply, final, this.#answer)
    if (payload.length > maxPayloadBytes) throw new RecordError('a payload above the limit')
    request.slot = this.#served.add(request)
    this.#sweeping ??= this.#deadlines.add(sweepMs, this.#sweep)
    if (request.slot === 0 || !subscriber.push(request))
      this.#refuse(request, 'core.bus.overloaded', `the queue of ${subscriber.subject} is full`)
  }

  /** A handler may end without an answer: nothing else would ever forget its call. */
  readonly #sweep = (): void => {
    this.#sweeping = undefined
    const now = this.#options.clock.now()
    for (const [slot, request] of this.#served.entries()) {
      if (request.deadline > now) continue
      this.#served.release(slot)
      request.over()
      request.abandon('core.contract.deadline-exceeded')
    }
    if (this.#served.size > 0) this.#sweeping = this.#deadlines.add(sweepMs, this.#sweep)
  }

  /** What the bus says to itself about calls below a pattern: that they are not wanted any more. */
  #takeControl(message: Msg): void {
    const reader = this.#reader
    try {
      reader.start(message.data)
      while (reader.next() === RecordKind.cancel) this.#cancel(reader.id, reader.inbox)
    } catch (error) {
      this.#options.logger.warn('a message of the bus cannot be read', { error })
    }
  }

  #cancel(id: number, inbox: string): void {
    for (const [slot, request] of this.#served.entries()) {
      if (request.id !== id || !request.replyTo.startsWith(inbox)) continue
      this.#served.release(slot)
      request.over()
      const expired = this.#options.clock.now() >= request.deadline
      request.abandon(expired ? 'core.contract.deadline-exceeded' : 'core.contract.cancelled')
    }
  }

  // ---- answers

  readonly #answer = async (
    message: RequestMessage,
    payload: Uint8Array,
    headers: BusHeaders | undefined,
  ): Promise<void> => {
    const request = message as NatsRequest
    // Answered before, or not wanted any more.
    if (request.slot === 0) return
    checkPayload(payload)
    const block = encodeHeaders(headers)
    const bytes = replyBytes + block.length + payload.length
    const most = this.#link.maxPayload
    if (bytes > most)
      throw new CloudError(
        'core.contract.payload-too-large',
        `an answer of ${bytes} bytes with its headers; the NATS server takes at most ${most} (its max_payload)`,
      )
    this.#served.release(request.slot)
    request.over()
    if (!this.#link.ready) {
      const copy = Buffer.from(payload)
      // The caller may be connected to another server and still wait.
      const left = Math.max(1, request.deadline - this.#options.clock.now())
      await this.#link.whenReady(Math.min(left, this.#link.limits.commandWaitMs)).catch(() => undefined)
      if (this.#link.ready) this.#send(request, bytes, block, headers, copy)
    } else this.#send(request, bytes, block, headers, payload)
  }

  #send(
    request: NatsRequest,
    bytes: number,
    block: HeaderBlock,
    headers: BusHeaders | undefined,
    payload: Uint8Array,
  ): void {
    const { id, replyTo } = request
    if (id === 0) {
      this.#link.publish(replyTo, Buffer.from(payload), undefined, answerHeaders(headers, payload))
      return
    }
    const { worker, batch } = this.#options
    if (!batch || bytes > maxReplyBytes) {
      const record = Buffer.allocUnsafe(bytes)
      writeReply(record, 0, id, worker, block, payload)
      this.#link.publish(replyTo, record)
      return
    }
    const caller = this.#callerOf(replyTo)
    let group = this.#groups.get(caller)
    if (group !== undefined && group.end + bytes > Math.min(maxReplyBytes, this.#link.maxPayload)) {
      this.#link.publish(group.replyTo, group.slab.subarray(0, group.end))
      this.#groups.delete(caller)
      group = undefined
    }
    if (group === undefined) {
      if (this.#groups.size === 0) process.nextTick(this.#flush)
      group = { replyTo, slab: Buffer.allocUnsafe(Math.max(512, bytes)), end: 0 }
      this.#groups.set(caller, group)
    } else if (group.end + bytes > group.slab.length) {
      const larger = Buffer.allocUnsafe((group.end + bytes) * 2)
      larger.set(group.slab.subarray(0, group.end))
      group.slab = larger
    }
    group.end = writeReply(group.slab, group.end, id, worker, block, payload)
  }

  /** The inbox that an answer goes to. Calls of one message name the same place, so it is mostly known from the last. */
  #callerOf(replyTo: string): string {
    if (replyTo !== this.#lastReplyTo) {
      this.#lastReplyTo = replyTo
      this.#lastCaller = replyTo.slice(0, replyTo.lastIndexOf('.'))
    }
    return this.#lastCaller
  }

  readonly #flush = (): void => {
    for (const group of this.#groups.values())
      if (this.#link.ready) this.#link.publish(group.replyTo, group.slab.subarray(0, group.end))
    this.#groups.clear()
  }

  #refuse(request: NatsRequest, code: ErrorCode, text: string): void {
    if (request.slot !== 0) this.#served.release(request.slot)
    else if (code !== 'core.bus.overloaded') return
    request.over()
    if (!this.#link.ready) return
    const { id, replyTo, final } = request
    if (id === 0) this.#sendPlainFailure(replyTo, code, text)
    else this.#link.publish(replyTo, failureRecord(id, this.#options.worker, { final, code, text }))
  }

  #sendPlainFailure(replyTo: string, code: string, text: string): void {
    const { headers, payload } = plainFailure(code, text)
    if (this.#link.ready) this.#link.publish(replyTo, payload, undefined, headers)
  }
}
