import { CloudError } from '@aaas/core-cloud/kernel'
import type { Localized } from './catalogue-contract.js'

/** A fault of an import. `row` counts as a spreadsheet does: the header is row 1; 0 means the file as a whole. */
export interface ImportProblem {
  readonly row: number
  readonly field: string
  readonly reason: string
}

/** Problems listed in an answer; the count says how many there are. */
export const maxProblems = 100

export interface ImportedProduct {
  readonly slug: string
  readonly category: string
  readonly brand: string
  readonly name: Localized
  readonly description: Localized
  readonly image: string
  readonly attributes: Readonly<Record<string, Localized>>
}

export interface ImportedSku {
  /** Row of the file. */
  readonly row: number
  readonly sku: string
  readonly product: string
  readonly position: number
  readonly options: Readonly<Record<string, Localized>>
  /** Minor units. */
  readonly amount: number
  readonly stock: number
}

/** A whole file that is fit to be stored. */
export interface ImportedCatalogue {
  readonly categories: readonly { readonly slug: string; readonly name: Localized }[]
  readonly products: readonly ImportedProduct[]
  readonly skus: readonly ImportedSku[]
}

/** One row whose fields are fine by themselves. Empty product fields repeat what the product's first row said. */
export interface ImportRow {
  readonly row: number
  readonly slug: string
  readonly category: string
  readonly categoryName: Localized
  readonly brand: string
  readonly name: Localized
  readonly description: Localized
  readonly image: string
  readonly attributes: Readonly<Record<string, Localized>>
  readonly sku: string
  readonly options: Readonly<Record<string, Localized>>
  readonly amount: number
  readonly stock: number
}

export function invalidImport(problems: readonly ImportProblem[], count: number): CloudError {
  const first = problems[0]
  const where = first === undefined ? '' : `; first: row ${first.row}, ${first.field}: ${first.reason}`
  return new CloudError('business.catalogue.invalid-import', `nothing was imported: ${count} problem(s)${where}`, {
    ...(first === undefined ? {} : { field: first.field }),
    details: { problems: problems.slice(0, maxProblems), count },
  })
}

interface Draft {
  readonly first: ImportRow
  readonly optionNames: string
  readonly optionValues: Map<string, number>
  skus: number
}

/** SKUs of one product at most. */
const maxSkus = 200

/** Puts rows together to products and finds what only shows between rows. */
export class CatalogueDraft {
  readonly #categories = new Map<string, { readonly slug: string; readonly name: Localized; readonly row: number }>()
  readonly #products = new Map<string, Draft>()
  readonly #rowOfSku = new Map<string, number>()
  readonly #skus: ImportedSku[] = []

  constructor(readonly report: (problem: ImportProblem) => void) {}

  add(row: ImportRow): void {
    const twin = this.#rowOfSku.get(row.sku)
    if (twin !== undefined) {
      this.report({ row: row.row, field: 'sku', reason: `${row.sku} is in row ${twin} already` })
      return
    }
    this.#rowOfSku.set(row.sku, row.row)
    const draft = this.#products.get(row.slug)
    if (draft === undefined) this.#begin(row)
    else this.#join(draft, row)
  }

  get rows(): number {
    return this.#rowOfSku.size
  }

  /** What the rows make together. Only meaningful when nothing was reported. */
  finish(): ImportedCatalogue {
    return {
      categories: [...this.#categories.values()].map(({ slug, name }) => ({ slug, name })),
      products: [...this.#products.values()].map(({ first }) => ({
        slug: first.slug,
        category: first.category,
        brand: first.brand,
        name: first.name,
        description: first.description,
        image: first.image,
        attributes: first.attributes,
      })),
      skus: this.#skus,
    }
  }

  #begin(row: ImportRow): void {
    for (const [field, value] of [
      ['category', row.category],
      ['name_zh', row.name['zh-CN']],
      ['name_en', row.name.en],
    ] as const) {
      if (value === '') this.report({ row: row.row, field, reason: 'is required in the first row of a product' })
    }
    const names = optionNames(row)
    const draft = { first: row, optionNames: names, optionValues: new Map([[optionValues(row), row.row]]), skus: 0 }
    this.#products.set(row.slug, draft)
    this.#push(draft, row)
    if (row.category !== '') this.#category(row)
  }

  #join(draft: Draft, row: ImportRow): void {
    const { first } = draft
    for (const [field, mine, theirs] of [
      ['category', row.category, first.category],
      ['brand', row.brand, first.brand],
      ['image', row.image, first.image],
      ...localized('name', row.name, first.name),
      ...localized('description', row.description, first.description),
      ...Object.entries(row.attributes).flatMap(([key, value]) =>
        localized(`attr_${key}`, value, first.attributes[key]),
      ),
    ] as const) {
      if (mine !== '' && mine !== theirs) {
        this.report({
          row: row.row,
          field,
          reason: `differs from row ${first.row} of the same product; leave it empty to repeat`,
        })
      }
    }
    const names = optionNames(row)
    if (names !== draft.optionNames) {
      const reason = `has options (${names || 'none'}), row ${first.row} of the same product has (${draft.optionNames || 'none'})`
      this.report({ row: row.row, field: 'option', reason })
    } else {
      const values = optionValues(row)
      const twin = draft.optionValues.get(values)
      if (twin !== undefined)
        this.report({ row: row.row, field: 'option', reason: `cannot be told from row ${twin}: same options` })
      draft.optionValues.set(values, row.row)
    }
    this.#push(draft, row)
    if (row.category !== '') this.#category(row)
  }

  #push(draft: Draft, row: ImportRow): void {
    if (draft.skus === maxSkus)
      this.report({ row: row.row, field: 'slug', reason: `${row.slug} has more than ${maxSkus} SKUs` })
    const { sku, slug: product, options, amount, stock } = row
    this.#skus.push({ row: row.row, sku, product, position: draft.skus, options, amount, stock })
    draft.skus += 1
  }

  #category(row: ImportRow): void {
    const known = this.#categories.get(row.category)
    if (known === undefined) {
      for (const [field, value] of localized('category_name', row.categoryName, undefined)) {
        if (value === '') this.report({ row: row.row, field, reason: 'is required in the first row of a category' })
      }
      this.#categories.set(row.category, { slug: row.category, name: row.categoryName, row: row.row })
      return
    }
    for (const [field, mine, theirs] of localized('category_name', row.categoryName, known.name)) {
      if (mine !== '' && mine !== theirs) {
        this.report({ row: row.row, field, reason: `differs from row ${known.row} of the same category` })
      }
    }
  }
}

function localized(
  field: string,
  mine: Localized,
  theirs: Localized | undefined,
): [string, string, string | undefined][] {
  return [
    [`${field}_zh`, mine['zh-CN'], theirs?.['zh-CN']],
    [`${field}_en`, mine.en, theirs?.en],
  ]
}

function optionNames(row: ImportRow): string {
  return Object.keys(row.options).sort().join(', ')
}

function optionValues(row: ImportRow): string {
  return JSON.stringify(
    Object.entries(row.options)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => [key, value.en]),
  )
}
