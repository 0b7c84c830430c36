import type { BusMessage } from '../bus/bus.js'
import type { Actor } from '../kernel/context.js'
import { CloudError } from '../kernel/errors.js'
import type { Logger } from '../kernel/logger.js'
import { checkScope, codeOf, deadlineMsOf, type Operation, publicError, runCall } from './call.js'
import { actorIn, decodeJson, encodeJson, errorHeaders, headerNames, traceIn } from './call-headers.js'
import type { CallFacts, CallPlace } from './call-scope.js'
import type { Caller, CallerVerifier } from './caller-claim.js'
import type { OperationObserver } from './observer.js'
import type { ServiceCounters } from './service-counters.js'
import { readOpen } from './stream-frame.js'
import type { StreamHost } from './stream-server.js'
import { checkInput } from './validation.js'
import { majorOf } from './version-routing-core.js'

/** May this sender call this method as this actor? */
export type Authorize = (
  sender: string | undefined,
  method: string,
  actor: Actor | undefined,
) => boolean | Promise<boolean>

/** An operation with who watches it. */
export interface ServedOperation {
  readonly operation: Operation
  readonly observer: OperationObserver
  readonly counters: ServiceCounters
}

/** Where calls come in: what all of them meet before their handler. */
export interface CallEdge {
  /** `name` and `version` of the contract. */
  readonly name: string
  readonly version: string
  readonly authorize: Authorize | undefined
  readonly verifier: CallerVerifier | undefined
  readonly place: CallPlace
  readonly logger: Logger
  readonly streams: StreamHost
}

/** Serves one message: every failure is an answer. */
export async function serveCall(
  message: BusMessage,
  served: ServedOperation | undefined,
  edge: CallEdge,
): Promise<void> {
  // Something published to a method's subject is not a call: nobody waits for an answer.
  if (message.respond === undefined) return
  if (served === undefined) {
    await answerError(message, new CloudError('core.contract.unknown-method', `there is no ${message.subject}`), edge)
    return
  }
  const { operation, observer, counters } = served
  const { clock } = edge.place
  const started = clock.monotonic()
  const parent = traceIn(message.headers)
  const span = observer.begin(parent)
  const ended = (error: unknown): void => {
    const ms = clock.monotonic() - started
    const code = error === undefined ? undefined : codeOf(error)
    counters.note(ms, error)
    observer.end(ms, code, span)
  }
  try {
    const facts = factsFrom(message, operation, edge, parent ?? span?.trace)
    checkScope(operation, facts.actor)
    if (edge.authorize !== undefined) await authorize(edge.authorize, message, operation, facts.actor)
    if (operation.method.stream !== undefined) {
      const open = readOpen(message.payload, operation.label)
      checkInput(operation.method.input, open.input, operation.label)
      const { surfaceSignal: _, ...lasting } = facts
      const opening = { operation, facts: lasting, open, sender: message.sender, span, ended }
      await message.respond(edge.streams.open(opening))
      return
    }
    const input = readInput(message.payload, operation)
    const result = encodeJson(await runCall(operation, input, facts, edge.place, span))
    // Fails when the answer is larger than a message may be.
    await message.respond(result)
    ended(undefined)
  } catch (error) {
    ended(error)
    await answerError(message, error, edge, operation)
  }
}

/** Serves a frame of an open stream. */
export async function serveFrame(message: BusMessage, edge: CallEdge): Promise<void> {
  if (message.respond === undefined) return
  try {
    await message.respond(await edge.streams.frame(message))
  } catch (error) {
    await answerError(message, error, edge)
  }
}

/** Who calls, what for and until when. @throws CloudError for headers that cannot be believed. */
function factsFrom(
  message: BusMessage,
  operation: Operation,
  edge: CallEdge,
  trace: ReturnType<typeof traceIn>,
): CallFacts {
  const { headers } = message
  const wanted = headers[headerNames.version]
  if (wanted !== undefined && majorOf(wanted) !== majorOf(edge.version)) {
    throw new CloudError(
      'core.contract.version-mismatch',
      `${edge.name} is served in version ${edge.version}, which a caller of ${wanted.slice(0, 40)} does not understand`,
      { details: { served: edge.version, wanted: wanted.slice(0, 40) } },
    )
  }
  const caller: Caller | undefined = edge.verifier?.verify(headers[headerNames.caller], edge.name)
  return {
    traceparent: trace?.traceparent,
    tracestate: trace?.tracestate,
    deadline: message.deadline ?? edge.place.clock.now() + deadlineMsOf(operation.method),
    tenant: caller === undefined ? (message.sender ?? headers[headerNames.tenant]) : caller.tenant,
    actor: caller === undefined ? actorIn(headers) : caller.actor,
    idempotencyKey: headers[headerNames.key],
    // Made by the bus, which knows when nobody waits any more.
    surfaceSignal: message.deadline === undefined ? undefined : () => message.signal as AbortSignal,
  }
}

async function authorize(
  allows: Authorize,
  message: BusMessage,
  operation: Operation,
  actor: Actor | undefined,
): Promise<void> {
  if (await allows(message.sender, operation.name, actor)) return
  throw new CloudError('core.contract.forbidden', `${message.sender ?? 'the caller'} may not call ${operation.label}`)
}

function readInput(payload: Uint8Array, operation: Operation): unknown {
  let input: unknown
  try {
    input = decodeJson(payload)
  } catch (cause) {
    throw new CloudError('core.contract.invalid-input', `${operation.label}: the input is not JSON`, {
      field: '',
      cause,
    })
  }
  checkInput(operation.method.input, input, operation.label)
  return input
}

async function answerError(message: BusMessage, error: unknown, edge: CallEdge, operation?: Operation): Promise<void> {
  const traceId = traceIn(message.headers)?.traceparent.slice(3, 35) ?? ''
  const { status, ...body } = publicError(error, operation ?? { label: message.subject }, traceId, edge.logger)
  let bytes = encodeJson(body)
  // Details are for people; an error that cannot be sent because of them would only be a deadline.
  if (bytes.length > 1_000_000)
    bytes = encodeJson({ ...body, message: body.message.slice(0, 10_000), details: undefined })
  await message.respond?.(bytes, { headers: errorHeaders(status, body.code, body.message) })
}
