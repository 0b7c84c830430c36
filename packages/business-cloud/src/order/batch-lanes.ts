/** What became of one item. */
export type Settled<Result> = PromiseSettledResult<Result>

export interface BatchLanesOptions<Item, Result> {
  /** Batches under way at once, when each one before is late. */
  readonly lanes: number
  /** Milliseconds after which a batch is late and no reason to wait any more. */
  readonly lateMs: number
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Items of a batch at most. */
  readonly most: number
  /** Two items of one key are never in the same batch; the later one waits for the next. */
  readonly keyOf: (item: Item) => string
  /** Asked when the item's turn comes after `waitedMs`: the reason why it is no longer wanted, else undefined. */
  readonly refusal: (item: Item, waitedMs: number) => Error | undefined
  /** Answers for each item in the order given. A rejection is one for all of them. */
  readonly run: (items: readonly Item[]) => Promise<readonly Settled<Result>[]>
}

interface Waiting<Item, Result> {
  readonly item: Item
  readonly since: number
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

/**
 * Lets calls that come together share one piece of work. Nobody waits for company: an item that comes when nothing is
 * under way goes at once, with those of the same turn of the event loop; the others go together when it is done. The
 * busier it is, the bigger the batches. Behind a batch that hangs, the first who comes after `lateMs` takes those who
 * wait along in another lane.
 */
export class BatchLanes<Item, Result> {
  #queue: Waiting<Item, Result>[] = []
  #busy = 0
  #scheduled = false
  #lastStart = Number.NEGATIVE_INFINITY

  constructor(readonly options: BatchLanesOptions<Item, Result>) {}

  /** Items that no lane has taken yet. */
  get waiting(): number {
    return this.#queue.length
  }

  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, since: this.options.now(), resolve, reject })
      if (this.#scheduled || !this.#isFree()) return
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        this.#start()
      })
    })
  }

  #isFree(): boolean {
    const { lanes, lateMs, now } = this.options
    return this.#busy === 0 || (this.#busy < lanes && now() - this.#lastStart >= lateMs)
  }

  #start(): void {
    if (!this.#isFree()) return
    const batch = this.#take()
    if (batch.length === 0) return
    this.#busy += 1
    this.#lastStart = this.options.now()
    void this.#run(batch)
  }

  async #run(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    let results: readonly Settled<Result>[]
    try {
      results = await this.options.run(batch.map(one => one.item))
    } catch (reason) {
      results = batch.map(() => ({ status: 'rejected', reason }))
    }
    this.#busy -= 1
    // The next batch first: it is under way while the answers of this one are written.
    this.#start()
    for (const [index, { resolve, reject }] of batch.entries()) {
      const result = results[index]
      if (result?.status === 'fulfilled') resolve(result.value)
      else reject(result?.reason ?? new Error('a batch gave no answer for an item'))
    }
  }

  /** The oldest items that may go together. */
  #take(): readonly Waiting<Item, Result>[] {
    const { most, keyOf, refusal, now } = this.options
    const at = now()
    const batch: Waiting<Item, Result>[] = []
    const keys = new Set<string>()
    const left: Waiting<Item, Result>[] = []
    for (const [index, waiting] of this.#queue.entries()) {
      if (batch.length === most) {
        left.push(...this.#queue.slice(index))
        break
      }
      const key = keyOf(waiting.item)
      if (keys.has(key)) {
        left.push(waiting)
        continue
      }
      const reason = refusal(waiting.item, at - waiting.since)
      if (reason !== undefined) {
        waiting.reject(reason)
        continue
      }
      keys.add(key)
      batch.push(waiting)
    }
    this.#queue = left
    return batch
  }
}
