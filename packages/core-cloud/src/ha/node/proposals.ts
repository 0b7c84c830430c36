import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Refusal } from '../raft/types.js'
import { type CallOptions, deadlineOf, outcomeUnknown, overloaded, stopped, unavailable } from './call-end.js'
import { commandHeadBytes, encodeCommand, encodeOpening } from './command.js'
import type { NodeLimits } from './node-limits.js'
import type { Outcome, Sessions } from './sessions.js'

export interface Proposed {
  readonly index: number
  readonly result: Uint8Array
}

/** One call. A class, for there are many of them: all have one shape. */
class Waiting {
  /** Times it was handed on and not refused: while this is 0, it is in no log. */
  attempts = 0
  queued = true
  settled = false
  /** Of the last attempt. */
  sentAt = 0
  term = 0

  constructor(
    public sequence: number,
    readonly body: Uint8Array,
    readonly deadline: number,
    readonly resolve: (proposed: Proposed) => void,
    readonly reject: (error: unknown) => void,
  ) {}
}

/** Commands handed on together. */
export interface Batch {
  readonly commands: readonly Uint8Array[]
  readonly waiting: readonly Waiting[]
  readonly opening: boolean
}

export interface ProposalsOptions {
  readonly clock: Clock
  readonly limits: NodeLimits
  /** Random, unique to this life of this node. */
  readonly token: number
}

/**
 * The open calls of `propose` of one group on this node, in one session. Every command is handed on again and again
 * until its outcome is known or its deadline has passed; the session makes sure that it is applied once.
 */
export class Proposals {
  readonly #options: ProposalsOptions
  /** By sequence, ascending: the first is the lowest that is open. */
  #open = new Map<number, Waiting>()
  #queue: Waiting[] = []
  #bytes = 0
  #session = 0
  #next = 1
  /** When the opening of the session was handed on; -Infinity: to be handed on. */
  #openedAt = Number.NEGATIVE_INFINITY
  #openedTerm = 0
  #earliestDeadline = Number.POSITIVE_INFINITY
  #stopped = false

  constructor(options: ProposalsOptions) {
    this.#options = options
  }

  /** Calls without an outcome. */
  get size(): number {
    return this.#open.size
  }

  /** Something is to be handed on. */
  get waiting(): boolean {
    return this.#queue.length > 0
  }

  call(body: Uint8Array, options: CallOptions): Promise<Proposed> {
    const { clock, limits } = this.#options
    if (this.#stopped) return Promise.reject(stopped())
    if (body.length > limits.maxCommandBytes) {
      const text = `a command of ${body.length} bytes; at most ${limits.maxCommandBytes} are possible`
      return Promise.reject(new CloudError('core.contract.payload-too-large', text, { field: 'command' }))
    }
    if (options.signal?.aborted) return Promise.reject(options.signal.reason as Error)
    // The span is bounded, too: results are kept from the lowest open sequence on.
    const lowest = this.#open.keys().next().value ?? this.#next
    if (this.#open.size >= limits.maxProposals || this.#next - lowest >= 4 * limits.maxProposals) {
      return Promise.reject(overloaded(`${this.#open.size} commands are waiting for their outcome`))
    }
    if (this.#bytes > 0 && this.#bytes + body.length > limits.maxProposalBytes) {
      return Promise.reject(overloaded(`commands of ${this.#bytes} bytes are waiting for their outcome`))
    }
    const deadline = deadlineOf(clock, options, limits.callMs)
    if (deadline <= clock.monotonic()) return Promise.reject(unavailable('the deadline of the command has passed'))
    return new Promise((resolve, reject) => {
      this.#enter(new Waiting(this.#next++, body, deadline, resolve, reject), options.signal)
    })
  }

  #enter(waiting: Waiting, signal: AbortSignal | undefined): void {
    this.#open.set(waiting.sequence, waiting)
    this.#queue.push(waiting)
    this.#bytes += waiting.body.length
    this.#earliestDeadline = Math.min(this.#earliestDeadline, waiting.deadline)
    if (signal === undefined) return
    const onAbort = (): void => {
      if (waiting.settled) return
      this.#settle(waiting)
      waiting.reject(waiting.attempts > 0 ? outcomeUnknown('the call was cancelled') : signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
  }

  // ---- handing on

  /** @returns what is to be handed on next, or nothing. */
  take(term: number): Batch | undefined {
    const { clock, limits, token } = this.#options
    if (this.#queue.length === 0) return undefined
    if (this.#session === 0) {
      const now = clock.monotonic()
      if (now - this.#openedAt < limits.retryMs && term <= this.#openedTerm) return undefined
      this.#openedAt = now
      this.#openedTerm = term
      return { commands: [encodeOpening(token)], waiting: [], opening: true }
    }
    return this.#batch(term)
  }

  #batch(term: number): Batch | undefined {
    const { clock, limits } = this.#options
    const lowest = this.#open.keys().next().value as number
    const now = clock.monotonic()
    const waiting: Waiting[] = []
    const commands: Uint8Array[] = []
    let bytes = 0
    let taken = 0
    for (const next of this.#queue) {
      if (next.settled) {
        taken += 1
        continue
      }
      bytes += next.body.length + commandHeadBytes
      if (waiting.length === limits.maxBatchEntries || (bytes > limits.maxBatchBytes && waiting.length > 0)) break
      taken += 1
      next.queued = false
      next.attempts += 1
      next.sentAt = now
      next.term = term
      waiting.push(next)
      commands.push(encodeCommand(this.#session, next.sequence, lowest, next.body))
    }
    this.#queue = taken === this.#queue.length ? [] : this.#queue.slice(taken)
    return waiting.length === 0 ? undefined : { commands, waiting, opening: false }
  }

  /** The batch is in no log: nobody was there, or it was refused. */
  refused(batch: Pick<Batch, 'waiting' | 'opening'>, reason: Refusal | 'lost'): void {
    if (batch.opening) this.#openedAt = Number.NEGATIVE_INFINITY
    if (batch.opening && reason === 'overloaded') {
      // Nothing of these was handed on yet.
      for (const waiting of this.#queue.splice(0)) this.#overload(waiting)
      return
    }
    const again: Waiting[] = []
    for (const waiting of batch.waiting) {
      waiting.attempts -= 1
      if (waiting.settled) continue
      if (reason === 'overloaded' && waiting.attempts === 0) this.#overload(waiting)
      else if (!waiting.queued) again.push(waiting)
    }
    this.#requeue(again)
  }

  #overload(waiting: Waiting): void {
    if (waiting.settled) return
    this.#settle(waiting)
    waiting.reject(overloaded('the leader has as much under way as it may'))
  }

  /** As {@link refused}, said by the leader for sequences of a session. */
  refusedBy(session: number, sequences: readonly number[], reason: Refusal): void {
    if (session !== this.#session) {
      // The refusal of an opening has no session.
      if (session === 0 && this.#session === 0) this.refused({ waiting: [], opening: true }, reason)
      return
    }
    const waiting = sequences.map(sequence => this.#open.get(sequence)).filter(found => found !== undefined)
    this.refused({ waiting: waiting.filter(({ attempts }) => attempts > 0), opening: false }, reason)
  }

  /** What was handed on before `term` and has no outcome is in no log that counts: everything of it is applied. */
  termApplied(term: number): void {
    if (this.#openedTerm < term) this.#openedAt = Number.NEGATIVE_INFINITY
    this.#again(waiting => waiting.term < term)
  }

  /** The connection to the leader ended: what was handed on may be lost. */
  connectionLost(): void {
    this.#openedAt = Number.NEGATIVE_INFINITY
    this.#again(() => true)
  }

  #again(lost: (waiting: Waiting) => boolean): void {
    const again: Waiting[] = []
    for (const waiting of this.#open.values()) if (!waiting.queued && lost(waiting)) again.push(waiting)
    this.#requeue(again)
  }

  #requeue(again: readonly Waiting[]): void {
    if (again.length === 0) return
    for (const waiting of again) waiting.queued = true
    this.#queue = [...again, ...this.#queue].sort((a, b) => a.sequence - b.sequence)
  }

  // ---- outcomes

  /** An opening was applied. */
  opened(token: number, index: number): void {
    if (token === this.#options.token && this.#session === 0) this.#session = index
  }

  applied(session: number, sequence: number, outcome: Outcome): void {
    if (session !== this.#session) return
    const waiting = this.#open.get(sequence)
    if (outcome.kind === 'expired') this.#expired()
    else if (waiting === undefined) return
    else if (outcome.kind === 'applied') {
      this.#settle(waiting)
      waiting.resolve({ index: outcome.index, result: outcome.result })
    }
  }

  /**
   * The session was forgotten by the group, before any of the open commands was applied: they go in a new one. All
   * outcomes are heard in the order of the log, so what is open has none.
   */
  #expired(): void {
    const all = [...this.#open.values()]
    this.#session = 0
    this.#openedAt = Number.NEGATIVE_INFINITY
    this.#next = 1
    this.#open = new Map()
    for (const waiting of all) {
      waiting.sequence = this.#next++
      waiting.queued = true
      this.#open.set(waiting.sequence, waiting)
    }
    this.#queue = all
  }

  /** A snapshot replaced the state: outcomes of entries that were passed over are looked up. */
  restored(sessions: Sessions): void {
    if (this.#session === 0) {
      this.#openedAt = Number.NEGATIVE_INFINITY
      return
    }
    let expired = false
    for (const waiting of [...this.#open.values()]) {
      const outcome = sessions.lookup(this.#session, waiting.sequence)
      if (outcome === undefined) continue
      if (outcome.kind === 'applied') this.applied(this.#session, waiting.sequence, outcome)
      else if (waiting.attempts > 0) {
        this.#settle(waiting)
        waiting.reject(outcomeUnknown('this node was so far behind that what became of the command is forgotten'))
      }
      expired ||= outcome.kind === 'expired'
    }
    if (expired) this.#expired()
  }

  /** @param now - monotonic. */
  tick(now: number): void {
    const { retryMs } = this.#options.limits
    this.#again(({ sentAt }) => now - sentAt > retryMs)
    if (now < this.#earliestDeadline) return
    this.#earliestDeadline = Number.POSITIVE_INFINITY
    for (const waiting of [...this.#open.values()]) {
      if (waiting.deadline > now) {
        this.#earliestDeadline = Math.min(this.#earliestDeadline, waiting.deadline)
        continue
      }
      this.#settle(waiting)
      waiting.reject(
        waiting.attempts > 0
          ? outcomeUnknown('the command was handed on, and nothing was heard of it before the deadline')
          : unavailable('no leader was found before the deadline'),
      )
    }
  }

  /** No new calls. */
  stop(): void {
    this.#stopped = true
  }

  /** The end for all that are open. */
  abandon(): void {
    this.#stopped = true
    for (const waiting of [...this.#open.values()]) {
      this.#settle(waiting)
      waiting.reject(
        waiting.attempts > 0 ? outcomeUnknown('the node stopped before it heard of the command') : stopped(),
      )
    }
  }

  #settle(waiting: Waiting): void {
    waiting.settled = true
    this.#open.delete(waiting.sequence)
    this.#bytes -= waiting.body.length
  }
}
