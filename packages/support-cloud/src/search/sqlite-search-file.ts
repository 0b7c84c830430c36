import { createHash } from 'node:crypto'
import { rmSync, statSync } from 'node:fs'
import type { Logger } from '@aaas/core-cloud/kernel'
import Database from 'libsql'
import type { SearchFields } from './search-query.js'
import { tokenFormat } from './search-tokens.js'

export type Sqlite = Database.Database

/** Two connections of one file: searches never see what the writer has not committed. In memory both are one. */
export interface SearchFile {
  readonly reader: Sqlite
  readonly writer: Sqlite
  /** Tells whether the path still names the file that was opened. */
  readonly identity: string
}

export const inMemory = ':memory:'
const schemaFormat = 1
/** Milliseconds for which opening may wait for another process that is creating the same file. */
const openWaitMs = 5_000
/** Afterwards the wait is short, because it blocks the event loop; callers try again by the clock. */
const busyWaitMs = 5

const prepared = new WeakMap<Sqlite, Map<string, Database.Statement>>()
const maxPrepared = 64

/**
 * Opens the file, creating it when it is absent. One that is damaged, or was made by another format, other fields or
 * other words, is deleted and made anew, empty: an index is only a copy.
 */
export function openSearchFile(
  file: string,
  fields: SearchFields,
  userWords: readonly string[],
  logger: Logger,
): SearchFile {
  const format = fingerprint(fields, userWords)
  for (let attempt = 1; ; attempt++) {
    const found = identityOf(file)
    try {
      const opened = open(file, fields, format)
      if (opened !== undefined) return opened
      logger.warn('search: the index is of another format and is built again', { file })
    } catch (error) {
      if (!isDamage(error) || attempt === 3) throw error
      logger.warn('search: the index is damaged and is built again', { file, error })
    }
    deleteSearchFile(file, found)
  }
}

/** Deletes a file that turned out useless, unless another process has already put a new one in its place. */
export function deleteSearchFile(file: string, identity: string): void {
  if (file === inMemory || identityOf(file) !== identity) return
  for (const name of [file, `${file}-wal`, `${file}-shm`]) rmSync(name, { force: true })
}

/** The engine frees a connection when its statements are collected as well: forget them. */
export function closeSearchFile({ reader, writer }: SearchFile): void {
  for (const connection of new Set([reader, writer])) {
    prepared.delete(connection)
    connection.close()
  }
}

/** A statement, prepared once per connection. Texts come from few shapes of queries; the oldest falls out. */
export function statement(db: Sqlite, sql: string): Database.Statement {
  const known = prepared.get(db) ?? new Map<string, Database.Statement>()
  prepared.set(db, known)
  const found = known.get(sql) ?? db.prepare(sql)
  known.delete(sql)
  known.set(sql, found)
  const [oldest] = known.size > maxPrepared ? known.keys() : []
  if (oldest !== undefined) known.delete(oldest)
  return found
}

/** True for an error that says the file itself is bad, not the moment. */
export function isDamage(error: unknown): boolean {
  const code = resultCode(error)
  // 11 CORRUPT, 26 NOTADB; 1 with these words: the file was made by something else.
  return code === 11 || code === 26 || (code === 1 && /no such (table|column)/.test((error as Error).message))
}

/** True when another process holds the lock now. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error)
  return code === 5 || code === 6
}

function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Database.SqliteError) || error.rawCode === undefined) return undefined
  return error.rawCode & 0xff
}

function open(file: string, fields: SearchFields, format: string): SearchFile | undefined {
  const writer = new Database(file)
  const reader = file === inMemory ? writer : new Database(file)
  const opened = { reader, writer }
  try {
    for (const connection of new Set([writer, reader])) {
      connection.exec(`pragma busy_timeout = ${openWaitMs}`)
      connection.exec('pragma cache_size = -2048')
    }
    writer.pragma('journal_mode = wal')
    // An index is a copy: after a power cut it may lack the last commit, and its stamp then says so.
    writer.exec('pragma synchronous = normal')
    if (!prepareSchema(writer, fields, format)) {
      closeSearchFile({ ...opened, identity: '' })
      return undefined
    }
    for (const connection of new Set([writer, reader])) connection.exec(`pragma busy_timeout = ${busyWaitMs}`)
    return { ...opened, identity: identityOf(file) }
  } catch (error) {
    closeSearchFile({ ...opened, identity: '' })
    throw error
  }
}

/** @returns false when the file has another format. */
function prepareSchema(db: Sqlite, fields: SearchFields, format: string): boolean {
  db.exec('begin immediate')
  try {
    const tables = statement(db, `select count(*) as tables from sqlite_master`).get([]) as { tables: number }
    if (tables.tables === 0) {
      db.exec(schemaOf(fields))
      statement(db, `insert into meta (key, value) values ('format', ?)`).run([format])
    }
    const found = statement(db, `select value from meta where key = 'format'`).get([]) as { value: string } | undefined
    db.exec('commit')
    return found?.value === format
  } catch (error) {
    db.exec('rollback')
    throw error
  }
}

function schemaOf(fields: SearchFields): string {
  const texts = Object.entries(fields.texts)
  const numbers = (fields.numbers ?? []).map(name => `n_${name}`)
  // Contentless: the texts stay with their owner. `rank` keeps the weights with the index.
  return `
create table meta (key text primary key, value text not null) without rowid;
create table doc (row integer primary key, id text not null unique${numbers.map(name => `, ${name} real`).join('')});
${numbers.map(name => `create index doc_${name} on doc (${name});`).join('\n')}
create table keyword (field text, value text, doc integer, primary key (doc, field, value)) without rowid;
create index keyword_value on keyword (field, value, doc);
create virtual table word using fts5(${texts.map(([name]) => `t_${name}`).join(', ')}, content = '', contentless_delete = 1,
  tokenize = "unicode61 remove_diacritics 0 tokenchars '_'", prefix = '2 3');
insert into word (word, rank) values ('rank', 'bm25(${texts.map(([, weight]) => weight.toFixed(2)).join(', ')})');
`
}

function fingerprint(fields: SearchFields, userWords: readonly string[]): string {
  const parts = [schemaFormat, tokenFormat, fields.texts, fields.keywords ?? [], fields.numbers ?? [], userWords]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

function identityOf(file: string): string {
  if (file === inMemory) return inMemory
  const found = statSync(file, { throwIfNoEntry: false })
  return found === undefined ? '' : `${found.dev}:${found.ino}`
}
