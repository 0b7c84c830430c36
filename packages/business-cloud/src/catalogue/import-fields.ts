import { maxListAmount } from '../pricing/pricing-contract.js'
import type { Localized } from './catalogue-contract.js'
import type { Columns, NamedColumns, PlainColumn } from './import-columns.js'
import type { ImportProblem, ImportRow } from './import-rows.js'

const slugPattern = /^[a-z0-9]+(-[a-z0-9]+)*$/
const skuPattern = /^[A-Za-z0-9._-]{1,64}$/
const imagePattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]*(\/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$/
// PostgreSQL stores neither NUL nor half surrogates; U+FFFD says that the file was read in a wrong encoding.
const unfit = /[\p{Cs}\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufffd]/u
const maxStock = 1_000_000_000
const maxValue = 500

/** Checks the fields of one row at a time. */
export class RowReader {
  readonly #decimals: number
  #row = 0
  #faults = 0
  #record: readonly string[] = []

  constructor(
    readonly columns: Columns,
    options: { readonly currency: string },
    readonly report: (problem: ImportProblem) => void,
  ) {
    this.#decimals = decimalsOf(options.currency)
  }

  /** @returns undefined when the row is wrong; the reasons were reported. */
  read(record: readonly string[], row: number): ImportRow | undefined {
    this.#row = row
    this.#faults = 0
    this.#record = record
    const expected = this.columns.names.length
    if (record.length !== expected) {
      this.#fault('csv', `has ${record.length} fields instead of ${expected}`)
      return undefined
    }
    const read: ImportRow = {
      row,
      slug: this.#matching('slug', slugPattern, 100, 'letters a-z, digits and single hyphens'),
      category: this.#matching('category', slugPattern, 100, 'letters a-z, digits and single hyphens', true),
      categoryName: this.#localized('category_name', 100),
      brand: this.#text('brand', 100),
      name: this.#localized('name', 200),
      description: this.#localized('description', 5_000),
      image: this.#matching('image', imagePattern, 200, 'a relative path of letters, digits, dots, hyphens', true),
      sku: this.#matching('sku', skuPattern, 64, 'letters, digits, dots, hyphens and underscores'),
      options: this.#named('option_', this.columns.options),
      attributes: this.#named('attr_', this.columns.attributes),
      amount: this.#price(),
      stock: this.#stock(),
    }
    return this.#faults === 0 ? read : undefined
  }

  #fault(field: string, reason: string): void {
    this.#faults += 1
    this.report({ row: this.#row, field, reason })
  }

  #at(index: number, field: string, maxChars: number): string {
    const value = (this.#record[index] ?? '').trim().normalize('NFC')
    if (value.length > maxChars) this.#fault(field, `is longer than ${maxChars} characters`)
    else if (unfit.test(value)) this.#fault(field, 'has a character that cannot be stored; save the file as UTF-8')
    else return value
    return ''
  }

  #text(field: PlainColumn, maxChars: number): string {
    const index = this.columns.plain.get(field)
    return index === undefined ? '' : this.#at(index, field, maxChars)
  }

  #localized(field: 'category_name' | 'name' | 'description', maxChars: number): Localized {
    return { 'zh-CN': this.#text(`${field}_zh`, maxChars), en: this.#text(`${field}_en`, maxChars) }
  }

  #matching(field: PlainColumn, pattern: RegExp, maxChars: number, allowed: string, mayBeEmpty = false): string {
    const faults = this.#faults
    const value = this.#text(field, maxChars)
    if (faults !== this.#faults) return ''
    if (value === '' && !mayBeEmpty) this.#fault(field, 'is empty')
    else if (value !== '' && !pattern.test(value)) this.#fault(field, `'${value.slice(0, 40)}' must be ${allowed}`)
    return value
  }

  #named(prefix: string, columns: readonly NamedColumns[]): Record<string, Localized> {
    const values: Record<string, Localized> = {}
    for (const { name, zh, en } of columns) {
      const faults = this.#faults
      const value = {
        'zh-CN': this.#at(zh, `${prefix}${name}_zh`, maxValue),
        en: this.#at(en, `${prefix}${name}_en`, maxValue),
      }
      if (faults !== this.#faults || (value['zh-CN'] === '' && value.en === '')) continue
      if (value['zh-CN'] === '') this.#fault(`${prefix}${name}_zh`, 'is empty while the other language is not')
      else if (value.en === '') this.#fault(`${prefix}${name}_en`, 'is empty while the other language is not')
      else values[name] = value
    }
    return values
  }

  #price(): number {
    const text = this.#text('price', 40)
    const amount = minorUnits(text, this.#decimals)
    if (amount !== undefined && amount <= maxListAmount) return amount
    if (text === '') this.#fault('price', 'is empty')
    else if (amount !== undefined) this.#fault('price', `is over ${maxListAmount / 10 ** this.#decimals}`)
    else if (/^-/.test(text)) this.#fault('price', `'${text}' is negative`)
    else
      this.#fault(
        'price',
        `'${text}' must look like ${this.#decimals === 0 ? '199' : `199.${'90'.padEnd(this.#decimals, '0')}`}`,
      )
    return 0
  }

  #stock(): number {
    const text = this.#text('stock', 40)
    const stock = Number(text)
    if (/^\d{1,10}$/.test(text) && stock <= maxStock) return stock
    this.#fault('stock', text === '' ? 'is empty' : `'${text}' must be a whole number from 0 to ${maxStock}`)
    return 0
  }
}

/** Decimals of a currency after ISO 4217: 2 for CNY, 0 for JPY, 3 for KWD. */
export function decimalsOf(currency: string): number {
  return new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2
}

/** Exact: the digits are moved, never multiplied. @returns undefined when the text is no such decimal. */
export function minorUnits(text: string, decimals: number): number | undefined {
  const match = /^(\d{1,15})(?:\.(\d+))?$/.exec(text)
  const fraction = match?.[2] ?? ''
  if (match === null || fraction.length > decimals) return undefined
  const amount = Number(`${match[1]}${fraction.padEnd(decimals, '0')}`)
  return Number.isSafeInteger(amount) ? amount : undefined
}
