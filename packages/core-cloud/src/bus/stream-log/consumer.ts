import type { Clock } from '../../kernel/clock.js'
import type { Deadline, Deadlines } from '../../kernel/deadlines.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import type { FullConsumerConfig } from '../stream/stream-checks.js'
import type { Fetched, FetchRequest, Held } from '../stream/stream-link.js'
import type { ConsumerInfo } from '../stream.js'
import { ConsumerCore, type ConsumerState, type Dying, type StreamView } from './consumer-core.js'
import type { ConsumerLog, StoredConsumer } from './consumer-log.js'
import type { StreamLimits } from './log-limits.js'
import type { LogStream } from './log-stream.js'
import type { MessageRecord } from './record.js'

export interface ConsumerOptions {
  readonly stream: LogStream
  readonly log: ConsumerLog
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly logger: Logger
  readonly limits: StreamLimits
  /** Puts a message among the dead letters. */
  readonly bury: (consumer: string, record: MessageRecord, dying: Dying) => Promise<void>
  readonly newMemberId: () => string
}

/** Bytes of one answer beyond its first message: with it, it must fit in a message of a bus. */
const answerBytes = 1_048_576

interface Port {
  /** The question of the member that waits for messages. */
  answer: ((fetched: Fetched) => void) | undefined
  answerBy: Deadline | undefined
  absent: Deadline | undefined
}

/** One consumer of a stream: carries what {@link ConsumerCore} decides to the members, the log and the dead letters. */
export class LogConsumer {
  readonly #options: ConsumerOptions
  readonly #core: ConsumerCore
  readonly #ports = new Map<string, Port>()
  readonly #stopWatching: () => void
  #wanted: ((subject: number) => boolean) | undefined
  #timer: Deadline | undefined
  #closed = false

  constructor(options: ConsumerOptions, stored: StoredConsumer) {
    this.#options = options
    const rejoinAt = options.clock.now() + options.limits.rejoinMs
    this.#core = new ConsumerCore(stored.config, stored.state, rejoinAt)
    this.#filter(stored.config)
    this.#stopWatching = options.stream.onChange(() => this.#run())
    this.#run()
  }

  get stored(): StoredConsumer {
    return { config: this.#core.config, state: this.#core.state() }
  }

  configure(config: FullConsumerConfig): void {
    this.#core.configure(config)
    this.#filter(config)
    this.#run()
  }

  info(stream: string): ConsumerInfo {
    const { index } = this.#options.stream
    let pending = 0
    for (const [segment, row] of index.rows(this.#core.cursor)) {
      if (this.#isWanted(segment.sequence(row), segment.subject(row))) pending += 1
    }
    return {
      stream,
      name: this.#core.config.name,
      pending,
      unsettled: this.#core.unsettled,
      settledSequence: pending === 0 && this.#core.unsettled === 0 ? index.last : this.#core.floor,
    }
  }

  /**
   * A new member, or one that comes back under a new name with what it still works on.
   * @returns its name, and what it may go on with.
   */
  join(previous: string | undefined, working: readonly Held[]): { readonly member: string; readonly kept: Held[] } {
    const { limits, clock, newMemberId } = this.#options
    const now = clock.now()
    if (previous !== undefined) this.#leave(previous)
    if (this.#core.members >= limits.maxMembers) {
      throw new CloudError('core.bus.overloaded', `at most ${limits.maxMembers} members of a consumer`)
    }
    const member = newMemberId()
    this.#core.join(member)
    const port: Port = { answer: undefined, answerBy: undefined, absent: undefined }
    this.#ports.set(member, port)
    const kept = this.#core.adopt(member, working, now)
    this.#listen(member, port)
    this.#run()
    return { member, kept }
  }

  /** @returns undefined for a member that is not known (any more): it must join again. */
  fetch(member: string, request: FetchRequest, signal?: AbortSignal): Promise<Fetched> | undefined {
    const port = this.#ports.get(member)
    if (port === undefined) return undefined
    const { clock, limits } = this.#options
    this.#answer(member, port, [])
    const now = clock.now()
    for (const settlement of request.settled) this.#core.settle(member, settlement, now)
    if (request.leaving) {
      this.#leave(member)
      this.#run()
      return Promise.resolve([])
    }
    this.#core.setCapacity(member, request.capacity)
    return new Promise(resolve => {
      const onAbort = (): void => this.#answer(member, port, [])
      port.answer = fetched => {
        signal?.removeEventListener('abort', onAbort)
        resolve(fetched)
      }
      if (port.absent !== undefined) this.#options.deadlines.remove(port.absent)
      port.absent = undefined
      const wait = Math.min(request.waitMs, limits.absentMs * 0.4)
      port.answerBy = this.#options.deadlines.add(wait, () => this.#answer(member, port, []))
      signal?.addEventListener('abort', onAbort)
      this.#run()
    })
  }

  close(): void {
    this.#closed = true
    this.#stopWatching()
    if (this.#timer !== undefined) this.#options.deadlines.remove(this.#timer)
    for (const [member, port] of this.#ports) {
      this.#answer(member, port, [])
      if (port.absent !== undefined) this.#options.deadlines.remove(port.absent)
    }
    this.#ports.clear()
  }

  // ---- inside

  #filter({ filter }: FullConsumerConfig): void {
    this.#wanted = filter === undefined ? undefined : this.#options.stream.index.subjectFilter(filter)
  }

  #isWanted(sequence: number, subject: number): boolean {
    const target = this.#options.stream.index.targets.get(sequence)
    if (target !== undefined) return target === this.#core.config.name
    return this.#wanted === undefined || this.#wanted(subject)
  }

  readonly #view: StreamView = {
    next: from => {
      for (const [segment, row] of this.#options.stream.index.rows(from)) {
        const sequence = segment.sequence(row)
        if (this.#isWanted(sequence, segment.subject(row))) return sequence
      }
      return undefined
    },
    kept: sequence => this.#options.stream.index.exactly(sequence) !== undefined,
  }

  /** Does everything that can be done now, and sees to it that it is called when there is more. */
  #run(): void {
    if (this.#closed) return
    const { clock, deadlines, log } = this.#options
    const now = clock.now()
    this.#core.expire(now)
    for (const [member, port] of [...this.#ports]) {
      if (port.answer === undefined) continue
      const taken = this.#core.take(member, this.#view, now)
      if (taken.length === 0) continue
      // Who got something is last the next time.
      this.#ports.delete(member)
      this.#ports.set(member, port)
      void this.#deliver(member, port, taken)
    }
    log.changed(this.#core.config.name, this.#core.takeChanges())
    for (const dying of this.#core.takeDying()) void this.#bury(dying)
    if (this.#timer !== undefined) deadlines.remove(this.#timer)
    const due = this.#core.nextDue
    // What is due already waits for a member with room, which will ask.
    this.#timer = due === undefined || due <= now ? undefined : deadlines.add(due - now, () => this.#run())
  }

  async #deliver(member: string, port: Port, taken: readonly Held[]): Promise<void> {
    const { answer } = port
    if (answer === undefined) return
    this.#clearAnswer(member, port)
    const attempts = new Map(taken.map(({ sequence, attempt }) => [sequence, attempt]))
    try {
      const records = await this.#options.stream.read([...attempts.keys()], answerBytes)
      const fetched = records.map(record => {
        const attempt = attempts.get(record.sequence) as number
        attempts.delete(record.sequence)
        return { record, attempt }
      })
      const now = this.#options.clock.now()
      for (const [sequence, attempt] of attempts) {
        // Those that did not fit in one answer come with the next one.
        if (this.#view.kept(sequence)) this.#core.settle(member, { sequence, attempt, kind: 'back' }, now)
        else this.#core.forget(sequence)
      }
      answer(fetched)
      if (attempts.size > 0) this.#run()
    } catch (error) {
      // They come again when the member's time for them is over.
      this.#options.logger.error('messages of a stream cannot be read', { consumer: this.#core.config.name, error })
      answer([])
    }
  }

  #answer(member: string, port: Port, fetched: Fetched): void {
    const { answer } = port
    if (answer === undefined) return
    this.#clearAnswer(member, port)
    answer(fetched)
  }

  #clearAnswer(member: string, port: Port): void {
    port.answer = undefined
    if (port.answerBy !== undefined) this.#options.deadlines.remove(port.answerBy)
    this.#listen(member, port)
  }

  /** From now on the member must say something in time. */
  #listen(member: string, port: Port): void {
    const { deadlines, limits, logger } = this.#options
    if (port.absent !== undefined) deadlines.remove(port.absent)
    port.absent = deadlines.add(limits.absentMs, () => {
      logger.info('a member of a consumer is gone', { consumer: this.#core.config.name, member })
      this.#leave(member)
      this.#run()
    })
  }

  #leave(member: string): void {
    const port = this.#ports.get(member)
    if (port === undefined) return
    this.#answer(member, port, [])
    if (port.absent !== undefined) this.#options.deadlines.remove(port.absent)
    this.#ports.delete(member)
    this.#core.leave(member, this.#options.clock.now())
  }

  async #bury(dying: Dying): Promise<void> {
    const { stream, bury, logger, deadlines } = this.#options
    try {
      const [record] = await stream.read([dying.sequence])
      if (record !== undefined) await bury(this.#core.config.name, record, dying)
      this.#core.buried(dying.sequence)
      this.#run()
    } catch (error) {
      if (this.#closed) return
      logger.warn('a dead letter cannot be stored', { consumer: this.#core.config.name, error })
      deadlines.add(1_000, () => void this.#bury(dying))
    }
  }
}

/** The state of a consumer that begins at a sequence. */
export const freshState = (cursor: number): ConsumerState => ({ cursor, unsettled: [] })
