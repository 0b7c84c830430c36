import type { Items } from './contract.js'

export type ItemIterator = AsyncIterator<unknown> | Iterator<unknown>

export function iteratorOf(items: Items<unknown>): ItemIterator {
  return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
}

/** Tells an iterator that nobody reads it any more. What it throws then has no reader either. */
export function leave(iterator: ItemIterator | undefined): void {
  try {
    Promise.resolve(iterator?.return?.()).catch(() => undefined)
  } catch {
    // The same, from an iterator that is not asynchronous.
  }
}

export interface CutIteratorOptions {
  /** Asked at the first read. */
  readonly open: () => ItemIterator
  /** The last item was read, the source failed, or the reader left (`left`). Not called after a cut. */
  readonly onEnd: (end: { readonly error?: unknown; readonly left?: boolean }) => void
}

/** Items of another iterator that can be cut off from outside, also while somebody waits for the next one. Read once. */
export class CutIterator implements AsyncIterableIterator<unknown> {
  readonly #options: CutIteratorOptions
  readonly #waiting = new Set<(error: unknown) => void>()
  #inner: ItemIterator | undefined
  #over = false
  #error: { readonly error: unknown } | undefined

  constructor(options: CutIteratorOptions) {
    this.#options = options
  }

  next(): Promise<IteratorResult<unknown>> {
    if (this.#error !== undefined) {
      const { error } = this.#error
      this.#error = undefined
      return Promise.reject(error)
    }
    if (this.#over) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject)
      const fail = (error: unknown): void => {
        if (this.#waiting.delete(reject)) this.#end({ error })
        reject(error)
      }
      let step: Promise<IteratorResult<unknown>>
      try {
        this.#inner ??= this.#options.open()
        step = Promise.resolve(this.#inner.next())
      } catch (error) {
        fail(error)
        return
      }
      step.then(result => {
        if (!this.#waiting.delete(reject)) return
        if (result.done === true) this.#end({})
        resolve(result)
      }, fail)
    })
  }

  return(): Promise<IteratorResult<unknown>> {
    if (!this.#over) {
      leave(this.#inner)
      this.#end({ left: true })
    }
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Ends it: who waits gets the error, otherwise the next read does. Does nothing when it has ended. */
  cut(error: unknown): void {
    if (this.#over) return
    this.#over = true
    leave(this.#inner)
    if (this.#waiting.size === 0) this.#error = { error }
    for (const reject of this.#waiting) reject(error)
    this.#waiting.clear()
  }

  #end(end: { readonly error?: unknown; readonly left?: boolean }): void {
    if (this.#over) return
    this.#over = true
    this.#options.onEnd(end)
  }
}
