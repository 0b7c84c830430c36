import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { ShopRequest } from './request.js'
import type { BrowserSession } from './session.js'

/** Bytes of a form body. */
const maxFormBytes = 65_536

/** The fields of a form post. A field that came twice counts once, the first time. */
export class Form {
  readonly #fields: URLSearchParams

  constructor(fields: URLSearchParams) {
    this.#fields = fields
  }

  /** One line of text: control characters become spaces, ends are trimmed. Empty when the field is missing. */
  text(name: string, maxLength = 2000): string {
    const value = this.#fields.get(name) ?? ''
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    return value
      .slice(0, maxLength)
      .replace(/[\u0000-\u001f\u007f]+/g, ' ')
      .trim()
  }

  /** Every value of a field that may come often, at most `limit` of them. */
  all(name: string, limit: number): readonly string[] {
    return this.#fields.getAll(name).slice(0, limit)
  }

  /** A password is taken as it is, so that the service sees every character of it. */
  secret(name: string): string {
    return this.#fields.get(name) ?? ''
  }

  /** A whole number within limits, or undefined. */
  integer(name: string, minimum: number, maximum: number): number | undefined {
    const text = this.text(name, 20)
    if (!/^-?\d{1,15}$/.test(text)) return undefined
    const value = Number(text)
    return value >= minimum && value <= maximum ? value : undefined
  }
}

/**
 * Reads a form and proves that this site's own page sent it: the browser names our origin, and the hidden field repeats
 * the token of the browser's cookie.
 * @throws CloudError `site.shop.forged-form`, `core.contract.payload-too-large` or `core.contract.invalid-input`.
 */
export async function readForm(request: ShopRequest, session: BrowserSession): Promise<Form> {
  refuseForeign(request)
  const type = request.raw.headers['content-type'] ?? ''
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type))
    throw new CloudError('core.contract.invalid-input', 'not a form', { field: 'content-type' })
  const fields = new URLSearchParams(await readBody(request.raw))
  const expected = session.presentedFormToken
  if (expected === undefined || !same(expected, fields.get('form') ?? '')) throw forged('form token')
  return new Form(fields)
}

function refuseForeign(request: ShopRequest): void {
  const { headers } = request.raw
  if (headers['sec-fetch-site'] === 'cross-site') throw forged('cross-site')
  const source = headers.origin ?? headers.referer
  if (source === undefined) throw forged('no origin')
  let host: string
  try {
    host = new URL(source).host
  } catch {
    throw forged('bad origin')
  }
  // Compared by host and port: behind a TLS terminator the scheme we see may differ from the browser's.
  if (stripDefaultPort(host) !== stripDefaultPort(request.host)) throw forged('foreign origin')
}

function forged(reason: string): CloudError {
  return new CloudError('site.shop.forged-form', `the form was refused: ${reason}`)
}

function tooLarge(): CloudError {
  return new CloudError('core.contract.payload-too-large', `a form may have ${maxFormBytes} bytes`)
}

function stripDefaultPort(host: string): string {
  return host.replace(/:(80|443)$/, '')
}

function same(expected: string, given: string): boolean {
  const [left, right] = [Buffer.from(expected), Buffer.from(given)]
  return left.length === right.length && timingSafeEqual(left, right)
}

async function readBody(raw: IncomingMessage): Promise<string> {
  if (Number(raw.headers['content-length'] ?? 0) > maxFormBytes) throw tooLarge()
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of raw as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > maxFormBytes) throw tooLarge()
      chunks.push(chunk)
    }
  } catch (cause) {
    if (CloudError.is(cause)) throw cause
    throw new CloudError('core.contract.cancelled', 'the browser went away while it sent a form', { cause })
  }
  return Buffer.concat(chunks).toString('utf8')
}
