export type { SearchDocument, SearchIndex, SearchQuery, SearchResult } from './search.js'
