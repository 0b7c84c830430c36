import { timingSafeEqual } from 'node:crypto'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { Context, Env } from 'hono'
import type { ConsoleSession } from './console-users.js'

/** Cookies whose name starts like this never reach a site: the edge takes them out. */
export const sessionCookie = 'aaas_console_session'
export const languageCookie = 'aaas_console_language'

const maxFormBytes = 64 * 1024

export const securityHeaders: Readonly<Record<string, string>> = {
  // The chart library sets sizes by script, which needs no `unsafe-inline`.
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
}

/**
 * Reads a form. One that another site's page sent is refused before its body is read.
 * @throws CloudError `site.console.csrf`, `core.contract.payload-too-large`, `core.contract.unsupported-media-type`.
 */
export async function formOf<E extends Env>(c: Context<E>): Promise<URLSearchParams> {
  checkOrigin(c)
  const type = c.req.header('content-type') ?? ''
  if (!/^application\/x-www-form-urlencoded(;|$)/i.test(type)) {
    throw new CloudError('core.contract.unsupported-media-type', 'send a form as application/x-www-form-urlencoded')
  }
  return new URLSearchParams(await limitedText(c.req.raw))
}

function checkOrigin<E extends Env>(c: Context<E>): void {
  const site = c.req.header('sec-fetch-site')
  const origin = c.req.header('origin')
  const foreign =
    (site !== undefined && site !== 'same-origin' && site !== 'none') ||
    (origin !== undefined && hostOf(origin) !== c.req.header('host'))
  if (foreign) throw new CloudError('site.console.csrf', 'the form came from another site')
}

/** Undefined for what is no origin, `null` included: a sandboxed page sends that. */
function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined
}

async function limitedText(request: Request): Promise<string> {
  if (request.body === null) return ''
  if (Number(request.headers.get('content-length') ?? 0) > maxFormBytes) throw tooLarge()
  const parts: Uint8Array[] = []
  let length = 0
  // Leaving the loop early cancels the stream.
  for await (const part of request.body as unknown as AsyncIterable<Uint8Array>) {
    length += part.length
    if (length > maxFormBytes) throw tooLarge()
    parts.push(part)
  }
  return Buffer.concat(parts, length).toString('utf8')
}

function tooLarge(): CloudError {
  return new CloudError('core.contract.payload-too-large', `a form may have ${maxFormBytes} bytes`)
}

/** @throws CloudError `site.console.csrf`. */
export function checkToken(session: ConsoleSession, form: URLSearchParams): void {
  const given = Buffer.from(form.get('csrf') ?? '')
  const right = Buffer.from(session.csrf)
  if (given.length === right.length && timingSafeEqual(given, right)) return
  throw new CloudError('site.console.csrf', 'the form is stale: go back, reload and try again', { field: 'csrf' })
}

/** @throws CloudError `core.contract.forbidden` naming the role. */
export function requireScope(session: ConsoleSession, scope: string): void {
  const { scopes } = session.actor
  if (scopes.includes('*') || scopes.includes(scope)) return
  throw new CloudError('core.contract.forbidden', `your role (${session.role}) may not do this`, { details: { scope } })
}

/** Path and query of a request. */
export function pathOf<E extends Env>(c: Context<E>): string {
  const url = new URL(c.req.url)
  return url.pathname + url.search
}

/** Only a path of this console; anything else goes home. */
export function safeNext(next: string | undefined): string {
  return next !== undefined && next.length <= 2_000 && /^\/(?![/\\])[^\s\\]*$/.test(next) ? next : '/'
}

/** True when a proxy in front of the console speaks TLS with the browser. */
export function overTls<E extends Env>(c: Context<E>): boolean {
  return c.req.header('x-forwarded-proto') === 'https' || new URL(c.req.url).protocol === 'https:'
}
