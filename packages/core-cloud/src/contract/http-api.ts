import type { Clock } from '../kernel/clock.js'
import type { Actor } from '../kernel/context.js'
import { CloudError } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import type { Logger } from '../kernel/logger.js'
import { checkScope, codeOf, defaultDeadlineMs, type Operation, publicError, runCall } from './call.js'
import { type CallFacts, type CallPlace, callPlace } from './call-scope.js'
import { readHttpInput } from './http-input.js'
import { type HttpMatch, HttpRoutes, type HttpService } from './http-routes.js'
import type { CallObserver, CallSpan } from './observer.js'
import { checkedTraceparent, checkedTracestate, newTraceId, type TraceFacts, traceparentOf } from './trace.js'
import { checkInput } from './validation.js'

/** Header names in lower case; several values of one name are a list, as `node:http` gives them. */
export type HttpHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** A request, free of any server's classes. */
export interface HttpApiRequest {
  readonly method: string
  /** Path without the query, still percent-encoded. */
  readonly path: string
  readonly query?: URLSearchParams
  readonly headers: HttpHeaders
  /** The whole body; empty when there is none. */
  readonly body: Uint8Array
  /** Who the surface found the caller to be; undefined: nobody known. */
  readonly actor?: Actor
  /** Aborts when the caller hangs up. */
  readonly signal?: AbortSignal
}

export interface HttpApiAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface HttpApi {
  /** @returns what stands at this place, or undefined: the path is not of this API. */
  find(
    method: string,
    path: string,
  ): { readonly operation: Operation } | { readonly allow: readonly string[] } | undefined
  /** Serves one request; every failure is an answer. @returns undefined when the path is not of this API. */
  handle(request: HttpApiRequest): Promise<HttpApiAnswer | undefined>
  /** Most bytes of a body; a surface stops reading beyond. */
  readonly maxBodyBytes: number
}

export interface HttpApiOptions {
  readonly services: readonly HttpService[]
  /** Such as `/api/v1`; default none. */
  readonly basePath?: string
  /** True: every method is also at `POST <basePath>/rpc/<contract>/<method>`. */
  readonly rpc?: boolean
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** Default 1 MiB. */
  readonly maxBodyBytes?: number
  readonly observer?: CallObserver
}

/**
 * The HTTP API of contracts. JSON in and out; errors are `{ "error": { code, message, retryable, field?, details?, traceId } }`
 * with the status of the code. Takes `Idempotency-Key`, `traceparent`, `tracestate` and `x-deadline-ms` (milliseconds from
 * now, at most the method's own). Methods with a stream are not part of it. A method with a scope answers 401 without an actor and 403 when the actor lacks it.
 */
export function createHttpApi(options: HttpApiOptions): HttpApi {
  const basePath = (options.basePath ?? '').replace(/\/$/, '')
  const routes = new HttpRoutes({
    services: options.services,
    basePath,
    rpc: options.rpc ?? false,
    observer: options.observer,
  })
  const place = callPlace(options.clock, options.ids)
  const maxBodyBytes = options.maxBodyBytes ?? 1_048_576
  const find = (method: string, path: string) => routes.find(method === 'HEAD' ? 'GET' : method, path)
  return {
    maxBodyBytes,
    find(method, path) {
      const found = find(method, path)
      return found === undefined || 'allow' in found ? found : { operation: found.route.operation }
    },
    async handle(request) {
      const found = find(request.method, request.path)
      if (found === undefined) return undefined
      const said = traceOf(request.headers)
      const traceId = said?.traceparent.slice(3, 35) ?? newTraceId(options.ids)
      const headers = baseHeaders(traceId, options.ids)
      if ('allow' in found) {
        const error = new CloudError('core.contract.method-not-allowed', `${request.method} is not possible here`)
        return withoutBodyOf(
          request,
          errorAnswer(error, placeless, traceId, { ...headers, allow: allowed(found.allow) }, options.logger),
        )
      }
      const { operation, status, observer } = found.route
      const started = options.clock.monotonic()
      const span = observer.begin(said)
      const ended = (code: string | undefined): void => observer.end(options.clock.monotonic() - started, code, span)
      try {
        const trace = said ?? span?.trace ?? { traceparent: headers.traceparent as string }
        const output = await call(found, request, { trace, span, place, maxBodyBytes })
        const empty = status === 204 || output === undefined
        const body = empty ? '' : JSON.stringify(output)
        ended(undefined)
        return withoutBodyOf(request, { status: empty ? 204 : status, headers, body })
      } catch (error) {
        ended(codeOf(error))
        return withoutBodyOf(request, errorAnswer(error, operation, traceId, headers, options.logger))
      }
    },
  }
}

interface HttpCall {
  readonly trace: TraceFacts
  readonly span: CallSpan | undefined
  readonly place: CallPlace
  readonly maxBodyBytes: number
}

/** What the caller says the request is part of. */
function traceOf(headers: HttpHeaders): TraceFacts | undefined {
  const traceparent = checkedTraceparent(headerOf(headers, 'traceparent'))
  if (traceparent === undefined) return undefined
  const { tracestate: given } = headers
  const tracestate = checkedTracestate(typeof given === 'object' ? given.join(',') : given)
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate }
}

async function call(
  match: HttpMatch,
  request: HttpApiRequest,
  { trace, span, place, maxBodyBytes }: HttpCall,
): Promise<unknown> {
  const { operation } = match.route
  const { actor } = request
  if (operation.method.scope !== undefined && actor === undefined) {
    throw new CloudError(
      'core.contract.unauthenticated',
      `${operation.label} needs credentials with the scope ${operation.method.scope}`,
    )
  }
  checkScope(operation, actor)
  if (request.body.length > maxBodyBytes) throw tooLarge(maxBodyBytes)
  const facts: CallFacts = {
    traceparent: trace.traceparent,
    tracestate: trace.tracestate,
    deadline: place.clock.now() + waitOf(request.headers, operation),
    actor,
    idempotencyKey: idempotencyKeyOf(request.headers),
    signal: request.signal,
  }
  const input = readHttpInput(match, {
    query: request.query,
    contentType: headerOf(request.headers, 'content-type'),
    body: request.body,
  })
  checkInput(operation.method.input, input, operation.label)
  return runCall(operation, input, facts, place, span)
}

export function tooLarge(maxBodyBytes: number): CloudError {
  return new CloudError('core.contract.payload-too-large', `the body is larger than ${maxBodyBytes} bytes`)
}

/** Milliseconds the call may take: what the caller asks, at most what the method allows. */
function waitOf(headers: HttpHeaders, { method }: Operation): number {
  const most = method.deadlineMs ?? defaultDeadlineMs
  const asked = headerOf(headers, 'x-deadline-ms')
  if (asked === undefined) return most
  if (!/^\d{1,9}$/.test(asked) || Number(asked) === 0) {
    throw new CloudError('core.contract.invalid-input', 'x-deadline-ms must be a number of milliseconds above 0', {
      field: 'x-deadline-ms',
    })
  }
  return Math.min(most, Number(asked))
}

function idempotencyKeyOf(headers: HttpHeaders): string | undefined {
  const key = headerOf(headers, 'idempotency-key')
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return key
  throw new CloudError('core.contract.invalid-input', 'Idempotency-Key must be 1 to 255 visible ASCII characters', {
    field: 'idempotency-key',
  })
}

function headerOf(headers: HttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'object' ? value[0] : value
}

function baseHeaders(traceId: string, ids: Ids): Record<string, string> {
  const traceparent = traceparentOf(traceId, ids)
  return {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    ...(traceparent === undefined ? {} : { traceparent }),
  }
}

const placeless: Operation = {
  label: 'http',
  name: 'http',
  method: { summary: '', input: {}, output: {} },
  handler: () => Promise.resolve(undefined),
}

/** The answer for an error; one that nobody threw on purpose is logged and hidden. */
export function errorAnswer(
  error: unknown,
  operation: Operation | undefined,
  traceId: string,
  headers: Readonly<Record<string, string>>,
  logger: Logger,
): HttpApiAnswer {
  const { status, ...body } = publicError(error, operation ?? placeless, traceId, logger)
  const wait = body.retryable && (status === 429 || status === 503) ? retryAfter(body.details) : undefined
  return {
    status,
    headers: {
      ...headers,
      ...(wait === undefined ? {} : { 'retry-after': wait }),
      ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    },
    body: JSON.stringify({ error: { ...body, traceId } }),
  }
}

/** Seconds, from `details.retryAfterMs` when the thrower knew. */
function retryAfter(details: Readonly<Record<string, unknown>> | undefined): string {
  const known = details?.retryAfterMs
  return typeof known === 'number' && known > 0 ? String(Math.ceil(known / 1_000)) : '1'
}

function allowed(verbs: readonly string[]): string {
  return [...verbs, ...(verbs.includes('GET') ? ['HEAD'] : [])].join(', ')
}

function withoutBodyOf(request: HttpApiRequest, answer: HttpApiAnswer): HttpApiAnswer {
  return request.method === 'HEAD' || answer.body === ''
    ? { ...answer, headers: bodyless(answer.headers), body: '' }
    : answer
}

function bodyless(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const { 'content-type': _, ...rest } = headers
  return rest
}
