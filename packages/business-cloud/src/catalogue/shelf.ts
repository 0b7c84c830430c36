import { type Clock, CloudError, type Logger } from '@aaas/core-cloud/kernel'
import type { Cache } from '@aaas/support-cloud/cache'
import type { Queryable } from '@aaas/support-cloud/rdbms'
import type { SearchResult } from '@aaas/support-cloud/search'
import type { Category, Product } from './catalogue-contract.js'
import {
  type PageRequest,
  pageOf,
  readCategories,
  readPage,
  readProductRows,
  readSkuFacts,
  readSummaries,
  readTotal,
  type ShelfVersion,
  type Shelved,
  type ShelvedPage,
  type SummaryPage,
} from './shelf-reads.js'
import { ShelfWatch } from './shelf-watch.js'
import type { SkuFacts } from './sku-facts.js'

/** How long what only changes with the version of the shelf is kept, milliseconds. */
const staticMs = 60_000

export interface FoundPage extends SummaryPage {
  readonly brands: readonly { readonly brand: string; readonly count: number }[]
}

/** An answer with its stock, as it was put together last. */
interface Held<T> {
  value: T
  units: readonly number[]
  /** {@link ShelfWatch.looks} of that moment. */
  looks: number
}

/**
 * Reads the shelf through the cache. Two ages of data meet here:
 * - the version of the shelf, at most a second old, is part of every key: a change made by any process shows everywhere
 *   within a second, without messages, and an answer loaded too early can never be taken for new. What only changes with
 *   the version (names, prices) is kept for a minute;
 * - stock changes without a new version. The units of all SKUs that were asked for lately come with the version, in one
 *   statement a second; an answer is the same object for as long as none of its units changed.
 * Every miss is one round trip, and callers that miss together share it. While the database cannot be reached, what is
 * known is shown on, for a minute: people go on browsing through a restart of it.
 */
export class Shelf {
  readonly #watch: ShelfWatch
  readonly #held = new WeakMap<object, Held<unknown>>()
  #prefix: { readonly of: ShelfVersion; readonly text: string } | undefined

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
  ) {
    this.#watch = new ShelfWatch(deps)
  }

  /** The newest version known, at most a second old. */
  async version(): Promise<ShelfVersion> {
    for (;;) {
      const version = this.#watch.known()
      if (version !== undefined) return version
      await this.#watch.look()
    }
  }

  /**
   * A number that stays while nothing of what was read in the last ten seconds is seen to have changed, at most a second
   * behind the database. It is there at once while it is known, so that a cache may ask for it with every request.
   */
  revision(): number | Promise<number> {
    if (this.#watch.known() !== undefined) return this.#watch.revision
    return this.#watch.look().then(() => this.#watch.revision)
  }

  /** Forgets everything: after a change by this process, or when another one told of a change. */
  async refresh(): Promise<void> {
    await this.#watch.forget()
    await this.deps.cache.invalidate(['catalogue'])
  }

  /** Forgets answers: what searches find has changed, the shelf has not. */
  async forgetAnswers(): Promise<void> {
    await this.deps.cache.invalidate(['catalogue'])
    this.#watch.touch()
  }

  async categories(): Promise<readonly Category[]> {
    return this.#keep(await this.#key('categories'), () => readCategories(this.deps.db))
  }

  async page(request: PageRequest): Promise<SummaryPage> {
    const key = await this.#key(`page:${request.category ?? ''}:${request.sort}:${request.offset}:${request.limit}`)
    const { db, currency } = this.deps
    const load = async (): Promise<ShelvedPage> => {
      const [found, total] = await Promise.all([readPage(db, currency, request), this.#total(request.category)])
      return pageOf(found, products => ({ total, products }))
    }
    return this.#stocked(await this.#keepShelved(key, load), putPage)
  }

  async #total(category: string | undefined): Promise<number> {
    const key = await this.#key(`total:${category ?? ''}`)
    return this.#keep(key, () => readTotal(this.deps.db, this.deps.currency, category))
  }

  /** One page of a search, kept under `name`; products that left the shelf since are left out. */
  async found(name: string, find: () => Promise<SearchResult>): Promise<FoundPage> {
    const load = async (): Promise<ShelvedPage<FoundPage>> => {
      const { total, hits, facets } = await find()
      const slugs = hits.map(hit => hit.id)
      const known = await readSummaries(this.deps.db, this.deps.currency, slugs)
      const brands = (facets.brand ?? []).map(({ value, count }) => ({ brand: value, count }))
      return pageOf(
        slugs.flatMap(slug => known.get(slug) ?? []),
        products => ({ total, brands, products }),
      )
    }
    return this.#stocked(await this.#keepShelved(await this.#key(`search:${name}`), load), putPage)
  }

  async product(slug: string): Promise<Product> {
    const key = await this.#key(`product:${slug}`)
    return this.#stocked(await this.#keepShelved(key, () => this.#readProduct(slug), [`product:${slug}`]), putProduct)
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

  async #key(name: string): Promise<string> {
    const version = this.#watch.known() ?? (await this.version())
    if (this.#prefix?.of !== version) {
      this.#prefix = { of: version, text: `catalogue:${version.epoch.slice(0, 8)}:${version.version}:` }
    }
    return this.#prefix.text + name
  }

  #keep<T>(key: string, load: () => Promise<T>, tags: readonly string[] = []): Promise<T> {
    return this.deps.cache.wrap(key, load, { ttlMs: staticMs, tags: ['catalogue', ...tags] })
  }

  #keepShelved<S extends Shelved<unknown>>(key: string, load: () => Promise<S>, tags?: readonly string[]): Promise<S> {
    return this.#keep(
      key,
      async () => {
        const at = this.deps.clock.monotonic()
        const shelved = await load()
        this.#watch.learn(shelved.skus, shelved.units, at)
        return shelved
      },
      tags,
    )
  }

  /** The answer with the units of now. @param put - puts units in; `before` is what it made last. */
  async #stocked<T, S extends Shelved<T>>(
    shelved: S,
    put: (shelved: S, units: readonly number[], before: T | undefined) => T,
  ): Promise<T> {
    const known = this.#held.get(shelved) as Held<T> | undefined
    if (known?.looks === this.#watch.looks) return known.value
    if (this.#watch.units(shelved.skus) === undefined) await this.#watch.follow(shelved.skus)
    const held = this.#held.get(shelved) as Held<T> | undefined
    const { looks } = this.#watch
    // Without an answer of the database the last known stands; see ShelfWatch.
    const units = this.#watch.units(shelved.skus) ?? held?.units ?? shelved.units
    if (held === undefined) {
      const value = put(shelved, units, undefined)
      this.#held.set(shelved, { value, units, looks })
      return value
    }
    if (units.some((count, index) => count !== held.units[index])) {
      held.value = put(shelved, units, held.value)
      held.units = units
    }
    held.looks = looks
    return held.value
  }

  async #readProduct(slug: string): Promise<Shelved<Product>> {
    const rows = await readProductRows(this.deps.db, this.deps.currency, slug)
    const [first] = rows
    if (first === undefined) {
      throw new CloudError('business.catalogue.unknown-product', `no product '${slug}' on the shelf`, { field: 'slug' })
    }
    const { name, brand, category, image, description, attributes, currency } = first
    const skus = rows.map(({ sku, options, amount }) => ({ sku, options, amount: amount ?? 0, available: 0 }))
    const amount = Math.min(...skus.map(sku => sku.amount))
    return {
      of: { slug, name, brand, category, image, amount, currency, available: 0, description, attributes, skus },
      skus: skus.map(({ sku }) => sku),
      units: rows.map(row => row.available),
    }
  }
}

function putProduct({ of }: Shelved<Product>, units: readonly number[]): Product {
  const skus = of.skus.map((sku, index) => ({ ...sku, available: units[index] ?? 0 }))
  return { ...of, skus, available: units.reduce((sum, count) => sum + count, 0) }
}

function putPage<T extends SummaryPage>(
  { of, sizes }: ShelvedPage<T>,
  units: readonly number[],
  before: T | undefined,
): T {
  let place = 0
  const products = of.products.map((product, index) => {
    let available = 0
    for (let left = sizes[index] ?? 0; left > 0; left--) available += units[place++] ?? 0
    const old = before?.products[index]
    return old?.available === available ? old : { ...product, available }
  })
  return { ...of, products }
}
