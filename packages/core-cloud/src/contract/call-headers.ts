import type { Actor } from '../kernel/context.js'
import { CloudError } from '../kernel/errors.js'
import type { CallFacts } from './call.js'

/** Names of the headers that carry a call over the bus. */
const names = { trace: 'trace', tenant: 'tenant', actor: 'actor', key: 'idempotency-key' } as const

/** Header of an answer that is an error. */
export const errorAnswer = { error: '1' } as const

export function headersOf(facts: CallFacts): Readonly<Record<string, string>> {
  const headers: Record<string, string> = { trace: facts.traceId }
  if (facts.tenant !== undefined) headers[names.tenant] = facts.tenant
  if (facts.actor !== undefined)
    headers[names.actor] = JSON.stringify({ id: facts.actor.id, scopes: facts.actor.scopes })
  if (facts.idempotencyKey !== undefined) headers[names.key] = facts.idempotencyKey
  return headers
}

/** What the headers of a call say. */
export interface CarriedFacts {
  readonly traceId: string | undefined
  readonly tenant: string | undefined
  readonly actor: Actor | undefined
  readonly idempotencyKey: string | undefined
}

/** @throws CloudError `core.contract.invalid-input` when the actor is not one. */
export function factsIn(headers: Readonly<Record<string, string>>): CarriedFacts {
  const actor = headers[names.actor]
  return {
    traceId: headers[names.trace],
    tenant: headers[names.tenant],
    actor: actor === undefined ? undefined : parseActor(actor),
    idempotencyKey: headers[names.key],
  }
}

function parseActor(text: string): Actor {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  if (typeof value === 'object' && value !== null && 'id' in value && 'scopes' in value) {
    const { id, scopes } = value
    if (typeof id === 'string' && Array.isArray(scopes) && scopes.every(scope => typeof scope === 'string')) {
      return { id, scopes: scopes as readonly string[] }
    }
  }
  throw new CloudError('core.contract.invalid-input', 'the actor of the call is malformed', { field: 'actor' })
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
