import type { Queryable } from '@aaas/support-cloud/rdbms'
import type { SearchDocument } from '@aaas/support-cloud/search'
import type { Localized } from './catalogue-contract.js'
import { type IndexRow, readIndexRows, type ShelfVersion } from './shelf-reads.js'

/** Fields of the product index; give them to the driver that opens it. Weights: a word in a name says most. */
export const productIndexFields = {
  texts: { name: 10, code: 8, brand: 6, category: 3, attributes: 2, description: 1 },
  keywords: ['category', 'brand'],
  numbers: ['amount', 'ordinal'],
} as const

/** Raise it when the documents of the same products change, so that every index is built again. */
const documentFormat = 1
// Small batches: what is alive between two reads decides how far the heap grows.
const batchSize = 50
/** Descriptions are at most 5_000 characters a language, facts 60 columns of 500; the port allows 100_000. */
const maxText = 100_000

/** What an index that shows this version of the shelf is stamped with. */
export function indexStamp({ epoch, version }: ShelfVersion): string {
  return `${documentFormat}:${epoch}:${version}`
}

export async function* indexBatches(db: Queryable, currency: string): AsyncGenerator<readonly SearchDocument[]> {
  let after = 0
  for (;;) {
    const rows = await readIndexRows(db, currency, after, batchSize)
    if (rows.length > 0) yield rows.flatMap(row => (row.amount === null ? [] : documentOf(row, row.amount)))
    if (rows.length < batchSize) return
    after = rows.at(-1)?.ordinal ?? after
  }
}

function documentOf(row: IndexRow, amount: number): SearchDocument {
  const facts = [row.attributes, ...row.options].flatMap(group => Object.values(group))
  return {
    id: row.slug,
    texts: {
      name: bothLanguages([row.name]),
      code: row.skus.join(' ').slice(0, maxText),
      brand: row.brand,
      category: bothLanguages([row.categoryName]),
      attributes: bothLanguages(facts),
      description: bothLanguages([row.description]),
    },
    keywords: { category: row.category, brand: row.brand },
    numbers: { amount, ordinal: row.ordinal },
  }
}

/** Each different text once: options repeat from SKU to SKU, and a model name is the same in both languages. */
function bothLanguages(texts: readonly Localized[]): string {
  return [...new Set(texts.flatMap(text => [text['zh-CN'], text.en]))].join('\n').slice(0, maxText)
}
