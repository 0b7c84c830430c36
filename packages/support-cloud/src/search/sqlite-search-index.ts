import { type Clock, CloudError, type Logger, silentLogger, sleep, systemClock } from '@aaas/core-cloud/kernel'
import type { SearchDocument, SearchIndex, SearchQuery, SearchResult } from './search.js'
import { checkDocuments, checkFields, checkIds, checkQuery, checkStamp, type SearchFields } from './search-query.js'
import { Tokeniser } from './search-tokens.js'
import {
  closeSearchFile,
  deleteSearchFile,
  inMemory,
  isBusy,
  isDamage,
  openSearchFile,
  type SearchFile,
  type Sqlite,
  statement,
} from './sqlite-search-file.js'
import { runSearch } from './sqlite-search-read.js'
import { deleteAll, deleteRows, putRows, type TokenisedDocument, tokenised, writeStamp } from './sqlite-search-write.js'

export interface SqliteSearchOptions {
  /** Path of the index file; its folder must exist. `:memory:` keeps it in this process. */
  readonly file: string
  readonly fields: SearchFields
  /** Chinese words, such as brands, that are never cut; at most 10_000. Other words mean another index. */
  readonly userWords?: readonly string[]
  readonly clock?: Clock
  readonly logger?: Logger
  /** Milliseconds for which a write waits for the writer of another process; default 10_000. */
  readonly writeWaitMs?: number
}

const retryMs = 20

/**
 * The embedded index: SQLite FTS5 over our own tokens. Several processes of one machine may open the same file; one
 * writes at a time, searches never wait. A file that is damaged or of another format is replaced by an empty one
 * (`stamp()` then says undefined).
 */
export function sqliteSearchIndex(options: SqliteSearchOptions): SearchIndex {
  checkFields(options.fields)
  return new SqliteSearchIndex(options)
}

class SqliteSearchIndex implements SearchIndex {
  readonly #options: SqliteSearchOptions
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #tokeniser: Tokeniser
  #file: SearchFile
  #writing: Promise<unknown> = Promise.resolve()
  #stopped = false

  constructor(options: SqliteSearchOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock()
    this.#logger = options.logger ?? silentLogger
    this.#tokeniser = new Tokeniser(options.userWords)
    this.#file = this.#open()
  }

  async put(documents: readonly SearchDocument[]): Promise<void> {
    checkDocuments(documents, this.#options.fields)
    if (documents.length === 0) return
    const rows = this.#tokenised(documents)
    await this.#write(db => putRows(db, rows, this.#options.fields))
  }

  async delete(ids: readonly string[]): Promise<void> {
    checkIds(ids)
    if (ids.length > 0) await this.#write(db => deleteRows(db, ids))
  }

  async search(query: SearchQuery): Promise<SearchResult> {
    const checked = checkQuery(query, this.#options.fields)
    return this.#read(db => runSearch(db, checked, this.#tokeniser.queryWords(checked.text)))
  }

  async count(): Promise<number> {
    return this.#read(db => (statement(db, 'select count(*) as n from doc').get([]) as { n: number }).n)
  }

  async stamp(): Promise<string | undefined> {
    return this.#read(readStamp)
  }

  async rebuild(
    batches: AsyncIterable<readonly SearchDocument[]>,
    options: { readonly stamp: string },
  ): Promise<boolean> {
    checkStamp(options.stamp)
    return this.#options.file === inMemory
      ? this.#rebuildAside(batches, options.stamp)
      : this.#rebuildInPlace(batches, options.stamp)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    await this.#writing
    closeSearchFile(this.#file)
  }

  /** The reader's connection does not see the writer's transaction, however long it takes. */
  async #rebuildInPlace(batches: AsyncIterable<readonly SearchDocument[]>, stamp: string): Promise<boolean> {
    return this.#write(async db => {
      if (readStamp(db) === stamp) return false
      deleteAll(db)
      for await (const rows of this.#batches(batches)) putRows(db, rows, this.#options.fields)
      writeStamp(db, stamp)
      return true
    })
  }

  /** In memory there is one connection: the new index grows beside the old one and takes its place. */
  async #rebuildAside(batches: AsyncIterable<readonly SearchDocument[]>, stamp: string): Promise<boolean> {
    return this.#exclusive(async () => {
      if (readStamp(this.#file.writer) === stamp) return false
      const next = this.#open()
      try {
        next.writer.exec('begin')
        for await (const rows of this.#batches(batches)) putRows(next.writer, rows, this.#options.fields)
        writeStamp(next.writer, stamp)
        next.writer.exec('commit')
      } catch (error) {
        closeSearchFile(next)
        throw error
      }
      const old = this.#file
      this.#file = next
      closeSearchFile(old)
      return true
    })
  }

  async *#batches(batches: AsyncIterable<readonly SearchDocument[]>): AsyncGenerator<readonly TokenisedDocument[]> {
    for await (const documents of batches) {
      checkDocuments(documents, this.#options.fields)
      yield this.#tokenised(documents)
    }
  }

  #tokenised(documents: readonly SearchDocument[]): readonly TokenisedDocument[] {
    return documents.map(document => tokenised(document, this.#options.fields, this.#tokeniser))
  }

  #read<T>(work: (db: Sqlite) => T): T {
    this.#check()
    try {
      return work(this.#file.reader)
    } catch (error) {
      throw this.#failed(error)
    }
  }

  /** Runs `work` in one transaction of the writer's connection. */
  #write<T>(work: (db: Sqlite) => T | Promise<T>): Promise<T> {
    return this.#exclusive(async () => {
      const db = this.#file.writer
      try {
        await this.#begin(db)
        const result = await work(db)
        db.exec('commit')
        return result
      } catch (error) {
        if (db.inTransaction) db.exec('rollback')
        throw this.#failed(error)
      }
    })
  }

  /** Waits by the clock, not inside SQLite: a wait there would stop the event loop. */
  async #begin(db: Sqlite): Promise<void> {
    const end = this.#clock.monotonic() + (this.#options.writeWaitMs ?? 10_000)
    for (;;) {
      try {
        db.exec('begin immediate')
        return
      } catch (error) {
        if (!isBusy(error) || this.#clock.monotonic() >= end) throw error
      }
      await sleep(this.#clock, retryMs)
      this.#check()
    }
  }

  /** One write at a time in this process. */
  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    this.#check()
    const run = this.#writing.then(() => work())
    this.#writing = run.catch(() => undefined)
    return run
  }

  #check(): void {
    if (this.#stopped) throw new CloudError('core.kernel.stopped', 'the search index is closed')
  }

  /** Replaces a damaged file, so that the next call finds an empty index and the owner can build it again. */
  #failed(error: unknown): unknown {
    if (!(error instanceof Error) || CloudError.is(error)) return error
    if (isDamage(error)) {
      this.#logger.error('search: the index is damaged and starts empty', { file: this.#options.file, error })
      this.#replace()
    } else if (!('rawCode' in error)) return error
    return new CloudError('support.search.unavailable', `search index: ${error.message}`, { cause: error })
  }

  #replace(): void {
    const damaged = this.#file
    try {
      closeSearchFile(damaged)
      deleteSearchFile(this.#options.file, damaged.identity)
      this.#file = this.#open()
    } catch (error) {
      this.#logger.error('search: the index cannot be opened again', { file: this.#options.file, error })
    }
  }

  #open(): SearchFile {
    const { file, fields, userWords = [] } = this.#options
    try {
      return openSearchFile(file, fields, userWords, this.#logger)
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      throw new CloudError('support.search.unavailable', `search index ${file}: ${text}`, { cause: error })
    }
  }
}

function readStamp(db: Sqlite): string | undefined {
  return (statement(db, `select value from meta where key = 'stamp'`).get([]) as { value: string } | undefined)?.value
}
