import { setMaxListeners } from 'node:events'
import type { Clock } from '../kernel/clock.js'
import type { Actor, CallContext } from '../kernel/context.js'
import { type Deadline, Deadlines } from '../kernel/deadlines.js'
import { CloudError } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import { isTraceId, newTraceparent, type TraceFacts, traceparentOf } from './trace.js'

/** What is known of one call before its handler runs. */
export interface CallFacts {
  /** Absolute epoch milliseconds. */
  readonly deadline: number
  /** The clock's time when these facts were found, when it was looked at: looking again costs as much as a small call. */
  readonly now?: number | undefined
  /** Well-formed, see `checkedTraceparent`. */
  readonly traceparent?: string | undefined
  readonly tracestate?: string | undefined
  /** Used when there is no `traceparent`; one that is not of the W3C form is replaced. */
  readonly traceId?: string | undefined
  readonly tenant?: string | undefined
  readonly actor?: Actor | undefined
  readonly idempotencyKey?: string | undefined
  /** Ends the call early. */
  readonly signal?: AbortSignal | undefined
  /** Aborts when the surface knows that nobody waits any more; asked when the handler wants its signal. */
  readonly surfaceSignal?: (() => AbortSignal) | undefined
}

/** What the calls of one surface have in common. */
export interface CallPlace {
  readonly clock: Clock
  readonly ids: Ids
  readonly deadlines: Deadlines
}

const sharedDeadlines = new WeakMap<Clock, Deadlines>()

/** One set of deadlines for all calls on a clock. */
export function deadlinesOn(clock: Clock): Deadlines {
  let deadlines = sharedDeadlines.get(clock)
  if (deadlines === undefined) {
    deadlines = new Deadlines(clock)
    sharedDeadlines.set(clock, deadlines)
  }
  return deadlines
}

export function callPlace(clock: Clock, ids: Ids): CallPlace {
  return { clock, ids, deadlines: deadlinesOn(clock) }
}

/** What the call is part of; a new trace when its caller named none. */
export function traceOf(facts: CallFacts, ids: Ids): TraceFacts {
  const { traceparent, tracestate, traceId } = facts
  if (traceparent !== undefined) return tracestate === undefined ? { traceparent } : { traceparent, tracestate }
  if (traceId !== undefined && isTraceId(traceId)) return { traceparent: traceparentOf(traceId, ids) as string }
  return { traceparent: newTraceparent(ids) }
}

/** What an observer is told of the caller's trace: only what the caller said. */
export function parentOf(facts: CallFacts, ids: Ids): TraceFacts | undefined {
  return facts.traceparent === undefined && facts.traceId === undefined ? undefined : traceOf(facts, ids)
}

/** Ends a call early; called at most once. */
export type Cut = (error: CloudError) => void

/**
 * A call under way, and what its handler sees of it. Most handlers look at little of it: what is dear to make is made on
 * first use. It ends by {@link CallScope.end}, or is cut at its deadline or by its caller.
 */
export class CallScope implements CallContext {
  readonly deadline: number
  declare readonly tenant?: string
  declare readonly actor?: Actor
  declare readonly idempotencyKey?: string
  declare readonly tracestate?: string
  readonly #facts: CallFacts
  readonly #place: CallPlace
  readonly #cut: Cut
  readonly #wait: number
  readonly #timer: Deadline
  #over = false
  #controller: AbortController | undefined = undefined
  #ended: CloudError | undefined = undefined
  #trace: TraceFacts | undefined = undefined
  #onAbort: (() => void) | undefined = undefined

  /** @throws CloudError when the caller cancelled before, or the deadline has passed; `cut` is not called then. */
  constructor(label: string, facts: CallFacts, place: CallPlace, cut: Cut) {
    const { signal, deadline } = facts
    if (signal?.aborted === true) throw cancellation(label, signal)
    const wait = deadline - (facts.now ?? place.clock.now())
    if (!(wait > 0)) throw lateness(label)
    this.deadline = deadline
    if (facts.tenant !== undefined) this.tenant = facts.tenant
    if (facts.actor !== undefined) this.actor = facts.actor
    if (facts.idempotencyKey !== undefined) this.idempotencyKey = facts.idempotencyKey
    if (facts.tracestate !== undefined) this.tracestate = facts.tracestate
    this.#facts = facts
    this.#place = place
    this.#cut = cut
    this.#wait = wait
    this.#timer = place.deadlines.add(wait, () => CallScope.cut(this, lateness(label)))
    if (signal === undefined) return
    this.#onAbort = () => CallScope.cut(this, cancellation(label, signal))
    setMaxListeners(0, signal)
    signal.addEventListener('abort', this.#onAbort)
  }

  get traceId(): string {
    return this.#traced().traceparent.slice(3, 35)
  }

  get traceparent(): string {
    return this.#traced().traceparent
  }

  get signal(): AbortSignal {
    if (this.#controller !== undefined) return this.#controller.signal
    const controller = new AbortController()
    this.#controller = controller
    setMaxListeners(0, controller.signal)
    if (this.#ended !== undefined) controller.abort(this.#ended)
    // The surface may know first that nobody waits any more; the deadline may pass here first.
    const other = this.#facts.surfaceSignal?.()
    if (other?.aborted === true) controller.abort(other.reason)
    else other?.addEventListener('abort', () => controller.abort(other.reason), { once: true })
    return controller.signal
  }

  #traced(): TraceFacts {
    this.#trace ??= traceOf(this.#facts, this.#place.ids)
    return this.#trace
  }

  // Static, so that a handler cannot end its own call.

  /** @returns false when the call was over before. */
  static end(scope: CallScope): boolean {
    if (scope.#over) return false
    scope.#over = true
    scope.#place.deadlines.remove(scope.#timer)
    if (scope.#onAbort !== undefined) scope.#facts.signal?.removeEventListener('abort', scope.#onAbort)
    return true
  }

  /** Ends the call with an error, which its handler learns by its signal. Does nothing when it was over. */
  static cut(scope: CallScope, error: CloudError): void {
    if (!CallScope.end(scope)) return
    scope.#ended = error
    scope.#controller?.abort(error)
    scope.#cut(error)
  }

  /** The span that a tracing system began for this call. */
  static traced(scope: CallScope, trace: TraceFacts): void {
    scope.#trace = trace
  }

  /** Monotonic milliseconds when the call began. */
  static startedAt(scope: CallScope): number {
    return scope.#timer.due - scope.#wait
  }

  static over(scope: CallScope): boolean {
    return scope.#over
  }
}

export function lateness(label: string): CloudError {
  return new CloudError('core.contract.deadline-exceeded', `${label} did not finish before its deadline`)
}

export function cancellation(label: string, signal: AbortSignal): CloudError {
  const reason: unknown = signal.reason
  if (CloudError.is(reason)) return reason
  return new CloudError('core.contract.cancelled', `the call of ${label} was cancelled`, { cause: reason })
}
