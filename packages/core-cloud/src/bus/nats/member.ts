import type { Msg } from '@nats-io/transport-node'
import { type Clock, sleep } from '../../kernel/clock.js'
import { type Deadline, Deadlines } from '../../kernel/deadlines.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import { type FullConsumerConfig, pauseAfter } from '../stream/stream-checks.js'
import type { Delivery, StreamSubscription } from '../stream.js'
import { coveredBy } from '../subject.js'
import type { Acks } from './acks.js'
import { NatsDelivery, type Settling } from './delivery.js'
import type { JetApi } from './jet-api.js'
import type { NatsLink } from './nats-link.js'
import { Pull } from './pull.js'
import { deliveryFacts } from './text-headers.js'

const maxPrefetch = 1_024
/** Milliseconds of work that a member may have waiting: others could do it meanwhile. */
const prefetchMs = 1_000
/** Milliseconds before a message whose dead letter could not be stored comes again. */
const deadRetryMs = 30_000

export interface MemberOptions {
  readonly link: NatsLink
  readonly acks: Acks
  readonly api: JetApi
  readonly clock: Clock
  readonly logger: Logger
  readonly nextId: () => number
  readonly stream: string
  readonly config: FullConsumerConfig
  readonly concurrency: number
  readonly handler: (delivery: Delivery) => void | Promise<void>
  /** Makes the consumer, or takes the one that is there. @returns the sequence before which nothing is wanted. */
  readonly join: () => Promise<number>
  /** Resolves when the dead letter is stored. */
  readonly bury: (delivery: NatsDelivery, attempts: number, reason: string) => Promise<void>
}

/** One member of a consumer: pulls messages, runs the handler, settles, and joins again after anything broke. */
export class Member implements StreamSubscription, Settling {
  readonly #options: MemberOptions
  readonly #deadlines: Deadlines
  readonly #pull: Pull
  #buffer: NatsDelivery[] = []
  readonly #running = new Map<NatsDelivery, Deadline>()
  /** Handlers and dead letters under way. */
  #active = 0
  #idle: (() => void)[] = []
  /** Milliseconds of a handler, lately. */
  #pace: number | undefined
  #from = 0
  #joined = false
  #joining: Promise<void> | undefined
  #lastAck = ''
  #sweep: Deadline | undefined
  #draining: Promise<void> | undefined
  #closed = false

  constructor(options: MemberOptions) {
    this.#options = options
    this.#deadlines = new Deadlines(options.clock)
    this.#pull = new Pull({
      ...options,
      id: options.nextId(),
      onMessage: message => this.#take(message),
      onIdle: () => this.#more(),
      onLost: reason => this.lost(reason),
    })
  }

  async start(): Promise<void> {
    try {
      await this.#join()
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** The connection, the server or the consumer was lost: sees to the consumer and asks again. */
  lost(reason: string): void {
    if (!this.#joined || this.#stopping || this.#joining !== undefined) return
    const { logger, clock, stream, config } = this.#options
    logger.info('a consumer is taken up again', { stream, consumer: config.name, reason })
    this.#joining = (async () => {
      while (!this.#stopping) {
        try {
          await this.#join()
          return
        } catch (error) {
          logger.warn('a consumer could not be taken up again', { stream, consumer: config.name, error })
          await sleep(clock, 1_000)
        }
      }
    })().finally(() => {
      this.#joining = undefined
      this.#more()
    })
  }

  drain(): Promise<void> {
    this.#draining ??= this.#drain()
    return this.#draining
  }

  close(): void {
    this.#closed = true
    this.#pull.close()
    const stopped = new CloudError('core.kernel.stopped', 'the streams are closed')
    for (const delivery of this.#running.keys()) delivery.expire(stopped)
    this.#buffer = []
    this.#deadlines.clear()
  }

  get #stopping(): boolean {
    return this.#closed || this.#draining !== undefined
  }

  async #join(): Promise<void> {
    this.#from = await this.#options.join()
    this.#joined = true
    this.#pull.from(this.#options.stream, this.#options.config.name)
    this.#more()
  }

  async #drain(): Promise<void> {
    await this.#pull.stop()
    const waiting = this.#buffer
    this.#buffer = []
    for (const delivery of waiting) this.#say(delivery, '-NAK')
    if (this.#active > 0) await new Promise<void>(resolve => this.#idle.push(resolve))
    await this.#confirm()
    this.#deadlines.clear()
  }

  /** The server works on acknowledgements in their order: the answer to the last one is about all. */
  async #confirm(): Promise<void> {
    const { link, acks } = this.#options
    if (this.#lastAck === '' || !link.ready || this.#closed) return
    await acks.ask(this.#lastAck, Buffer.from('+ACK'), 2_000).catch(() => undefined)
  }

  // ---- messages

  /** How many messages to have waiting: what can be done in a second and well within `ackWaitMs`. */
  get #prefetch(): number {
    const { concurrency, config } = this.#options
    if (this.#pace === undefined) return 0
    const within = Math.min(prefetchMs, config.ackWaitMs / 4)
    return Math.min(maxPrefetch, Math.floor((concurrency * within) / this.#pace))
  }

  /** Every handler has had its time: what waits here is better off with another member. */
  get #stuck(): boolean {
    if (this.#running.size < this.#options.concurrency) return false
    for (const delivery of this.#running.keys()) if (!delivery.expired) return false
    return true
  }

  #more(): void {
    if (this.#stopping || this.#joining !== undefined || this.#stuck) return
    const { concurrency, config } = this.#options
    const most = Math.min(concurrency + this.#prefetch, config.maxUnsettled)
    const open = this.#pull.requested + this.#buffer.length + this.#running.size
    if (open <= most / 2 || this.#pull.requested === 0) this.#pull.ask(most - open)
  }

  #take(message: Msg): void {
    const { stream, clock, config } = this.#options
    const delivery = new NatsDelivery(stream, message, deliveryFacts(message), clock.monotonic(), this)
    if (this.#closed) return
    if (!this.#wanted(delivery)) {
      this.ack(delivery)
      this.#more()
      return
    }
    if (delivery.attempt > config.maxDeliveries) {
      const reason = `not settled in ${config.maxDeliveries} deliveries: its time was over, or who had it was gone`
      delivery.settled = true
      void this.#bury(delivery, reason)
      return
    }
    if (this.#draining !== undefined) {
      this.#say(delivery, '-NAK')
      return
    }
    this.#buffer.push(delivery)
    this.#pump()
    if (this.#buffer.length > 0) this.#sweep ??= this.#deadlines.add(config.ackWaitMs / 3, this.#refresh)
  }

  /** False for what the server could not sort out: other subjects, too early ones, what another consumer gave up. */
  #wanted(delivery: NatsDelivery): boolean {
    const { filter, name } = this.#options.config
    if (delivery.sequence < this.#from) return false
    if (filter !== undefined && filter.length > 1 && !coveredBy(filter, delivery.subject)) return false
    const { replayFor } = delivery
    return replayFor === undefined || replayFor === name
  }

  #pump(): void {
    const { concurrency } = this.#options
    while (this.#running.size < concurrency && this.#buffer.length > 0)
      this.#begin(this.#buffer.shift() as NatsDelivery)
    this.#more()
  }

  #begin(delivery: NatsDelivery): void {
    const { config, clock, handler, logger, stream } = this.#options
    const held = clock.monotonic() - delivery.heldSince
    // The server has given it to another.
    if (held >= config.ackWaitMs) return
    if (held > config.ackWaitMs / 4) this.#hold(delivery)
    const left = config.ackWaitMs - (clock.monotonic() - delivery.heldSince)
    this.#running.set(
      delivery,
      this.#deadlines.add(left, () => delivery.expire()),
    )
    this.#active += 1
    const since = clock.monotonic()
    let outcome: void | Promise<void>
    try {
      outcome = handler(delivery)
    } catch (error) {
      outcome = Promise.reject(error as Error)
    }
    Promise.resolve(outcome)
      .then(
        () => this.#resolved(delivery),
        (error: unknown) => {
          logger.warn('the handler of a stream failed', {
            stream,
            consumer: config.name,
            attempt: delivery.attempt,
            error,
          })
          this.#threw(delivery, error)
        },
      )
      .finally(() => {
        const took = clock.monotonic() - since
        this.#pace = this.#pace === undefined ? took : this.#pace * 0.9 + took * 0.1
        this.#deadlines.remove(this.#running.get(delivery) as Deadline)
        this.#running.delete(delivery)
        this.#over()
        if (!this.#closed) this.#pump()
      })
  }

  #expire(delivery: NatsDelivery): void {
    delivery.expire()
    if (!this.#stuck) return
    this.#pull.cancel()
    for (const waiting of this.#buffer.splice(0)) this.#say(waiting, '-NAK')
  }

  #resolved(delivery: NatsDelivery): void {
    if (!delivery.expired) this.ack(delivery)
  }

  #threw(delivery: NatsDelivery, error: unknown): void {
    if (delivery.settled || delivery.expired) return
    const { attempt } = delivery
    if (attempt >= this.#options.config.maxDeliveries) {
      const text = error instanceof Error ? error.message : String(error)
      this.term(delivery, `the handler failed in attempt ${attempt}: ${text}`)
    } else this.nak(delivery, undefined)
  }

  #over(): void {
    this.#active -= 1
    if (this.#active > 0) return
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** Tells the server that messages which wait here are not forgotten. */
  readonly #refresh = (): void => {
    this.#sweep = undefined
    const { ackWaitMs } = this.#options.config
    const now = this.#options.clock.monotonic()
    for (const delivery of this.#buffer) if (now - delivery.heldSince > ackWaitMs / 4) this.#hold(delivery)
    if (this.#buffer.length > 0) this.#sweep = this.#deadlines.add(ackWaitMs / 3, this.#refresh)
  }

  // ---- settling

  ack(delivery: NatsDelivery): void {
    if (delivery.settled) return
    delivery.settled = true
    this.#say(delivery, '+ACK')
    this.#lastAck = delivery.reply
  }

  nak(delivery: NatsDelivery, delayMs: number | undefined): void {
    if (delivery.settled || delivery.expired) return
    const { config } = this.#options
    if (delivery.attempt >= config.maxDeliveries) {
      this.term(delivery, `given back in attempt ${delivery.attempt}, the last one`)
      return
    }
    delivery.settled = true
    const delay = delayMs ?? pauseAfter(config.backoffMs, delivery.attempt)
    this.#say(delivery, delay > 0 ? `-NAK {"delay":${Math.round(delay * 1_000_000)}}` : '-NAK')
  }

  term(delivery: NatsDelivery, reason: string): void {
    if (delivery.settled || delivery.expired) return
    delivery.settled = true
    void this.#bury(delivery, reason)
  }

  inProgress(delivery: NatsDelivery): void {
    if (delivery.settled || delivery.expired) return
    this.#hold(delivery)
    const timer = this.#running.get(delivery)
    if (timer === undefined) return
    this.#deadlines.remove(timer)
    this.#running.set(
      delivery,
      this.#deadlines.add(this.#options.config.ackWaitMs, () => this.#expire(delivery)),
    )
  }

  /** Settled only when the dead letter is stored: else the message stays and comes again. */
  async #bury(delivery: NatsDelivery, reason: string): Promise<void> {
    const { config, logger, stream, bury } = this.#options
    this.#active += 1
    try {
      await bury(delivery, Math.min(delivery.attempt, config.maxDeliveries), reason)
      this.#say(delivery, '+TERM')
      this.#lastAck = delivery.reply
    } catch (error) {
      logger.error('a dead letter could not be stored', { stream, sequence: delivery.sequence, error })
      this.#say(delivery, `-NAK {"delay":${deadRetryMs * 1_000_000}}`)
    } finally {
      this.#over()
      this.#more()
    }
  }

  #hold(delivery: NatsDelivery): void {
    delivery.heldSince = this.#options.clock.monotonic()
    this.#say(delivery, '+WPI')
  }

  #say(delivery: NatsDelivery, what: string): void {
    const { link, config } = this.#options
    if (this.#closed) return
    if (link.ready) {
      link.publish(delivery.reply, Buffer.from(what))
      return
    }
    // The server still knows the delivery when the connection is back soon.
    link.whenReady(config.ackWaitMs).then(
      () => link.publish(delivery.reply, Buffer.from(what)),
      () => undefined,
    )
  }
}
