import type { CallOptions } from '../kernel/context.js'
import { CloudError } from '../kernel/errors.js'
import { checkScope, codeOf, factsOf, localError, type Operation } from './call.js'
import { type CallPlace, CallScope, parentOf } from './call-scope.js'
import type { Items, StreamKind } from './contract.js'
import { CutIterator, type ItemIterator, iteratorOf } from './cut-iterator.js'
import type { CallSpan, OperationObserver } from './observer.js'

interface LocalStream {
  readonly operation: Operation
  readonly place: CallPlace
  readonly observer: OperationObserver
}

/**
 * The client's function of a method with a stream, in one process. Items go from one side to the other as they are, one
 * at a time: the writer runs when the reader asks.
 */
export function localStream(
  operation: Operation,
  kind: StreamKind,
  place: CallPlace,
  observer: OperationObserver,
): (...args: never[]) => unknown {
  const stream: LocalStream = { operation, place, observer }
  switch (kind) {
    case 'out':
      return (input: unknown, call?: CallOptions) => outgoing(stream, input, undefined, call)
    case 'both':
      return (input: unknown, items: Items<unknown>, call?: CallOptions) => outgoing(stream, input, items, call)
    case 'in':
      return (input: unknown, items: Items<unknown>, call?: CallOptions) => incoming(stream, input, items, call)
  }
}

/** A call that began: how it is seen and how it ends. */
interface Running {
  readonly scope: CallScope
  readonly span: CallSpan | undefined
  /** The caller's items as the handler reads them. */
  readonly items: CutIterator | undefined
  /** @returns what the caller gets. */
  ended(error?: unknown): CloudError | undefined
}

/** @param cut - the deadline passed or the caller gave up. */
function begin(
  { operation, place, observer }: LocalStream,
  items: Items<unknown> | undefined,
  call: CallOptions | undefined,
  cut: (error: CloudError) => void,
): Running {
  const { clock, ids } = place
  const facts = factsOf(call, operation.method, clock)
  const started = clock.monotonic()
  const span = observer.begin(parentOf(facts, ids))
  const given =
    items === undefined ? undefined : new CutIterator({ open: () => iteratorOf(items), onEnd: () => undefined })
  const ended = (error?: unknown): CloudError | undefined => {
    const shown = error === undefined ? undefined : localError(error, operation)
    observer.end(clock.monotonic() - started, shown === undefined ? undefined : codeOf(shown), span)
    // A handler that goes on after its call has ended must not read from a caller who has gone.
    given?.cut(shown ?? new CloudError('core.contract.cancelled', `the call of ${operation.label} is over`))
    return shown
  }
  try {
    checkScope(operation, facts.actor)
    const scope = new CallScope(operation.label, facts, place, error => {
      ended(error)
      cut(error)
    })
    if (span !== undefined) CallScope.traced(scope, span.trace)
    return { scope, span, items: given, ended }
  } catch (error) {
    throw ended(error)
  }
}

function outgoing(
  stream: LocalStream,
  input: unknown,
  items: Items<unknown> | undefined,
  call: CallOptions | undefined,
): AsyncIterable<unknown> {
  const { operation } = stream
  let running: Running | undefined
  const reader = new CutIterator({
    open: () => {
      running = begin(stream, items, call, error => reader.cut(error))
      const { scope, span, items: given } = running
      const start = (): ItemIterator => iteratorOf(operation.handler(input, scope, given) as AsyncIterable<unknown>)
      return shownErrors(span === undefined ? start() : span.within(start), operation)
    },
    onEnd({ error, left }) {
      if (running === undefined) return
      if (left === true) {
        // The handler's signal tells it; its iterator was left before.
        CallScope.cut(running.scope, new CloudError('core.contract.cancelled', `nobody reads ${operation.label}`))
      } else if (CallScope.end(running.scope)) running.ended(error)
    },
  })
  return reader
}

/** The same items; what the handler throws becomes what its caller may see. */
function shownErrors(iterator: ItemIterator, operation: Operation): ItemIterator {
  return {
    async next() {
      try {
        return await iterator.next()
      } catch (error) {
        throw localError(error, operation)
      }
    },
    ...(iterator.return === undefined ? {} : { return: async () => (await iterator.return?.()) ?? over }),
  }
}

const over: IteratorResult<unknown> = { done: true, value: undefined }

function incoming(
  stream: LocalStream,
  input: unknown,
  items: Items<unknown>,
  call: CallOptions | undefined,
): Promise<unknown> {
  const { operation } = stream
  return new Promise((resolve, reject) => {
    const { scope, span, items: given, ended } = begin(stream, items, call, reject)
    const start = (): Promise<unknown> => Promise.resolve(operation.handler(input, scope, given))
    const settle = (error: unknown, value: unknown): void => {
      if (!CallScope.end(scope)) return
      const shown = ended(error)
      if (shown === undefined) resolve(value)
      else reject(shown)
    }
    // What a handler throws at once is an error like any other.
    Promise.resolve()
      .then(() => (span === undefined ? start() : span.within(start)))
      .then(
        value => settle(undefined, value),
        (error: unknown) => settle(error ?? new Error('the handler failed'), undefined),
      )
  })
}
