import type { Bus, BusMessage, RequestOptions } from '../bus/bus.js'
import type { Clock } from '../kernel/clock.js'
import type { CallOptions } from '../kernel/context.js'
import { CloudError } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import { codeOf, factsOf, unobserved } from './call.js'
import { decodeJson, encodeJson, headersOf, isError } from './call-headers.js'
import { type CallFacts, type CallPlace, callPlace, parentOf, traceOf } from './call-scope.js'
import { CallTargets, type Sending } from './call-targets.js'
import type { CallerSigner } from './caller-claim.js'
import type { Client, Contract, Items, Method } from './contract.js'
import { errorBodyOf } from './error-body.js'
import type { CallObserver, CallSpan, OperationObserver } from './observer.js'
import { callStream } from './stream-client.js'
import { type CheckedLimits, checkedLimits, type StreamLimits } from './stream-limits.js'
import type { VersionRoutes } from './version-routes.js'

export interface BusClientOptions<C extends Contract> {
  readonly bus: Bus
  readonly contract: C
  /** Where the service is, such as `service.payment`. */
  readonly prefix: string
  readonly clock: Clock
  readonly ids: Ids
  /** Signs who calls; servers with a verifier want it. */
  readonly signer?: CallerSigner
  /** Which versions get the calls; default: whoever serves the contract's major. */
  readonly routes?: VersionRoutes
  readonly observer?: CallObserver
  readonly streams?: StreamLimits
}

/** What one method's calls need. */
interface BusMethod {
  readonly options: BusClientOptions<Contract>
  readonly method: Method
  readonly name: string
  readonly label: string
  readonly place: CallPlace
  readonly targets: CallTargets
  readonly limits: CheckedLimits
  readonly observer: OperationObserver
}

/**
 * A client of a service somewhere on the bus. Errors arrive as the CloudError the handler threw; beyond those of the
 * contract a call may fail with `core.bus.no-responder`, `core.bus.disconnected` (the outcome is unknown),
 * `core.bus.overloaded`, `core.bus.refused`, `core.bus.bad-signature`, `core.contract.version-mismatch` and
 * `core.contract.remote-error`.
 */
export function busClient<C extends Contract>(options: BusClientOptions<C>): Client<C> {
  const { contract, clock, ids } = options
  const shared = {
    options: options as unknown as BusClientOptions<Contract>,
    place: callPlace(clock, ids),
    targets: new CallTargets(options),
    limits: checkedLimits(options.streams),
  }
  const client: Record<string, (...args: never[]) => unknown> = {}
  for (const [name, method] of Object.entries(contract.methods)) {
    const { name: of, version } = contract
    const observer =
      options.observer?.operation({ contract: of, version, method: name, surface: 'bus', side: 'client' }) ?? unobserved
    const one: BusMethod = { ...shared, method, name, label: `${of}.${name}`, observer }
    client[name] = functionOf(one)
  }
  return client as Client<C>
}

function functionOf(one: BusMethod): (...args: never[]) => unknown {
  const { method, options } = one
  switch (method.stream) {
    case undefined:
      return (input: unknown, call?: CallOptions) => unary(one, input, call)
    case 'out':
      return (input: unknown, call?: CallOptions) => stream(one, factsOf(call, method, options.clock), input, undefined)
    default:
      return (input: unknown, items: Items<unknown>, call?: CallOptions) =>
        stream(one, factsOf(call, method, options.clock), input, items)
  }
}

function unary(one: BusMethod, input: unknown, call: CallOptions | undefined): Promise<unknown> {
  const { options } = one
  const started = options.clock.monotonic()
  let span: CallSpan | undefined
  try {
    const facts = factsOf(call, one.method, options.clock)
    span = one.observer.begin(parentOf(facts, options.ids))
    const unary = (request: CallRequest): Sending<unknown> => new Unary(one, request, started, span)
    return send(one, encodeJson(input), facts, span, facts.signal, unary)
  } catch (error) {
    one.observer.end(options.clock.monotonic() - started, codeOf(error), span)
    return Promise.reject(error)
  }
}

function stream(one: BusMethod, facts: CallFacts, input: unknown, items: Items<unknown> | undefined): unknown {
  const { options, observer, place, limits, targets } = one
  const { clock, bus } = options
  const opening = ({ payload, options }: CallRequest): Sending<BusMessage> => ({
    ask: subject => bus.request(subject, payload, options),
    take: thrown,
    failed: error => error,
  })
  let started = 0
  let span: CallSpan | undefined
  return callStream(
    {
      label: one.label,
      kind: one.method.stream as NonNullable<Method['stream']>,
      // It may begin later than it was asked for.
      facts: { ...facts, now: undefined },
      place,
      limits,
      wire() {
        started = clock.monotonic()
        span = observer.begin(parentOf(facts, options.ids))
        return {
          open: (payload, signal) => send(one, payload, facts, span, signal, opening),
          async frame(instance, payload, deadline, signal) {
            const subject = targets.instance(instance)
            return thrown(
              await bus.request(subject, payload, { deadline, ...(signal === undefined ? {} : { signal }) }),
            )
          },
        }
      },
      ended: error => {
        if (started !== 0)
          observer.end(clock.monotonic() - started, error === undefined ? undefined : codeOf(error), span)
      },
    },
    input,
    items,
  )
}

/** What is asked for, wherever it is asked. */
interface CallRequest {
  readonly payload: Uint8Array
  readonly options: RequestOptions
}

/** A call of a method without streams. */
class Unary implements Sending<unknown> {
  constructor(
    readonly one: BusMethod,
    readonly request: CallRequest,
    readonly started: number,
    readonly span: CallSpan | undefined,
  ) {}

  ask(subject: string): Promise<BusMessage> {
    const { payload, options } = this.request
    return this.one.options.bus.request(subject, payload, options)
  }

  take(answer: BusMessage): unknown {
    const value = readJson(thrown(answer).payload, this.one.label)
    this.#ended(undefined)
    return value
  }

  failed(error: unknown): unknown {
    this.#ended(codeOf(error))
    return error
  }

  #ended(code: string | undefined): void {
    const { observer, options } = this.one
    observer.end(options.clock.monotonic() - this.started, code, this.span)
  }
}

/** Sends a call to whoever should have it. @returns what is taken of the answer. @throws what the other side threw. */
function send<T>(
  one: BusMethod,
  payload: Uint8Array,
  facts: CallFacts,
  span: CallSpan | undefined,
  signal: AbortSignal | undefined,
  sending: (request: CallRequest) => Sending<T>,
): Promise<T> {
  const { options, targets } = one
  const { contract, signer, routes } = options
  const trace = span?.trace ?? traceOf(facts, options.ids)
  const claim = signer?.sign(facts, contract.name)
  const headers = headersOf({ facts, trace, version: contract.version, claim })
  const { deadline } = facts
  const request = { payload, options: signal === undefined ? { deadline, headers } : { deadline, headers, signal } }
  const choice = routes?.choose(contract.name, facts.tenant, () => trace.traceparent.slice(3, 35))
  return targets.send(one.name, sending(request), choice)
}

/** @throws CloudError when the answer is an error. */
function thrown(answer: BusMessage): BusMessage {
  if (!isError(answer.headers)) return answer
  throw CloudError.fromBody(errorBodyOf(readJson(answer.payload, answer.subject)))
}

function readJson(payload: Uint8Array, label: string): unknown {
  try {
    return decodeJson(payload)
  } catch (cause) {
    throw new CloudError('core.contract.remote-error', `the answer of ${label} cannot be read`, { cause })
  }
}
