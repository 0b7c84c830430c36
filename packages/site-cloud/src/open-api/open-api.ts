import type { IncomingMessage, ServerResponse } from 'node:http'
import { createHttpApi, type HttpService, openApiDocument } from '@aaas/core-cloud/contract'
import { type Actor, type Clock, CloudError, type Ids, type Logger } from '@aaas/core-cloud/kernel'
import type { ApiKeys } from './api-keys.js'
import { RateLimiter } from './rate-limit-core.js'

const maxBodyBytes = 256 * 1024
/** Requests a second of one address that brings no key. */
const anonymousPerSecond = 20

export interface OpenApiOptions {
  readonly services: readonly HttpService[]
  readonly keys: ApiKeys
  readonly title: string
  readonly version: string
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
}

/** A site's API for third-party systems. */
export interface OpenApi {
  /** Answers everything below `/api/`; `path` is the rest, starting with a slash. */
  handle(request: IncomingMessage, response: ServerResponse, path: string, query: URLSearchParams): Promise<void>
  /** The OpenAPI 3.1 document for a base URL. */
  document(baseUrl: string): unknown
}

/** Builds the HTTP API of a site from its contracts: keys, scopes, rate limits, OpenAPI document. */
export function createOpenApi(options: OpenApiOptions): OpenApi {
  const { keys, clock, ids, logger } = options
  const api = createHttpApi({ services: options.services, clock, ids, logger })
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
    async handle(request, response, path, query) {
      try {
        if (path === '/openapi.json') {
          send(response, 200, { 'content-type': 'application/json' }, JSON.stringify(document(baseUrlOf(request))))
          return
        }
        const actor = await admit(request, keys, limiter, clock)
        const answer = await api.handle({
          method: request.method ?? 'GET',
          path,
          query,
          headers: request.headers,
          body: await readBody(request),
          ...(actor === undefined ? {} : { actor }),
        })
        if (answer === undefined)
          throw new CloudError('core.contract.unknown-method', `no ${request.method} ${path} in this API`)
        send(response, answer.status, answer.headers, answer.body)
      } catch (error) {
        const cloud = CloudError.from(error)
        if (cloud.code === 'core.kernel.internal') logger.error('API request failed', { error, path })
        sendError(response, cloud)
      }
    },
  }
}

/** @returns the caller, or undefined for one without a key. */
async function admit(
  request: IncomingMessage,
  keys: ApiKeys,
  limiter: RateLimiter,
  clock: Clock,
): Promise<Actor | undefined> {
  const header = request.headers.authorization
  const token = header?.startsWith('Bearer ') === true ? header.slice(7) : undefined
  if (header !== undefined && token === undefined) {
    throw new CloudError('site.open-api.invalid-key', 'send the key as: Authorization: Bearer aaas_...', {
      field: 'authorization',
    })
  }
  const key = token === undefined ? undefined : await keys.authenticate(token)
  const caller = key?.keyId ?? `address ${String(request.headers['x-forwarded-for'] ?? '')}`
  const wait = limiter.take(caller, key?.requestsPerSecond ?? anonymousPerSecond, clock.monotonic())
  if (wait > 0) {
    throw new CloudError(
      'core.contract.rate-limited',
      `more than ${key?.requestsPerSecond ?? anonymousPerSecond} requests a second`,
      {
        details: { retryAfterMs: wait },
      },
    )
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
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    let size = 0
    request.on('data', (part: Buffer) => {
      size += part.length
      if (size > maxBodyBytes) {
        reject(new CloudError('core.contract.payload-too-large', `the body is larger than ${maxBodyBytes} bytes`))
        request.destroy()
      } else parts.push(part)
    })
    request.on('end', () => resolve(parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)))
    request.on('error', reject)
  })
}

function send(response: ServerResponse, status: number, headers: Readonly<Record<string, string>>, body: string): void {
  if (response.headersSent || response.destroyed) return
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

function sendError(response: ServerResponse, error: CloudError): void {
  const retryAfterMs = Number(error.details?.retryAfterMs ?? 1000)
  send(
    response,
    error.status,
    {
      'content-type': 'application/json',
      ...(error.status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
      ...(error.retryable ? { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) } : {}),
    },
    JSON.stringify({
      error: error.code === 'core.kernel.internal' ? { ...error.toJSON(), message: 'internal error' } : error.toJSON(),
    }),
  )
}
