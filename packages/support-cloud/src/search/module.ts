import { ClockToken, LoggerToken } from '@aaas/core-cloud/kernel/module'
import { ContainerModule, type ServiceIdentifier } from 'inversify'
import type { SearchIndex } from './search.js'
import { type SqliteSearchOptions, sqliteSearchIndex } from './sqlite-search-index.js'

export const SearchIndexToken = Symbol.for('@aaas/support-cloud/SearchIndex') as ServiceIdentifier<SearchIndex>

/** Binds SearchIndex: SQLite, closed by `container.unbindAllAsync()`. Needs Clock and Logger. */
export function searchModule(options: Omit<SqliteSearchOptions, 'clock' | 'logger'>): ContainerModule {
  return new ContainerModule(({ bind }) => {
    bind(SearchIndexToken)
      .toResolvedValue((clock, logger) => sqliteSearchIndex({ ...options, clock, logger }), [ClockToken, LoggerToken])
      .inSingletonScope()
      .onDeactivation(async index => index[Symbol.asyncDispose]())
  })
}
