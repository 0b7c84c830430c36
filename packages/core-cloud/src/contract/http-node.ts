import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Actor } from '../kernel/context.js'
import { createHttpApi, errorAnswer, type HttpApiAnswer, type HttpApiOptions, tooLarge } from './http-api.js'
import { newTraceId } from './trace.js'

export interface NodeHttpOptions extends HttpApiOptions {
  /**
   * Finds out who calls. Undefined: nobody known; methods without a scope still work.
   * @throws CloudError `core.contract.unauthenticated` for credentials that are wrong.
   */
  readonly authenticate: (request: IncomingMessage) => Actor | undefined | Promise<Actor | undefined>
}

/**
 * {@link createHttpApi} for `node:http`, without `Request` and `Response` objects in between.
 * A caller that hangs up aborts `context.signal`.
 * @returns a listener whose promise is false when the path is not of this API; the response is untouched then.
 */
export function nodeHttpHandler(
  options: NodeHttpOptions,
): (request: IncomingMessage, response: ServerResponse) => Promise<boolean> {
  const api = createHttpApi(options)
  return async (request, response) => {
    const { method = 'GET', url = '/' } = request
    const mark = url.indexOf('?')
    const path = mark < 0 ? url : url.slice(0, mark)
    if (api.find(method, path) === undefined) return false
    const hangUp = new AbortController()
    response.once('close', () => {
      if (!response.writableFinished) hangUp.abort(new Error('the caller hung up'))
    })
    let answer: HttpApiAnswer | undefined
    try {
      const actor = await options.authenticate(request)
      const body = await readBody(request, api.maxBodyBytes)
      answer = await api.handle({
        method,
        path,
        headers: request.headers,
        body,
        signal: hangUp.signal,
        ...(mark < 0 ? {} : { query: new URLSearchParams(url.slice(mark + 1)) }),
        ...(actor === undefined ? {} : { actor }),
      })
    } catch (error) {
      const headers = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' }
      answer = errorAnswer(error, undefined, newTraceId(options.ids), headers, options.logger)
    }
    if (answer === undefined || response.destroyed) return answer !== undefined
    // What was not read of a refused body would be taken for the next request.
    const unread = request.complete ? {} : { connection: 'close' }
    response.writeHead(answer.status, {
      ...answer.headers,
      ...unread,
      ...(answer.body === '' ? {} : { 'content-length': Buffer.byteLength(answer.body) }),
    })
    response.end(answer.body)
    return true
  }
}

const nothing = new Uint8Array(0)

/** @throws CloudError `core.contract.payload-too-large` as soon as the limit is passed; the rest is not read. */
function readBody(request: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  if (request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined)
    return Promise.resolve(nothing)
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return Promise.reject(tooLarge(maxBytes))
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    let length = 0
    request.on('data', (part: Buffer) => {
      length += part.length
      if (length > maxBytes) {
        request.pause()
        reject(tooLarge(maxBytes))
      } else parts.push(part)
    })
    request.once('end', () => resolve(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, length)))
    request.once('error', reject)
    // A caller that hangs up in the middle of its body ends without `end`.
    request.once('close', () => reject(new Error('the caller hung up')))
  })
}
