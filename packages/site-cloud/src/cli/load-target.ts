import type { LoadTarget } from '../factory/index.js'
import { type CliContext, clientOf } from './cli-context.js'
import { endpointOf } from './connection.js'

/** Units a SKU must have to be ordered by a load. */
const leastStock = 20
const page = 100

/** Gathers what a load needs to know of a site that runs: a key of its own, products, SKUs that can be ordered. */
export async function openTarget(
  context: CliContext,
  site: string,
  options: { readonly products: number },
): Promise<{ readonly target: LoadTarget; readonly close: () => Promise<void> }> {
  const client = clientOf(context)
  const call = async <T>(contract: string, method: string, input: unknown): Promise<T> =>
    (await client.callSite({ site, contract, method, input })).output as T
  const view = await client.getSite({ site })
  const key = await call<{ keyId: string; apiKey: string }>('site.shop-admin', 'createApiKey', {
    name: 'proof of performance',
    scopes: ['order.place'],
    requestsPerSecond: 100_000,
  })
  const slugs: string[] = []
  for (let offset = 0; offset < options.products; offset += page) {
    const limit = Math.min(page, options.products - offset)
    const { products } = await call<{ products: { slug: string; available: number }[] }>(
      'business.catalogue',
      'listProducts',
      { limit, offset },
    )
    slugs.push(...products.filter(product => product.available >= leastStock).map(product => product.slug))
    if (products.length < limit) break
  }
  const skus: string[] = []
  for (const slug of slugs) {
    const input = { slug }
    const product = await call<{ skus: { sku: string; available: number }[] }>(
      'business.catalogue',
      'getProduct',
      input,
    )
    skus.push(...product.skus.filter(sku => sku.available >= leastStock).map(sku => sku.sku))
  }
  return {
    target: {
      port: endpointOf(context.home).edgePort,
      hostName: view.hostNames[0] ?? `${site}.localhost`,
      apiKey: key.apiKey,
      skus,
      slugs,
    },
    close: async () => {
      await call('site.shop-admin', 'revokeApiKey', { keyId: key.keyId })
    },
  }
}
