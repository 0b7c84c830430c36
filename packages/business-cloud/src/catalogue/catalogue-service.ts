import { createHash } from 'node:crypto'
import type { Handlers } from '@aaas/core-cloud/contract'
import { type Clock, CloudError, type Logger } from '@aaas/core-cloud/kernel'
import type { Cache } from '@aaas/support-cloud/cache'
import type { Database } from '@aaas/support-cloud/rdbms'
import type { SearchIndex, SearchQuery, SearchResult } from '@aaas/support-cloud/search'
import type { Category, catalogueContract, Product, ProductPage, ProductSort } from './catalogue-contract.js'
import { readImport } from './import-csv.js'
import { storeImport } from './import-store.js'
import { indexBatches, indexStamp } from './product-index.js'
import { Shelf } from './shelf.js'
import type { InitialStock, ListPriceWriter, SkuFacts, SkuSource } from './sku-facts.js'

const maxSkus = 1_000

type Handler = Handlers<typeof catalogueContract>
type Input<K extends keyof Handler> = Parameters<Handler[K]>[0]

/** What changed; `slugs` are the products that an import wrote. */
export interface CatalogueChange {
  readonly version: number
  readonly slugs: readonly string[]
}

export interface CatalogueDeps {
  readonly db: Database
  readonly cache: Cache
  /** Opened with {@link productIndexFields}. Several instances of a host may share its file. */
  readonly search: SearchIndex
  readonly stock: InitialStock
  readonly prices: ListPriceWriter
  readonly clock: Clock
  readonly logger: Logger
  /** ISO 4217 code of the site. */
  readonly currency: string
  /** Called after the commit of a change by this instance. Tell the others by bus; each then calls `refresh()`. */
  readonly onChanged?: (change: CatalogueChange) => void
}

/**
 * The shelf: reads from memory, at most a second behind the database, and imports.
 * Call {@link ensureIndexed} before the first search.
 */
export class CatalogueService implements Handler, SkuSource {
  readonly #shelf: Shelf
  #indexing: Promise<boolean> | undefined

  constructor(readonly deps: CatalogueDeps) {
    this.#shelf = new Shelf({ ...deps, onVersion: () => this.#indexSoon() })
  }

  async listCategories(_input?: Input<'listCategories'>): Promise<{ categories: Category[] }> {
    return { categories: (await this.#shelf.categories()) as Category[] }
  }

  /** `relevance`, the default, is the order of the catalogue's first import. */
  async listProducts(input: Input<'listProducts'>): Promise<ProductPage> {
    const { category, sort = 'relevance', offset = 0, limit = 20 } = input
    return (await this.#shelf.page({ category, sort, offset, limit })) as ProductPage
  }

  /** @throws CloudError `business.catalogue.unknown-product` */
  async getProduct(input: { readonly slug: string }): Promise<Product> {
    return this.#shelf.product(input.slug)
  }

  /** @throws CloudError `support.search.invalid-query` naming the field. */
  async search(input: Input<'search'>): Promise<Awaited<ReturnType<Handler['search']>>> {
    const query = searchQuery(input)
    const text = input.text.trim().toLowerCase()
    // Hashed, because a key of the cache is short and a text is whatever people type.
    const name = createHash('sha256')
      .update(JSON.stringify({ ...query, text }))
      .digest('base64url')
    const page = await this.#shelf.found(name, () => this.#find(query))
    return page as Awaited<ReturnType<Handler['search']>>
  }

  /**
   * Imports a CSV, all rows or none; its columns are described at {@link readImport}.
   * @throws CloudError `business.catalogue.invalid-import`; `details` has `problems` ({row, field, reason}, at most 100)
   *   and their whole `count`.
   */
  async importCsv(input: { readonly csv: string }): Promise<{ products: number; skus: number }> {
    return this.importStream([input.csv])
  }

  /** {@link importCsv} of a stream: text, or bytes in UTF-8; at most 50 MB. */
  async importStream(
    source: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
  ): Promise<{ products: number; skus: number }> {
    const parsed = await readImport(source, { currency: this.deps.currency })
    const version = await storeImport(this.deps, parsed)
    await this.refresh()
    this.deps.onChanged?.({ version, slugs: parsed.products.map(product => product.slug) })
    await this.ensureIndexed().catch((error: unknown) => {
      // The import stands; the next search that fails, or the next start, builds the index again.
      this.deps.logger.error('catalogue: the search index was not rebuilt', { error })
    })
    return { products: parsed.products.length, skus: parsed.skus.length }
  }

  /** What pricing, cart and order need of SKUs. From memory: no database call while the shelf stays as it is. */
  async loadSkus(skus: readonly string[]): Promise<ReadonlyMap<string, SkuFacts>> {
    if (skus.length > maxSkus) {
      throw new CloudError('core.contract.invalid-input', `at most ${maxSkus} SKUs a call`, { field: 'skus' })
    }
    return this.#shelf.skus(skus)
  }

  /**
   * A number that stays while nothing of what was read in the last ten seconds is seen to have changed: version, prices,
   * stock. At most a second behind the database, and there at once while it is known. A cache that keeps what it made of
   * the catalogue asks for it with every request, and reads again when it is another, or after ten seconds.
   */
  revision(): number | Promise<number> {
    return this.#shelf.revision()
  }

  /** Forgets what is cached; call it when another instance told of a change. Without the call it takes a second longer. */
  async refresh(): Promise<void> {
    await this.#shelf.refresh()
  }

  /** Builds the search index when it is empty or older than the shelf. @returns true when it was built. */
  async ensureIndexed(): Promise<boolean> {
    // Two rounds at most run one after the other: a call during a build may need what that build did not see.
    await this.#indexing?.catch(() => undefined)
    this.#indexing ??= this.#index().finally(() => {
      this.#indexing = undefined
    })
    return this.#indexing
  }

  /** Builds the search index from the database whatever its state. */
  async reindex(): Promise<void> {
    const stamp = indexStamp(await this.#shelf.version())
    await this.deps.search.rebuild(this.#batches(), { stamp: `${stamp}:again:${this.deps.clock.now()}` })
    await this.#shelf.forgetAnswers()
  }

  async #find(query: SearchQuery): Promise<SearchResult> {
    try {
      return await this.deps.search.search(query)
    } catch (error) {
      // The index may have lost its file: it is built again while the callers are told to come back.
      if (CloudError.is(error, 'support.search.unavailable')) this.#indexSoon()
      throw error
    }
  }

  async #index(): Promise<boolean> {
    const stamp = indexStamp(await this.#shelf.version())
    const current = await this.deps.search.stamp()
    if (current === stamp || current?.startsWith(`${stamp}:again:`)) return false
    const built = await this.deps.search.rebuild(this.#batches(), { stamp })
    await this.#shelf.forgetAnswers()
    if (built)
      this.deps.logger.info('catalogue: search index built', { stamp, products: await this.deps.search.count() })
    return built
  }

  #batches(): ReturnType<typeof indexBatches> {
    return indexBatches(this.deps.db, this.deps.currency)
  }

  #indexSoon(): void {
    this.ensureIndexed().catch((error: unknown) => {
      this.deps.logger.error('catalogue: the search index was not rebuilt', { error })
    })
  }
}

function searchQuery(input: Input<'search'>): SearchQuery {
  const { category, brand, sort = 'relevance', offset = 0, limit = 20 } = input
  return {
    text: input.text,
    filters: {
      keywords: {
        ...(category === undefined ? {} : { category: [category] }),
        ...(brand === undefined ? {} : { brand: [brand] }),
      },
    },
    sort: indexSorts[sort],
    offset,
    limit,
    facets: ['brand'],
  }
}

const indexSorts: Record<ProductSort, NonNullable<SearchQuery['sort']>> = {
  relevance: 'relevance',
  newest: { field: 'ordinal', direction: 'descending' },
  'price-ascending': { field: 'amount', direction: 'ascending' },
  'price-descending': { field: 'amount', direction: 'descending' },
}
