import { CloudError } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import { type ImportedCatalogue, invalidImport } from './import-rows.js'
import type { InitialStock, ListPriceWriter } from './sku-facts.js'

interface StoreDeps {
  readonly db: Database
  readonly stock: InitialStock
  readonly prices: ListPriceWriter
  readonly currency: string
}

/** Rows per statement: keeps one parameter at a few megabytes. */
const chunkRows = 2_000

/**
 * Writes an import in one transaction, set by set. Products and SKUs of the file are added or replaced; SKUs that a
 * product of the file no longer has leave the shelf (orders may still name them); other products stay.
 * @returns the new version of the shelf.
 * @throws CloudError `business.catalogue.invalid-import` when a SKU belongs to another product already.
 */
export async function storeImport(deps: StoreDeps, parsed: ImportedCatalogue): Promise<number> {
  return deps.db.transaction(async tx => {
    // The row lock on the state lets imports pass one by one: no deadlocks, and versions in order of commit.
    const [state] = await tx.query<{ version: number }>({
      text: 'update catalogue_state set version = version + 1 returning version',
    })
    if (state === undefined) throw new CloudError('core.kernel.internal', 'catalogue_state has no row')
    await refuseMovedSkus(tx, parsed)
    await writeCategories(tx, parsed)
    for (const rows of chunks(parsed.products)) await writeProducts(tx, rows)
    await retireSkus(tx, parsed)
    for (const rows of chunks(parsed.skus)) {
      await writeSkus(tx, rows)
      await deps.prices.setListPrices(
        tx,
        rows.map(({ sku, amount }) => ({ sku, amount, currency: deps.currency })),
      )
      await deps.stock.setInitial(
        tx,
        rows.map(({ sku, stock }) => ({ sku, quantity: stock })),
      )
    }
    // The reads that follow at once must not be planned for the empty tables of before.
    await tx.query({ text: 'analyze category, product, sku, price, stock_level' })
    return state.version
  })
}

async function refuseMovedSkus(tx: Queryable, parsed: ImportedCatalogue): Promise<void> {
  const moved = await tx.query<{ sku: string; product: string }>({
    text: `select sku.sku, sku.product from sku
      join unnest($1::text[], $2::text[]) as r (sku, product) on r.sku = sku.sku where r.product <> sku.product`,
    values: [parsed.skus.map(row => row.sku), parsed.skus.map(row => row.product)],
  })
  if (moved.length === 0) return
  const rowOf = new Map(parsed.skus.map(row => [row.sku, row.row]))
  throw invalidImport(
    moved
      .map(({ sku, product }) => ({
        row: rowOf.get(sku) ?? 0,
        field: 'sku',
        reason: `${sku} belongs to product ${product}`,
      }))
      .sort((a, b) => a.row - b.row),
    moved.length,
  )
}

async function writeCategories(tx: Queryable, parsed: ImportedCatalogue): Promise<void> {
  await tx.query({
    text: `insert into category (slug, name)
      select slug, name from jsonb_to_recordset($1::jsonb) as r (slug text, name jsonb, position int) order by position
      on conflict (slug) do update set name = excluded.name`,
    values: [JSON.stringify(parsed.categories.map((category, position) => ({ ...category, position })))],
  })
}

async function writeProducts(tx: Queryable, rows: ImportedCatalogue['products']): Promise<void> {
  await tx.query({
    text: `insert into product (slug, category, brand, name, description, image, attributes)
      select slug, category, brand, name, description, image, attributes
      from jsonb_to_recordset($1::jsonb) as r (slug text, category text, brand text, name jsonb, description jsonb,
        image text, attributes jsonb, position int) order by position
      on conflict (slug) do update set category = excluded.category, brand = excluded.brand, name = excluded.name,
        description = excluded.description, image = excluded.image, attributes = excluded.attributes, on_shelf = true`,
    values: [JSON.stringify(rows.map((product, position) => ({ ...product, position })))],
  })
}

async function retireSkus(tx: Queryable, parsed: ImportedCatalogue): Promise<void> {
  await tx.query({
    text: `update sku set on_shelf = false where product = any($1) and on_shelf and not (sku = any($2))`,
    values: [parsed.products.map(product => product.slug), parsed.skus.map(row => row.sku)],
  })
}

async function writeSkus(tx: Queryable, rows: ImportedCatalogue['skus']): Promise<void> {
  await tx.query({
    text: `insert into sku (sku, product, position, options)
      select sku, product, position, options
      from jsonb_to_recordset($1::jsonb) as r (sku text, product text, position int, options jsonb)
      on conflict (sku) do update set position = excluded.position, options = excluded.options, on_shelf = true`,
    values: [JSON.stringify(rows)],
  })
}

function* chunks<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < rows.length; start += chunkRows) yield rows.slice(start, start + chunkRows)
}
