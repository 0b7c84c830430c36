import type { Bus, BusMessage } from '../bus/bus.js'
import type { Clock } from '../kernel/clock.js'
import type { CallOptions } from '../kernel/context.js'
import { CloudError } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import { codeOf, factsOf, unobserved } from './call.js'
import { decodeJson, encodeJson, headersOf, isError } from './call-headers.js'
import { type CallFacts, type CallPlace, callPlace, parentOf, traceOf } from './call-scope.js'
import { CallTargets } from './call-targets.js'
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

async function unary(one: BusMethod, input: unknown, call: CallOptions | undefined): Promise<unknown> {
  const { options, observer } = one
  const { clock } = options
  const started = clock.monotonic()
  const facts = factsOf(call, one.method, clock)
  const span = observer.begin(parentOf(facts, options.ids))
  let answer: BusMessage
  let value: unknown
  try {
    answer = await send(one, encodeJson(input), facts, span, facts.signal)
    value = readJson(answer.payload, one.label)
  } catch (error) {
    observer.end(clock.monotonic() - started, codeOf(error), span)
    throw error
  }
  observer.end(clock.monotonic() - started, undefined, span)
  return value
}

function stream(one: BusMethod, facts: CallFacts, input: unknown, items: Items<unknown> | undefined): unknown {
  const { options, observer, place, limits, targets } = one
  const { clock, bus } = options
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
          open: (payload, signal) => send(one, payload, facts, span, signal),
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

/** Sends a call to whoever should have it. @returns the answer. @throws what the other side threw. */
function send(
  one: BusMethod,
  payload: Uint8Array,
  facts: CallFacts,
  span: CallSpan | undefined,
  signal: AbortSignal | undefined,
): Promise<BusMessage> {
  const { options, targets } = one
  const { bus, contract, signer } = options
  const trace = span?.trace ?? traceOf(facts, options.ids)
  const claim = signer?.sign(facts, contract.name)
  const headers = headersOf({ facts, trace, version: contract.version, claim })
  const { deadline } = facts
  const request = signal === undefined ? { deadline, headers } : { deadline, headers, signal }
  return targets.send(
    one.name,
    async subject => thrown(await bus.request(subject, payload, request)),
    options.routes?.choose(contract.name, facts.tenant, () => trace.traceparent.slice(3, 35)),
  )
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
