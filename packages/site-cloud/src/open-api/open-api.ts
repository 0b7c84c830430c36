import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  createHttpApi,
  type HttpApi,
  type HttpService,
  newTraceId,
  openApiDocument,
  traceIdOf,
  traceparentOf,
} from '@aaas/core-cloud/contract'
import { type Actor, type Clock, CloudError, type Ids, type Logger } from '@aaas/core-cloud/kernel'
import type { ApiKey, ApiKeys } from './api-keys.js'
import { KeptAnswers, type KeptContract } from './kept-answers.js'
import { RateLimiter } from './rate-limit-core.js'

const maxBodyBytes = 256 * 1024
/** Requests a second of one address that brings no key. */
const anonymousPerSecond = 20

export interface OpenApiOptions {
  readonly services: readonly HttpService[]
  readonly keys: ApiKeys
  /** Default: none. */
  readonly kept?: KeptContract
  readonly title: string
  readonly version: string
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
}

/** A site's API for third-party systems. */
export interface OpenApi {
  /** Answers everything below `/api/`; `target` is the rest with its query, starting with a slash. Never rejects. */
  handle(request: IncomingMessage, response: ServerResponse, target: string): Promise<void>
  /** The OpenAPI 3.1 document for a base URL. */
  document(baseUrl: string): unknown
}

/** Builds the HTTP API of a site from its contracts: keys, scopes, rate limits, OpenAPI document. */
export function createOpenApi(options: OpenApiOptions): OpenApi {
  const { keys, clock, ids, logger } = options
  const api = createHttpApi({ services: options.services, clock, ids, logger })
  const kept = options.kept === undefined ? undefined : new KeptAnswers(options.kept, clock)
  const limiter = new RateLimiter()
  const document = (baseUrl: string): unknown =>
    openApiDocument({
      title: options.title,
      version: options.version,
      servers: [{ url: baseUrl }],
      contracts: options.services.map(service => service.contract),
      securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', description: 'An API key of this site' } },
    })
  return {
    document,
    async handle(request, response, target) {
      try {
        const cut = target.indexOf('?')
        const path = cut === -1 ? target : target.slice(0, cut)
        if (path === '/openapi.json') {
          send(response, 200, { 'content-type': 'application/json' }, JSON.stringify(document(baseUrlOf(request))))
          return
        }
        const key = await keyOf(request, keys)
        const actor = admit(request, key, limiter, clock)
        const answers = kept?.mayAsk(request.method, request.headers) === true ? kept : undefined
        const known = answers?.find(target)
        if (known !== undefined) {
          sendKept(response, known, traceparentFor(request, ids))
          return
        }
        const before = keptBefore(answers, api, path, target)
        const answer = await api.handle({
          method: request.method ?? 'GET',
          path,
          query: cut === -1 ? noQuery : new URLSearchParams(target.slice(cut + 1)),
          headers: request.headers,
          body: await readBody(request),
          ...(actor === undefined ? {} : { actor }),
        })
        if (answer === undefined)
          throw new CloudError('core.contract.unknown-method', `no ${request.method} ${path} in this API`)
        if (before !== undefined && answer.status === 200) answers?.keep(target, answer.body, before)
        send(response, answer.status, answer.headers, answer.body)
      } catch (error) {
        const cloud = CloudError.from(error)
        if (cloud.code === 'core.kernel.internal') logger.error('API request failed', { error, target })
        sendError(response, cloud)
      }
    },
  }
}

const noQuery = new URLSearchParams()

function keptBefore(
  answers: KeptAnswers | undefined,
  api: HttpApi,
  path: string,
  target: string,
): ReturnType<KeptAnswers['before']> {
  if (answers === undefined) return undefined
  const found = api.find('GET', path)
  return found !== undefined && 'operation' in found && answers.keeps(found.operation.label)
    ? answers.before(target)
    : undefined
}

function traceparentFor(request: IncomingMessage, ids: Ids): string | undefined {
  const { traceparent } = request.headers
  return traceparentOf(traceIdOf(typeof traceparent === 'string' ? traceparent : undefined) ?? newTraceId(ids), ids)
}

/** @returns the key of the caller; undefined for one without. */
async function keyOf(request: IncomingMessage, keys: ApiKeys): Promise<ApiKey | undefined> {
  const header = request.headers.authorization
  if (header === undefined) return undefined
  if (!header.startsWith('Bearer ')) {
    throw new CloudError('site.open-api.invalid-key', 'send the key as: Authorization: Bearer aaas_...', {
      field: 'authorization',
    })
  }
  return keys.authenticate(header.slice(7))
}

/** @throws CloudError `core.contract.rate-limited` when the caller is above its rate. */
function admit(
  request: IncomingMessage,
  key: ApiKey | undefined,
  limiter: RateLimiter,
  clock: Clock,
): Actor | undefined {
  const caller = key?.keyId ?? `address ${String(request.headers['x-forwarded-for'] ?? '')}`
  const most = key?.requestsPerSecond ?? anonymousPerSecond
  const wait = limiter.take(caller, most, clock.monotonic())
  if (wait > 0) {
    throw new CloudError('core.contract.rate-limited', `more than ${most} requests a second`, {
      details: { retryAfterMs: wait },
    })
  }
  return key === undefined ? undefined : { id: `key:${key.keyId}`, scopes: key.scopes }
}

function baseUrlOf(request: IncomingMessage): string {
  const { headers } = request
  const host = String(headers['x-forwarded-host'] ?? headers.host ?? 'localhost')
  return `${String(headers['x-forwarded-proto'] ?? 'http')}://${host}${String(headers['x-forwarded-prefix'] ?? '')}/api`
}

const noBody = new Uint8Array(0)

function readBody(request: IncomingMessage): Promise<Uint8Array> {
  if (request.method === 'GET' || request.method === 'HEAD') return Promise.resolve(noBody)
  if (Number(request.headers['content-length'] ?? 0) > maxBodyBytes) return Promise.reject(tooLarge())
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    let size = 0
    request.on('data', (part: Buffer) => {
      size += part.length
      if (size > maxBodyBytes) {
        // Not destroyed: the caller would get a broken connection instead of the reason.
        request.pause()
        reject(tooLarge())
      } else parts.push(part)
    })
    request.on('end', () => resolve(parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)))
    request.on('error', reject)
  })
}

function tooLarge(): CloudError {
  return new CloudError('core.contract.payload-too-large', `the body is larger than ${maxBodyBytes} bytes`)
}

function send(response: ServerResponse, status: number, headers: Readonly<Record<string, string>>, body: string): void {
  if (response.headersSent || response.destroyed) return
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

const keptHead: readonly string[] = ['content-type', 'application/json; charset=utf-8', 'cache-control', 'no-store']

/** The head is the one of `createHttpApi`. @param text - one character a byte. */
function sendKept(response: ServerResponse, text: string, traceparent: string | undefined): void {
  if (response.headersSent || response.destroyed) return
  const head = keptHead.concat('content-length', String(text.length))
  if (traceparent !== undefined) head.push('traceparent', traceparent)
  response.writeHead(200, head)
  response.end(text, 'latin1')
}

function sendError(response: ServerResponse, error: CloudError): void {
  const retryAfterMs = Number(error.details?.retryAfterMs ?? 1000)
  send(
    response,
    error.status,
    {
      'content-type': 'application/json',
      // What was not read of a refused body would be taken for the next request.
      ...(response.req.complete ? {} : { connection: 'close' }),
      ...(error.status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
      ...(error.retryable ? { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) } : {}),
    },
    JSON.stringify({
      error: error.code === 'core.kernel.internal' ? { ...error.toJSON(), message: 'internal error' } : error.toJSON(),
    }),
  )
}
