import type { cartContract } from '@aaas/business-cloud/cart'
import type { Category, catalogueContract, Language, Localized, ProductSummary } from '@aaas/business-cloud/catalogue'
import type { orderContract } from '@aaas/business-cloud/order'
import type { Party, partyContract } from '@aaas/business-cloud/party'
import type { orderPaymentContract } from '@aaas/business-cloud/payment'
import type { pricingContract } from '@aaas/business-cloud/pricing'
import type { View } from '@aaas/core-cloud/cloudware'
import type { Client } from '@aaas/core-cloud/contract'
import type { CallOptions, Clock, Ids, Logger } from '@aaas/core-cloud/kernel'
import type { Markup } from '../html.js'
import { PageCache, type PageFilling, type PageRecipe, type Revision, remembered, StoredPage } from '../page-cache.js'
import { type PageContext, pageContext } from '../page-context.js'
import type { CategoryTile } from '../pages/home-page.js'
import { ByteText, page, type Reply } from '../reply.js'
import type { ShopRequest } from '../request.js'
import type { BrowserSession } from '../session.js'
import type { SiteView } from '../site-view.js'
import type { ShopFiles } from './file-routes.js'

/** What a cart or an order page shows of a SKU. */
interface ShownSku {
  readonly slug: string
  readonly name: Localized
  readonly options: Readonly<Record<string, Localized>>
  readonly image: string
}

export interface StorefrontServices {
  readonly catalogue: Client<typeof catalogueContract>
  /** The catalogue's `SkuSource` fits: SKUs that are on the shelf, the others absent; at most 100 a call. */
  readonly skus: { loadSkus(skus: readonly string[]): Promise<ReadonlyMap<string, ShownSku>> }
  readonly pricing: Client<typeof pricingContract>
  readonly carts: Client<typeof cartContract>
  readonly parties: Client<typeof partyContract>
  readonly orders: Client<typeof orderContract>
  readonly payments: Client<typeof orderPaymentContract>
}

type SlotName = 'home' | 'product' | 'cart'

/** What cloudware learns about the page it adds to. Home and product pages are shared, so nothing of a buyer is in it. */
interface SlotInput {
  readonly language: Language
  /** On product pages. */
  readonly slug?: string
  /** On the cart page. */
  readonly lines?: readonly { readonly sku: string; readonly quantity: number }[]
}

export interface StorefrontOptions {
  readonly services: StorefrontServices
  readonly site: SiteView
  /** Views of cloudware for a place on a page; a failure shows nothing and is logged. Default: none. */
  readonly slots?: (slot: SlotName, input: SlotInput) => Promise<readonly View[]>
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** Shown to nobody but search engines' and browsers' caches: a new version is a new set of asset addresses. */
  readonly version: string
  /** Folder of the owner's own pictures, served below `/assets/`. Default: only drawings. */
  readonly assetsDir?: string
  /**
   * Changes whenever something of the catalogue that was read lately changed; see `CatalogueService.revision`. Pages made
   * of the catalogue are then looked over. Default: never, so that their age alone counts.
   */
  readonly revision?: Revision
  /** How old a shared page (home, category, product) may be, milliseconds; default 2_000, 0 keeps none. */
  readonly pageTtlMs?: number
  /** Bytes of kept pages; default 16 MiB. */
  readonly pageCacheBytes?: number
}

/** Everything the routes share. */
export interface Shop extends StorefrontOptions {
  readonly files: ShopFiles
  readonly pages: PageCache
  context(language: Language, base: string): PageContext
  categories(): Promise<readonly Category[]>
  /** Categories with a picture. */
  tiles(): Promise<readonly CategoryTile[]>
  /** The first products of the catalogue's own order. */
  featured(): Promise<readonly ProductSummary[]>
  /** Views of a slot; never fails. */
  viewsOf(slot: SlotName, input: SlotInput): Promise<readonly View[]>
}

/** How long names and pictures of categories may be old, milliseconds. */
const shelfTtlMs = 30_000

export function openShop(options: StorefrontOptions, files: ShopFiles): Shop {
  const { clock, services, site } = options
  const contexts = new Map<string, PageContext>()
  const categories = remembered(clock, shelfTtlMs, async () => (await services.catalogue.listCategories({})).categories)
  return {
    ...options,
    files,
    pages: new PageCache({
      clock,
      ttlMs: options.pageTtlMs ?? 2_000,
      maxBytes: options.pageCacheBytes ?? 16 * 1024 * 1024,
      ...(options.revision === undefined ? {} : { revision: options.revision }),
    }),
    context(language, base) {
      const key = `${language} ${base}`
      let context = contexts.get(key)
      if (context === undefined) {
        context = pageContext(site, language, base, files.paths)
        // The edge names few bases; the bound is for whoever runs the program without one.
        if (contexts.size >= 100) contexts.clear()
        contexts.set(key, context)
      }
      return context
    },
    categories,
    tiles: remembered(clock, shelfTtlMs, async () =>
      Promise.all((await categories()).map(category => tile(services, category))),
    ),
    featured: async () => (await services.catalogue.listProducts({ sort: 'relevance', limit: 11 })).products,
    async viewsOf(slot, input) {
      if (options.slots === undefined) return []
      try {
        return await options.slots(slot, input)
      } catch (error) {
        options.logger.warn('views of a slot failed', { slot, error })
        return []
      }
    },
  }
}

async function tile(services: StorefrontServices, category: Category): Promise<CategoryTile> {
  const { products } = await services.catalogue.listProducts({ category: category.slug, limit: 1 })
  return { category, image: products[0]?.image }
}

/** One request on its way through a route. */
export interface Visit {
  readonly shop: Shop
  readonly request: ShopRequest
  readonly session: BrowserSession
  readonly language: Language
  readonly context: PageContext
  /** What comes after the first segment below the language, without slashes around it. */
  readonly rest: string
}

export type Route = (visit: Visit) => Promise<Reply>

/** Options of a service call made for this request; scopes are those the storefront needs for it and no more. */
export function callOptions(visit: Visit, actorId: string, scopes: readonly string[] = []): CallOptions {
  const { traceId } = visit.request
  return { actor: { id: actorId, scopes }, ...(traceId === undefined ? {} : { traceId }) }
}

function filling(request: ShopRequest, session: BrowserSession): PageFilling {
  return { origin: request.origin, formToken: session.formToken, cartUnits: session.cartUnits }
}

/** A page that is rendered for this request alone. */
export function show(visit: Visit, markup: Markup, kind: 'private' | 'payment' = 'private', status = 200): Reply {
  return page(new ByteText(new StoredPage(markup).fill(filling(visit.request, visit.session))), kind, status)
}

/**
 * A page that is the same for everybody but its holes.
 * @param path - below the language; with `state` it must name all that the page depends on. Without `state` the address
 *   of the request says it all, and {@link keptPage} finds the page by it.
 */
export async function showShared<T>(visit: Visit, path: string, state: string, recipe: PageRecipe<T>): Promise<Reply> {
  const { pages } = visit.shop
  const address = `${visit.request.base} /${visit.language}${path}`
  // No address has a space: a page with state is never found by its address alone.
  const stored = await pages.get(state === '' ? address : `${address} ${state}`, recipe)
  return page(new ByteText(stored.fill(filling(visit.request, visit.session))))
}

/** The page of an address without a query, filled, when it is kept: no route has to run. */
export function keptPage(shop: Shop, request: ShopRequest, session: BrowserSession): string | undefined {
  const { method } = request
  if ((method !== 'GET' && method !== 'HEAD') || request.raw.url?.includes('?') === true) return undefined
  return shop.pages.peek(`${request.base} ${request.path}`)?.fill(filling(request, session))
}

/** The buyer of the session, asked anew for each page that depends on it. */
export async function buyerOf(visit: Visit): Promise<Party | undefined> {
  const { sessionToken } = visit.session
  if (sessionToken === undefined) return undefined
  return (await visit.shop.services.parties.bySession({ sessionToken }, callOptions(visit, 'storefront'))).party
}
