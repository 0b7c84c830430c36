import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Clock, type Logger, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import type { ShopConfig } from '../../src/shop/shop-config.js'
import { siteView } from '../../src/shop/site-view.js'
import { createStorefront, type StorefrontOptions } from '../../src/shop/storefront.js'
import { type CatalogueFile, readCatalogueFile } from './catalogue-file.js'
import { type MemoryServices, memoryServices } from './memory-services.js'

export const testConfig: ShopConfig = {
  name: { 'zh-CN': '日日好物', en: 'Everyday Goods' },
  languages: ['zh-CN', 'en'],
  defaultLanguage: 'zh-CN',
  currency: 'CNY',
  theme: { preset: 'pine' },
  freight: { amount: 1000, freeFrom: 9900 },
  timeZone: 'Asia/Shanghai',
  contact: {
    email: 'hello@shop.example',
    phone: '400 000 0000',
    hours: { 'zh-CN': '周一至周六 9:00–18:00', en: 'Monday to Saturday, 9:00–18:00' },
  },
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

export interface AskOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** The storefront behind a real HTTP server on a free port. */
export interface ShopServer extends AsyncDisposable {
  readonly url: string
  readonly host: string
  readonly services: MemoryServices
  ask(path: string, options?: AskOptions): Promise<Answer>
}

export async function openShopServer(
  options: {
    readonly file?: CatalogueFile
    readonly clock?: Clock
    readonly logger?: Logger
    readonly config?: Partial<ShopConfig>
    readonly change?: (services: MemoryServices) => Partial<StorefrontOptions>
    /** The server strips it and names it in `x-forwarded-prefix`, as the edge does. */
    readonly base?: string
  } = {},
): Promise<ShopServer> {
  const clock = options.clock ?? systemClock({ keepAlive: true })
  const ids = systemIds()
  const services = memoryServices(options.file ?? readCatalogueFile(), { clock, ids })
  const handler = createStorefront({
    services,
    site: siteView({ ...testConfig, ...options.config }),
    clock,
    ids,
    logger: options.logger ?? silentLogger,
    version: 'test',
    ...options.change?.(services),
  })
  const base = options.base ?? ''
  const server = createServer((request, response) => {
    if (base !== '' && request.url?.startsWith(base)) {
      request.url = request.url.slice(base.length) || '/'
      request.headers['x-forwarded-prefix'] = base
    }
    handler(request, response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: `http://${host}`,
    host,
    services,
    ask: (path, asked) => ask(host, path, asked),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

// Not fetch: that one forbids Host, Cookie and Origin, which these tests are about.
function ask(host: string, path: string, options: AskOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const [hostname, port] = host.split(':')
    const sent = httpRequest(
      { hostname, port, path, method: options.method ?? 'GET', headers: { ...options.headers }, agent: false },
      response => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => {
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString('utf8'),
          })
        })
      },
    )
    sent.on('error', reject)
    sent.end(options.body)
  })
}

/** A browser without script: keeps cookies, follows 303, fills forms by their names. */
export class PlainBrowser {
  readonly cookies = new Map<string, string>()
  path = ''
  page: Answer = { status: 0, headers: {}, body: '' }

  constructor(
    readonly server: ShopServer,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {}

  async open(path: string): Promise<Answer> {
    let target = path
    for (let hop = 0; hop < 5; hop++) {
      await this.#send(target, {})
      const { location } = this.page.headers
      if (typeof location !== 'string' || location.startsWith('http')) return this.page
      target = location
    }
    throw new Error(`redirected too often from ${path}`)
  }

  /** Posts without following the redirect. */
  async post(
    path: string,
    fields: Readonly<Record<string, string>> | URLSearchParams,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const body = new URLSearchParams(fields).toString()
    const type = {
      'content-type': 'application/x-www-form-urlencoded',
      'content-length': String(Buffer.byteLength(body)),
    }
    await this.#send(path, { method: 'POST', headers: { ...type, origin: this.server.url, ...headers }, body })
    return this.page
  }

  /** Submits the form with this test id on the page, with its hidden and prefilled fields, and follows the redirect. */
  async submit(testId: string, fields: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const form = new RegExp(`<form[^>]*data-testid="${testId}"[^>]*>[\\s\\S]*?</form>`).exec(this.page.body)?.[0]
    if (form === undefined) throw new Error(`no form ${testId} on ${this.path}`)
    const action = unescape(/action="([^"]*)"/.exec(form)?.[1] ?? this.path)
    const values = new URLSearchParams()
    for (const [tag] of form.matchAll(/<input[^>]*>/g)) {
      const name = /name="([^"]*)"/.exec(tag)?.[1]
      if (name !== undefined && !(name in fields)) values.append(name, unescape(/value="([^"]*)"/.exec(tag)?.[1] ?? ''))
    }
    for (const [name, value] of Object.entries(fields)) values.append(name, value)
    await this.post(action, values)
    const { location } = this.page.headers
    return typeof location === 'string' && !location.startsWith('http') ? this.open(location) : this.page
  }

  async #send(path: string, options: AskOptions): Promise<void> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { ...this.headers, ...(cookie === '' ? {} : { cookie }), ...options.headers }
    this.page = await this.server.ask(path, { ...options, headers })
    this.path = path
    for (const line of this.page.headers['set-cookie'] ?? []) {
      const [pair = ''] = line.split(';')
      const mark = pair.indexOf('=')
      if (pair.slice(mark + 1) === '') this.cookies.delete(pair.slice(0, mark))
      else this.cookies.set(pair.slice(0, mark), pair.slice(mark + 1))
    }
  }
}

function unescape(text: string): string {
  return text
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
}
