import { CloudError } from '@aaas/core-cloud/kernel'
import type { Queryable } from '@aaas/support-cloud/rdbms'
import type { Category, Localized, ProductSort, ProductSummary } from './catalogue-contract.js'
import type { SkuFacts } from './sku-facts.js'

/** State of the shelf: rises with every change. */
export interface ShelfVersion {
  readonly epoch: string
  readonly version: number
}

/** The version, and the units of `skus` in their order: all that changes while the shelf is open, in one round trip. */
export async function readShelfState(
  db: Queryable,
  skus: readonly string[],
): Promise<ShelfVersion & { readonly units: readonly number[] }> {
  const [row] = await db.query<ShelfVersion & { units: string | null }>({
    name: 'catalogue-state',
    text: `select epoch, version, (
        select string_agg(coalesce(l.on_hand - l.reserved, 0)::text, ',' order by w.place)
        from unnest($1::text[]) with ordinality as w (sku, place) left join stock_level l on l.sku = w.sku
      ) as units from catalogue_state`,
    values: [skus],
  })
  if (row === undefined) throw new CloudError('core.kernel.internal', 'catalogue_state has no row')
  return { epoch: row.epoch, version: row.version, units: numbersOf(row.units) }
}

// Lists of one row come as text: a driver reads one text far faster than an array or a row for each.
function numbersOf(text: string | null): number[] {
  return text === null || text === '' ? [] : text.split(',').map(Number)
}

export function readCategories(db: Queryable): Promise<readonly Category[]> {
  return db.query<Category>({
    name: 'catalogue-categories',
    text: `select c.slug, c.name, count(p.slug) as products
      from category c left join product p on p.category = c.slug and p.on_shelf
      group by c.slug order by c.ordinal`,
  })
}

// A product without any price in the site's currency is not on the shelf: a list could not show it.
const pricedProduct = `product p join sku s on s.product = p.slug and s.on_shelf
  join price on price.sku = s.sku and price.currency = $1`
// No comma can be in a SKU.
const summaryColumns = `p.slug, p.name, p.brand, p.category, p.image, min(price.amount) as amount,
  string_agg(s.sku, ',' order by s.position, s.sku) as skus,
  string_agg(coalesce(l.on_hand - l.reserved, 0)::text, ',' order by s.position, s.sku) as units`

const pricedSku = `from sku s join price on price.sku = s.sku and price.currency = $1
  where s.product = p.slug and s.on_shelf`
/**
 * Products with a price, each with what its sort needs. Without a sort by price the index gives the order, and nothing
 * behind the page is looked at: `limit` keeps the planner from joining the whole shelf first.
 */
const byOrdinal = `product p cross join lateral (select 0 as amount ${pricedSku} limit 1) lowest`
const byAmount = `product p cross join lateral (select min(price.amount) as amount ${pricedSku} having count(*) > 0) lowest`
const orders: Record<ProductSort, { readonly priced: string; readonly by: string }> = {
  relevance: { priced: byOrdinal, by: 'ordinal' },
  newest: { priced: byOrdinal, by: 'ordinal desc' },
  'price-ascending': { priced: byAmount, by: 'amount, ordinal' },
  'price-descending': { priced: byAmount, by: 'amount desc, ordinal' },
}

type SummaryRow = Omit<ProductSummary, 'currency' | 'available'> & { readonly skus: string; readonly units: string }

/** What only changes with the version of the shelf, and the stock that goes with it. */
export interface Shelved<T> {
  /** Without units: 0 stands for all of them. */
  readonly of: T
  readonly skus: readonly string[]
  /** Of each SKU, when it was read. */
  readonly units: readonly number[]
}

export interface ShelvedPage<T extends SummaryPage = SummaryPage> extends Shelved<T> {
  /** How many of the SKUs belong to each product, in the order of the page. */
  readonly sizes: readonly number[]
}

export interface PageRequest {
  readonly category: string | undefined
  readonly sort: ProductSort
  readonly offset: number
  readonly limit: number
}

export interface SummaryPage {
  readonly total: number
  readonly products: readonly ProductSummary[]
}

/** One page of the shelf with stock and prices, in one round trip. */
export async function readPage(
  db: Queryable,
  currency: string,
  page: PageRequest,
): Promise<readonly Shelved<ProductSummary>[]> {
  const byCategory = page.category !== undefined
  const { by, priced } = orders[page.sort]
  const rows = await db.query<SummaryRow>({
    name: `catalogue-page-${page.sort}${byCategory ? '-category' : ''}`,
    text: `with hits as materialized (
        select p.slug, p.ordinal, lowest.amount from ${priced} where p.on_shelf${byCategory ? ' and p.category = $4' : ''}
        order by ${by} limit $3 offset $2
      ), shown as (
        select hits.ordinal, ${summaryColumns} from hits join ${pricedProduct} on p.slug = hits.slug
        left join stock_level l on l.sku = s.sku group by hits.ordinal, p.slug
      )
      select * from shown order by ${by}`,
    values: [currency, page.offset, page.limit, ...(byCategory ? [page.category] : [])],
  })
  return rows.map(row => summaryOf(row, currency))
}

/** How many products a list has in all. */
export async function readTotal(db: Queryable, currency: string, category: string | undefined): Promise<number> {
  const [row] = await db.query<{ total: number }>({
    name: category === undefined ? 'catalogue-total' : 'catalogue-total-category',
    text: `select count(distinct p.slug) as total from ${pricedProduct}
      where p.on_shelf${category === undefined ? '' : ' and p.category = $2'}`,
    values: [currency, ...(category === undefined ? [] : [category])],
  })
  return row?.total ?? 0
}

export function pageOf<T extends SummaryPage>(
  found: readonly Shelved<ProductSummary>[],
  make: (products: readonly ProductSummary[]) => T,
): ShelvedPage<T> {
  return {
    of: make(found.map(one => one.of)),
    skus: found.flatMap(one => one.skus),
    units: found.flatMap(one => one.units),
    sizes: found.map(one => one.skus.length),
  }
}

/** Summaries of the products that are on the shelf, by slug. */
export async function readSummaries(
  db: Queryable,
  currency: string,
  slugs: readonly string[],
): Promise<ReadonlyMap<string, Shelved<ProductSummary>>> {
  if (slugs.length === 0) return new Map()
  const rows = await db.query<SummaryRow>({
    name: 'catalogue-summaries',
    text: `select ${summaryColumns} from ${pricedProduct} left join stock_level l on l.sku = s.sku
      where p.on_shelf and p.slug = any($2) group by p.slug`,
    values: [currency, slugs],
  })
  return new Map(rows.map(row => [row.slug, summaryOf(row, currency)]))
}

function summaryOf(row: SummaryRow, currency: string): Shelved<ProductSummary> {
  const { slug, name, brand, category, image, amount } = row
  return {
    of: { slug, name, brand, category, image, amount, currency, available: 0 },
    skus: row.skus.split(','),
    units: numbersOf(row.units),
  }
}

interface SkuRow extends SkuFacts {
  readonly description: Localized
  readonly attributes: Readonly<Record<string, Localized>>
  readonly available: number
}

/** The SKUs of one product with everything that its page shows; empty: not on the shelf. */
export function readProductRows(db: Queryable, currency: string, slug: string): Promise<readonly SkuRow[]> {
  return db.query<SkuRow>({
    name: 'catalogue-product',
    text: `select s.sku, p.slug, p.name, s.options, p.image, p.brand, p.category, price.amount, price.currency,
        p.description, p.attributes, coalesce(l.on_hand - l.reserved, 0) as available
      from ${pricedProduct} left join stock_level l on l.sku = s.sku
      where p.on_shelf and p.slug = $2 order by s.position`,
    values: [currency, slug],
  })
}

/** Facts of SKUs that are on the shelf, priced or not. */
export async function readSkuFacts(
  db: Queryable,
  currency: string,
  skus: readonly string[],
): Promise<readonly SkuFacts[]> {
  const rows = await db.query<Omit<SkuFacts, 'amount'> & { amount: number | null }>({
    name: 'catalogue-skus',
    text: `select s.sku, p.slug, p.name, s.options, p.image, p.brand, p.category, price.amount, $1::text as currency
      from sku s join product p on p.slug = s.product
      left join price on price.sku = s.sku and price.currency = $1
      where s.sku = any($2) and s.on_shelf and p.on_shelf`,
    values: [currency, skus],
  })
  return rows.map(row => ({ ...row, amount: row.amount ?? undefined }))
}

export interface IndexRow {
  readonly slug: string
  readonly ordinal: number
  readonly name: Localized
  readonly description: Localized
  readonly brand: string
  readonly category: string
  readonly categoryName: Localized
  readonly attributes: Readonly<Record<string, Localized>>
  readonly options: readonly Readonly<Record<string, Localized>>[]
  readonly skus: readonly string[]
  /** Lowest list price; null: nothing to sell in this currency, so not on the shelf. */
  readonly amount: number | null
}

/** Products for the search index: the next `limit` of them after the given ordinal. */
export function readIndexRows(
  db: Queryable,
  currency: string,
  after: number,
  limit: number,
): Promise<readonly IndexRow[]> {
  return db.query<IndexRow>({
    name: 'catalogue-index-rows',
    text: `select p.slug, p.ordinal, p.name, p.description, p.brand, p.category, c.name as "categoryName", p.attributes,
        units.options, units.skus, units.amount
      from (select * from product where on_shelf and ordinal > $2 order by ordinal limit $3) p
      join category c on c.slug = p.category
      cross join lateral (
        select jsonb_agg(s.options order by s.position) as options, array_agg(s.sku order by s.position) as skus,
          min(price.amount) as amount
        from sku s join price on price.sku = s.sku and price.currency = $1 where s.product = p.slug and s.on_shelf
      ) units
      order by p.ordinal`,
    values: [currency, after, limit],
  })
}
