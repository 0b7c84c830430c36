/** A document of an index. `texts` are tokenised (Chinese and English); `keywords` match exactly; `numbers` filter and sort. */
export interface SearchDocument {
  readonly id: string
  readonly texts: Readonly<Record<string, string>>
  readonly keywords?: Readonly<Record<string, string | readonly string[]>>
  readonly numbers?: Readonly<Record<string, number>>
}

export interface SearchQuery {
  /**
   * Up to 200 characters, any language; empty finds everything. All words must match; the last one also as a prefix
   * when it has two letters or more. A text without any word (`!?`) finds nothing.
   */
  readonly text: string
  readonly filters?: {
    /** Any of the values; at most 100 a field. */
    readonly keywords?: Readonly<Record<string, readonly string[]>>
    readonly numbers?: Readonly<Record<string, { readonly min?: number; readonly max?: number }>>
  }
  /** `relevance` is BM25 over the texts; otherwise a number field, ties by id. */
  readonly sort?: 'relevance' | { readonly field: string; readonly direction: 'ascending' | 'descending' }
  /** 0 to 10_000, default 0. */
  readonly offset?: number
  /** 1 to 100, default 20. */
  readonly limit?: number
  /** Keyword fields to count values of, over all hits; the 100 most frequent values each, most frequent first. */
  readonly facets?: readonly string[]
}

export interface SearchResult {
  readonly total: number
  readonly hits: readonly { readonly id: string; readonly score: number }[]
  readonly facets: Readonly<Record<string, readonly { readonly value: string; readonly count: number }[]>>
}

/**
 * A full-text index over documents that somebody else owns; it can be rebuilt at any time. Fields are declared when the
 * index is opened. Every method throws CloudError `support.search.unavailable` (retryable) when the index cannot be
 * reached or another process keeps writing, and `core.kernel.stopped` after disposal.
 */
export interface SearchIndex extends AsyncDisposable {
  /**
   * Adds or replaces documents, all or none; visible to searches when it resolves. At most 1_000 a call.
   * @throws CloudError `support.search.invalid-query` naming the field when a document breaks a limit: id 1 to 200
   *   characters, a text up to 100_000, a keyword 1 to 200, 100 keywords a field, finite numbers, declared fields only.
   */
  put(documents: readonly SearchDocument[]): Promise<void>
  /** Unknown ids are ignored. At most 1_000 a call. */
  delete(ids: readonly string[]): Promise<void>
  /** @throws CloudError `support.search.invalid-query` naming the field when a limit is broken. */
  search(query: SearchQuery): Promise<SearchResult>
  count(): Promise<number>
  /**
   * Replaces everything by the documents of `batches` (at most 1_000 each) and remembers `stamp`. Searches see the old
   * documents until it resolves, then the new ones; when it rejects nothing changed.
   * @param options.stamp - 1 to 200 characters that name the state of the source.
   * @returns false, reading no batch, when the index already carries this stamp (another process was faster).
   */
  rebuild(batches: AsyncIterable<readonly SearchDocument[]>, options: { readonly stamp: string }): Promise<boolean>
  /** What the last `rebuild` left; undefined: never built, or the file was lost, corrupt or of another format. */
  stamp(): Promise<string | undefined>
}
