import { setMaxListeners } from 'node:events'
import type { Clock } from '../kernel/clock.js'
import type { Actor, CallContext, CallOptions } from '../kernel/context.js'
import { Deadlines } from '../kernel/deadlines.js'
import { CloudError, type ErrorBody } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import type { Logger } from '../kernel/logger.js'
import type { Contract, Handlers, Method } from './contract.js'
import { newTraceId } from './trace.js'

/** Milliseconds a call may take when neither caller nor contract says. */
export const defaultDeadlineMs = 10_000

type AnyHandler = (input: unknown, context: CallContext) => Promise<unknown>

/** A method with what serves it. */
export interface Operation {
  /** `business.order.place`, for messages and logs. */
  readonly label: string
  readonly name: string
  readonly method: Method
  readonly handler: AnyHandler
}

/** The methods of a served contract by name. @throws Error when a handler is missing: a programmer's mistake. */
export function operationsOf<C extends Contract>(contract: C, handlers: Handlers<C>): ReadonlyMap<string, Operation> {
  const table = handlers as Readonly<Record<string, unknown>>
  return new Map(
    Object.entries(contract.methods).map(([name, method]) => {
      if (typeof table[name] !== 'function') throw new Error(`${contract.name}: no handler for ${name}`)
      const handler: AnyHandler = (input, context) => (table as Record<string, AnyHandler>)[name]!(input, context)
      return [name, { label: `${contract.name}.${name}`, name, method, handler }]
    }),
  )
}

/** What is known of one call before its handler runs. */
export interface CallFacts {
  readonly traceId: string
  readonly deadline: number
  readonly tenant?: string | undefined
  readonly actor?: Actor | undefined
  readonly idempotencyKey?: string | undefined
  /** Ends the call early. */
  readonly signal?: AbortSignal | undefined
  /** Signal for the handler when the surface has one of its own that also ends at the deadline. */
  readonly handlerSignal?: (() => AbortSignal) | undefined
}

/** The facts of a call that starts in this process. */
export function factsOf(options: CallOptions | undefined, method: Method, clock: Clock, ids: Ids): CallFacts {
  const deadline = options?.deadline ?? clock.now() + (method.deadlineMs ?? defaultDeadlineMs)
  if (options === undefined) return { traceId: newTraceId(ids), deadline }
  return {
    traceId: options.traceId ?? newTraceId(ids),
    deadline,
    tenant: options.tenant,
    actor: options.actor,
    idempotencyKey: options.idempotencyKey,
    signal: options.signal,
  }
}

/** @throws CloudError `core.contract.forbidden` when there is an actor and it lacks the scope. */
export function checkScope({ label, method }: Operation, actor: Actor | undefined): void {
  if (method.scope === undefined || actor === undefined) return
  if (actor.scopes.includes(method.scope) || actor.scopes.includes('*')) return
  throw new CloudError('core.contract.forbidden', `${label} needs the scope ${method.scope}`, {
    details: { scope: method.scope },
  })
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

/**
 * Runs the handler of one call. Ends at the deadline or when the caller cancels, even if the handler goes on:
 * it was told by its signal. Errors of the handler come out as they are.
 */
export function runCall(operation: Operation, input: unknown, facts: CallFacts, clock: Clock): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const { signal } = facts
    const wait = facts.deadline - clock.now()
    if (signal?.aborted === true) throw cancellation(operation.label, signal)
    if (!(wait > 0)) throw lateness(operation.label)
    const deadlines = deadlinesOn(clock)
    const state: RunState = { over: false, controller: undefined, ended: undefined }
    const finish = (): boolean => {
      if (state.over) return false
      state.over = true
      deadlines.remove(timer)
      if (signal !== undefined) signal.removeEventListener('abort', onAbort)
      return true
    }
    const cut = (error: CloudError): void => {
      if (!finish()) return
      state.ended = error
      state.controller?.abort(error)
      reject(error)
    }
    const onAbort = (): void => cut(cancellation(operation.label, signal as AbortSignal))
    const timer = deadlines.add(wait, () => cut(lateness(operation.label)))
    if (signal !== undefined) {
      setMaxListeners(0, signal)
      signal.addEventListener('abort', onAbort)
    }
    let outcome: Promise<unknown>
    try {
      outcome = operation.handler(input, contextOf(facts, state))
    } catch (error) {
      if (finish()) reject(error)
      return
    }
    Promise.resolve(outcome).then(
      value => finish() && resolve(value),
      (error: unknown) => finish() && reject(error),
    )
  })
}

interface RunState {
  over: boolean
  controller: AbortController | undefined
  ended: CloudError | undefined
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

function contextOf(facts: CallFacts, state: RunState): CallContext {
  // Signals are dear and most handlers never look at theirs: it is made on first use.
  const context: Mutable<CallContext> = {
    traceId: facts.traceId,
    deadline: facts.deadline,
    get signal() {
      if (facts.handlerSignal !== undefined) return facts.handlerSignal()
      if (state.controller === undefined) {
        state.controller = new AbortController()
        setMaxListeners(0, state.controller.signal)
        if (state.ended !== undefined) state.controller.abort(state.ended)
      }
      return state.controller.signal
    },
  }
  if (facts.tenant !== undefined) context.tenant = facts.tenant
  if (facts.actor !== undefined) context.actor = facts.actor
  if (facts.idempotencyKey !== undefined) context.idempotencyKey = facts.idempotencyKey
  return context
}

export function lateness(label: string): CloudError {
  return new CloudError('core.contract.deadline-exceeded', `${label} did not finish before its deadline`)
}

export function cancellation(label: string, signal: AbortSignal): CloudError {
  const reason: unknown = signal.reason
  if (CloudError.is(reason)) return reason
  return new CloudError('core.contract.cancelled', `the call of ${label} was cancelled`, { cause: reason })
}

/**
 * What a caller outside this process may see of an error. Errors nobody threw on purpose are logged here and hidden:
 * their text may hold anything.
 */
export function publicError(
  error: unknown,
  operation: Operation,
  traceId: string,
  logger: Logger,
): ErrorBody & { readonly status: number } {
  if (CloudError.is(error) && error.code !== 'core.kernel.internal') return { ...error.toJSON(), status: error.status }
  logger.error('a handler failed', { method: operation.label, traceId, error })
  return {
    code: 'core.kernel.internal',
    message: `${operation.label} failed; the log has the cause`,
    retryable: false,
    status: 500,
  }
}

/** The same for a caller in this process, who may see the cause. */
export function localError(error: unknown, operation: Operation): CloudError {
  if (CloudError.is(error)) return error
  return new CloudError('core.kernel.internal', `${operation.label} failed`, { cause: error })
}
