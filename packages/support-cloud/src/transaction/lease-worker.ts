import { type Clock, CloudError, type Logger } from '@aaas/core-cloud/kernel'

/** Something taken from a queue for a time. `fence` grows with every taking. */
export interface LeasedItem {
  readonly id: string
  readonly fence: number
}

/** What the worker asks of its queue. */
interface LeaseQueue<Item extends LeasedItem> {
  /** Takes up to `limit` items that are due and free, each for `leaseMs`. */
  claim(limit: number): Promise<readonly Item[]>
  /** Prolongs the leases of items. @returns the ids of those that are still held. */
  renew(items: readonly LeasedItem[]): Promise<readonly string[]>
  /**
   * Works on one item. @returns milliseconds after which a look is worth while, if it knows.
   * @param lost - aborts when the lease may have ended, and when the worker cannot wait any longer.
   * @param stopping - aborts when the worker stops: end at the next point that loses nothing.
   */
  work(item: Item, lost: AbortSignal, stopping: AbortSignal): Promise<number | undefined>
}

export interface LeaseWorkerOptions<Item extends LeasedItem> {
  readonly name: string
  readonly queue: LeaseQueue<Item>
  readonly clock: Clock
  readonly logger: Logger
  /** Items at a time. */
  readonly concurrency: number
  readonly leaseMs: number
  /** Milliseconds between looks while nothing happens. */
  readonly pollMs: number
  /** Milliseconds that disposing waits for what is under way; then it is told to give up. */
  readonly drainMs: number
}

interface Active {
  readonly item: LeasedItem
  readonly lost: AbortController
  /** Monotonic milliseconds at which the lease may have ended: counted from before it was asked for. */
  until: number
}

/**
 * Takes items from a queue, bounded in number, renews their leases while they are worked on, and tells the work when a
 * lease may have ended. An item whose holder died is taken by whoever looks after the lease's end.
 */
export class LeaseWorker<Item extends LeasedItem> implements AsyncDisposable {
  readonly #options: LeaseWorkerOptions<Item>
  readonly #active = new Map<string, Active>()
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  readonly #renewals: () => void
  #idle: (() => void)[] = []
  #rouse: (() => void) | undefined
  #woken = false
  #nextLook: { readonly at: number; readonly cancel: () => void } | undefined
  #ending: Promise<void> | undefined

  constructor(options: LeaseWorkerOptions<Item>) {
    this.#options = options
    this.#renewals = this.#renewRegularly()
    this.#running = this.#run()
  }

  wake(): void {
    this.#woken = true
    this.#rouse?.()
  }

  idle(): Promise<void> {
    return new Promise(resolve => {
      this.#idle.push(resolve)
      this.wake()
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#end()
    return this.#ending
  }

  async #end(): Promise<void> {
    this.#stop.abort(new CloudError('core.kernel.stopped', `${this.#options.name} stops`))
    this.#nextLook?.cancel()
    this.#rouse?.()
    const cancel = this.#options.clock.after(this.#options.drainMs, () => {
      for (const { lost } of this.#active.values()) lost.abort(this.#stop.signal.reason)
    })
    await this.#running
    while (this.#active.size > 0) await this.#pause()
    cancel()
    this.#renewals()
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  async #run(): Promise<void> {
    const { concurrency, queue, logger, clock, pollMs, leaseMs } = this.#options
    while (!this.#stop.signal.aborted) {
      this.#woken = false
      const asking = this.#active.size === 0 ? this.#idle.splice(0) : []
      const free = concurrency - this.#active.size
      let taken = 0
      let failed = false
      if (free > 0) {
        try {
          const before = clock.monotonic()
          const items = await queue.claim(free)
          for (const item of items) this.#start(item, before + leaseMs)
          taken = items.length
        } catch (error) {
          failed = true
          logger.warn(`${this.#options.name}: a look at the queue failed and will be repeated`, { error })
        }
      }
      if (taken === 0 && !failed && this.#active.size === 0) for (const resolve of asking) resolve()
      else this.#idle.push(...asking)
      if (taken > 0 && taken === free) continue
      if ((!this.#woken || failed) && !this.#stop.signal.aborted) {
        const cancel = clock.after(pollMs, () => this.#rouse?.())
        await this.#pause()
        cancel()
      }
    }
  }

  /** Until something ends, someone wakes, or the poll is due. */
  #pause(): Promise<void> {
    return new Promise(resolve => {
      this.#rouse = () => {
        this.#rouse = undefined
        resolve()
      }
    })
  }

  #start(item: Item, until: number): void {
    const active: Active = { item, lost: new AbortController(), until }
    this.#active.set(item.id, active)
    const work = this.#options.queue.work(item, active.lost.signal, this.#stop.signal)
    work.then(
      again => this.#ended(active, again),
      (error: unknown) => {
        this.#options.logger.error(`${this.#options.name}: work ended unexpectedly`, { id: item.id, error })
        this.#ended(active, undefined)
      },
    )
  }

  #ended(active: Active, againMs: number | undefined): void {
    if (this.#active.get(active.item.id) === active) this.#active.delete(active.item.id)
    if (againMs !== undefined) this.#lookAfter(againMs)
    // A free place, or the last of those that somebody waits for.
    this.wake()
  }

  /** One timer for the earliest look that is worth while. */
  #lookAfter(ms: number): void {
    const { clock, pollMs } = this.#options
    if (ms >= pollMs || this.#stop.signal.aborted) return
    const at = clock.monotonic() + ms
    if (this.#nextLook !== undefined && this.#nextLook.at <= at) return
    this.#nextLook?.cancel()
    const cancel = clock.after(Math.ceil(ms) + 1, () => {
      this.#nextLook = undefined
      this.wake()
    })
    this.#nextLook = { at, cancel }
  }

  #renewRegularly(): () => void {
    const { clock, leaseMs } = this.#options
    let cancel = (): void => undefined
    const tick = (): void => {
      cancel = clock.after(Math.max(1, Math.floor(leaseMs / 4)), () => {
        void this.#renew()
        tick()
      })
    }
    tick()
    return () => cancel()
  }

  async #renew(): Promise<void> {
    const { queue, clock, leaseMs, logger, name } = this.#options
    const held = [...this.#active.values()]
    if (held.length === 0) return
    const before = clock.monotonic()
    try {
      const ours = new Set(await queue.renew(held.map(active => active.item)))
      for (const active of held) {
        if (ours.has(active.item.id)) active.until = before + leaseMs
        else active.lost.abort(new CloudError('support.transaction.fenced', 'another worker holds the lease'))
      }
    } catch (error) {
      logger.warn(`${name}: leases could not be renewed`, { error })
    }
    for (const active of held) {
      // The next chance comes after a quarter of the lease: who would be late then stops now.
      if (active.until <= clock.monotonic() + leaseMs / 4)
        active.lost.abort(new CloudError('support.transaction.fenced', 'the lease may have ended'))
    }
  }
}
