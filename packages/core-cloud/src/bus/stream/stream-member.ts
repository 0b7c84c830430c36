import { setMaxListeners } from 'node:events'
import { type Clock, sleep } from '../../kernel/clock.js'
import type { Deadline, Deadlines } from '../../kernel/deadlines.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import type { BusHeaders } from '../bus.js'
import { decodeHeaders } from '../headers.js'
import type { Delivery, StartAt, StreamSubscription } from '../stream.js'
import type { Settlement } from '../stream-log/consumer-core.js'
import type { MessageRecord } from '../stream-log/record.js'
import type { FullConsumerConfig } from './stream-checks.js'
import type { Fetched, Held, StreamLink } from './stream-link.js'
import { maxSettlements } from './stream-wire.js'

export interface MemberOptions {
  readonly link: StreamLink
  readonly stream: string
  readonly config: FullConsumerConfig
  readonly start: StartAt
  readonly handler: (delivery: Delivery) => void | Promise<void>
  readonly concurrency: number
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly logger: Logger
  readonly onEnd: (member: Member) => void
}

/** Milliseconds that a question for messages waits at the server. */
const waitMs = 2_000
const longestPauseMs = 1_000
/** Longest pause that a delivery can ask for. */
const longestDelayMs = 86_400_000

/**
 * One member of a consumer: asks for as many messages as it has handlers free, runs them, and sends what they say
 * together with the next question. At most two questions are under way, so that a word is never kept back by one that
 * waits. When the server does not know the member any more, it joins again and tells what it still works on.
 */
export class Member implements StreamSubscription {
  readonly #options: MemberOptions
  readonly #abort = new AbortController()
  #id = ''
  /** By sequence; also those whose settlement may not have arrived. */
  readonly #runs = new Map<number, Run>()
  #running = 0
  #queue: Run[] = []
  #said: Settlement[] = []
  #asking = 0
  #scheduled = false
  #joining = false
  /** The capacity that the server was told last. */
  #told = -1
  #state: 'open' | 'draining' | 'leaving' | 'over' = 'open'
  #drained: Promise<void> | undefined
  #onOver: () => void = () => undefined

  constructor(options: MemberOptions) {
    this.#options = options
    setMaxListeners(0, this.#abort.signal)
  }

  async join(): Promise<void> {
    const { link, stream, config, start } = this.#options
    const { member } = await link.join(stream, config, { start, working: [] })
    this.#id = member
    this.#ask()
  }

  drain(): Promise<void> {
    this.#drained ??= new Promise(resolve => {
      this.#onOver = resolve
      if (this.#state === 'over') resolve()
      else {
        this.#state = 'draining'
        for (const run of this.#queue) this.#say(run, { kind: 'back' })
        this.#queue = []
        this.#soon()
      }
    })
    return this.#drained
  }

  /** Ends at once: what runs is told so, what was not settled goes back. */
  async close(): Promise<void> {
    if (this.#state === 'over') return
    const leaving = { settled: this.#said, capacity: 0, waitMs: 0, leaving: true }
    this.#end()
    for (const run of this.#runs.values()) run.lose(new CloudError('core.kernel.stopped', 'the streams are closed'))
    await this.#options.link.fetch(this.#id, leaving).catch(() => undefined)
  }

  // ---- what a delivery says

  /** Called by a run, once (`working`: any number of times). */
  say(run: Run, word: Omit<Settlement, 'sequence' | 'attempt'>): void {
    this.#say(run, word)
    this.#soon()
  }

  /** A run is over before its handler is: the member has a place less. */
  lost(): void {
    this.#soon()
  }

  #say(run: Run, word: Omit<Settlement, 'sequence' | 'attempt'>): void {
    this.#said.push({ ...word, sequence: run.sequence, attempt: run.attempt })
    if (word.kind !== 'working' && !run.running) this.#runs.delete(run.sequence)
  }

  // ---- questions

  #soon(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    // Behind the handlers that end in this turn: what they say goes in one question.
    process.nextTick(() => {
      this.#scheduled = false
      this.#ask()
    })
  }

  get #capacity(): number {
    if (this.#state !== 'open') return 0
    let idle = 0
    for (const run of this.#runs.values()) if (run.settled) idle += 1
    // A handler that goes on behind its settlement still takes a place.
    return Math.max(0, this.#options.concurrency - idle)
  }

  #ask(): void {
    if (this.#state === 'over' || this.#joining) return
    if (this.#state === 'draining' && this.#running === 0) this.#state = 'leaving'
    const capacity = this.#capacity
    const news = this.#said.length > 0 || capacity !== this.#told || this.#state === 'leaving'
    if (this.#asking >= 2 || (this.#asking === 1 && !news)) return
    const settled = this.#said.splice(0, maxSettlements)
    const leaving = this.#state === 'leaving' && this.#said.length === 0
    this.#told = capacity
    this.#asking += 1
    const { link } = this.#options
    link.fetch(this.#id, { settled, capacity, waitMs, leaving }, this.#abort.signal).then(
      fetched => {
        this.#asking -= 1
        if (fetched === undefined) this.#rejoin(settled)
        else if (leaving && this.#said.length === 0) this.#end()
        else this.#take(fetched)
      },
      (error: unknown) => {
        this.#asking -= 1
        this.#options.logger.debug('a question for messages failed', { stream: this.#options.stream, error })
        this.#rejoin(settled)
      },
    )
  }

  #take(fetched: Fetched): void {
    for (const { record, attempt } of fetched) {
      const run = new Run(this, this.#options, record, attempt)
      if (this.#state !== 'open') this.#say(run, { kind: 'back' })
      else {
        // A delivery of before that is not this member's any more.
        this.#runs.get(run.sequence)?.lose(takenAway())
        this.#runs.set(run.sequence, run)
        this.#queue.push(run)
      }
    }
    this.#begin()
    this.#ask()
  }

  #begin(): void {
    while (this.#running < this.#options.concurrency && this.#state === 'open') {
      const run = this.#queue.shift()
      if (run === undefined) return
      if (run.settled) continue
      this.#running += 1
      void run.begin().then(() => {
        this.#running -= 1
        if (this.#runs.get(run.sequence) === run) this.#runs.delete(run.sequence)
        this.#begin()
        this.#soon()
      })
    }
  }

  /** @param unsure - settlements that may not have arrived. */
  #rejoin(unsure: readonly Settlement[]): void {
    this.#said = [...unsure, ...this.#said]
    if (this.#joining || this.#state === 'over') return
    this.#joining = true
    void this.#joinAgain()
  }

  async #joinAgain(): Promise<void> {
    const { link, stream, config, start, clock, logger } = this.#options
    for (let pause = 20; this.#state !== 'over'; pause = Math.min(pause * 2, longestPauseMs)) {
      try {
        const working = this.#working()
        const { member, kept } = await link.join(stream, config, { start, previous: this.#id, working })
        this.#id = member
        this.#told = -1
        this.#forgetOthers(working, kept)
        this.#joining = false
        this.#ask()
        return
      } catch (error) {
        if (CloudError.is(error, 'core.kernel.stopped')) this.#end()
        logger.debug('a member could not join again', { stream, consumer: config.name, error })
        await sleep(clock, pause, this.#abort.signal).catch(() => undefined)
      }
    }
  }

  /** What this member works on, and what it settled without knowing whether that arrived. */
  #working(): Held[] {
    const working = new Map<number, Held>()
    for (const { sequence, attempt } of this.#said) working.set(sequence, { sequence, attempt })
    for (const run of this.#runs.values()) if (!run.settled) working.set(run.sequence, run)
    return [...working.values()].map(({ sequence, attempt }) => ({ sequence, attempt }))
  }

  #forgetOthers(working: readonly Held[], kept: readonly Held[]): void {
    const mine = new Set(kept.map(({ sequence }) => sequence))
    this.#said = this.#said.filter(({ sequence }) => mine.has(sequence))
    for (const { sequence, attempt } of working) {
      const run = this.#runs.get(sequence)
      if (!mine.has(sequence) && run?.attempt === attempt) run.lose(takenAway())
    }
  }

  #end(): void {
    this.#state = 'over'
    this.#abort.abort()
    this.#options.onEnd(this)
    this.#onOver()
  }
}

const takenAway = (): CloudError =>
  new CloudError('core.contract.deadline-exceeded', 'the time of this delivery is over; another member may have it')

/** One delivery while its handler runs. */
class Run implements Delivery {
  readonly stream: string
  readonly sequence: number
  readonly subject: string
  readonly payload: Uint8Array
  readonly messageId?: string
  readonly storedAt: number
  running = false
  /** Said or lost: nothing that is said counts any more. */
  settled = false
  readonly #member: Member
  readonly #options: MemberOptions
  readonly #record: MessageRecord
  #headers: BusHeaders | undefined
  #controller: AbortController | undefined
  #lost: CloudError | undefined
  #timer: Deadline | undefined

  constructor(
    member: Member,
    options: MemberOptions,
    record: MessageRecord,
    readonly attempt: number,
  ) {
    this.#member = member
    this.#options = options
    this.#record = record
    this.stream = options.stream
    this.sequence = record.sequence
    this.subject = record.subject
    this.payload = options.link.givesOwn ? record.payload : Buffer.from(record.payload)
    this.storedAt = record.time
    if (record.messageId !== '') this.messageId = record.messageId
    this.#startTimer()
  }

  get headers(): BusHeaders {
    this.#headers ??= decodeHeaders(this.#record.headers)
    return this.#headers
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      setMaxListeners(0, this.#controller.signal)
      if (this.#lost !== undefined) this.#controller.abort(this.#lost)
    }
    return this.#controller.signal
  }

  ack(): void {
    this.#settle({ kind: 'ack' })
  }

  nak(options: { readonly delayMs?: number } = {}): void {
    const { delayMs } = options
    // A pause that is none is like none given.
    const wanted = delayMs !== undefined && Number.isFinite(delayMs)
    this.#settle({
      kind: 'nak',
      ...(wanted ? { delayMs: Math.min(Math.max(0, Math.round(delayMs)), longestDelayMs) } : {}),
    })
  }

  term(reason: string): void {
    this.#settle({ kind: 'term', reason: reason.slice(0, 1_000) })
  }

  inProgress(): void {
    if (this.settled) return
    this.#startTimer()
    this.#member.say(this, { kind: 'working' })
  }

  /** The message is not this member's any more. */
  lose(error: CloudError): void {
    this.#stopTimer()
    if (this.settled) return
    this.settled = true
    this.#lost = error
    this.#controller?.abort(error)
    this.#member.lost()
  }

  async begin(): Promise<void> {
    this.running = true
    try {
      await this.#options.handler(this)
      this.#settle({ kind: 'ack' })
    } catch (error) {
      const { stream, config, logger } = this.#options
      logger.warn('a handler of a stream failed', { stream, consumer: config.name, sequence: this.sequence, error })
      const reason = `the handler failed: ${error instanceof Error ? error.message : String(error)}`
      this.#settle({ kind: 'nak', reason: reason.slice(0, 1_000) })
    }
    this.running = false
    this.#stopTimer()
  }

  #settle(word: Omit<Settlement, 'sequence' | 'attempt'>): void {
    if (this.settled) return
    this.settled = true
    this.#stopTimer()
    this.#member.say(this, word)
  }

  #startTimer(): void {
    this.#stopTimer()
    this.#timer = this.#options.deadlines.add(this.#options.config.ackWaitMs, () => this.lose(takenAway()))
  }

  #stopTimer(): void {
    if (this.#timer !== undefined) this.#options.deadlines.remove(this.#timer)
    this.#timer = undefined
  }
}
