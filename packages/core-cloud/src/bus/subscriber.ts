import type { Logger } from '../kernel/logger.js'
import type { BusMessage, BusSubscription } from './bus.js'
import { RequestMessage } from './served-message.js'

export const defaultMaxInFlight = 256
export const defaultMaxQueued = 4_096

export interface SubscriberOptions {
  readonly id: number
  readonly pattern: string
  readonly queue: string
  readonly handler: (message: BusMessage) => void | Promise<void>
  readonly maxInFlight: number
  readonly maxQueued: number
  readonly logger: Logger
  /** The handler of a request threw. */
  readonly onFailure: (message: RequestMessage) => void
  /** Stops the flow of messages; resolves when none can follow and every handler has finished. */
  readonly stop: (subscriber: Subscriber) => Promise<void>
}

/** Runs the handler of one subscription: a bounded number at a time, a bounded queue behind, in order of arrival. */
export class Subscriber implements BusSubscription {
  readonly id: number
  readonly subject: string
  readonly queue: string
  readonly #options: SubscriberOptions
  /** Waiting messages from `#head` on; cut when the front part grows. */
  #waiting: BusMessage[] = []
  #head = 0
  #running = 0
  #scheduled = false
  #dropped = 0
  #idle: (() => void)[] = []
  #draining: Promise<void> | undefined

  constructor(options: SubscriberOptions) {
    this.id = options.id
    this.subject = options.pattern
    this.queue = options.queue
    this.#options = options
  }

  /** @returns false when the queue is full and the message was not taken. */
  push(message: BusMessage): boolean {
    const waiting = this.#waiting.length - this.#head
    if (waiting >= this.#options.maxQueued + Math.max(0, this.#options.maxInFlight - this.#running)) {
      this.#noteDrop(message)
      return false
    }
    this.#waiting.push(message)
    if (!this.#scheduled && this.#running < this.#options.maxInFlight) {
      this.#scheduled = true
      // Never inside the sender's call: a handler that sends to itself would grow the stack.
      queueMicrotask(this.#run)
    }
    return true
  }

  drain(): Promise<void> {
    this.#draining ??= this.#options.stop(this)
    return this.#draining
  }

  /** Resolves when no handler runs and no message waits. */
  idle(): Promise<void> {
    if (this.#running === 0 && this.#head === this.#waiting.length) return Promise.resolve()
    return new Promise(resolve => this.#idle.push(resolve))
  }

  /** Forgets waiting messages; running handlers go on. */
  discard(): void {
    this.#waiting = []
    this.#head = 0
    this.#settle()
  }

  readonly #run = (): void => {
    this.#scheduled = false
    while (this.#running < this.#options.maxInFlight && this.#head < this.#waiting.length) {
      const message = this.#waiting[this.#head++] as BusMessage
      if (!(message instanceof RequestMessage) || !message.abandoned) this.#start(message)
    }
    if (this.#head === this.#waiting.length) {
      this.#waiting = []
      this.#head = 0
    } else if (this.#head > 1_024) {
      this.#waiting = this.#waiting.slice(this.#head)
      this.#head = 0
    }
    this.#settle()
  }

  #start(message: BusMessage): void {
    this.#running += 1
    let outcome: void | Promise<void>
    try {
      outcome = this.#options.handler(message)
    } catch (error) {
      this.#failed(message, error)
      this.#running -= 1
      return
    }
    if (outcome === undefined) this.#running -= 1
    else
      outcome.then(this.#finished, error => {
        this.#failed(message, error)
        this.#finished()
      })
  }

  readonly #finished = (): void => {
    this.#running -= 1
    if (this.#scheduled) return
    if (this.#head < this.#waiting.length) this.#run()
    else this.#settle()
  }

  #failed(message: BusMessage, error: unknown): void {
    this.#options.logger.error('a bus handler failed', { subject: message.subject, error })
    if (message instanceof RequestMessage) this.#options.onFailure(message)
  }

  #settle(): void {
    if (this.#idle.length === 0 || this.#running > 0 || this.#head < this.#waiting.length) return
    const waiting = this.#idle
    this.#idle = []
    for (const resolve of waiting) resolve()
  }

  /** Says so at the first lost message and at every doubling of the count. */
  #noteDrop(message: BusMessage): void {
    this.#dropped += 1
    if ((this.#dropped & (this.#dropped - 1)) === 0) {
      this.#options.logger.warn('the queue of a subscription is full', {
        subject: message.subject,
        dropped: this.#dropped,
      })
    }
  }
}
