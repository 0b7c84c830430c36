import { CloudError } from '../kernel/errors.js'
import type { CheckedLimits, Credit } from './stream-limits.js'

interface Batch {
  readonly items: readonly unknown[]
  at: number
  readonly bytesEach: number
}

/**
 * Items that came over a wire and wait for their reader: never more than the window that the writer was granted.
 * Read once, by one reader.
 */
export class ItemBuffer implements AsyncIterableIterator<unknown> {
  readonly #limits: CheckedLimits
  readonly #onLeave: () => void
  /** Batches with the bytes of each item, which are only known on average. */
  #batches: Batch[] = []
  #items = 0
  #bytes = 0
  #total = 0
  #granted: Credit = { items: 0, bytes: 0 }
  #end: { readonly error?: unknown } | undefined
  #left = false
  #waiting: { resolve(step: IteratorResult<unknown>): void; reject(error: unknown): void }[] = []
  #onRoom: (() => void) | undefined

  /** @param onLeave - the reader stopped before the end. */
  constructor(limits: CheckedLimits, onLeave: () => void) {
    this.#limits = limits
    this.#onLeave = onLeave
  }

  /** Items that wait for the reader. */
  get size(): number {
    return this.#items
  }

  /** True when nothing more can come. */
  get ended(): boolean {
    return this.#end !== undefined || this.#left
  }

  /** What may be sent now; the writer is held to it. */
  grant(): Credit {
    this.#granted = {
      items: Math.max(0, this.#limits.windowItems - this.#items),
      bytes: Math.max(0, this.#limits.windowBytes - Math.ceil(this.#bytes)),
    }
    return this.#granted
  }

  /** Resolves when half of the window is free, or nothing more can come. */
  room(): Promise<void> {
    if (this.#roomy()) return Promise.resolve()
    return new Promise(resolve => {
      const before = this.#onRoom
      this.#onRoom = () => {
        before?.()
        resolve()
      }
    })
  }

  /**
   * @param bytes - of all of them.
   * @throws CloudError `core.contract.flow-violation` for more than was granted, `core.contract.payload-too-large`.
   */
  push(items: readonly unknown[], bytes: number): void {
    if (this.ended || items.length === 0) return
    const { maxItemBytes, maxTotalBytes } = this.#limits
    if (items.length > this.#granted.items || bytes > this.#granted.bytes + maxItemBytes) {
      throw new CloudError(
        'core.contract.flow-violation',
        `${items.length} items of ${bytes} bytes came; ${this.#granted.items} of ${this.#granted.bytes} were allowed`,
      )
    }
    this.#granted = { items: this.#granted.items - items.length, bytes: this.#granted.bytes - bytes }
    this.#total += bytes
    if (this.#total > maxTotalBytes) throw totalTooLarge(maxTotalBytes)
    this.#batches.push({ items, at: 0, bytesEach: bytes / items.length })
    this.#items += items.length
    this.#bytes += bytes
    while (this.#waiting.length > 0 && this.#items > 0)
      this.#waiting.shift()?.resolve({ done: false, value: this.#take() })
  }

  /** Nothing more comes; with an error, the reader gets it behind the items. */
  end(error?: unknown): void {
    if (this.ended) return
    this.#end = error === undefined ? {} : { error }
    this.#noteRoom()
    // Somebody waits only when there are no items.
    this.#tellWaiting()
  }

  /** The same at once: what was not read is dropped. */
  cut(error: unknown): void {
    if (this.#left || (this.#end !== undefined && this.#items === 0)) return
    this.#drop()
    this.#end = { error }
    this.#noteRoom()
    this.#tellWaiting()
  }

  #tellWaiting(): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    const { error } = this.#end ?? {}
    this.#waiting = []
    this.#end = {}
    for (const { resolve, reject } of waiting) {
      if (error === undefined) resolve(done)
      else reject(error)
    }
  }

  next(): Promise<IteratorResult<unknown>> {
    if (this.#items > 0) return Promise.resolve({ done: false, value: this.#take() })
    if (this.#left) return Promise.resolve(done)
    if (this.#end !== undefined) {
      const { error } = this.#end
      this.#end = {}
      return error === undefined ? Promise.resolve(done) : Promise.reject(error)
    }
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  return(): Promise<IteratorResult<unknown>> {
    const early = !this.ended
    this.#left = true
    this.#drop()
    this.#noteRoom()
    for (const { resolve } of this.#waiting) resolve(done)
    this.#waiting = []
    if (early) this.#onLeave()
    return Promise.resolve(done)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #take(): unknown {
    const batch = this.#batches[0] as Batch
    const item = batch.items[batch.at++]
    this.#items -= 1
    this.#bytes -= batch.bytesEach
    if (batch.at === batch.items.length) this.#batches.shift()
    if (this.#items === 0) this.#bytes = 0
    if (this.#onRoom !== undefined && this.#roomy()) this.#noteRoom()
    return item
  }

  #roomy(): boolean {
    const { windowItems, windowBytes } = this.#limits
    return this.ended || (this.#items <= windowItems / 2 && this.#bytes <= windowBytes / 2)
  }

  #noteRoom(): void {
    const told = this.#onRoom
    this.#onRoom = undefined
    told?.()
  }

  #drop(): void {
    this.#batches = []
    this.#items = 0
    this.#bytes = 0
  }
}

const done: IteratorResult<unknown> = { done: true, value: undefined }

export function totalTooLarge(maxTotalBytes: number): CloudError {
  return new CloudError(
    'core.contract.payload-too-large',
    `the items of a stream are more than ${maxTotalBytes} bytes`,
    {
      field: 'items',
    },
  )
}
