import { readFileSync } from 'node:fs'
import type { Localized, Product } from '@aaas/business-cloud/catalogue'

/** The shop's example catalogue as products, for tests that need no database. A category's name comes with its slug. */
export interface CatalogueFile {
  readonly categories: ReadonlyMap<string, Localized>
  readonly products: readonly Product[]
}

const exampleCatalogueUrl = new URL('../../../../../examples/shop/catalogue.csv', import.meta.url)

export function readCatalogueFile(url: URL = exampleCatalogueUrl): CatalogueFile {
  const [header = [], ...rows] = parseCsv(readFileSync(url, 'utf8'))
  const categories = new Map<string, Localized>()
  const products = new Map<string, Product>()
  for (const row of rows) {
    const field = (name: string): string => row[header.indexOf(name)] ?? ''
    const both = (name: string): Localized => ({
      'zh-CN': field(`${name}_zh`) || field(name),
      en: field(`${name}_en`) || field(name),
    })
    const slug = field('slug')
    let product = products.get(slug)
    if (product === undefined) {
      categories.set(field('category'), both('category_name'))
      product = {
        slug,
        name: both('name'),
        brand: field('brand'),
        category: field('category'),
        image: field('image'),
        amount: Number.MAX_SAFE_INTEGER,
        currency: 'CNY',
        available: 0,
        description: both('description'),
        attributes: named(header, 'attr_', both),
        skus: [],
      }
      products.set(slug, product)
    }
    const amount = Math.round(Number(field('price')) * 100)
    product.skus.push({
      sku: field('sku'),
      options: named(header, 'option_', both),
      amount,
      available: Number(field('stock')),
    })
    product.amount = Math.min(product.amount, amount)
    product.available += Number(field('stock'))
  }
  return { categories, products: [...products.values()] }
}

function named(
  header: readonly string[],
  prefix: string,
  both: (name: string) => Localized,
): Record<string, Localized> {
  const names = new Set(header.filter(name => name.startsWith(prefix)).map(name => name.replace(/_(zh|en)$/, '')))
  const found: Record<string, Localized> = {}
  for (const name of names) {
    const value = both(name)
    if (value.en !== '') found[name.slice(prefix.length)] = value
  }
  return found
}

/** Reads well-formed CSV, which is all that a test needs. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = []
  let row: string[] = []
  for (const match of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,\n]*))(,|\n)/g)) {
    row.push(match[1] === undefined ? (match[2] ?? '') : match[1].replaceAll('""', '"'))
    if (match[3] === '\n') {
      rows.push(row)
      row = []
    }
  }
  return rows
}
