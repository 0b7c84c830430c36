import type { Actor } from '../kernel/context.js'
import { CloudError } from '../kernel/errors.js'
import type { CallFacts } from './call-scope.js'
import { isActor } from './caller-claim.js'
import { checkedTraceparent, checkedTracestate, type TraceFacts } from './trace.js'

type Headers = Readonly<Record<string, string>>

/** Names of the headers that carry a call over the bus. All are optional: a plain client needs none. */
export const headerNames = {
  traceparent: 'traceparent',
  tracestate: 'tracestate',
  tenant: 'tenant',
  actor: 'actor',
  key: 'idempotency-key',
  /** A signed claim, see {@link CallerSigner}; servers with a verifier believe nothing else. */
  caller: 'caller',
  /** Of the contract as the caller knows it, `x.y.z`. */
  version: 'contract-version',
} as const

/** What of a call goes into headers. */
export interface CarriedCall {
  readonly facts: CallFacts
  readonly trace: TraceFacts
  readonly version: string
  readonly claim: string | undefined
}

export function headersOf({ facts, trace, version, claim }: CarriedCall): Headers {
  const headers: Record<string, string> = { traceparent: trace.traceparent, 'contract-version': version }
  if (trace.tracestate !== undefined) headers[headerNames.tracestate] = trace.tracestate
  if (facts.tenant !== undefined) headers[headerNames.tenant] = facts.tenant
  if (facts.actor !== undefined)
    headers[headerNames.actor] = JSON.stringify({ id: facts.actor.id, scopes: facts.actor.scopes })
  if (facts.idempotencyKey !== undefined) headers[headerNames.key] = facts.idempotencyKey
  if (claim !== undefined) headers[headerNames.caller] = claim
  return headers
}

/** What the headers say a call is part of; undefined when they say nothing that can be read. */
export function traceIn(headers: Headers): TraceFacts | undefined {
  const traceparent = checkedTraceparent(headers[headerNames.traceparent])
  if (traceparent === undefined) return undefined
  const tracestate = checkedTracestate(headers[headerNames.tracestate])
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate }
}

/** @throws CloudError `core.contract.invalid-input` when the actor is not one. */
export function actorIn(headers: Headers): Actor | undefined {
  const text = headers[headerNames.actor]
  if (text === undefined) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  if (isActor(value)) return { id: value.id, scopes: value.scopes }
  throw new CloudError('core.contract.invalid-input', 'the actor of the call is malformed', { field: 'actor' })
}

/** Headers of an answer that is an error: ours, and those by which clients of NATS services know one. */
export function errorHeaders(status: number, code: string, message: string): Headers {
  return {
    error: '1',
    'nats-service-error': `${code}: ${message}`.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 500),
    'nats-service-error-code': String(status),
  }
}

/** True for the answer of a call that failed; its payload is an error body. */
export function isError(headers: Headers): boolean {
  return headers.error !== undefined
}

export function encodeJson(value: unknown): Uint8Array {
  return value === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(value))
}

/** No bytes are undefined. @throws SyntaxError for anything that is not JSON. */
export function decodeJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined
  const buffer = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return JSON.parse(buffer.toString('utf8'))
}
