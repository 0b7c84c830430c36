import { setMaxListeners } from 'node:events'
import type { Clock } from '../kernel/clock.js'
import { Deadlines } from '../kernel/deadlines.js'
import { type ErrorCode, errorCodeEntry } from '../kernel/error-codes.js'
import { CloudError } from '../kernel/errors.js'
import type { Logger } from '../kernel/logger.js'
import { Answers } from './answers.js'
import type {
  Bus,
  BusHeaders,
  BusMessage,
  BusSubscription,
  RequestManyOptions,
  RequestOptions,
  SubscribeOptions,
} from './bus.js'
import { encodeHeaders, type HeaderBlock, noHeaders } from './headers.js'
import { IdTable } from './id-table.js'
import { type HubLink, maxWaitMs, type PeerLink } from './link.js'
import { cancelled, checkPayload, failureOf, late, type Pending } from './pending.js'
import { PlainMessage, RequestMessage } from './served-message.js'
import { checkPattern, checkQueue, checkSubject } from './subject.js'
import { defaultMaxInFlight, defaultMaxQueued, Subscriber } from './subscriber.js'

export interface PeerBusOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** Calls and commands without an answer; beyond: `core.bus.overloaded`. */
  readonly maxPending: number
  /** Milliseconds that publish, subscribe and drain wait for the hub. */
  readonly commandWaitMs: number
  /** True when too much waits to be sent. */
  readonly congested?: () => boolean
  /** Releases what carries the messages. */
  readonly onDispose: () => Promise<void>
}

/**
 * The bus as one peer sees it, over any link to a hub: directly in the hub's process, or frames on a socket.
 * The link may go and come back; subscriptions survive that, requests that were sent do not.
 */
export class PeerBus implements Bus, PeerLink {
  readonly #options: PeerBusOptions
  readonly #deadlines: Deadlines
  readonly #pending = new IdTable<Pending>()
  readonly #subscribers = new Map<number, Subscriber>()
  /** Acknowledged ones, which a new connection must repeat. */
  readonly #established = new Set<Subscriber>()
  readonly #served = new IdTable<RequestMessage>()
  /** Subjects found well-formed before. */
  readonly #checked = new Set<string>()
  #link: HubLink | undefined
  /** Set while the subscriptions are being repeated: calls wait until that is done. */
  #ready = false
  #order = 0
  #lastSubscription = 0
  #closed: CloudError | undefined

  constructor(options: PeerBusOptions) {
    this.#options = options
    this.#deadlines = new Deadlines(options.clock)
  }

  // ---- the link's state

  /** A hub can be reached. Repeats the subscriptions, then sends what waited. */
  async connected(link: HubLink): Promise<void> {
    this.#link = link
    await Promise.all(
      [...this.#established].map(subscriber =>
        this.#command(
          subscriber.subject,
          (to, id) => to.subscribe(id, subscriber.id, subscriber.subject, subscriber.queue),
          'now',
        ).catch((error: unknown) => {
          if (this.#link !== link) return
          this.#options.logger.error('a subscription was not taken again', { subject: subscriber.subject, error })
        }),
      ),
    )
    if (this.#link !== link) return
    this.#ready = true
    const waiting = this.#pending.entries().map(([, pending]) => pending)
    for (const pending of waiting.sort((a, b) => a.order - b.order)) this.#send(pending)
  }

  /** The hub is gone: what was sent fails (its outcome is unknown), what can be said again waits. */
  disconnected(): void {
    this.#link = undefined
    this.#ready = false
    for (const [delivery, message] of this.#served.entries()) {
      this.#served.take(delivery)
      message.abandon('core.bus.disconnected')
    }
    for (const [id, pending] of this.#pending.entries()) {
      if (!pending.sent) continue
      if (pending.repeatable) pending.sent = false
      else
        this.#settle(id)?.fail(
          new CloudError('core.bus.disconnected', `the connection broke while ${pending.subject} was under way`),
        )
    }
  }

  /** Ends everything: calls fail with `error`, later ones too. */
  close(error: CloudError): void {
    this.#closed ??= error
    for (const [id] of this.#pending.entries()) this.#settle(id)?.fail(error)
    this.disconnected()
    for (const subscriber of this.#subscribers.values()) subscriber.discard()
    this.#subscribers.clear()
    this.#established.clear()
    this.#deadlines.clear()
  }

  // ---- Bus

  publish(subject: string, payload: Uint8Array, options?: { readonly headers?: BusHeaders }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#check(subject, payload)
      const headers = encodeHeaders(options?.headers)
      // Bytes that wait for a connection must not change under the caller's hands.
      const bytes = this.#ready ? payload : Buffer.from(payload)
      this.#command(subject, (link, id) => link.publish(id, subject, headers, bytes)).then(resolve, reject)
    })
  }

  async subscribe(
    subject: string,
    handler: (message: BusMessage) => void | Promise<void>,
    options: SubscribeOptions = {},
  ): Promise<BusSubscription> {
    checkPattern(subject)
    const queue = options.queue ?? ''
    if (options.queue !== undefined) checkQueue(queue)
    const id = ++this.#lastSubscription
    const subscriber = new Subscriber({
      id,
      pattern: subject,
      queue,
      handler,
      maxInFlight: options.maxInFlight ?? defaultMaxInFlight,
      maxQueued: options.maxQueued ?? defaultMaxQueued,
      logger: this.#options.logger,
      onFailure: message =>
        this.#refuse(message.delivery, 'core.kernel.internal', `the handler of ${message.subject} failed`),
      stop: self => this.#unsubscribe(self),
    })
    this.#subscribers.set(id, subscriber)
    try {
      await this.#command(subject, (link, command) => link.subscribe(command, id, subject, queue), 'repeatable')
    } catch (error) {
      this.#subscribers.delete(id)
      throw error
    }
    this.#established.add(subscriber)
    return subscriber
  }

  request(subject: string, payload: Uint8Array, options: RequestOptions): Promise<BusMessage> {
    return new Promise((resolve, reject) => {
      this.#ask(subject, payload, options, resolve as Pending['done'], reject, undefined)
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

  async drain(): Promise<void> {
    await Promise.all([...this.#subscribers.values()].map(subscriber => subscriber.drain()))
    if (this.#link !== undefined) await this.#command('drain', (link, id) => link.flush(id))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close(new CloudError('core.kernel.stopped', 'the bus is closed'))
    await this.#options.onDispose()
  }

  // ---- what the hub says

  accepted(id: number): void {
    this.#settle(id)?.done(undefined)
  }

  answered(id: number, sender: string, headers: HeaderBlock, payload: Uint8Array): void {
    const pending = this.#pending.get(id)
    if (pending === undefined) return
    const answer = new PlainMessage(pending.subject, payload, headers, sender)
    if (pending.each === undefined) this.#settle(id)?.done(answer)
    else pending.each(answer)
  }

  failed(id: number, code: string, text: string, retryAfterMs?: number): void {
    this.#settle(id)?.fail(failureOf(code, text, retryAfterMs))
  }

  deliver(
    subscription: number,
    delivery: number,
    deadline: number,
    sender: string,
    subject: string,
    headers: HeaderBlock,
    payload: Uint8Array,
  ): void {
    const subscriber = this.#subscribers.get(subscription)
    if (delivery === 0) {
      subscriber?.push(new PlainMessage(subject, payload, headers, sender))
      return
    }
    if (subscriber === undefined) {
      this.#link?.replyError(delivery, 'core.bus.no-responder', `nobody serves ${subject}`)
      return
    }
    const message = new RequestMessage(subject, payload, headers, sender, delivery, deadline, this.#answer)
    this.#served.put(delivery, message)
    if (!subscriber.push(message))
      this.#refuse(delivery, 'core.bus.overloaded', `the queue of ${subscriber.subject} is full`)
  }

  cancelled(delivery: number, code: string): void {
    const message = this.#served.take(delivery)
    if (message === undefined) return
    // The caller's own timer may be first to end the call; for the handler it is the deadline all the same.
    const expired = code === 'core.contract.cancelled' && this.#options.clock.now() >= message.deadline
    if (expired) message.abandon('core.contract.deadline-exceeded')
    else message.abandon(errorCodeEntry(code) === undefined ? 'core.contract.cancelled' : (code as ErrorCode))
  }

  // ---- inside

  readonly #answer = async (
    message: RequestMessage,
    payload: Uint8Array,
    headers: BusHeaders | undefined,
  ): Promise<void> => {
    // Answered before, not wanted any more, or asked over a connection that is gone.
    if (this.#served.get(message.delivery) !== message) return
    checkPayload(payload)
    const block = headers === undefined ? noHeaders : encodeHeaders(headers)
    this.#served.take(message.delivery)
    this.#link?.reply(message.delivery, block, payload)
  }

  #check(subject: string, payload: Uint8Array): void {
    checkPayload(payload)
    if (this.#checked.has(subject)) return
    checkSubject(subject)
    if (this.#checked.size >= 1_024) this.#checked.clear()
    this.#checked.add(subject)
  }

  #refuse(delivery: number, code: ErrorCode, text: string): void {
    if (this.#served.take(delivery) !== undefined) this.#link?.replyError(delivery, code, text)
  }

  async #unsubscribe(subscriber: Subscriber): Promise<void> {
    this.#established.delete(subscriber)
    if (this.#link !== undefined) {
      await this.#command(subscriber.subject, (link, id) => link.unsubscribe(id, subscriber.id), 'now').catch(
        (error: unknown) => {
          // With the connection the subscription is gone too, which is what was wanted.
          if (!CloudError.is(error, 'core.bus.disconnected') && this.#closed === undefined) throw error
        },
      )
    }
    await subscriber.idle()
    this.#subscribers.delete(subscriber.id)
  }

  /** Sends a request. @returns its id. @throws CloudError when it cannot be sent. */
  #ask(
    subject: string,
    payload: Uint8Array,
    options: RequestOptions,
    done: Pending['done'],
    fail: Pending['fail'],
    each: Pending['each'],
  ): number {
    const { signal, deadline } = options
    const wait = Math.min(deadline - this.#options.clock.now(), maxWaitMs)
    if (signal?.aborted === true) throw cancelled(subject, signal)
    if (!(wait > 0)) throw late(subject)
    this.#check(subject, payload)
    const headers = encodeHeaders(options.headers)
    const pending: Pending = {
      order: this.#order++,
      subject,
      done,
      each,
      fail,
      send: undefined,
      repeatable: false,
      sent: this.#ready,
      timer: undefined,
      release: undefined,
    }
    const id = this.#claim(pending)
    pending.timer = this.#deadlines.add(wait, () => this.#abandon(id, late(subject)))
    if (signal !== undefined) {
      const onAbort = (): void => this.#abandon(id, cancelled(subject, signal))
      setMaxListeners(0, signal)
      signal.addEventListener('abort', onAbort)
      pending.release = () => signal.removeEventListener('abort', onAbort)
    }
    const many = each !== undefined
    if (this.#ready) (this.#link as HubLink).request(id, deadline, subject, headers, payload, many)
    else {
      const bytes = Buffer.from(payload)
      pending.send = link => link.request(id, deadline, subject, headers, bytes, many)
    }
    return id
  }

  /**
   * Asks the hub for something that it answers with yes or no.
   * `now` is sent even while the subscriptions of a new connection are being repeated.
   */
  #command(
    subject: string,
    send: (link: HubLink, id: number) => void,
    kind: 'once' | 'repeatable' | 'now' = 'once',
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const pending: Pending = {
        order: this.#order++,
        subject,
        done: () => resolve(),
        each: undefined,
        fail: reject,
        send: undefined,
        repeatable: kind === 'repeatable',
        sent: false,
        timer: undefined,
        release: undefined,
      }
      const id = this.#claim(pending)
      pending.send = link => send(link, id)
      pending.timer = this.#deadlines.add(this.#options.commandWaitMs, () => {
        const error = new CloudError(
          'core.bus.disconnected',
          `the hub did not take ${subject} within ${this.#options.commandWaitMs} ms`,
        )
        this.#settle(id)?.fail(error)
      })
      if (this.#ready || kind === 'now') this.#send(pending)
    })
  }

  #send(pending: Pending): void {
    if (pending.sent || this.#link === undefined || pending.send === undefined) return
    pending.sent = true
    const { send } = pending
    if (!pending.repeatable) pending.send = undefined
    send(this.#link)
  }

  /** @returns an id for something new. @throws CloudError when the bus is closed or full. */
  #claim(pending: Pending): number {
    if (this.#closed !== undefined) throw this.#closed
    const full = this.#pending.size >= this.#options.maxPending || this.#options.congested?.() === true
    const id = full ? 0 : this.#pending.add(pending)
    if (id === 0)
      throw new CloudError('core.bus.overloaded', `too much waits for the hub; ${pending.subject} was not sent`)
    return id
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.release(id)
    if (pending === undefined) return undefined
    if (pending.timer !== undefined) this.#deadlines.remove(pending.timer)
    pending.release?.()
    return pending
  }

  /** Gives a request up and tells the far side. */
  #abandon(id: number, error: CloudError): void {
    const pending = this.#settle(id)
    if (pending === undefined) return
    if (pending.sent) this.#link?.cancel(id)
    pending.fail(error)
  }
}
