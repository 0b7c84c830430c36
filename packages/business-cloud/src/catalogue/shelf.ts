import { type Clock, CloudError, type Logger } from '@aaas/core-cloud/kernel'
import type { Cache } from '@aaas/support-cloud/cache'
import type { Queryable } from '@aaas/support-cloud/rdbms'
import type { SearchResult } from '@aaas/support-cloud/search'
import type { Category, Product, ProductSummary } from './catalogue-contract.js'
import {
  type PageRequest,
  readAvailable,
  readCategories,
  readPage,
  readProductRows,
  readSkuFacts,
  readSummaries,
  readVersion,
  type ShelfVersion,
  type SummaryPage,
} from './shelf-reads.js'
import type { SkuFacts } from './sku-facts.js'

/** How long an answer may stand, milliseconds. Stock is never older than `stockMs`, anything else than `versionMs`. */
const stockMs = 2_000
const versionMs = 1_000
const staticMs = 60_000

export interface FoundPage extends SummaryPage {
  readonly brands: readonly { readonly brand: string; readonly count: number }[]
}

/** A value with the time its stock was read. */
interface Stocked<T> {
  readonly value: T
  readonly at: number
}

/**
 * Reads the shelf through the cache. Three ages of data meet here:
 * - the version of the shelf, asked for once a second at most, is part of every key: a change made by any process
 *   shows everywhere within a second, without messages, and an answer loaded too early can never be taken for new;
 * - what only changes with the version (names, prices) is kept for a minute;
 * - whole answers are kept for two seconds, because stock changes without a new version. When one has passed, only the
 *   stock is read again.
 * Every miss is one round trip, and callers that miss together share it. While the database cannot be reached, what is
 * known is shown on, for a minute: people go on browsing through a restart of it.
 */
export class Shelf {
  #version: ShelfVersion | undefined
  #checkedAt = 0
  #checking: Promise<ShelfVersion> | undefined

  constructor(
    readonly deps: {
      readonly db: Queryable
      readonly cache: Cache
      readonly clock: Clock
      readonly logger: Logger
      readonly currency: string
      /** Told once whenever this process sees a new version, the first included. */
      readonly onVersion?: (version: ShelfVersion) => void
    },
  ) {}

  /** The newest version known, at most a second old. */
  async version(): Promise<ShelfVersion> {
    if (this.#version !== undefined && this.deps.clock.monotonic() - this.#checkedAt < versionMs) return this.#version
    this.#checking ??= this.#check()
      .catch((error: unknown) => this.#goOn(error, this.#version))
      .finally(() => {
        this.#checking = undefined
      })
    return this.#checking
  }

  /** Forgets everything: after a change by this process, or when another one told of a change. */
  async refresh(): Promise<void> {
    // A check under way may have read before the change: let it end, then ask again.
    await this.#checking?.catch(() => undefined)
    this.#version = undefined
    await this.deps.cache.invalidate(['catalogue'])
  }

  async categories(): Promise<readonly Category[]> {
    return this.#keep(await this.#key('categories'), staticMs, () => readCategories(this.deps.db))
  }

  async page(request: PageRequest): Promise<SummaryPage> {
    const key = await this.#key(`page:${request.category ?? ''}:${request.sort}:${request.offset}:${request.limit}`)
    return this.#keepStocked(
      key,
      () => readPage(this.deps.db, this.deps.currency, request),
      async page => ({ ...page, products: await this.#restock(page.products) }),
    )
  }

  /** One page of a search, kept under `name`; products that left the shelf since are left out. */
  async found(name: string, find: () => Promise<SearchResult>): Promise<FoundPage> {
    return this.#keepStocked(
      await this.#key(`search:${name}`),
      async (): Promise<FoundPage> => {
        const { total, hits, facets } = await find()
        const slugs = hits.map(hit => hit.id)
        const known = await readSummaries(this.deps.db, this.deps.currency, slugs)
        const brands = (facets.brand ?? []).map(({ value, count }) => ({ brand: value, count }))
        return { total, brands, products: slugs.flatMap(slug => known.get(slug) ?? []) }
      },
      async page => ({ ...page, products: await this.#restock(page.products) }),
    )
  }

  async product(slug: string): Promise<Product> {
    return this.#keepStocked(
      await this.#key(`product:${slug}`),
      () => this.#readProduct(slug),
      async product => {
        const units = new Map((await readAvailable(this.deps.db, [slug])).map(row => [row.sku, row.available]))
        return stocked(product, units)
      },
      [`product:${slug}`],
    )
  }

  async skus(skus: readonly string[]): Promise<ReadonlyMap<string, SkuFacts>> {
    const prefix = await this.#key('sku')
    const wanted = [...new Set(skus)]
    const known = await Promise.all(wanted.map(sku => this.deps.cache.get<SkuFacts>(`${prefix}:${sku}`)))
    const found = new Map(known.flatMap(facts => (facts === undefined ? [] : [[facts.sku, facts] as const])))
    const missing = wanted.filter(sku => !found.has(sku))
    if (missing.length === 0) return found
    for (const facts of await readSkuFacts(this.deps.db, this.deps.currency, missing)) {
      found.set(facts.sku, facts)
      const tags = ['catalogue', `product:${facts.slug}`]
      await this.deps.cache.set(`${prefix}:${facts.sku}`, facts, { ttlMs: staticMs, tags })
    }
    return found
  }

  async #check(): Promise<ShelfVersion> {
    const seen = await readVersion(this.deps.db)
    const isNew = seen.version !== this.#version?.version || seen.epoch !== this.#version.epoch
    this.#version = seen
    this.#checkedAt = this.deps.clock.monotonic()
    if (isNew) this.deps.onVersion?.(seen)
    return seen
  }

  /** What is known stands in while the database is away; asked again in a second. */
  #goOn<T>(error: unknown, known: T | undefined): T {
    if (known === undefined || !CloudError.is(error, 'support.rdbms.unavailable')) throw error
    this.deps.logger.warn('catalogue: the database is away; what is known is shown', { error })
    this.#checkedAt = this.deps.clock.monotonic()
    return known
  }

  async #key(name: string): Promise<string> {
    const { epoch, version } = await this.version()
    return `catalogue:${epoch.slice(0, 8)}:${version}:${name}`
  }

  #keep<T>(key: string, ttlMs: number, load: () => Promise<T>, tags: readonly string[] = []): Promise<T> {
    return this.deps.cache.wrap(key, load, { ttlMs, tags: ['catalogue', ...tags] })
  }

  /** Keeps `load`'s answer for a minute, and every two seconds renews its stock by `restock`. */
  #keepStocked<T>(
    key: string,
    load: () => Promise<T>,
    restock: (old: T) => Promise<T>,
    tags?: readonly string[],
  ): Promise<T> {
    return this.#keep(
      key,
      stockMs,
      async () => {
        const began = this.deps.clock.monotonic()
        const first = await this.#keep(
          `${key}:static`,
          staticMs,
          async (): Promise<Stocked<T>> => ({ value: await load(), at: began }),
          tags,
        )
        if (first.at >= began) return first.value
        return restock(first.value).catch((error: unknown) => this.#goOn(error, first.value))
      },
      tags,
    )
  }

  async #restock(products: readonly ProductSummary[]): Promise<readonly ProductSummary[]> {
    if (products.length === 0) return products
    const units = new Map<string, number>()
    const rows = await readAvailable(
      this.deps.db,
      products.map(product => product.slug),
    )
    for (const row of rows) units.set(row.slug, (units.get(row.slug) ?? 0) + row.available)
    return products.map(product => ({ ...product, available: units.get(product.slug) ?? 0 }))
  }

  async #readProduct(slug: string): Promise<Product> {
    const rows = await readProductRows(this.deps.db, this.deps.currency, slug)
    const [first] = rows
    if (first === undefined) {
      throw new CloudError('business.catalogue.unknown-product', `no product '${slug}' on the shelf`, { field: 'slug' })
    }
    const { name, brand, category, image, description, attributes, currency } = first
    const skus = rows.map(({ sku, options, amount, available }) => ({ sku, options, amount: amount ?? 0, available }))
    const amount = Math.min(...skus.map(sku => sku.amount))
    const available = skus.reduce((sum, sku) => sum + sku.available, 0)
    return { slug, name, brand, category, image, amount, currency, available, description, attributes, skus }
  }
}

function stocked(product: Product, units: ReadonlyMap<string, number>): Product {
  const skus = product.skus.map(sku => ({ ...sku, available: units.get(sku.sku) ?? 0 }))
  return { ...product, skus, available: skus.reduce((sum, sku) => sum + sku.available, 0) }
}
