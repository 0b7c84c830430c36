/** What became of one item. */
export type Settled<Result> = PromiseSettledResult<Result>

export interface BatchLanesOptions<Item, Result> {
  /** Batches under way at once. */
  readonly lanes: number
  /** Items of a batch at most. */
  readonly most: number
  /** Two items of one key are never in the same batch; the later one waits for the next. */
  readonly keyOf: (item: Item) => string
  /** Asked when the item's turn comes: the reason why it is no longer wanted, else undefined. */
  readonly refusal: (item: Item) => Error | undefined
  /** Answers for each item in the order given. A rejection is one for all of them. */
  readonly run: (items: readonly Item[]) => Promise<readonly Settled<Result>[]>
}

interface Waiting<Item, Result> {
  readonly item: Item
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

/**
 * Lets calls that come together share one piece of work. Nobody waits for company: an item that finds a free lane goes
 * at once, with those of the same turn of the event loop; while all lanes are busy items queue, and the next free lane
 * takes the oldest ones. The busier it is, the bigger the batches.
 */
export class BatchLanes<Item, Result> {
  #queue: Waiting<Item, Result>[] = []
  #busy = 0
  #scheduled = false

  constructor(readonly options: BatchLanesOptions<Item, Result>) {}

  /** Items that no lane has taken yet. */
  get waiting(): number {
    return this.#queue.length
  }

  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, resolve, reject })
      if (this.#scheduled || this.#busy >= this.options.lanes) return
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        this.#start()
      })
    })
  }

  #start(): void {
    while (this.#busy < this.options.lanes) {
      const batch = this.#take()
      if (batch.length === 0) return
      this.#busy += 1
      void this.#run(batch)
    }
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
    const { most, keyOf, refusal } = this.options
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
      const reason = refusal(waiting.item)
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
