import { Agent, request } from 'node:http'
import type { Ids } from '@aaas/core-cloud/kernel'

/** What a load needs to know of the site; the command line gathers it from the platform. */
export interface LoadTarget {
  readonly port: number
  /** Host name the edge routes to the site. */
  readonly hostName: string
  readonly apiKey: string
  /** SKUs that can be ordered, at least one. */
  readonly skus: readonly string[]
  readonly slugs: readonly string[]
}

/** An order that was acknowledged. */
export interface PlacedOrder {
  readonly number: string
  readonly accessToken: string
}

const requestDeadlineMs = 15_000
const words = ['cup', 'lamp', 'bag', 'steel', 'tea', 'cotton', 'blue']

/**
 * The mix of requests that a shop is measured and proven with: one-call checkouts of one or two lines, and reads of every
 * kind (home, product pages in both languages, API detail, list, search), all chosen at random. An answer that is not
 * the one of success counts as a failure.
 */
export class ShopRequests {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 256 })

  constructor(
    readonly deps: {
      readonly target: LoadTarget
      readonly ids: Ids
      /** Told of each order that was acknowledged. */
      readonly onPlaced?: (order: PlacedOrder) => void
    },
  ) {}

  send(kind: string): Promise<boolean> {
    return kind === 'order' ? this.#order() : this.#read()
  }

  /** Closes the connections; requests under way fail. */
  close(): void {
    this.#agent.destroy()
  }

  async #read(): Promise<boolean> {
    const slug = this.#any(this.deps.target.slugs)
    const path = this.#any([
      '/en/',
      `/en/product/${slug}`,
      `/zh-CN/product/${slug}`,
      `/api/products/${slug}`,
      '/api/products?limit=20',
      `/api/search?text=${this.#any(words)}`,
    ])
    const { status } = await this.#call('GET', path, undefined, {})
    return status === 200
  }

  async #order(): Promise<boolean> {
    const { target, ids, onPlaced } = this.deps
    const skus = [...new Set([this.#any(target.skus), this.#any(target.skus)])]
    const body = JSON.stringify({
      lines: skus.map(sku => ({ sku, quantity: 1 })),
      language: 'en',
      address: {
        name: 'Proof of performance',
        phone: '13800000000',
        region: 'Test',
        line: 'Closed again after the run',
      },
    })
    const { status, text } = await this.#call('POST', '/api/orders', body, { 'idempotency-key': ids.uuid() })
    if (status !== 201) return false
    const { number, accessToken } = JSON.parse(text) as PlacedOrder
    onPlaced?.({ number, accessToken })
    return true
  }

  #any(choices: readonly string[]): string {
    return choices[Math.floor(this.deps.ids.random() * choices.length)] ?? ''
  }

  #call(
    method: string,
    path: string,
    body: string | undefined,
    headers: Record<string, string>,
  ): Promise<{ status: number; text: string }> {
    const { target } = this.deps
    return new Promise(resolve => {
      const outgoing = request(
        {
          agent: this.#agent,
          host: '127.0.0.1',
          port: target.port,
          method,
          path,
          timeout: requestDeadlineMs,
          headers: {
            host: target.hostName,
            authorization: `Bearer ${target.apiKey}`,
            ...(body === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
            ...headers,
          },
        },
        response => {
          const parts: Buffer[] = []
          response.on('data', (part: Buffer) => parts.push(part))
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') }),
          )
          response.on('error', () => resolve({ status: 0, text: '' }))
        },
      )
      outgoing.on('timeout', () => outgoing.destroy())
      outgoing.on('error', () => resolve({ status: 0, text: '' }))
      outgoing.end(body)
    })
  }
}
