/** A document of an index. `texts` are tokenised (Chinese and English); `keywords` match exactly; `numbers` filter and sort. */
export interface SearchDocument {
  readonly id: string
  readonly texts: Readonly<Record<string, string>>
  readonly keywords?: Readonly<Record<string, string | readonly string[]>>
  readonly numbers?: Readonly<Record<string, number>>
}

export interface SearchQuery {
  /** Up to 200 characters, any language; empty finds everything. All words must match; the last one also as a prefix. */
  readonly text: string
  readonly filters?: {
    /** Any of the values. */
    readonly keywords?: Readonly<Record<string, readonly string[]>>
    readonly numbers?: Readonly<Record<string, { readonly min?: number; readonly max?: number }>>
  }
  /** `relevance` is BM25 over the texts; otherwise a number field, ties by id. */
  readonly sort?: 'relevance' | { readonly field: string; readonly direction: 'ascending' | 'descending' }
  readonly offset?: number
  /** 1 to 100, default 20. */
  readonly limit?: number
  /** Keyword fields to count values of, over all hits. */
  readonly facets?: readonly string[]
}

export interface SearchResult {
  readonly total: number
  readonly hits: readonly { readonly id: string; readonly score: number }[]
  readonly facets: Readonly<Record<string, readonly { readonly value: string; readonly count: number }[]>>
}

/** A full-text index over documents that somebody else owns; it can be rebuilt at any time. */
export interface SearchIndex extends AsyncDisposable {
  /** Adds or replaces documents, all or none; visible to searches when it resolves. At most 1_000 a call. */
  put(documents: readonly SearchDocument[]): Promise<void>
  delete(ids: readonly string[]): Promise<void>
  /** @throws CloudError `support.search.invalid-query` naming the field when a limit is broken. */
  search(query: SearchQuery): Promise<SearchResult>
  count(): Promise<number>
}
