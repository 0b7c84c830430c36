import type { IncomingMessage } from 'node:http'

/** How the body of a request travels to the instance. */
export type RequestFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }

/** What the edge says about a request; never taken from outside. */
export interface Forwarded {
  /** Path and query for the instance. */
  readonly target: string
  readonly host: string
  readonly clientAddress: string
  readonly requestId: string
  /** Set when the site was reached by path: what the program must put before its own paths. */
  readonly prefix: string | undefined
}

/** Meant for us alone, set by us, or a claim that only we may make. */
const dropped = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'expect',
  'host',
  'content-length',
  'forwarded',
  'via',
  'x-real-ip',
  'x-request-id',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-prefix',
  'x-forwarded-proto',
  'x-forwarded-server',
])

/** A site never sees the console's session: cookies are shared by all ports and paths of a host name. */
const consoleCookie = 'aaas_console'

/** The head as it is sent to the instance, `latin1` text with the empty line at its end. */
export function requestHead(request: IncomingMessage, forwarded: Forwarded, framing: RequestFraming): string {
  const raw = request.rawHeaders
  const named = connectionNames(request.headers.connection)
  let head = `${request.method} ${forwarded.target} HTTP/1.1\r\nhost: ${forwarded.host}\r\n`
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? ''
    const lower = name.toLowerCase()
    if (dropped.has(lower) || named?.has(lower)) continue
    let value = raw[index + 1] ?? ''
    if (lower === 'cookie' && value.includes(consoleCookie)) {
      value = withoutConsoleCookies(value)
      if (value === '') continue
    }
    head += `${name}: ${value}\r\n`
  }
  if (framing.kind === 'length') head += `content-length: ${framing.length}\r\n`
  else if (framing.kind === 'chunked') head += 'transfer-encoding: chunked\r\n'
  if (forwarded.prefix !== undefined) head += `x-forwarded-prefix: ${forwarded.prefix}\r\n`
  return (
    `${head}x-forwarded-for: ${forwarded.clientAddress}\r\nx-forwarded-host: ${forwarded.host}\r\n` +
    `x-forwarded-proto: http\r\nx-request-id: ${forwarded.requestId}\r\n\r\n`
  )
}

/** Names in `Connection` besides the usual ones: headers meant for this hop. */
function connectionNames(value: string | undefined): ReadonlySet<string> | undefined {
  if (value === undefined || value === 'keep-alive' || value === 'close') return undefined
  return new Set(value.split(',').map(token => token.trim().toLowerCase()))
}

/** The cookie header without cookies whose name starts with `aaas_console`; may be empty. */
function withoutConsoleCookies(header: string): string {
  return header
    .split(';')
    .map(pair => pair.trim())
    .filter(pair => pair !== '' && !pair.startsWith(consoleCookie))
    .join('; ')
}
