interface Timer {
  readonly at: number
  readonly order: number
  readonly fn: () => void
}

/** A clock that moves only when told. Fits the `Clock` port of `@aaas/core-cloud/kernel`. */
export class ManualClock {
  #now: number
  #order = 0
  #timers: Timer[] = []

  constructor(startMs = 1_700_000_000_000) {
    this.#now = startMs
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), order: this.#order++, fn }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(other => other !== timer)
    }
  }

  /** Timers that still wait. */
  get pending(): number {
    return this.#timers.length
  }

  /** Moves time forward, firing timers in order and letting promise reactions run between them. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms
    await settle()
    for (;;) {
      const next = this.#timers.filter(timer => timer.at <= end).sort((a, b) => a.at - b.at || a.order - b.order)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter(timer => timer !== next)
      this.#now = Math.max(this.#now, next.at)
      next.fn()
      await settle()
    }
    this.#now = end
    await settle()
  }
}

/** Lets queued promise reactions and I/O callbacks that are ready run. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise<void>(resolve => setImmediate(resolve))
}
