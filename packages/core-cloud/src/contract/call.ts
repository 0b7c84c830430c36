import type { Clock } from '../kernel/clock.js'
import type { Actor, CallContext, CallOptions } from '../kernel/context.js'
import { CloudError, type ErrorBody } from '../kernel/errors.js'
import type { Logger } from '../kernel/logger.js'
import { type CallFacts, type CallPlace, CallScope, parentOf } from './call-scope.js'
import type { Contract, Handlers, Method } from './contract.js'
import type { CallSpan, OperationObserver } from './observer.js'
import { checkedTraceparent, checkedTracestate } from './trace.js'

/** Milliseconds a call may take when neither caller nor contract says. */
export const defaultDeadlineMs = 10_000
/** The same for a method with streams. */
const defaultStreamMs = 300_000

/** A handler without its types. Methods with incoming items get them last. */
type AnyHandler = (input: unknown, context: CallContext, items?: AsyncIterable<unknown>) => unknown

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
      const handler: AnyHandler = (input, context, items) =>
        (table as Record<string, AnyHandler>)[name]!(input, context, items)
      return [name, { label: `${contract.name}.${name}`, name, method, handler }]
    }),
  )
}

/** The facts of a call that starts in this process. */
export function factsOf(options: CallOptions | undefined, method: Method, clock: Clock): CallFacts {
  const now = clock.now()
  if (options === undefined) return { deadline: now + deadlineMsOf(method), now }
  const deadline = options.deadline ?? now + deadlineMsOf(method)
  const traceparent = options.traceparent === undefined ? undefined : checkedTraceparent(options.traceparent)
  return {
    deadline,
    now,
    traceparent,
    tracestate: traceparent === undefined ? undefined : checkedTracestate(options.tracestate),
    traceId: options.traceId,
    tenant: options.tenant,
    actor: options.actor,
    idempotencyKey: options.idempotencyKey,
    signal: options.signal,
  }
}

/** Milliseconds a call of the method may take when the caller says nothing. */
export function deadlineMsOf(method: Method): number {
  return method.deadlineMs ?? (method.stream === undefined ? defaultDeadlineMs : defaultStreamMs)
}

/** @throws CloudError `core.contract.forbidden` when there is an actor and it lacks the scope. */
export function checkScope({ label, method }: Operation, actor: Actor | undefined): void {
  if (method.scope === undefined || actor === undefined) return
  if (actor.scopes.includes(method.scope) || actor.scopes.includes('*')) return
  throw new CloudError('core.contract.forbidden', `${label} needs the scope ${method.scope}`, {
    details: { scope: method.scope },
  })
}

/** The code an error counts under. */
export function codeOf(error: unknown): string {
  return CloudError.is(error) ? error.code : 'core.kernel.internal'
}

/**
 * Runs the handler of one call. Ends at the deadline or when the caller cancels, even if the handler goes on:
 * it was told by its signal. Errors of the handler come out as they are.
 * @param span - of the call, when somebody traces: the handler runs within it.
 */
export function runCall(
  operation: Operation,
  input: unknown,
  facts: CallFacts,
  place: CallPlace,
  span?: CallSpan,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const scope = new CallScope(operation.label, facts, place, reject)
    let outcome: unknown
    try {
      outcome = begin(operation, input, scope, span)
    } catch (error) {
      if (CallScope.end(scope)) reject(error)
      return
    }
    if (!isThenable(outcome)) {
      if (CallScope.end(scope)) resolve(outcome)
      return
    }
    outcome.then(
      value => CallScope.end(scope) && resolve(value),
      (error: unknown) => CallScope.end(scope) && reject(error),
    )
  })
}

/** The same for a caller in this process: seen by an observer, and errors nobody threw on purpose are wrapped. */
export function runLocalCall(
  operation: Operation,
  input: unknown,
  facts: CallFacts,
  place: CallPlace,
  observer: OperationObserver,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let scope: CallScope | undefined
    const span = observer.begin(parentOf(facts, place.ids))
    const end = (code: string | undefined): void =>
      observer.end(scope === undefined ? 0 : place.clock.monotonic() - CallScope.startedAt(scope), code, span)
    const fail = (error: unknown): void => {
      const shown = localError(error, operation)
      end(shown.code)
      reject(shown)
    }
    let outcome: unknown
    try {
      checkScope(operation, facts.actor)
      scope = new CallScope(operation.label, facts, place, fail)
      outcome = begin(operation, input, scope, span)
    } catch (error) {
      if (scope === undefined || CallScope.end(scope)) fail(error)
      return
    }
    const running = scope
    const done = (value: unknown): void => {
      if (!CallScope.end(running)) return
      end(undefined)
      resolve(value)
    }
    if (isThenable(outcome)) outcome.then(done, error => CallScope.end(running) && fail(error))
    else done(outcome)
  })
}

/** Calls the handler, within the span when there is one. */
function begin(operation: Operation, input: unknown, scope: CallScope, span: CallSpan | undefined): unknown {
  if (span === undefined) return operation.handler(input, scope)
  CallScope.traced(scope, span.trace)
  return span.within(() => operation.handler(input, scope))
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value instanceof Promise) return true
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

/** An observer for surfaces that nobody observes. */
export const unobserved: OperationObserver = { begin: () => undefined, end: () => undefined }

/**
 * What a caller outside this process may see of an error. Errors nobody threw on purpose are logged here and hidden:
 * their text may hold anything.
 */
export function publicError(
  error: unknown,
  operation: Pick<Operation, 'label'>,
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
