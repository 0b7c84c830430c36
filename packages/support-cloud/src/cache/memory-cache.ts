import assert from 'node:assert/strict'
import { type Clock, CloudError } from '@aaas/core-cloud/kernel'
import type { Cache } from './cache.js'

export interface MemoryCacheOptions {
  readonly clock: Clock
  /** Bytes of all entries together (JSON in UTF-8, key, a flat charge for bookkeeping), default 32 MiB. */
  readonly maxBytes?: number
  /** Bytes of one value's JSON, default 1 MiB, never more than `maxBytes`. */
  readonly maxEntryBytes?: number
}

interface Entry {
  readonly key: string
  readonly value: unknown
  readonly bytes: number
  readonly expiresAt: number
  readonly tags: readonly string[]
  /** Neighbours in the order of use; the sentinel closes the ring. */
  newer: Entry
  older: Entry
}

interface Load {
  readonly promise: Promise<unknown>
  readonly tags: readonly string[]
  /** False once somebody changed the key or a tag: the value may be from before. */
  keep: boolean
}

type SetOptions = Parameters<Cache['set']>[2]

/** What an entry costs besides key and value. */
const entryOverheadBytes = 200

/**
 * A cache in this process, bounded by bytes; the least recently used entry goes first. Values are kept as they are given
 * (no copy, no serialisation on `get`): whoever gets one must not change it.
 */
export function memoryCache(options: MemoryCacheOptions): Cache {
  return new MemoryCache(options)
}

class MemoryCache implements Cache {
  readonly #clock: Clock
  readonly #maxBytes: number
  readonly #maxEntryBytes: number
  readonly #entries = new Map<string, Entry>()
  readonly #byTag = new Map<string, Set<Entry>>()
  readonly #loads = new Map<string, Load>()
  readonly #ring = sentinel()
  #bytes = 0
  #hits = 0
  #misses = 0
  #evictions = 0

  constructor({ clock, maxBytes = 32 * 1024 * 1024, maxEntryBytes = 1024 * 1024 }: MemoryCacheOptions) {
    this.#clock = clock
    this.#maxBytes = maxBytes
    this.#maxEntryBytes = Math.min(maxEntryBytes, maxBytes)
  }

  async get<T = unknown>(key: string, options?: { readonly signal?: AbortSignal }): Promise<T | undefined> {
    options?.signal?.throwIfAborted()
    return this.#find(key)?.value as T | undefined
  }

  async set(key: string, value: unknown, options: SetOptions): Promise<void> {
    options.signal?.throwIfAborted()
    check(key, options)
    const json: string | undefined = JSON.stringify(value)
    assert(json !== undefined, 'a cached value must be JSON; undefined would look like a miss')
    const size = Buffer.byteLength(json)
    if (size > this.#maxEntryBytes) {
      throw new CloudError(
        'support.cache.too-large',
        `the value of ${key} has ${size} bytes, at most ${this.#maxEntryBytes} are kept`,
        {
          details: { bytes: size, maxBytes: this.#maxEntryBytes },
        },
      )
    }
    this.#forgetLoad(key)
    this.#store(key, value, { bytes: size + key.length + entryOverheadBytes, options })
  }

  async delete(key: string, options?: { readonly signal?: AbortSignal }): Promise<void> {
    options?.signal?.throwIfAborted()
    this.#forgetLoad(key)
    const entry = this.#entries.get(key)
    if (entry !== undefined) this.#remove(entry)
  }

  async invalidate(tags: readonly string[], options?: { readonly signal?: AbortSignal }): Promise<void> {
    options?.signal?.throwIfAborted()
    for (const tag of tags) for (const entry of this.#byTag.get(tag) ?? []) this.#remove(entry)
    for (const [key, load] of this.#loads) if (load.tags.some(tag => tags.includes(tag))) this.#forgetLoad(key)
  }

  async wrap<T>(key: string, load: () => Promise<T>, options: SetOptions): Promise<T> {
    options.signal?.throwIfAborted()
    const entry = this.#find(key)
    if (entry !== undefined) return entry.value as T
    check(key, options)
    const running = this.#loads.get(key) ?? this.#startLoad(key, load, options)
    return unlessAborted(running.promise as Promise<T>, options.signal)
  }

  stats(): ReturnType<Cache['stats']> {
    return {
      entries: this.#entries.size,
      bytes: this.#bytes,
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const key of [...this.#loads.keys()]) this.#forgetLoad(key)
    for (const entry of [...this.#entries.values()]) this.#remove(entry)
  }

  #find(key: string): Entry | undefined {
    const entry = this.#entries.get(key)
    if (entry !== undefined && entry.expiresAt > this.#clock.now()) {
      this.#hits += 1
      if (this.#ring.older !== entry) {
        unlink(entry)
        this.#use(entry)
      }
      return entry
    }
    if (entry !== undefined) this.#remove(entry)
    this.#misses += 1
    return undefined
  }

  /** Whoever asks from now on starts a load of his own; those who wait get what they asked for, and it is not kept. */
  #forgetLoad(key: string): void {
    const load = this.#loads.get(key)
    if (load === undefined) return
    load.keep = false
    this.#loads.delete(key)
  }

  #startLoad(key: string, load: () => Promise<unknown>, options: SetOptions): Load {
    const { ttlMs, tags = [] } = options
    const running: Load = { promise: Promise.resolve().then(load), tags, keep: true }
    this.#loads.set(key, running)
    const done = (): boolean => {
      const keep = running.keep
      if (keep) this.#loads.delete(key)
      return keep
    }
    running.promise.then(
      value => {
        // A value too large to keep, or none at all, is still good for those who wait.
        if (done() && value !== undefined) this.set(key, value, { ttlMs, tags }).catch(() => undefined)
      },
      () => done(),
    )
    return running
  }

  #store(
    key: string,
    value: unknown,
    { bytes, options }: { readonly bytes: number; readonly options: SetOptions },
  ): void {
    const old = this.#entries.get(key)
    if (old !== undefined) this.#remove(old)
    if (bytes > this.#maxBytes) return
    while (this.#bytes + bytes > this.#maxBytes) {
      this.#remove(this.#ring.newer)
      this.#evictions += 1
    }
    const { ttlMs, tags = [] } = options
    const expiresAt = this.#clock.now() + ttlMs
    const entry: Entry = { key, value, bytes, expiresAt, tags, newer: this.#ring, older: this.#ring }
    this.#entries.set(key, entry)
    this.#use(entry)
    this.#bytes += bytes
    for (const tag of tags) {
      const tagged = this.#byTag.get(tag)
      if (tagged === undefined) this.#byTag.set(tag, new Set([entry]))
      else tagged.add(entry)
    }
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry.key)
    unlink(entry)
    this.#bytes -= entry.bytes
    for (const tag of entry.tags) {
      const tagged = this.#byTag.get(tag)
      tagged?.delete(entry)
      if (tagged?.size === 0) this.#byTag.delete(tag)
    }
  }

  /** Makes an entry the newest: right before the sentinel, whose `newer` side begins with the oldest. */
  #use(entry: Entry): void {
    const last = this.#ring.older
    entry.older = last
    entry.newer = this.#ring
    last.newer = entry
    this.#ring.older = entry
  }
}

function sentinel(): Entry {
  const entry = { key: '', value: undefined, bytes: 0, expiresAt: 0, tags: [] } as unknown as Entry
  entry.newer = entry
  entry.older = entry
  return entry
}

function unlink(entry: Entry): void {
  entry.older.newer = entry.newer
  entry.newer.older = entry.older
}

function check(key: string, { ttlMs, tags = [] }: SetOptions): void {
  assert(key.length >= 1 && key.length <= 512, 'a cache key has 1 to 512 characters')
  assert(ttlMs >= 1 && ttlMs <= 86_400_000, 'ttlMs is 1 to 86_400_000')
  assert(tags.length <= 16, 'an entry has at most 16 tags')
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
