import type { ImportProblem } from './import-rows.js'

const required = ['slug', 'category', 'name_zh', 'name_en', 'sku', 'price', 'stock'] as const
const optional = ['category_name_zh', 'category_name_en', 'brand', 'description_zh', 'description_en', 'image'] as const
export type PlainColumn = (typeof required)[number] | (typeof optional)[number]

/** Columns of one option or attribute: two languages, or one column for both. */
export interface NamedColumns {
  readonly name: string
  readonly zh: number
  readonly en: number
}

/** Where each field stands in a record. */
export interface Columns {
  readonly names: readonly string[]
  readonly plain: ReadonlyMap<PlainColumn, number>
  readonly options: readonly NamedColumns[]
  readonly attributes: readonly NamedColumns[]
}

const maxColumns = 100
const namedPattern = /^(option|attr)_([a-z][a-z0-9_]{0,39}?)(?:_(zh|en))?$/
const plainColumns = new Set<string>([...required, ...optional])

/** @returns undefined when the header is wrong; the reasons are reported for row 1. */
export function readHeader(record: readonly string[], report: (problem: ImportProblem) => void): Columns | undefined {
  let good = true
  const fault = (field: string, reason: string): void => {
    good = false
    report({ row: 1, field, reason })
  }
  const names = record.map(name => name.trim())
  if (names.length > maxColumns) fault('csv', `has more than ${maxColumns} columns`)
  const plain = new Map<PlainColumn, number>()
  const named = new Map<string, Map<string, number>>()
  for (const [index, name] of names.entries()) {
    if (!good && index >= maxColumns) break
    const match = namedPattern.exec(name)
    if (names.indexOf(name) !== index) fault(name, 'the column is there twice')
    else if (plainColumns.has(name)) plain.set(name as PlainColumn, index)
    else if (match) {
      const group = `${match[1]}_${match[2]}`
      named.set(group, (named.get(group) ?? new Map<string, number>()).set(match[3] ?? 'both', index))
    } else fault(name.slice(0, 100), 'unknown column')
  }
  for (const name of required) if (!plain.has(name)) fault(name, 'the column is missing')
  const columns = { names, plain, options: pairs(named, 'option_', fault), attributes: pairs(named, 'attr_', fault) }
  return good ? columns : undefined
}

function pairs(
  named: ReadonlyMap<string, ReadonlyMap<string, number>>,
  prefix: string,
  fault: (field: string, reason: string) => void,
): NamedColumns[] {
  const found: NamedColumns[] = []
  for (const [group, languages] of named) {
    if (!group.startsWith(prefix)) continue
    const both = languages.get('both')
    const zh = languages.get('zh') ?? both
    const en = languages.get('en') ?? both
    if (both !== undefined && languages.size > 1) fault(group, 'stands beside a column of one language')
    else if (zh === undefined) fault(`${group}_zh`, 'the column is missing')
    else if (en === undefined) fault(`${group}_en`, 'the column is missing')
    else found.push({ name: group.slice(prefix.length), zh, en })
  }
  return found
}
