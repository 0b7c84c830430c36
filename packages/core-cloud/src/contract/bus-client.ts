import type { Bus } from '../bus/bus.js'
import type { Clock } from '../kernel/clock.js'
import type { CallOptions } from '../kernel/context.js'
import { CloudError, type ErrorBody } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import { factsOf } from './call.js'
import { decodeJson, encodeJson, headersOf } from './call-headers.js'
import type { Client, Contract } from './contract.js'

/**
 * A client of a service somewhere on the bus. Errors arrive as the CloudError the handler threw; beyond those of the
 * contract a call may fail with `core.bus.no-responder`, `core.bus.disconnected` (the outcome is unknown),
 * `core.bus.overloaded`, `core.bus.refused` and `core.contract.remote-error`.
 */
export function busClient<C extends Contract>(options: {
  readonly bus: Bus
  readonly contract: C
  /** Where the service is, such as `service.payment`. */
  readonly prefix: string
  readonly clock: Clock
  readonly ids: Ids
}): Client<C> {
  const { bus, contract, clock, ids } = options
  const client: Record<string, (input: unknown, call?: CallOptions) => Promise<unknown>> = {}
  for (const [name, method] of Object.entries(contract.methods)) {
    const subject = `${options.prefix}.${contract.name}.${name}`
    client[name] = async (input, call) => {
      const facts = factsOf(call, method, clock, ids)
      const { deadline, signal } = facts
      const headers = headersOf(facts)
      const answer = await bus.request(
        subject,
        encodeJson(input),
        signal === undefined ? { deadline, headers } : { deadline, headers, signal },
      )
      return readAnswer(answer.payload, answer.headers.error !== undefined, subject)
    }
  }
  return client as Client<C>
}

function readAnswer(payload: Uint8Array, isError: boolean, subject: string): unknown {
  let value: unknown
  try {
    value = decodeJson(payload)
  } catch (cause) {
    throw new CloudError('core.contract.remote-error', `the answer of ${subject} cannot be read`, { cause })
  }
  if (!isError) return value
  throw CloudError.fromBody(errorBodyOf(value))
}

/** Reads an error body from another process; what is missing is filled in. */
export function errorBodyOf(value: unknown): ErrorBody {
  const body: Partial<Record<keyof ErrorBody, unknown>> = typeof value === 'object' && value !== null ? value : {}
  return {
    code: typeof body.code === 'string' ? body.code : 'core.contract.remote-error',
    message: typeof body.message === 'string' ? body.message : 'the other side failed and did not say how',
    retryable: body.retryable === true,
    ...(typeof body.field === 'string' ? { field: body.field } : {}),
    ...(typeof body.details === 'object' && body.details !== null
      ? { details: body.details as Record<string, unknown> }
      : {}),
  }
}
