import type { Deadline } from '../../kernel/deadlines.js'
import type { Logger } from '../../kernel/logger.js'
import type { BusHeaders, BusMessage, BusSubscription } from '../bus.js'
import { RequestMessage } from '../served-message.js'

export interface DirectSubscriberOptions {
  readonly pattern: string
  readonly queue: string
  readonly handler: (message: BusMessage) => void | Promise<void>
  readonly maxInFlight: number
  readonly maxQueued: number
  readonly logger: Logger
  /** Messages of the bus below whose subjects start like this are not for programs. */
  readonly hidden: string
  /** Leaves discovery, then the bus below; resolves when neither way brings a message any more. */
  readonly stop: (subscriber: DirectSubscriber) => Promise<void>
}

/** A message of the bus below that waits for a free place. */
interface Guest {
  readonly message: BusMessage
  readonly settle: (outcome: void | Promise<void>) => void
}

/**
 * One subscription with two ways in: directly from peers, and from the bus below. Both share one bound of running
 * handlers. Direct calls wait in a queue here; those of the bus below wait in its own queue, and one by one here.
 */
export class DirectSubscriber implements BusSubscription {
  readonly subject: string
  readonly queue: string
  /** Direct calls taken and not yet answered or given up. */
  open = 0
  readonly #options: DirectSubscriberOptions
  /** Waiting direct calls from `#head` on; cut when the front part grows. */
  #waiting: DirectRequest[] = []
  #head = 0
  /** At most `maxInFlight` of them: so many handlers the bus below runs at a time. */
  readonly #guests: Guest[] = []
  #guestIsNext = false
  #running = 0
  #direct = 0
  #scheduled = false
  #idle: (() => void)[] = []
  #draining: Promise<void> | undefined

  constructor(options: DirectSubscriberOptions) {
    this.subject = options.pattern
    this.queue = options.queue
    this.#options = options
  }

  /** Takes a direct call. @returns false when the queue is full. */
  push(message: DirectRequest): boolean {
    const { maxInFlight, maxQueued } = this.#options
    if (this.#waiting.length - this.#head >= maxQueued + Math.max(0, maxInFlight - this.#running)) return false
    message.takenBy = this
    this.open += 1
    this.#waiting.push(message)
    if (!this.#scheduled && this.#running < maxInFlight) {
      this.#scheduled = true
      // Never inside the caller's turn: a handler that calls itself would grow the stack.
      queueMicrotask(this.#run)
    }
    return true
  }

  /** Takes a message of the bus below; what the handler gives or throws is for that bus. */
  readonly fromBelow = (message: BusMessage): void | Promise<void> => {
    if (message.subject.startsWith(this.#options.hidden)) return undefined
    if (this.#running < this.#options.maxInFlight) return this.#serveGuest(message)
    return new Promise((resolve, reject) => {
      const settle = (outcome: void | Promise<void>): void => {
        if (outcome === undefined) resolve()
        else outcome.then(resolve, reject)
      }
      this.#guests.push({ message, settle })
    })
  }

  drain(): Promise<void> {
    this.#draining ??= this.#options.stop(this)
    return this.#draining
  }

  /** Resolves when no direct call runs or waits. */
  idle(): Promise<void> {
    return new Promise(resolve => {
      this.#idle.push(resolve)
      this.#settleIdle()
    })
  }

  readonly #run = (): void => {
    this.#scheduled = false
    while (this.#running < this.#options.maxInFlight && this.#next()) {}
    this.#settleIdle()
  }

  /** Starts one that waits, of either kind in turn. */
  #next(): boolean {
    const guest = this.#guestIsNext || this.#head === this.#waiting.length ? this.#guests.shift() : undefined
    if (guest !== undefined) {
      this.#guestIsNext = false
      // Who asked gave up while it waited: its handler is never run.
      if (guest.message.respond !== undefined && guest.message.signal?.aborted === true) guest.settle(undefined)
      else guest.settle(this.#serveGuest(guest.message))
      return true
    }
    this.#guestIsNext = this.#guests.length > 0
    const message = this.#waiting[this.#head]
    if (message === undefined) return this.#guestIsNext
    this.#head += 1
    if (this.#head === this.#waiting.length) {
      this.#waiting = []
      this.#head = 0
    } else if (this.#head > 1_024) {
      this.#waiting = this.#waiting.slice(this.#head)
      this.#head = 0
    }
    if (!message.abandoned) this.#serve(message)
    return true
  }

  #serve(message: DirectRequest): void {
    this.#running += 1
    this.#direct += 1
    let outcome: void | Promise<void> = undefined
    try {
      outcome = this.#options.handler(message)
    } catch (error) {
      this.#failed(message, error)
    }
    if (outcome === undefined) this.#finished()
    else
      outcome.then(this.#finished, (error: unknown) => {
        this.#failed(message, error)
        this.#finished()
      })
  }

  #failed(message: DirectRequest, error: unknown): void {
    this.#options.logger.error('a bus handler failed', { subject: message.subject, error })
    message.fail()
  }

  readonly #finished = (): void => {
    this.#direct -= 1
    this.#free()
  }

  #free(): void {
    this.#running -= 1
    if (this.#scheduled) return
    if (this.#head < this.#waiting.length || this.#guests.length > 0) {
      this.#scheduled = true
      queueMicrotask(this.#run)
    } else this.#settleIdle()
  }

  #serveGuest(message: BusMessage): void | Promise<void> {
    this.#running += 1
    let outcome: void | Promise<void>
    try {
      outcome = this.#options.handler(message)
    } catch (error) {
      this.#free()
      throw error
    }
    if (outcome === undefined) {
      this.#free()
      return undefined
    }
    return outcome.finally(() => this.#free())
  }

  #settleIdle(): void {
    if (this.#idle.length === 0 || this.#direct > 0 || this.#head < this.#waiting.length) return
    const waiting = this.#idle
    this.#idle = []
    for (const resolve of waiting) resolve()
  }
}

type Answer = ConstructorParameters<typeof RequestMessage>[6]

/** A direct call as its handler sees it. */
export class DirectRequest extends RequestMessage {
  timer: Deadline | undefined
  takenBy: DirectSubscriber | undefined
  readonly #onFail: (message: DirectRequest) => void

  constructor(
    fields: Pick<RequestMessage, 'subject' | 'payload' | 'delivery' | 'deadline'> & {
      readonly block: Buffer
      readonly sender: string
    },
    answer: (message: DirectRequest, payload: Uint8Array, headers: BusHeaders | undefined) => Promise<void>,
    onFail: (message: DirectRequest) => void,
  ) {
    const { subject, payload, block, sender, delivery, deadline } = fields
    // What the bus below calls back with is this message.
    super(subject, payload, block, sender, delivery, deadline, answer as Answer)
    this.#onFail = onFail
  }

  /** It is answered, or its answer is not wanted any more. */
  settled(): void {
    if (this.takenBy === undefined) return
    this.takenBy.open -= 1
    this.takenBy = undefined
  }

  /** The handler threw: the caller is told, without what it threw. */
  fail(): void {
    this.#onFail(this)
  }
}
