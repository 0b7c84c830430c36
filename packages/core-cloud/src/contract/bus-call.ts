import type { BusMessage } from '../bus/bus.js'
import type { Actor } from '../kernel/context.js'
import { CloudError } from '../kernel/errors.js'
import type { Logger } from '../kernel/logger.js'
import { checkScope, codeOf, deadlineMsOf, type Operation, publicError, runCall } from './call.js'
import { actorIn, decodeJson, encodeJson, errorHeaders, headerNames, traceIn } from './call-headers.js'
import type { CallFacts, CallPlace } from './call-scope.js'
import type { Caller, CallerVerifier } from './caller-claim.js'
import type { CallSpan, OperationObserver } from './observer.js'
import type { ServiceCounters } from './service-counters.js'
import { readOpen } from './stream-frame.js'
import type { StreamHost } from './stream-server.js'
import type { TraceFacts } from './trace.js'
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
  /** Calls that are served now. */
  running: number
}

/** Serves one message: every failure is an answer. */
export function serveCall(
  message: BusMessage,
  served: ServedOperation | undefined,
  edge: CallEdge,
): Promise<void> | undefined {
  // Something published to a method's subject is not a call: nobody waits for an answer.
  if (message.respond === undefined) return undefined
  if (served === undefined) {
    const error = new CloudError('core.contract.unknown-method', `there is no ${message.subject}`)
    return answerError(message, error, edge)
  }
  return new Serving(message, served, edge).answer()
}

/** One call that is served. Its functions with pauses are short: what they hold is kept for every call under way. */
class Serving {
  readonly #message: BusMessage
  readonly #served: ServedOperation
  readonly #edge: CallEdge
  readonly #started: number
  readonly #trace: TraceFacts | undefined
  readonly #span: CallSpan | undefined

  constructor(message: BusMessage, served: ServedOperation, edge: CallEdge) {
    this.#message = message
    this.#served = served
    this.#edge = edge
    this.#started = edge.place.clock.monotonic()
    const parent = traceIn(message.headers)
    this.#span = served.observer.begin(parent)
    this.#trace = parent ?? this.#span?.trace
  }

  async answer(): Promise<void> {
    this.#edge.running += 1
    try {
      const result = this.#quickly()
      const bytes = result === undefined ? await this.#slowly() : encodeJson(await result)
      // Fails when the answer is larger than a message may be.
      await this.#message.respond?.(bytes)
      // A stream only begins now, and says itself when it ends.
      if (this.#served.operation.method.stream === undefined) this.#ended(undefined)
    } catch (error) {
      this.#ended(error)
      await answerError(this.#message, error, this.#edge, this.#served.operation)
    } finally {
      this.#edge.running -= 1
    }
  }

  /** @returns undefined for a call that is more than its handler. @throws CloudError for one that may not be. */
  #quickly(): Promise<unknown> | undefined {
    const { authorize, place } = this.#edge
    const { operation } = this.#served
    if (authorize !== undefined || operation.method.stream !== undefined) return undefined
    const facts = this.#facts()
    const input = readInput(this.#message.payload, operation)
    return runCall(operation, input, facts, place, this.#span)
  }

  async #slowly(): Promise<Uint8Array> {
    const { authorize: allows, place, streams } = this.#edge
    const { operation } = this.#served
    const { payload, sender } = this.#message
    const facts = this.#facts()
    if (allows !== undefined) await authorize(allows, this.#message, operation, facts.actor)
    if (operation.method.stream === undefined)
      return encodeJson(await runCall(operation, readInput(payload, operation), facts, place, this.#span))
    const open = readOpen(payload, operation.label)
    checkInput(operation.method.input, open.input, operation.label)
    const { surfaceSignal: _, ...lasting } = facts
    const ended = (error: unknown): void => this.#ended(error)
    return streams.open({ operation, facts: lasting, open, sender, span: this.#span, ended })
  }

  #facts(): CallFacts {
    const { operation } = this.#served
    const facts = factsFrom(this.#message, operation, this.#edge, this.#trace)
    checkScope(operation, facts.actor)
    return facts
  }

  #ended(error: unknown): void {
    const { observer, counters } = this.#served
    const ms = this.#edge.place.clock.monotonic() - this.#started
    counters.note(ms, error)
    observer.end(ms, error === undefined ? undefined : codeOf(error), this.#span)
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
  if (wanted !== undefined && wanted !== edge.version && majorOf(wanted) !== majorOf(edge.version)) {
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
