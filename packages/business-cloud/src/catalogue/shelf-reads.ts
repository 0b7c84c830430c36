import type { Queryable } from '@aaas/support-cloud/rdbms'
import type { Category, Localized, ProductSort, ProductSummary } from './catalogue-contract.js'
import type { SkuFacts } from './sku-facts.js'

/** State of the shelf: rises with every change. */
export interface ShelfVersion {
  readonly epoch: string
  readonly version: number
}

export async function readVersion(db: Queryable): Promise<ShelfVersion> {
  const [row] = await db.query<ShelfVersion>({
    name: 'catalogue-version',
    text: 'select epoch, version from catalogue_state',
  })
  if (row === undefined) throw new Error('catalogue_state has no row')
  return row
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
const summaryColumns = `p.slug, p.name, p.brand, p.category, p.image, min(price.amount) as amount,
  coalesce(sum(l.on_hand - l.reserved), 0)::bigint as available`

const orders: Record<ProductSort, string> = {
  relevance: 'p.ordinal',
  newest: 'p.ordinal desc',
  'price-ascending': 'min(price.amount), p.ordinal',
  'price-descending': 'min(price.amount) desc, p.ordinal',
}

type SummaryRow = Omit<ProductSummary, 'currency'>

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

/** One page of the shelf with stock and prices, in one round trip. The total survives an offset past the end. */
export async function readPage(db: Queryable, currency: string, page: PageRequest): Promise<SummaryPage> {
  const byCategory = page.category !== undefined
  const shelf = `p.on_shelf${byCategory ? ' and p.category = $4' : ''}`
  const rows = await db.query<SummaryRow & { total: number; place: number | null }>({
    name: `catalogue-page-${page.sort}${byCategory ? '-category' : ''}`,
    text: `with hits as (
        select ${summaryColumns}, row_number() over (order by ${orders[page.sort]}) as place
        from ${pricedProduct} left join stock_level l on l.sku = s.sku
        where ${shelf} group by p.slug order by place limit $3 offset $2
      ), total as (
        select count(distinct p.slug) as total from ${pricedProduct} where ${shelf}
      )
      select total.total, hits.* from total left join hits on true order by hits.place`,
    values: [currency, page.offset, page.limit, ...(byCategory ? [page.category] : [])],
  })
  // An offset past the end leaves one row that carries the total alone.
  const products = rows.filter(row => row.place !== null).map(row => summaryOf(row, currency))
  return { total: rows[0]?.total ?? 0, products }
}

/** Summaries of the products that are on the shelf, by slug. */
export async function readSummaries(
  db: Queryable,
  currency: string,
  slugs: readonly string[],
): Promise<ReadonlyMap<string, ProductSummary>> {
  if (slugs.length === 0) return new Map()
  const rows = await db.query<SummaryRow>({
    name: 'catalogue-summaries',
    text: `select ${summaryColumns} from ${pricedProduct} left join stock_level l on l.sku = s.sku
      where p.on_shelf and p.slug = any($2) group by p.slug`,
    values: [currency, slugs],
  })
  return new Map(rows.map(row => [row.slug, summaryOf(row, currency)]))
}

function summaryOf(row: SummaryRow, currency: string): ProductSummary {
  return {
    slug: row.slug,
    name: row.name,
    brand: row.brand,
    category: row.category,
    image: row.image,
    amount: row.amount,
    currency,
    available: row.available,
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

/** Units that can be ordered now, of every SKU of the products. */
export function readAvailable(
  db: Queryable,
  slugs: readonly string[],
): Promise<readonly { readonly slug: string; readonly sku: string; readonly available: number }[]> {
  return db.query({
    name: 'catalogue-available',
    text: `select s.product as slug, s.sku, coalesce(l.on_hand - l.reserved, 0) as available
      from sku s left join stock_level l on l.sku = s.sku where s.product = any($1) and s.on_shelf`,
    values: [slugs],
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
