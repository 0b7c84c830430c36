import type { Clock } from '@aaas/core-cloud/kernel'
import { BoundedMap } from '@aaas/support-cloud/cache'
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

/**
 * A rendered page, encoded once: text between numbers that name a hole. A character of the text is one byte of UTF-8,
 * because a server sends such a text in one write together with the head, and needs no buffer for it.
 */
export class StoredPage {
  readonly #parts: readonly (string | number)[]
  readonly bytes: number

  constructor(page: Markup) {
    const parts: (string | number)[] = []
    for (const part of page.text.split(/([\uE001-\uE003])/)) {
      const hole = part.length === 1 ? part.charCodeAt(0) - 0xe001 : -1
      if (hole >= 0 && hole < order.length) parts.push(hole)
      else if (part !== '') parts.push(byteText(part))
    }
    this.#parts = parts
    this.bytes = parts.reduce<number>((sum, part) => sum + (typeof part === 'number' ? 0 : part.length), 0)
  }

  /**
   * @returns the page of one request, one character a byte (`latin1`). Values must be safe in HTML and ASCII: they are
   *   checked where requests are read.
   */
  fill(filling: PageFilling): string {
    let text = ''
    for (const part of this.#parts) text += typeof part === 'number' ? filling[order[part] ?? 'origin'] : part
    return text
  }
}

function byteText(text: string): string {
  return Buffer.from(text).toString('latin1')
}

/** How a kept page is made, and how to tell that it is what would be made now. */
export interface PageRecipe<T> {
  /** What the page is made of. */
  load(): Promise<T>
  /** True when a page of `a` reads like one of `b`. */
  same(a: T, b: T): boolean
  /** True when nothing can change the page that the revision does not tell of. Default: false. */
  steady?(from: T): boolean
  render(from: T): Markup
}

/** A number that stays while nothing changed that pages are made of; at once, or after looking. */
export type Revision = () => number | Promise<number>

/** Age limit of steady pages, milliseconds: below the time for which a catalogue follows what was read. */
const steadyMs = 8_000

interface Entry {
  readonly page: StoredPage
  /** What it was made of. */
  from: unknown
  revision: number
  freshUntil: number
}

/**
 * Keeps rendered pages, bounded by bytes. A page is shown while it is younger than its age limit and the revision stays;
 * then what it is made of is loaded again, and only when that reads differently the page is rendered again.
 */
export class PageCache {
  readonly #entries: BoundedMap<Entry>
  readonly #loading = new Map<string, Promise<StoredPage>>()
  readonly #clock: Clock
  readonly #ttlMs: number
  readonly #steadyMs: number
  readonly #revision: Revision

  /**
   * @param options.ttlMs - how old a page may be, milliseconds; 0 keeps nothing. With a revision, steady pages may be
   *   eight seconds old.
   * @param options.maxBytes - bytes of all pages together.
   * @param options.revision - default: one that never changes, so that age alone counts.
   */
  constructor(options: {
    readonly clock: Clock
    readonly ttlMs: number
    readonly maxBytes: number
    readonly revision?: Revision
  }) {
    this.#clock = options.clock
    this.#ttlMs = options.ttlMs
    this.#steadyMs = options.revision === undefined || options.ttlMs <= 0 ? options.ttlMs : steadyMs
    this.#entries = new BoundedMap(options.maxBytes)
    this.#revision = options.revision ?? (() => 0)
  }

  get bytes(): number {
    return this.#entries.bytes
  }

  /** The page when it is kept and known to be right. Synchronous, because most requests end here. */
  peek(key: string): StoredPage | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.freshUntil <= this.#clock.monotonic()) return undefined
    const revision = this.#revision()
    // Whoever has to wait asks again, and hears of a failure then.
    if (typeof revision !== 'number') revision.catch(() => undefined)
    return entry.revision === revision ? entry.page : undefined
  }

  /** The kept page, or a new one; callers that come meanwhile share the work. A key always has the same recipe. */
  async get<T>(key: string, recipe: PageRecipe<T>): Promise<StoredPage> {
    const kept = this.peek(key)
    if (kept !== undefined) return kept
    const running = this.#loading.get(key)
    if (running !== undefined) return running
    const loading = this.#make(key, recipe)
    this.#loading.set(key, loading)
    try {
      return await loading
    } finally {
      this.#loading.delete(key)
    }
  }

  async #make<T>(key: string, recipe: PageRecipe<T>): Promise<StoredPage> {
    // Asked for before loading: what changes meanwhile makes this page outdated and is not taken for known.
    const revision = await this.#revision()
    const began = this.#clock.monotonic()
    const from = await recipe.load()
    const freshUntil = began + (recipe.steady?.(from) === true ? this.#steadyMs : this.#ttlMs)
    const old = this.#entries.get(key)
    if (old !== undefined && recipe.same(old.from as T, from)) {
      Object.assign(old, { from, revision, freshUntil })
      return old.page
    }
    const page = new StoredPage(recipe.render(from))
    if (this.#ttlMs > 0) this.#entries.set(key, { page, from, revision, freshUntil }, page.bytes)
    return page
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
