import type { SearchDocument } from './search.js'
import type { SearchFields } from './search-query.js'
import type { Tokeniser } from './search-tokens.js'
import { type Sqlite, statement } from './sqlite-search-file.js'

/** A document as the index stores it. */
export interface TokenisedDocument {
  readonly id: string
  /** Tokens of each declared text field, joined by spaces. */
  readonly texts: readonly string[]
  readonly keywords: readonly (readonly [field: string, value: string])[]
  /** One value of each declared number field. */
  readonly numbers: readonly (number | null)[]
}

export function tokenised(document: SearchDocument, fields: SearchFields, tokeniser: Tokeniser): TokenisedDocument {
  return {
    id: document.id,
    texts: Object.keys(fields.texts).map(name => tokeniser.indexTokens(document.texts[name] ?? '').join(' ')),
    keywords: Object.entries(document.keywords ?? {}).flatMap(([field, value]) =>
      [...new Set(typeof value === 'string' ? [value] : value)].map(item => [field, item] as const),
    ),
    numbers: (fields.numbers ?? []).map(name => document.numbers?.[name] ?? null),
  }
}

/** Inside a transaction. Of an id that comes twice the last one stays. */
export function putRows(db: Sqlite, documents: readonly TokenisedDocument[], fields: SearchFields): void {
  deleteRows(
    db,
    documents.map(document => document.id),
  )
  const texts = Object.keys(fields.texts).map(name => `t_${name}`)
  const numbers = (fields.numbers ?? []).map(name => `n_${name}`)
  const insertDoc = statement(
    db,
    `insert into doc (${['id', ...numbers].join(', ')}) values (${['?', ...numbers.map(() => '?')].join(', ')}) returning row`,
  )
  const insertWords = statement(
    db,
    `insert into word (rowid, ${texts.join(', ')}) values (?, ${texts.map(() => '?').join(', ')})`,
  )
  const insertKeyword = statement(db, 'insert into keyword (doc, field, value) values (?, ?, ?)')
  const last = new Map(documents.map(document => [document.id, document]))
  for (const document of last.values()) {
    const { row } = insertDoc.get([document.id, ...document.numbers]) as { row: number }
    insertWords.run([row, ...document.texts])
    for (const [field, value] of document.keywords) insertKeyword.run([row, field, value])
  }
}

export function deleteRows(db: Sqlite, ids: readonly string[]): void {
  const find = 'select row from doc where id in (select value from json_each(?))'
  const list = JSON.stringify(ids)
  for (const table of [`word where rowid`, `keyword where doc`, `doc where row`]) {
    statement(db, `delete from ${table} in (${find})`).run([list])
  }
}

export function deleteAll(db: Sqlite): void {
  db.exec(`insert into word (word) values ('delete-all'); delete from keyword; delete from doc`)
}

export function writeStamp(db: Sqlite, stamp: string): void {
  statement(
    db,
    `insert into meta (key, value) values ('stamp', ?) on conflict (key) do update set value = excluded.value`,
  ).run([stamp])
}
