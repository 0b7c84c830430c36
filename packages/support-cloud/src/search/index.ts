export type { SearchDocument, SearchIndex, SearchQuery, SearchResult } from './search.js'
export type { SearchFields } from './search-query.js'
export { type SqliteSearchOptions, sqliteSearchIndex } from './sqlite-search-index.js'
