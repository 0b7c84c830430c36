import type { CallOptions } from '@aaas/core-cloud/kernel'

type CacheCall = Pick<CallOptions, 'signal'>

/** Keeps small values for a limited time. Values may vanish early; callers must not rely on a hit. */
export interface Cache extends AsyncDisposable {
  /** @returns the value, or `undefined` when absent or expired. Values are shared: never change one. */
  get<T = unknown>(key: string, options?: CacheCall): Promise<T | undefined>
  /**
   * @param key - 1 to 512 characters.
   * @param options.ttlMs - lifetime in milliseconds, 1 to 86_400_000.
   * @param options.tags - names by which {@link Cache.invalidate} drops many values at once; at most 16.
   * @throws CloudError `support.cache.too-large` when the value's JSON is over the limit of the cache.
   */
  set(
    key: string,
    value: unknown,
    options: CacheCall & { readonly ttlMs: number; readonly tags?: readonly string[] },
  ): Promise<void>
  delete(key: string, options?: CacheCall): Promise<void>
  /** Drops every value that carries one of the tags. */
  invalidate(tags: readonly string[], options?: CacheCall): Promise<void>
  /**
   * The value under `key`, or what `load` gives, kept for `ttlMs`. Callers that miss together share one `load`;
   * a failed load is not kept. A value invalidated while it loads is given to its callers but not kept.
   */
  wrap<T>(
    key: string,
    load: () => Promise<T>,
    options: CacheCall & { readonly ttlMs: number; readonly tags?: readonly string[] },
  ): Promise<T>
  stats(): {
    readonly entries: number
    readonly bytes: number
    readonly hits: number
    readonly misses: number
    readonly evictions: number
  }
}
