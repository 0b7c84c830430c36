import { setMaxListeners } from 'node:events'
import type { Msg } from '@nats-io/transport-node'
import type { Clock } from '../../kernel/clock.js'
import { type Deadline, Deadlines } from '../../kernel/deadlines.js'
import { errorCodeEntry } from '../../kernel/error-codes.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import { Answers } from '../answers.js'
import type { BusHeaders, BusMessage, RequestManyOptions, RequestOptions } from '../bus.js'
import { encodeHeaders, type HeaderBlock } from '../headers.js'
import { IdTable } from '../id-table.js'
import { maxWaitMs } from '../link.js'
import { cancelled, checkPayload, late } from '../pending.js'
import { PlainMessage } from '../served-message.js'
import type { NatsLink } from './nats-link.js'
import { plainErrorOf, plainHeaders, readPlainHeaders } from './plain.js'
import { callBytes, cancelRecord, isRecord, RecordKind, RecordReader, writeCall } from './records.js'
import { controlToken, type Route, type Routes } from './route.js'

/**
 * How calls of one tick to one subject share a message. A batch goes to one member of a queue, so a tick's calls are
 * spread over as many messages as members answered lately, and none is formed before a first answer came.
 */
export interface BatchLimits {
  /** Calls of one message, 1 to 1_024. Default 64. */
  readonly maxCalls: number
  /** Bytes of one message, unless a single call has more. Default 65_536. */
  readonly maxBytes: number
}

/** Milliseconds that the failure of a plain subscriber waits for a better answer of another one. */
const failureGraceMs = 100

interface Call {
  readonly route: Route
  readonly done: (answer: BusMessage) => void
  readonly fail: (error: CloudError) => void
  readonly each: ((answer: BusMessage) => void) | undefined
  sent: boolean
  timer: Deadline | undefined
  release: (() => void) | undefined
  batch: Batch | undefined
  /** What one receiver said, while another may still answer. */
  failure: Deadline | undefined
}

/** Calls in one message: a server's word that nobody listens is for all of them. */
interface Batch {
  id: number
  readonly calls: readonly number[]
  open: number
}

/** What waits for a connection. */
interface Waiting {
  readonly id: number
  readonly deadline: number
  readonly headers: BusHeaders | undefined
  readonly block: HeaderBlock
  readonly payload: Uint8Array
}

export interface CallsOptions {
  readonly link: NatsLink
  readonly routes: Routes
  readonly clock: Clock
  readonly logger: Logger
  readonly batch: BatchLimits | undefined
}

/** The callers' side of the bus: one inbox, ids in a table, one timer. Nothing is made for a call that ends well. */
export class Calls {
  readonly #options: CallsOptions
  readonly #link: NatsLink
  readonly #deadlines: Deadlines
  readonly #calls = new IdTable<Call | Batch>()
  readonly #reader = new RecordReader()
  #waiting: Waiting[] = []
  #dirty: Route[] = []
  #closed: CloudError | undefined

  constructor(options: CallsOptions) {
    this.#options = options
    this.#link = options.link
    this.#deadlines = new Deadlines(options.clock)
    options.link.subscribe(`${options.link.inbox}.*`, message => this.#take(message))
  }

  request(subject: string, payload: Uint8Array, options: RequestOptions): Promise<BusMessage> {
    return new Promise((resolve, reject) => {
      this.#ask(subject, payload, options, resolve, reject, undefined)
    })
  }

  requestMany(subject: string, payload: Uint8Array, options: RequestManyOptions): AsyncIterable<BusMessage> {
    const answers = new Answers(this.#deadlines, options)
    try {
      const id = this.#ask(subject, payload, options, answers.end, answers.fail, answers.push)
      answers.begin(() => this.#abandon(id, late(subject)))
    } catch (error) {
      answers.fail(CloudError.from(error))
    }
    return answers
  }

  /** Sends what waited for a connection, in the order it was asked for. */
  up(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const { id, deadline, headers, block, payload } of waiting) {
      const call = this.#calls.get(id)
      if (call === undefined || !('route' in call)) continue
      try {
        this.#send(id, call, deadline, headers, block, payload)
      } catch (error) {
        this.#settle(id)?.fail(CloudError.from(error))
      }
    }
  }

  /** What was sent fails, its outcome unknown; what was not sent waits. */
  down(): void {
    for (const route of this.#dirty) forget(route)
    this.#dirty = []
    for (const [id, call] of this.#calls.entries()) {
      if (!('route' in call) || !call.sent) continue
      this.#settle(id)?.fail(
        new CloudError('core.bus.disconnected', `the connection broke while ${call.route.subject} was under way`),
      )
    }
  }

  refused(subject: string): void {
    for (const [id, call] of this.#calls.entries()) {
      if (!('route' in call) || call.route.subject !== subject) continue
      const text = `the NATS server does not allow to send to ${subject}`
      this.#settle(id)?.fail(new CloudError('core.bus.refused', text, { field: 'subject' }))
    }
  }

  close(error: CloudError): void {
    this.#closed = error
    this.flush()
    for (const [id, call] of this.#calls.entries()) if ('route' in call) this.#settle(id)?.fail(error)
    this.#deadlines.clear()
  }

  #ask(
    subject: string,
    payload: Uint8Array,
    options: RequestOptions,
    done: Call['done'],
    fail: Call['fail'],
    each: Call['each'],
  ): number {
    const { signal } = options
    const now = this.#options.clock.now()
    const wait = Math.min(options.deadline - now, maxWaitMs)
    if (signal?.aborted === true) throw cancelled(subject, signal)
    if (!(wait > 0)) throw late(subject)
    if (this.#closed !== undefined) throw this.#closed
    checkPayload(payload)
    const route = this.#options.routes.of(subject)
    const block = encodeHeaders(options.headers)
    this.#checkSize(callBytes + block.length + payload.length)
    const call: Call = {
      route,
      done,
      fail,
      each,
      sent: false,
      timer: undefined,
      release: undefined,
      batch: undefined,
      failure: undefined,
    }
    const full = this.#calls.size >= this.#link.limits.maxPending || this.#link.congested
    const id = full ? 0 : this.#calls.add(call)
    if (id === 0) throw new CloudError('core.bus.overloaded', `too much waits for the server; ${subject} was not sent`)
    call.timer = this.#deadlines.add(wait, () => this.#settle(id)?.fail(late(subject)))
    if (signal !== undefined) {
      const onAbort = (): void => this.#abandon(id, cancelled(subject, signal))
      setMaxListeners(0, signal)
      signal.addEventListener('abort', onAbort)
      call.release = () => signal.removeEventListener('abort', onAbort)
    }
    const deadline = now + wait
    if (this.#link.ready) this.#send(id, call, deadline, options.headers, block, payload)
    else this.#waiting.push({ id, deadline, headers: options.headers, block, payload: Buffer.from(payload) })
    return id
  }

  #checkSize(bytes: number): void {
    const most = this.#link.maxPayload
    if (bytes <= most) return
    throw new CloudError(
      'core.contract.payload-too-large',
      `a message of ${bytes} bytes with its headers; the NATS server takes at most ${most} (its max_payload)`,
    )
  }

  #send(
    id: number,
    call: Call,
    deadline: number,
    headers: BusHeaders | undefined,
    block: HeaderBlock,
    payload: Uint8Array,
  ): void {
    const { route } = call
    const { batch } = this.#options
    const bytes = callBytes + block.length + payload.length
    call.sent = true
    if (route.plain) {
      const text = plainHeaders(headers, deadline)
      this.#link.publish(route.subject, Buffer.from(payload), this.#replyTo(id), text)
    } else if (batch === undefined || call.each !== undefined || bytes > batch.maxBytes) {
      const record = Buffer.allocUnsafe(bytes)
      writeCall(record, 0, id, deadline, block, payload)
      this.#link.publish(route.subject, record, this.#replyTo(id))
    } else {
      route.end = writeCall(route.room(bytes), route.end, id, deadline, block, payload)
      route.ends.push(route.end)
      route.ids.push(id)
      if (route.ids.length > 1) return
      this.#dirty.push(route)
      // After the promise reactions that are queued now: the calls they make share the message.
      if (this.#dirty.length === 1) process.nextTick(this.flush)
    }
  }

  readonly flush = (): void => {
    const routes = this.#dirty
    this.#dirty = []
    for (const route of routes) {
      if (this.#link.ready) this.#flushRoute(route)
      forget(route)
    }
  }

  #flushRoute(route: Route): void {
    const { slab, ends, ids } = route
    if (slab === undefined) return
    const { maxCalls, maxBytes } = this.#options.batch as BatchLimits
    const workers = ids.length === 1 ? 0 : route.workers(this.#options.clock.monotonic())
    const most = workers === 0 ? 1 : Math.min(maxCalls, Math.ceil(ids.length / workers))
    let start = 0
    for (let from = 0; from < ids.length; ) {
      let to = from + 1
      while (to < ids.length && to - from < most && (ends[to] as number) - start <= maxBytes) to += 1
      const end = ends[to - 1] as number
      const id = to - from === 1 ? (ids[from] as number) : this.#batch(ids.slice(from, to))
      this.#link.publish(route.subject, slab.subarray(start, end), this.#replyTo(id))
      from = to
      start = end
    }
  }

  #batch(calls: readonly number[]): number {
    const batch: Batch = { id: 0, calls, open: 0 }
    for (const id of calls) {
      const call = this.#calls.get(id)
      if (call === undefined || !('route' in call)) continue
      call.batch = batch
      batch.open += 1
    }
    // A full table: the calls of this batch would only learn late that nobody listens.
    batch.id = batch.open === 0 ? 0 : this.#calls.add(batch)
    return batch.id
  }

  #replyTo(id: number): string {
    return `${this.#link.inbox}.${id.toString(36)}`
  }

  #take(message: Msg): void {
    const { data } = message
    if (!isRecord(data)) {
      this.#takePlain(message)
      return
    }
    const reader = this.#reader
    try {
      reader.start(data)
      for (;;) {
        const kind = reader.next()
        if (kind === 0) return
        if (kind === RecordKind.reply) this.#answered(reader.id, reader.worker, reader.headers, reader.payload)
        else if (kind === RecordKind.failure) this.#failed(reader)
      }
    } catch (error) {
      this.#options.logger.warn('an answer cannot be read', { error })
    }
  }

  #answered(id: number, worker: number, headers: HeaderBlock, payload: Uint8Array): void {
    const call = this.#calls.get(id)
    if (call === undefined || !('route' in call)) return
    call.route.note(worker)
    const answer = new PlainMessage(call.route.subject, payload, headers, '')
    if (call.each !== undefined) call.each(answer)
    else {
      this.#settle(id)
      call.done(answer)
    }
  }

  #failed({ id, worker, final, code, text }: RecordReader): void {
    const call = this.#calls.get(id)
    // Of many receivers one that fails is one that does not answer.
    if (call === undefined || !('route' in call) || call.each !== undefined || call.failure !== undefined) return
    call.route.note(worker)
    const retryable = errorCodeEntry(code)?.retryable ?? false
    const fail = (): void => this.#settle(id)?.fail(CloudError.fromBody({ code, message: text, retryable }))
    if (final) fail()
    else call.failure = this.#deadlines.add(failureGraceMs, fail)
  }

  /** The answer of a plain client, or the server's word that nobody listens. */
  #takePlain(message: Msg): void {
    const id = Number.parseInt(message.subject.slice(this.#link.inbox.length + 1), 36)
    const call = this.#calls.get(id)
    if (call === undefined) return
    if (message.data.length === 0 && message.headers?.code === 503) {
      for (const one of 'route' in call ? [id] : call.calls) this.#noResponder(one)
      return
    }
    if (!('route' in call)) return
    try {
      const error = call.each === undefined ? plainErrorOf(message.headers) : undefined
      if (error !== undefined) this.#settle(id)?.fail(error)
      else this.#answered(id, 0, readPlainHeaders(message.headers), message.data)
    } catch (error) {
      this.#settle(id)?.fail(CloudError.from(error))
    }
  }

  #noResponder(id: number): void {
    const call = this.#settle(id)
    call?.fail(new CloudError('core.bus.no-responder', `nobody serves ${call.route.subject}`))
  }

  #settle(id: number): Call | undefined {
    const call = this.#calls.get(id)
    if (call === undefined || !('route' in call)) return undefined
    this.#calls.release(id)
    if (call.timer !== undefined) this.#deadlines.remove(call.timer)
    if (call.failure !== undefined) this.#deadlines.remove(call.failure)
    call.release?.()
    const { batch } = call
    if (batch !== undefined) {
      batch.open -= 1
      if (batch.open === 0) this.#calls.release(batch.id)
    }
    return call
  }

  /** Gives a request up and tells whoever listens to the subject. */
  #abandon(id: number, error: CloudError): void {
    const call = this.#settle(id)
    if (call === undefined) return
    if (call.sent && this.#link.ready && !call.route.plain) {
      // The call itself must be first.
      if (call.route.ids.length > 0) this.flush()
      this.#link.publish(`${controlToken}.C.${call.route.subject}`, cancelRecord(id, this.#link.inbox))
    }
    call.fail(error)
  }
}

function forget(route: Route): void {
  route.hint = Math.max(256, Math.min(65_536, route.end))
  route.slab = undefined
  route.end = 0
  route.ends = []
  route.ids = []
}
