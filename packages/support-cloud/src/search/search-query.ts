import { CloudError } from '@aaas/core-cloud/kernel'
import type { SearchDocument, SearchQuery } from './search.js'
import type { QueryTerm, QueryWord } from './search-tokens.js'

/** Fields of an index. */
export interface SearchFields {
  /** Weight of each text field, 0.01 to 1_000: a word in a field of weight 10 counts ten times one of weight 1. */
  readonly texts: Readonly<Record<string, number>>
  readonly keywords?: readonly string[]
  readonly numbers?: readonly string[]
}

const maxBatch = 1_000
const maxTextQuery = 200
const maxOffset = 10_000
const maxLimit = 100
const maxFilterValues = 100
const maxFacets = 10
const maxText = 100_000
const maxKeyword = 200
const maxId = 200
const fieldPattern = /^[a-z][a-zA-Z0-9]{0,39}$/

function invalid(field: string, reason: string): CloudError {
  return new CloudError('support.search.invalid-query', `${field} ${reason}`, { field })
}

/** A query with its defaults. */
export interface CheckedQuery {
  readonly text: string
  readonly keywords: readonly (readonly [field: string, values: readonly string[]])[]
  readonly numbers: readonly (readonly [field: string, range: { readonly min?: number; readonly max?: number }])[]
  readonly sort: NonNullable<SearchQuery['sort']>
  readonly offset: number
  readonly limit: number
  readonly facets: readonly string[]
}

/** Names that are safe in SQL. @throws CloudError `core.kernel.invalid-config` */
export function checkFields(fields: SearchFields): void {
  const check = (good: boolean, field: string, reason: string): void => {
    if (!good) throw new CloudError('core.kernel.invalid-config', `search: ${field} ${reason}`, { field })
  }
  const texts = Object.entries(fields.texts)
  check(texts.length > 0, 'texts', 'needs a field')
  for (const [name, weight] of texts)
    check(weight >= 0.01 && weight <= 1_000, `texts/${name}`, 'needs a weight from 0.01 to 1000')
  for (const [kind, names] of [
    ['texts', texts.map(([name]) => name)],
    ['keywords', fields.keywords ?? []],
    ['numbers', fields.numbers ?? []],
  ] as const) {
    check(names.length <= 20, kind, 'has more than 20 fields')
    check(new Set(names.map(name => name.toLowerCase())).size === names.length, kind, 'has a field twice')
    for (const name of names) check(fieldPattern.test(name), `${kind}/${name}`, 'is not a name of letters and digits')
  }
}

/** @throws CloudError `support.search.invalid-query` naming the field. */
export function checkQuery(query: SearchQuery, fields: SearchFields): CheckedQuery {
  const { text, filters = {}, sort = 'relevance', offset = 0, limit = 20, facets = [] } = query
  if (typeof text !== 'string') throw invalid('text', 'must be a string')
  if (text.length > maxTextQuery) throw invalid('text', `is longer than ${maxTextQuery} characters`)
  if (!Number.isInteger(offset) || offset < 0 || offset > maxOffset)
    throw invalid('offset', `must be 0 to ${maxOffset}`)
  if (!Number.isInteger(limit) || limit < 1 || limit > maxLimit) throw invalid('limit', `must be 1 to ${maxLimit}`)
  if (sort !== 'relevance') {
    if (!fields.numbers?.includes(sort.field)) throw invalid('sort/field', `'${sort.field}' is no number field`)
    if (sort.direction !== 'ascending' && sort.direction !== 'descending') throw invalid('sort/direction', 'is unknown')
  }
  if (facets.length > maxFacets) throw invalid('facets', `are more than ${maxFacets}`)
  for (const [index, facet] of facets.entries()) {
    if (!fields.keywords?.includes(facet)) throw invalid(`facets/${index}`, `'${facet}' is no keyword field`)
  }
  const keywords = Object.entries(filters.keywords ?? {})
  for (const [field, values] of keywords) {
    if (!fields.keywords?.includes(field)) throw invalid(`filters/keywords/${field}`, 'is no keyword field')
    if (values.length > maxFilterValues)
      throw invalid(`filters/keywords/${field}`, `has more than ${maxFilterValues} values`)
    if (values.some(value => typeof value !== 'string')) throw invalid(`filters/keywords/${field}`, 'must have strings')
  }
  const numbers = Object.entries(filters.numbers ?? {})
  for (const [field, { min, max }] of numbers) {
    if (!fields.numbers?.includes(field)) throw invalid(`filters/numbers/${field}`, 'is no number field')
    const isFinite = (value: number | undefined): boolean => value === undefined || Number.isFinite(value)
    if (!isFinite(min) || !isFinite(max)) throw invalid(`filters/numbers/${field}`, 'must have finite bounds')
  }
  return { text, keywords, numbers, sort, offset, limit, facets: [...new Set(facets)] }
}

/** @throws CloudError `support.search.invalid-query` naming the field. */
export function checkDocuments(documents: readonly SearchDocument[], fields: SearchFields): void {
  if (documents.length > maxBatch) throw invalid('documents', `are more than ${maxBatch}`)
  for (const [index, document] of documents.entries()) {
    const at = `documents/${index}`
    checkId(document.id, `${at}/id`)
    for (const [name, text] of Object.entries(document.texts)) {
      if (!Object.hasOwn(fields.texts, name)) throw invalid(`${at}/texts/${name}`, 'is not declared')
      if (text.length > maxText) throw invalid(`${at}/texts/${name}`, `is longer than ${maxText} characters`)
    }
    for (const [name, value] of Object.entries(document.keywords ?? {})) {
      if (!fields.keywords?.includes(name)) throw invalid(`${at}/keywords/${name}`, 'is not declared')
      const values = typeof value === 'string' ? [value] : value
      if (values.length > maxFilterValues)
        throw invalid(`${at}/keywords/${name}`, `has more than ${maxFilterValues} values`)
      if (values.some(item => item.length > maxKeyword))
        throw invalid(`${at}/keywords/${name}`, `is longer than ${maxKeyword} characters`)
    }
    for (const [name, value] of Object.entries(document.numbers ?? {})) {
      if (!fields.numbers?.includes(name)) throw invalid(`${at}/numbers/${name}`, 'is not declared')
      if (!Number.isFinite(value)) throw invalid(`${at}/numbers/${name}`, 'must be finite')
    }
  }
}

export function checkIds(ids: readonly string[]): void {
  if (ids.length > maxBatch) throw invalid('ids', `are more than ${maxBatch}`)
  for (const [index, id] of ids.entries()) checkId(id, `ids/${index}`)
}

export function checkStamp(stamp: string): void {
  if (stamp.length < 1 || stamp.length > maxId) throw invalid('stamp', `must have 1 to ${maxId} characters`)
}

function checkId(id: string, field: string): void {
  if (id.length < 1 || id.length > maxId) throw invalid(field, `must have 1 to ${maxId} characters`)
}

/** The FTS5 expression of the words. Tokens are letters, digits and `_` by construction, and quoted all the same. */
export function matchExpression(words: readonly QueryWord[]): string {
  return words
    .map(word =>
      grouped(
        word.map(terms => grouped(terms.map(termText), ' AND ')),
        ' OR ',
      ),
    )
    .join(' AND ')
}

function termText({ token, prefix }: QueryTerm): string {
  return `"${token.replaceAll('"', '')}"${prefix ? '*' : ''}`
}

function grouped(parts: readonly string[], by: string): string {
  return parts.length === 1 ? (parts[0] ?? '') : `(${parts.join(by)})`
}
