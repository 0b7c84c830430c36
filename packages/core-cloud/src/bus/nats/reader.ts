import type { Msg } from '@nats-io/transport-node'
import { type Clock, sleep } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import { coveredBy } from '../subject.js'
import type { JetApi } from './jet-api.js'
import type { JetConsumerConfig, JetConsumerInfo } from './jet-config.js'
import { serverFilter } from './jet-config.js'
import type { NatsLink } from './nats-link.js'
import { Pull } from './pull.js'
import { type DeliveryFacts, deliveryFacts } from './text-headers.js'

/** Messages that wait to be handled, together with those asked for. */
const prefetch = 256
/** Milliseconds before a handler that threw gets its message again. */
const againMs = 1_000
/** Milliseconds after which the server forgets a reader that went away without a word. */
const forgetMs = 60_000

export interface ReadFrom {
  readonly link: NatsLink
  readonly api: JetApi
  readonly clock: Clock
  readonly logger: Logger
  readonly nextId: () => number
  readonly stream: string
  readonly filter?: readonly string[]
  readonly start: Pick<JetConsumerConfig, 'deliver_policy' | 'opt_start_seq' | 'opt_start_time'>
  readonly headersOnly?: boolean
}

function readerConfig(from: ReadFrom, start: ReadFrom['start']): JetConsumerConfig {
  return {
    ...start,
    ack_policy: 'none',
    max_deliver: -1,
    replay_policy: 'instant',
    inactive_threshold: forgetMs * 1_000_000,
    // A reader remembers by itself where it was.
    mem_storage: true,
    num_replicas: 1,
    ...serverFilter(from.filter),
    ...(from.headersOnly === true ? { headers_only: true } : {}),
  }
}

function makeReader(from: ReadFrom, start: ReadFrom['start']): Promise<JetConsumerInfo> {
  return from.api.demand<JetConsumerInfo>(`CONSUMER.CREATE.${from.stream}`, {
    stream_name: from.stream,
    config: readerConfig(from, start),
  })
}

function dropReader(from: ReadFrom, name: string): Promise<unknown> {
  // Forgotten after a minute anyway.
  return from.api.ask(`CONSUMER.DELETE.${from.stream}.${name}`, undefined, [10014, 10059]).catch(() => undefined)
}

/** Reads at most `limit` messages that are there now. */
export async function readSome(
  from: ReadFrom,
  limit: number,
  use: (message: Msg, facts: DeliveryFacts) => void,
): Promise<void> {
  const { name, num_pending: pending } = await makeReader(from, from.start)
  const wanted = Math.min(limit, pending)
  let count = 0
  try {
    if (wanted > 0)
      await new Promise<void>((resolve, reject) => {
        const end = (error?: CloudError): void => {
          cancel()
          pull.close()
          if (error === undefined) resolve()
          else reject(error)
        }
        const late = new CloudError('core.bus.disconnected', `${from.stream} could not be read`)
        const cancel = from.clock.after(10_000, () => end(late))
        const pull = new Pull({
          ...from,
          id: from.nextId(),
          onMessage: message => {
            const facts = deliveryFacts(message)
            use(message, facts)
            count += 1
            if (count >= wanted || facts.pending === 0) end()
            else if (pull.requested === 0) pull.ask(Math.min(prefetch, wanted - count))
          },
          onIdle: () => end(),
          onLost: () => end(late),
        })
        pull.from(from.stream, name)
        pull.ask(Math.min(prefetch, wanted))
      })
  } finally {
    void dropReader(from, name)
  }
}

export interface ReaderOptions extends ReadFrom {
  readonly handle: (message: Msg, facts: DeliveryFacts) => void | Promise<void>
}

/** Reads a stream in order, one message after the other, and takes itself up again behind the last one handled. */
export class Reader {
  readonly #options: ReaderOptions
  readonly #pull: Pull
  #consumer = ''
  #buffer: Msg[] = []
  #last = 0
  #place = 0
  #stopped = false
  #running: Promise<void> | undefined
  #joining: Promise<void> | undefined
  /** Of the messages there were at the beginning: how many are still to come. */
  #missing = 0
  #present: (() => void) | undefined

  constructor(options: ReaderOptions) {
    this.#options = options
    this.#pull = new Pull({
      ...options,
      id: options.nextId(),
      onMessage: message => this.#take(message),
      onIdle: () => this.#more(),
      onLost: reason => this.lost(reason),
    })
  }

  /** Resolves when the server has the reader. @returns a promise of when everything that was there has been handled. */
  async start(): Promise<{ readonly present: Promise<void> }> {
    let info: JetConsumerInfo
    try {
      info = await makeReader(this.#options, this.#options.start)
    } catch (error) {
      this.#pull.close()
      throw error
    }
    this.#missing = info.num_pending
    const present =
      this.#missing === 0
        ? Promise.resolve()
        : new Promise<void>(resolve => {
            this.#present = resolve
          })
    this.#begin(info.name)
    return { present }
  }

  /** The connection or the consumer was lost: goes on with a new one. */
  lost(reason: string): void {
    if (this.#stopped || this.#joining !== undefined || this.#consumer === '') return
    this.#options.logger.info('reading a stream is taken up again', { stream: this.#options.stream, reason })
    this.#joining = this.#join()
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    this.#buffer = []
    this.#pull.close()
    this.#present?.()
    await this.#running
    if (this.#consumer !== '') await dropReader(this.#options, this.#consumer)
  }

  /** Stops without a word to the server. */
  close(): void {
    this.#stopped = true
    this.#buffer = []
    this.#pull.close()
    this.#present?.()
  }

  async #join(): Promise<void> {
    const { clock, logger, stream, start } = this.#options
    for (;;) {
      this.#buffer = []
      this.#pull.reset()
      // The message in hand is behind us when its handler resolved.
      await this.#running
      if (this.#stopped) return
      try {
        const from =
          this.#last === 0 ? start : { deliver_policy: 'by_start_sequence' as const, opt_start_seq: this.#last + 1 }
        const { name } = await makeReader(this.#options, from)
        this.#joining = undefined
        if (!this.#stopped) this.#begin(name)
        return
      } catch (error) {
        logger.warn('reading a stream could not be taken up again', { stream, error })
        await sleep(clock, againMs)
      }
    }
  }

  #begin(consumer: string): void {
    this.#consumer = consumer
    this.#place = 0
    this.#buffer = []
    this.#pull.from(this.#options.stream, consumer)
    this.#more()
  }

  #more(): void {
    const open = this.#pull.requested + this.#buffer.length
    if (open <= prefetch / 2) this.#pull.ask(prefetch - open)
  }

  #take(message: Msg): void {
    if (this.#stopped || this.#joining !== undefined) return
    this.#buffer.push(message)
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
  }

  async #run(): Promise<void> {
    for (let message = this.#buffer.shift(); message !== undefined; message = this.#buffer.shift()) {
      const facts = deliveryFacts(message)
      // From a consumer we left, or behind a hole.
      if (message.reply?.includes(`.${this.#consumer}.`) !== true || facts.sequence <= this.#last) continue
      if (facts.place !== this.#place + 1) {
        this.lost('a message is missing')
        return
      }
      this.#place = facts.place
      await this.#handle(message, facts)
      this.#last = facts.sequence
      this.#missing -= 1
      if (this.#missing === 0) this.#present?.()
      if (this.#stopped) return
      this.#more()
    }
  }

  async #handle(message: Msg, facts: DeliveryFacts): Promise<void> {
    const { filter, handle, clock, logger, stream } = this.#options
    if (filter !== undefined && filter.length > 1 && !coveredBy(filter, message.subject)) return
    while (!this.#stopped) {
      try {
        await handle(message, facts)
        return
      } catch (error) {
        logger.error('the handler of a stream failed', { stream, sequence: facts.sequence, error })
        await sleep(clock, againMs)
      }
    }
  }
}
