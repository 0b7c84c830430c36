import type { Clock } from '@aaas/core-cloud/kernel'
import { type Markup, trusted } from './html.js'

/**
 * The parts of a page that belong to one request. A cached page holds a hole where each of them goes, so that what is
 * kept is the same for everybody and nothing of one buyer can reach another.
 */
export interface PageFilling {
  /** `http://host:port` of the request, for canonical links. */
  readonly origin: string
  /** Form token of the buyer's session. */
  readonly formToken: string
  /** Units in the buyer's cart as text; empty for none. */
  readonly cartUnits: string
}

const marks = { origin: '\uE001', formToken: '\uE002', cartUnits: '\uE003' } as const
const order = ['origin', 'formToken', 'cartUnits'] as const

/** Where {@link PageFilling} goes; `originText` is for places that are not HTML. */
export const holes = {
  origin: trusted(marks.origin),
  originText: marks.origin,
  formToken: trusted(marks.formToken),
  cartUnits: trusted(marks.cartUnits),
} as const

/** A rendered page, encoded once: bytes between numbers that name a hole. */
export class StoredPage {
  readonly #parts: readonly (Buffer | number)[]
  readonly bytes: number

  constructor(page: Markup) {
    const parts: (Buffer | number)[] = []
    for (const part of page.text.split(/([\uE001-\uE003])/)) {
      const hole = part.length === 1 ? part.charCodeAt(0) - 0xe001 : -1
      if (hole >= 0 && hole < order.length) parts.push(hole)
      else if (part !== '') parts.push(Buffer.from(part))
    }
    this.#parts = parts
    this.bytes = parts.reduce<number>((sum, part) => sum + (typeof part === 'number' ? 0 : part.length), 0)
  }

  /** @returns the page of one request. Values must be safe in HTML: they are checked where requests are read. */
  fill(filling: PageFilling): Buffer {
    const values = order.map(name => Buffer.from(filling[name]))
    return Buffer.concat(this.#parts.map(part => (typeof part === 'number' ? (values[part] ?? Buffer.alloc(0)) : part)))
  }
}

interface Entry {
  readonly page: StoredPage
  readonly freshUntil: number
}

/** Keeps rendered pages for a short time, bounded by bytes; the least recently used leaves first. */
export class PageCache {
  readonly #entries = new Map<string, Entry>()
  readonly #loading = new Map<string, Promise<StoredPage>>()
  readonly #clock: Clock
  readonly #ttlMs: number
  readonly #maxBytes: number
  #bytes = 0

  /**
   * @param options.ttlMs - how old a page may be, milliseconds; 0 keeps nothing.
   * @param options.maxBytes - bytes of all pages together.
   */
  constructor(options: { readonly clock: Clock; readonly ttlMs: number; readonly maxBytes: number }) {
    this.#clock = options.clock
    this.#ttlMs = options.ttlMs
    this.#maxBytes = options.maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The page when it is kept and fresh. Synchronous, because most requests end here. */
  peek(key: string): StoredPage | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    if (entry.freshUntil <= this.#clock.monotonic()) {
      this.#drop(key, entry)
      return undefined
    }
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry.page
  }

  /** The kept page, or the one that `load` renders; callers that come meanwhile share that rendering. */
  async get(key: string, load: () => Promise<Markup>): Promise<StoredPage> {
    const kept = this.peek(key)
    if (kept !== undefined) return kept
    const running = this.#loading.get(key)
    if (running !== undefined) return running
    const loading = load().then(markup => this.#keep(key, new StoredPage(markup)))
    this.#loading.set(key, loading)
    try {
      return await loading
    } finally {
      this.#loading.delete(key)
    }
  }

  #keep(key: string, page: StoredPage): StoredPage {
    if (this.#ttlMs <= 0 || page.bytes > this.#maxBytes) return page
    const old = this.#entries.get(key)
    if (old !== undefined) this.#drop(key, old)
    this.#entries.set(key, { page, freshUntil: this.#clock.monotonic() + this.#ttlMs })
    this.#bytes += page.bytes
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) break
      this.#drop(oldest, entry)
    }
    return page
  }

  #drop(key: string, entry: Entry): void {
    this.#entries.delete(key)
    this.#bytes -= entry.page.bytes
  }
}

/** A value that is loaded again when it is older than `ttlMs`; concurrent callers share one load. */
export function remembered<T>(clock: Clock, ttlMs: number, load: () => Promise<T>): () => Promise<T> {
  let value: Promise<T> | undefined
  let freshUntil = 0
  return () => {
    if (value === undefined || freshUntil <= clock.monotonic()) {
      freshUntil = clock.monotonic() + ttlMs
      const loading = load()
      value = loading
      loading.catch(() => {
        if (value === loading) value = undefined
      })
    }
    return value
  }
}
