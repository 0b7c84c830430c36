import type { Actor } from '../kernel/context.js'
import { createHttpApi, errorAnswer, type HttpApiAnswer, type HttpApiOptions, tooLarge } from './http-api.js'
import { newTraceId } from './trace.js'

export interface HttpHandlerOptions extends HttpApiOptions {
  /**
   * Finds out who calls. Undefined: nobody known; methods without a scope still work.
   * @throws CloudError `core.contract.unauthenticated` for credentials that are wrong.
   */
  readonly authenticate: (request: Request) => Promise<Actor | undefined>
}

/** {@link createHttpApi} for servers that speak `Request` and `Response`. @returns undefined when the path is not ours. */
export function httpHandler(options: HttpHandlerOptions): (request: Request) => Promise<Response | undefined> {
  const api = createHttpApi(options)
  return async request => {
    const url = new URL(request.url)
    if (api.find(request.method, url.pathname) === undefined) return undefined
    let answer: HttpApiAnswer | undefined
    try {
      const actor = await options.authenticate(request)
      const body = await readBody(request, api.maxBodyBytes)
      answer = await api.handle({
        method: request.method,
        path: url.pathname,
        query: url.searchParams,
        headers: Object.fromEntries(request.headers),
        body,
        signal: request.signal,
        ...(actor === undefined ? {} : { actor }),
      })
    } catch (error) {
      const headers = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' }
      answer = errorAnswer(error, undefined, newTraceId(options.ids), headers, options.logger)
    }
    if (answer === undefined) return undefined
    return new Response(answer.body === '' ? null : answer.body, { status: answer.status, headers: answer.headers })
  }
}

/** @throws CloudError `core.contract.payload-too-large` as soon as the limit is passed; the rest is not read. */
async function readBody(request: Request, maxBytes: number): Promise<Uint8Array> {
  if (request.body === null) return new Uint8Array(0)
  const announced = Number(request.headers.get('content-length') ?? 0)
  if (announced > maxBytes) throw tooLarge(maxBytes)
  const parts: Uint8Array[] = []
  let length = 0
  // Leaving the loop early cancels the stream.
  for await (const part of request.body as unknown as AsyncIterable<Uint8Array>) {
    length += part.length
    if (length > maxBytes) throw tooLarge(maxBytes)
    parts.push(part)
  }
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts, length)
}
