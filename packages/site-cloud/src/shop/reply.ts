import { Buffer } from 'node:buffer'
import type { ServerResponse } from 'node:http'

/** What a route answers. */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | string | ByteText
}

/** A body as text of which each character is one byte; see {@link StoredPage.fill}. */
export class ByteText {
  constructor(readonly text: string) {}
}

const always = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  // The address of an order holds its access token: other sites must not learn it. `no-referrer` would blank the
  // Origin header of our own forms, which the check against forged requests reads.
  'referrer-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=()',
  'cross-origin-opener-policy': 'same-origin',
} as const

const policy = (formAction: string): string =>
  `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; ` +
  `manifest-src 'self'; form-action ${formAction}; base-uri 'none'; frame-ancestors 'none'`

const pagePolicy = policy("'self'")
// Chromium applies form-action to the redirect that follows a form too, and the payment form leads to the provider.
const paymentPolicy = policy("'self' https: http:")

const pageHeaders = {
  ...always,
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': pagePolicy,
  'cache-control': 'private, no-cache',
}
const privateHeaders = { ...pageHeaders, 'cache-control': 'private, no-store' }
const paymentHeaders = { ...privateHeaders, 'content-security-policy': paymentPolicy }

/**
 * @param kind - `shared`: nothing personal but the cart's count; `private`: never stored anywhere;
 *   `payment`: private, and its forms may lead to another origin.
 */
export function page(body: ByteText, kind: 'shared' | 'private' | 'payment' = 'shared', status = 200): Reply {
  return {
    status,
    headers: kind === 'shared' ? pageHeaders : kind === 'private' ? privateHeaders : paymentHeaders,
    body,
  }
}

/** 303: whatever the method was, the browser goes on with GET. */
export function seeOther(location: string): Reply {
  return {
    status: 303,
    headers: { ...always, location, 'cache-control': 'no-store', 'content-type': 'text/plain' },
    body: '',
  }
}

export function redirect(location: string, status: 301 | 302, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status, headers: { ...always, location, 'content-type': 'text/plain', ...headers }, body: '' }
}

export function json(value: unknown, status = 200): Reply {
  return {
    status,
    headers: { ...always, 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' },
    body: JSON.stringify(value),
  }
}

/** A file that is not a page. @param cacheControl - for immutable files {@link immutable}. */
export function file(
  body: Buffer | string,
  contentType: string,
  cacheControl: string,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return {
    status: 200,
    headers: { ...always, 'content-type': contentType, 'cache-control': cacheControl, ...headers },
    body,
  }
}

export const immutable = 'public, max-age=31536000, immutable'

/** Sends a reply; a HEAD gets the headers alone. */
export function send(response: ServerResponse, reply: Reply, method: string, cookies: readonly string[]): void {
  const { body } = reply
  const [bytes, encoding, length] =
    body instanceof ByteText
      ? ([body.text, 'latin1', body.text.length] as const)
      : ([body, 'utf8', Buffer.byteLength(body)] as const)
  const headers: Record<string, string | number | readonly string[]> = { ...reply.headers, 'content-length': length }
  if (cookies.length > 0) headers['set-cookie'] = cookies
  response.writeHead(reply.status, headers as Record<string, string | number | string[]>)
  if (method === 'HEAD') response.end()
  else response.end(bytes, encoding)
}

const sharedHead: readonly string[] = Object.entries(pageHeaders).flat()

/** Sends a shared page by the shortest way: what most requests of a shop end with. */
export function sendShared(response: ServerResponse, text: string, method: string, cookies: readonly string[]): void {
  const head = sharedHead.concat('content-length', String(text.length))
  for (const cookie of cookies) head.push('set-cookie', cookie)
  response.writeHead(200, head)
  if (method === 'HEAD') response.end()
  else response.end(text, 'latin1')
}
