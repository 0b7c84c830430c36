import { CloudError } from '../kernel/errors.js'
import { type ItemIterator, leave } from './cut-iterator.js'
import { totalTooLarge } from './item-buffer.js'
import type { CheckedLimits, Credit } from './stream-limits.js'

/** Items for one frame. */
export interface ItemBatch {
  /** Each as JSON. */
  readonly texts: readonly string[]
  /** No more follow; with the error when the writer failed. */
  readonly end?: { readonly error?: unknown }
}

type Step = { readonly text: string; readonly bytes: number } | { readonly end: { readonly error?: unknown } }

/** Turns of the microtask queue that an item has to arrive in to go with the ones before it. */
const patienceTurns = 8

/** Reads items for a wire: asks the writer for the next one only while there is credit for it. */
export class ItemSource {
  readonly #limits: CheckedLimits
  readonly #open: () => ItemIterator
  #iterator: ItemIterator | undefined
  #pending: Promise<Step> | undefined
  /** What `#pending` came to. */
  #arrived: Step | undefined
  #total = 0
  #over = false

  /** @param open - asked at the first take. */
  constructor(open: () => ItemIterator, limits: CheckedLimits) {
    this.#open = open
    this.#limits = limits
  }

  get over(): boolean {
    return this.#over
  }

  /**
   * What is there now, within the credit; waits for the first item until `giveUp` resolves.
   * One call at a time. An item that is too large ends the items with `core.contract.payload-too-large`.
   */
  async take(credit: Credit, giveUp: Promise<unknown>): Promise<ItemBatch> {
    const texts: string[] = []
    let bytes = 0
    while (texts.length < credit.items && (texts.length === 0 || bytes < credit.bytes)) {
      const step = await this.#next(texts.length === 0 ? giveUp : undefined)
      if (step === undefined) break
      if ('end' in step) {
        this.#over = true
        return { texts, end: step.end }
      }
      // One that does not fit waits for the next frame; alone in its frame it always fits.
      if (texts.length > 0 && bytes + step.bytes > credit.bytes) break
      this.#pending = undefined
      this.#arrived = undefined
      texts.push(step.text)
      bytes += step.bytes
    }
    return { texts }
  }

  /** Tells the writer that nobody reads any more. */
  stop(): void {
    if (this.#over) return
    this.#over = true
    leave(this.#iterator)
  }

  /** @param giveUp - undefined: wait a few turns only. */
  async #next(giveUp: Promise<unknown> | undefined): Promise<Step | undefined> {
    if (this.#over) return { end: {} }
    if (this.#pending === undefined) {
      this.#pending = this.#ask()
      void this.#pending.then(step => (this.#arrived = step))
    }
    if (giveUp !== undefined) {
      if (this.#arrived === undefined) await Promise.race([this.#pending, giveUp])
      // Its reaction above runs first only when the race was not lost.
      return this.#arrived
    }
    for (let turn = 0; turn < patienceTurns && this.#arrived === undefined; turn++) await Promise.resolve()
    return this.#arrived
  }

  async #ask(): Promise<Step> {
    try {
      this.#iterator ??= this.#open()
      const step = await this.#iterator.next()
      if (step.done === true) return { end: {} }
      // An item of an ordinary iterable may be a promise, as in `for await`.
      const text = JSON.stringify(await step.value)
      if (text === undefined) throw new TypeError('an item of a stream must be a JSON value')
      return { text, bytes: this.#measured(text) }
    } catch (error) {
      leave(this.#iterator)
      return { end: { error: error ?? new Error('the writer failed') } }
    }
  }

  #measured(text: string): number {
    const bytes = Buffer.byteLength(text)
    const { maxItemBytes, maxTotalBytes } = this.#limits
    if (bytes > maxItemBytes) {
      throw new CloudError(
        'core.contract.payload-too-large',
        `an item of a stream has ${bytes} bytes; at most ${maxItemBytes} are allowed`,
        { field: 'item' },
      )
    }
    this.#total += bytes
    if (this.#total > maxTotalBytes) throw totalTooLarge(maxTotalBytes)
    return bytes
  }
}
