import type { Clock } from '../kernel/clock.js'
import type { CallOptions } from '../kernel/context.js'
import { CloudError } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import { factsOf } from './call.js'
import { type CallFacts, cancellation, deadlinesOn, lateness, traceOf } from './call-scope.js'
import type { Client, Contract, Method } from './contract.js'
import { errorBodyOf } from './error-body.js'

/** The part of the platform's `fetch` that the client needs. */
export type Fetch = (
  url: string,
  init: {
    readonly method: string
    readonly headers: Record<string, string>
    readonly body?: string
    readonly signal: AbortSignal
  },
) => Promise<{ readonly status: number; text(): Promise<string> }>

export interface HttpClientOptions<C extends Contract> {
  readonly contract: C
  /** Without a trailing slash, such as `https://shop.example/api/v1`. */
  readonly baseUrl: string
  /** Sent as `Authorization: Bearer`; a function is asked before each call. */
  readonly token?: string | (() => string | undefined)
  readonly clock: Clock
  readonly ids: Ids
  readonly fetch?: Fetch
}

/**
 * A client over HTTP: at the method's own place when it has one, else below `/rpc`. Tenant and actor are what the token
 * says, so those options have no effect. Beyond the errors of the contract: `core.contract.unavailable` when nobody answers.
 * Methods with a stream are not offered over HTTP: calling one fails with `core.bus.unsupported`.
 */
export function httpClient<C extends Contract>(options: HttpClientOptions<C>): Client<C> {
  const { contract, clock } = options
  const client: Record<string, (input: unknown, call?: CallOptions) => Promise<unknown>> = {}
  for (const [name, method] of Object.entries(contract.methods)) {
    const label = `${contract.name}.${name}`
    if (method.stream !== undefined) {
      client[name] = () => {
        throw new CloudError('core.bus.unsupported', `${label} has a stream and is not offered over HTTP`)
      }
      continue
    }
    client[name] = (input, call) =>
      send(placeOf(method, `/rpc/${contract.name}/${name}`, input), label, factsOf(call, method, clock), options)
  }
  return client as unknown as Client<C>
}

interface Place {
  readonly verb: string
  readonly path: string
  readonly body: string | undefined
}

function placeOf(method: Method, rpcPath: string, input: unknown): Place {
  const { http } = method
  if (http === undefined) return { verb: 'POST', path: rpcPath, body: JSON.stringify(input ?? {}) }
  const rest: Record<string, unknown> = { ...(input as Record<string, unknown>) }
  const path = http.path.replace(/:([A-Za-z0-9_]+)/g, (_, name: string) => {
    const value = rest[name]
    delete rest[name]
    return encodeURIComponent(textOf(value))
  })
  if (http.verb !== 'GET' && http.verb !== 'DELETE') return { verb: http.verb, path, body: JSON.stringify(rest) }
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(rest)) {
    if (value === undefined) continue
    for (const item of Array.isArray(value) ? (value as unknown[]) : [value]) query.append(name, textOf(item))
  }
  return { verb: http.verb, path: query.size === 0 ? path : `${path}?${query.toString()}`, body: undefined }
}

function textOf(value: unknown): string {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value)
}

async function send<C extends Contract>(
  place: Place,
  label: string,
  facts: CallFacts,
  options: HttpClientOptions<C>,
): Promise<unknown> {
  const { signal } = facts
  const wait = facts.deadline - options.clock.now()
  if (signal?.aborted === true) throw cancellation(label, signal)
  if (!(wait > 0)) throw lateness(label)
  const controller = new AbortController()
  const timer = deadlinesOn(options.clock).add(wait, () => controller.abort(lateness(label)))
  const onAbort = (): void => controller.abort(cancellation(label, signal as AbortSignal))
  signal?.addEventListener('abort', onAbort)
  try {
    const fetch = options.fetch ?? (globalThis.fetch as unknown as Fetch)
    const answer = await fetch(`${options.baseUrl}${place.path}`, {
      method: place.verb,
      headers: headersOf(facts, wait, place, options),
      signal: controller.signal,
      ...(place.body === undefined ? {} : { body: place.body }),
    })
    return readAnswer(answer.status, await answer.text(), label)
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason
    if (CloudError.is(error)) throw error
    throw new CloudError('core.contract.unavailable', `${label} cannot be reached at ${options.baseUrl}`, {
      cause: error,
    })
  } finally {
    deadlinesOn(options.clock).remove(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

function headersOf<C extends Contract>(
  facts: CallFacts,
  wait: number,
  place: Place,
  options: HttpClientOptions<C>,
): Record<string, string> {
  const token = typeof options.token === 'function' ? options.token() : options.token
  const { traceparent, tracestate } = traceOf(facts, options.ids)
  return {
    accept: 'application/json',
    'x-deadline-ms': String(Math.min(Math.ceil(wait), 999_999_999)),
    ...(place.body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    traceparent,
    ...(tracestate === undefined ? {} : { tracestate }),
    ...(facts.idempotencyKey === undefined ? {} : { 'idempotency-key': facts.idempotencyKey }),
  }
}

function readAnswer(status: number, text: string, label: string): unknown {
  if (text === '' && status < 300) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new CloudError('core.contract.remote-error', `${label} answered ${status} with something that is not JSON`, {
      cause,
    })
  }
  if (status < 300) return value
  const error = typeof value === 'object' && value !== null && 'error' in value ? value.error : undefined
  throw CloudError.fromBody(errorBodyOf(error))
}
