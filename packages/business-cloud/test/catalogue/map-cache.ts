import type { Cache } from '@aaas/support-cloud/cache'

/** A cache as simple as can be; counts loads so that tests can see what was kept. */
export class MapCache implements Cache {
  readonly rows = new Map<string, { readonly value: unknown; readonly until: number; readonly tags: readonly string[] }>()
  readonly loads = new Map<string, Promise<unknown>>()
  loaded = 0
  #epoch = 0

  constructor(readonly clock: { now(): number }) {}

  async get<T>(key: string): Promise<T | undefined> {
    if (key.length < 1 || key.length > 512) throw new Error(`key of ${key.length} characters`)
    const row = this.rows.get(key)
    return row !== undefined && row.until > this.clock.now() ? (row.value as T) : undefined
  }

  async set(key: string, value: unknown, options: { readonly ttlMs: number; readonly tags?: readonly string[] }): Promise<void> {
    this.rows.set(key, { value, until: this.clock.now() + options.ttlMs, tags: options.tags ?? [] })
  }

  async delete(key: string): Promise<void> {
    this.rows.delete(key)
  }

  async invalidate(tags: readonly string[]): Promise<void> {
    this.#epoch += 1
    for (const [key, row] of this.rows) if (row.tags.some(tag => tags.includes(tag))) this.rows.delete(key)
  }

  async wrap<T>(key: string, load: () => Promise<T>, options: { readonly ttlMs: number; readonly tags?: readonly string[] }): Promise<T> {
    const found = await this.get<T>(key)
    if (found !== undefined) return found
    const under = this.loads.get(key)
    if (under !== undefined) return under as Promise<T>
    const epoch = this.#epoch
    this.loaded += 1
    const loading = load()
      .then(async value => {
        if (epoch === this.#epoch) await this.set(key, value, options)
        return value
      })
      .finally(() => this.loads.delete(key))
    this.loads.set(key, loading)
    return loading
  }

  stats(): ReturnType<Cache['stats']> {
    return { entries: this.rows.size, bytes: 0, hits: 0, misses: 0, evictions: 0 }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.rows.clear()
  }
}
