import type { IncomingMessage } from 'node:http'
import type { Language } from '@aaas/business-cloud/catalogue'

/** One request as the routes see it: everything that came from outside is checked or harmless. */
export interface ShopRequest {
  readonly method: string
  /** What the edge stripped, such as `/s/shop`; empty at a host name of its own. Every link starts with it. */
  readonly base: string
  /** `http://host:port` as the buyer's browser sees it. */
  readonly origin: string
  readonly host: string
  readonly secure: boolean
  /** Below the base, without the query; starts with `/`. */
  readonly path: string
  readonly query: URLSearchParams
  readonly cookies: ReadonlyMap<string, string>
  readonly traceId: string | undefined
  /** True when the page's script asks, not a person's browser. */
  readonly wantsJson: boolean
  readonly raw: IncomingMessage
}

const basePattern = /^(?:\/[A-Za-z0-9._~-]{1,64}){1,4}$/
const hostPattern = /^(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/
const noCookies: ReadonlyMap<string, string> = new Map()
const noQuery = new URLSearchParams()

/** The edge sets the `x-forwarded-*` headers and never takes them from outside; malformed values are ignored. */
export function readRequest(raw: IncomingMessage): ShopRequest {
  const { headers } = raw
  const url = raw.url ?? '/'
  const mark = url.indexOf('?')
  const path = mark === -1 ? url : url.slice(0, mark)
  const prefix = first(headers['x-forwarded-prefix'])
  const named = first(headers['x-forwarded-host']) ?? headers.host ?? ''
  const host = hostPattern.test(named) ? named.toLowerCase() : 'localhost'
  const secure = first(headers['x-forwarded-proto']) === 'https'
  return {
    method: raw.method ?? 'GET',
    base: prefix !== undefined && basePattern.test(prefix) ? prefix : '',
    origin: `${secure ? 'https' : 'http'}://${host}`,
    host,
    secure,
    path: path.startsWith('/') ? path : `/${path}`,
    query: mark === -1 ? noQuery : new URLSearchParams(url.slice(mark + 1, mark + 2049)),
    cookies: headers.cookie === undefined ? noCookies : readCookies(headers.cookie),
    traceId: first(headers['x-request-id']),
    wantsJson: headers.accept === 'application/json',
    raw,
  }
}

/** The first cookie of a name wins: browsers send the one with the longest path first. */
export function readCookies(header: string): ReadonlyMap<string, string> {
  const cookies = new Map<string, string>()
  for (const part of header.slice(0, 8192).split(';')) {
    const mark = part.indexOf('=')
    if (mark <= 0) continue
    const name = part.slice(0, mark).trim()
    if (name !== '' && !cookies.has(name)) cookies.set(name, part.slice(mark + 1).trim())
  }
  return cookies
}

/**
 * The best language the shop has for an `Accept-Language` header. Any Chinese is served zh-CN.
 * Falls back to the shop's default.
 */
export function negotiateLanguage(
  header: string | undefined,
  languages: readonly Language[],
  otherwise: Language,
): Language {
  let best: Language | undefined
  let bestQuality = 0
  for (const part of (header ?? '').slice(0, 500).split(',')) {
    const [tag = '', ...parameters] = part.trim().toLowerCase().split(';')
    const given = parameters.map(text => text.trim()).find(text => text.startsWith('q='))
    const quality = given === undefined ? 1 : Number(given.slice(2))
    const primary = tag.split('-')[0]
    const language = languages.find(candidate => candidate.toLowerCase().split('-')[0] === primary)
    if (language !== undefined && quality > bestQuality) {
      best = language
      bestQuality = quality
    }
  }
  return best ?? otherwise
}

function first(value: string | string[] | undefined): string | undefined {
  const text = typeof value === 'string' ? value : value?.[0]
  if (text === undefined) return undefined
  const comma = text.indexOf(',')
  return comma === -1 ? text : text.slice(0, comma).trim()
}
