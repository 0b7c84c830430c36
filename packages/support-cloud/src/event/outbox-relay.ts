import { type Clock, CloudError, type ErrorCode, type Ids, type Logger } from '@aaas/core-cloud/kernel'
import type { Database } from '../rdbms/database.js'
import type { OutboxEvent, OutboxRelay, OutboxRelayStats, Subscriber } from './event.js'
import { type ClaimedRow, claim, dropUnheard, type Outcome, report, settle } from './outbox-batch.js'

export interface OutboxRelayOptions {
  /** Needs two connections at least: one holds the batch while subscribers work on the others. */
  readonly database: Database
  readonly clock: Clock
  readonly ids: Pick<Ids, 'random'>
  readonly logger: Logger
  /** Name of this relay for who looks at the tables; default a random one. At most 200 characters, unique. */
  readonly owner?: string
  /** Asked for each event, besides those of `subscribe`: for subscribers that come and go, such as cloudware. */
  readonly subscribers?: (topic: string) => readonly Subscriber[]
  /**
   * Nothing is delivered before this resolves (or rejects). An event goes to the subscribers of its moment and is then
   * gone, so whoever must not miss those that wait from before the start has to be there first.
   */
  readonly after?: Promise<unknown>
  /** Milliseconds between looks while nothing happens, default 1_000. */
  readonly pollMs?: number
  /**
   * Milliseconds of rest after each look that found something, default 40: wake-ups that come meanwhile share the next
   * look. The first event after a quiet time is taken at once.
   */
  readonly restMs?: number
  /** Events taken at once, default 100. */
  readonly batch?: number
  /** Keys whose events are delivered at the same time, default 8. */
  readonly concurrency?: number
  /** Milliseconds for one subscriber to take one event, default 10_000. */
  readonly deliveryMs?: number
  /** Deliveries of an event until it is given up, default 12. */
  readonly maxAttempts?: number
  /** Milliseconds to the second attempt, default 500; doubled each time up to `longestPauseMs`, plus or minus a quarter. */
  readonly firstPauseMs?: number
  /** Default 300_000. */
  readonly longestPauseMs?: number
  /** Milliseconds that disposing waits for deliveries, default 10_000; then they are told to stop. */
  readonly drainMs?: number
}

/**
 * No event of a batch is begun after this time: the rows are held by an open transaction, which the server ends when it
 * idles too long.
 */
const batchMs = 20_000

/** Events that nobody waits for, ended by one statement. */
const dropLimit = 1_000
/** Topics remembered as having had no subscriber; an unknown one costs a claim more and nothing else. */
const mostTopics = 200
const stopping = new Error('the relay stops')
/** Milliseconds between two notes that a working relay leaves of itself. */
const reportMs = 10_000
/** What cannot be mended by trying again. */
const hopeless: readonly ErrorCode[] = [
  'support.event.refused',
  'core.contract.payload-too-large',
  'core.bus.invalid-subject',
]

/** What a look found: `more` when it took as many as it may. */
type Found = 'nothing' | 'some' | 'more'

/** Starts a relay; it works until it is disposed. Tables: `transactionMigrations` of `support-cloud/transaction`. */
export function createOutboxRelay(options: OutboxRelayOptions): OutboxRelay {
  return new PollingRelay(options)
}

class PollingRelay implements OutboxRelay {
  readonly #options: Required<OutboxRelayOptions>
  readonly #local = new Map<string, Map<string, Subscriber>>()
  readonly #stop = new AbortController()
  /** How to break off each delivery under way. */
  readonly #handing = new Set<(error: Error) => void>()
  #cancelled = false
  readonly #running: Promise<void>
  #idle: (() => void)[] = []
  #rouse: (() => void) | undefined
  #woken = false
  #resting = false
  /** Topics of events seen that had no subscriber then. */
  readonly #unheard = new Set<string>()
  #delivered = 0
  #failed = 0
  #dead = 0
  #stopping: Promise<void> | undefined
  readonly #startedAt: number
  #reportedAt = Number.NEGATIVE_INFINITY

  constructor(options: OutboxRelayOptions) {
    this.#options = {
      owner: `relay-${Math.floor(options.ids.random() * 2 ** 48).toString(36)}`,
      after: Promise.resolve(),
      subscribers: () => [],
      pollMs: 1_000,
      restMs: 40,
      batch: 100,
      concurrency: 8,
      deliveryMs: 10_000,
      maxAttempts: 12,
      firstPauseMs: 500,
      longestPauseMs: 300_000,
      drainMs: 10_000,
      ...options,
    }
    this.#startedAt = options.clock.now()
    this.#running = this.#run()
  }

  wake(): void {
    this.#woken = true
    if (!this.#resting) this.#rouse?.()
  }

  subscribe(subscription: Subscriber & { readonly topic: string }): () => void {
    const { topic, name } = subscription
    const named = this.#local.get(topic) ?? new Map<string, Subscriber>()
    this.#local.set(topic, named)
    if (named.has(name))
      throw new CloudError('core.kernel.invalid-config', `${topic} has a subscriber ${name} already`, { field: 'name' })
    named.set(name, subscription)
    this.wake()
    return () => {
      if (named.get(name) === subscription) named.delete(name)
    }
  }

  idle(): Promise<void> {
    return new Promise(resolve => {
      this.#idle.push(resolve)
      this.wake()
    })
  }

  stats(): OutboxRelayStats {
    return { delivered: this.#delivered, failed: this.#failed, dead: this.#dead }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stopping ??= this.#end()
    return this.#stopping
  }

  async #end(): Promise<void> {
    this.#stop.abort()
    this.#rouse?.()
    const cancel = this.#options.clock.after(this.#options.drainMs, () => {
      this.#cancelled = true
      for (const stop of [...this.#handing]) stop(stopping)
    })
    await this.#running
    cancel()
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  async #run(): Promise<void> {
    const stopped = new Promise<void>(resolve =>
      this.#stop.signal.addEventListener('abort', () => resolve(), { once: true }),
    )
    await Promise.race([this.#options.after.catch(() => undefined), stopped])
    while (!this.#stop.signal.aborted) {
      const woken = this.#woken
      this.#woken = false
      // Only those who asked before this look: what they wrote before is then seen by it.
      const asking = this.#idle.splice(0)
      let found: Found = 'nothing'
      let failed = false
      try {
        // While nothing happens, one small statement a second is all that a relay costs.
        if (woken || (await this.#isDue())) found = await this.#look()
      } catch (error) {
        failed = true
        this.#options.logger.warn('outbox: a batch failed and will be repeated', { error })
      }
      if (found !== 'nothing' || failed) this.#idle.push(...asking)
      else for (const resolve of asking) resolve()
      if (found === 'some') await this.#rest()
      else if (found === 'nothing' && (failed || !this.#woken)) await this.#pause(this.#options.pollMs)
    }
  }

  async #isDue(): Promise<boolean> {
    const text = 'select aaas_outbox_due() as due'
    const [row] = await this.#options.database.query<{ due: boolean }>({ name: 'aaas_outbox_due', text })
    return row?.due === true
  }

  async #rest(): Promise<void> {
    this.#resting = true
    await this.#pause(this.#options.restMs)
    this.#resting = false
  }

  #pause(ms: number): Promise<void> {
    if (this.#stop.signal.aborted) return Promise.resolve()
    return new Promise(resolve => {
      const cancel = this.#options.clock.after(ms, () => this.#rouse?.())
      this.#rouse = () => {
        this.#rouse = undefined
        cancel()
        resolve()
      }
    })
  }

  async #look(): Promise<Found> {
    const unheard = [...this.#unheard].filter(topic => this.#subscribersOf(topic).length === 0)
    if (unheard.length === 0) return this.#batch()
    const { dropped, due } = await dropUnheard(this.#options.database, unheard, dropLimit)
    this.#delivered += dropped
    const found = due ? await this.#batch() : 'nothing'
    if (dropped === dropLimit) return 'more'
    return dropped > 0 && found === 'nothing' ? 'some' : found
  }

  async #batch(): Promise<Found> {
    const { database, batch, owner, clock } = this.#options
    const reporting = clock.monotonic() - this.#reportedAt >= reportMs
    const outcomes = await database.transaction(async tx => {
      const rows = await claim(tx, batch)
      const results = await this.#deliverAll(rows)
      await settle(tx, results, owner)
      if (reporting) await report(tx, { owner, startedAt: this.#startedAt, ...this.stats() })
      return results
    })
    if (reporting) this.#reportedAt = clock.monotonic()
    this.#count(outcomes)
    const worked = [...outcomes.values()].some(outcome => outcome.kind !== 'behind')
    // A full batch of which another relay's events held some back is a sign of a backlog all the same.
    return !worked ? 'nothing' : outcomes.size * 2 >= batch ? 'more' : 'some'
  }

  /** Keys side by side, the events of one key one after the other. */
  async #deliverAll(rows: readonly ClaimedRow[]): Promise<Map<ClaimedRow, Outcome>> {
    const lines = new Map<string, ClaimedRow[]>()
    for (const row of rows) {
      const key = row.key === '' ? `#${row.id}` : `=${row.key}`
      const line = lines.get(key)
      if (line === undefined) lines.set(key, [row])
      else line.push(row)
    }
    const outcomes = new Map<ClaimedRow, Outcome>()
    const end = this.#options.clock.monotonic() + batchMs
    const waiting = [...lines.values()].values()
    const worker = async (): Promise<void> => {
      for (const line of waiting) await this.#deliverLine(line, end, outcomes)
    }
    await Promise.all(Array.from({ length: Math.min(this.#options.concurrency, lines.size) }, worker))
    return outcomes
  }

  async #deliverLine(line: readonly ClaimedRow[], end: number, outcomes: Map<ClaimedRow, Outcome>): Promise<void> {
    let behind: Outcome | undefined
    for (const row of line) {
      // What is not begun keeps its row as it is and comes with the next batch.
      if (this.#stop.signal.aborted || this.#options.clock.monotonic() > end) return
      const outcome: Outcome = behind ?? (await this.#deliver(row))
      outcomes.set(row, outcome)
      if (outcome.kind === 'failed') behind = { kind: 'behind', afterMs: outcome.afterMs }
    }
  }

  async #deliver(row: ClaimedRow): Promise<Outcome> {
    const { maxAttempts, logger } = this.#options
    const attempt = row.attempts + 1
    const event: OutboxEvent = {
      eventId: row.eventId,
      topic: row.topic,
      key: row.key,
      payload: row.payload,
      createdAt: row.createdAt,
      attempt,
    }
    const subscribers = this.#subscribersOf(row.topic)
    if (subscribers.length === 0 && this.#unheard.size < mostTopics) this.#unheard.add(row.topic)
    const missing = subscribers.filter(subscriber => !row.taken.has(subscriber.name))
    const failures: { readonly name: string; readonly error: unknown }[] = []
    const taken: string[] = []
    await Promise.all(
      missing.map(subscriber =>
        this.#hand(subscriber, event).then(
          () => taken.push(subscriber.name),
          (error: unknown) => failures.push({ name: subscriber.name, error }),
        ),
      ),
    )
    if (failures.length === 0) return { kind: 'done' }
    const fields = { eventId: row.eventId, topic: row.topic, attempt, subscribers: failures.map(one => one.name) }
    const reason = reasonOf(failures)
    if (attempt >= maxAttempts || failures.every(({ error }) => isHopeless(error))) {
      logger.error('outbox: an event was given up', { ...fields, error: failures[0]?.error })
      return { kind: 'dead', reason, taken }
    }
    logger.warn('outbox: a delivery failed', { ...fields, error: failures[0]?.error })
    return { kind: 'failed', afterMs: this.#pauseBefore(attempt), reason, taken }
  }

  #subscribersOf(topic: string): readonly Subscriber[] {
    const local = this.#local.get(topic)
    const dynamic = this.#options.subscribers(topic)
    return local === undefined ? dynamic : [...local.values(), ...dynamic]
  }

  /** One delivery with its deadline; a subscriber that throws at once has failed like any other. */
  #hand(subscriber: Subscriber, event: OutboxEvent): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = new AbortController()
      const stop = (error: Error): void => {
        abort.abort(error)
        end(() => reject(error))
      }
      const end = (settle: () => void): void => {
        cancelDeadline()
        this.#handing.delete(stop)
        settle()
      }
      const { clock, deliveryMs } = this.#options
      const cancelDeadline = clock.after(deliveryMs, () => {
        const text = `${subscriber.name} took more than ${deliveryMs} ms`
        stop(new CloudError('core.contract.deadline-exceeded', text))
      })
      this.#handing.add(stop)
      if (this.#cancelled) stop(stopping)
      else
        taking(subscriber, event, abort.signal).then(
          () => end(resolve),
          (error: unknown) => end(() => reject(error)),
        )
    })
  }

  #pauseBefore(attempt: number): number {
    const { firstPauseMs, longestPauseMs, ids } = this.#options
    const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** (attempt - 1))
    return pause * (0.75 + ids.random() / 2)
  }

  #count(outcomes: ReadonlyMap<ClaimedRow, Outcome>): void {
    for (const { kind } of outcomes.values()) {
      if (kind === 'done') this.#delivered += 1
      else if (kind === 'failed') this.#failed += 1
      else if (kind === 'dead') this.#dead += 1
    }
  }
}

/** An own function, so that a subscriber that throws before its first wait rejects. */
async function taking(subscriber: Subscriber, event: OutboxEvent, signal: AbortSignal): Promise<void> {
  await subscriber.handle(event, signal)
}

function isHopeless(error: unknown): boolean {
  return CloudError.is(error) && hopeless.includes(error.code)
}

function reasonOf(failures: readonly { readonly name: string; readonly error: unknown }[]): string {
  const text = failures.map(({ name, error }) => `${name}: ${error instanceof Error ? error.message : String(error)}`)
  return text.join('; ').slice(0, 2_000)
}
