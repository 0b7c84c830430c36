import type { SearchResult } from './search.js'
import { type CheckedQuery, matchExpression } from './search-query.js'
import type { QueryWord } from './search-tokens.js'
import { type Sqlite, statement } from './sqlite-search-file.js'

const facetValues = 100

/** The rows a query finds, as the part of a statement after `from`. */
interface Source {
  readonly sql: string
  readonly values: readonly (string | number)[]
  readonly byWords: boolean
}

/** Count, page and facets of one state of the index. */
export function runSearch(db: Sqlite, query: CheckedQuery, words: readonly QueryWord[]): SearchResult {
  if (words.length === 0 && query.text.trim() !== '') return { total: 0, hits: [], facets: emptyFacets(query) }
  const source = sourceOf(query, words)
  // One read transaction, because another process may commit between the statements. The connection of an index in
  // memory may be about to write in one of its own; nothing can come between there.
  const isOwn = !db.inTransaction
  if (isOwn) db.exec('begin')
  try {
    const { total } = statement(db, `select count(*) as total from ${source.sql}`).get([...source.values]) as {
      total: number
    }
    return {
      total,
      hits: total > query.offset ? hitsOf(db, query, source) : [],
      facets: total > 0 ? facetsOf(db, query, source) : emptyFacets(query),
    }
  } finally {
    if (isOwn) db.exec('commit')
  }
}

function sourceOf(query: CheckedQuery, words: readonly QueryWord[]): Source {
  const conditions: string[] = []
  const values: (string | number)[] = []
  const byWords = words.length > 0
  if (byWords) {
    conditions.push('word match ?')
    values.push(matchExpression(words))
  }
  for (const [field, wanted] of query.keywords) {
    conditions.push(
      `exists (select 1 from keyword k where k.doc = doc.row and k.field = ? and k.value in (select value from json_each(?)))`,
    )
    values.push(field, JSON.stringify(wanted))
  }
  // Field names were checked against the declared ones.
  for (const [field, { min, max }] of query.numbers) {
    for (const [bound, operator] of [
      [min, '>='],
      [max, '<='],
    ] as const) {
      if (bound === undefined) continue
      conditions.push(`doc.n_${field} ${operator} ?`)
      values.push(bound)
    }
  }
  const tables = byWords ? 'word join doc on doc.row = word.rowid' : 'doc'
  return { sql: conditions.length === 0 ? tables : `${tables} where ${conditions.join(' and ')}`, values, byWords }
}

function hitsOf(db: Sqlite, query: CheckedQuery, source: Source): SearchResult['hits'] {
  const { sort, limit, offset } = query
  // FTS5 ranks downwards: the best is the most negative.
  const score = source.byWords && sort === 'relevance' ? '-word.rank' : '0.0'
  const order =
    sort === 'relevance'
      ? source.byWords
        ? 'word.rank, doc.id'
        : 'doc.id'
      : `doc.n_${sort.field} ${sort.direction === 'ascending' ? 'asc' : 'desc'} nulls last, doc.id`
  const sql = `select doc.id as id, ${score} as score from ${source.sql} order by ${order} limit ? offset ?`
  const rows = statement(db, sql).all([...source.values, limit, offset]) as { id: string; score: number }[]
  return rows.map(({ id, score }) => ({ id, score }))
}

function facetsOf(db: Sqlite, query: CheckedQuery, source: Source): SearchResult['facets'] {
  return Object.fromEntries(
    query.facets.map(facet => {
      const sql = `select f.value as value, count(*) as count from keyword f
        where f.field = ? and f.doc in (select doc.row from ${source.sql})
        group by f.value order by count desc, f.value limit ${facetValues}`
      const rows = statement(db, sql).all([facet, ...source.values]) as { value: string; count: number }[]
      return [facet, rows.map(({ value, count }) => ({ value, count }))]
    }),
  )
}

function emptyFacets(query: CheckedQuery): SearchResult['facets'] {
  return Object.fromEntries(query.facets.map(facet => [facet, []]))
}
