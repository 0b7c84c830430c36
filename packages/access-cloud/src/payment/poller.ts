import type { Clock, Logger } from '@aaas/core-cloud/kernel'

export interface PollerOptions {
  readonly name: string
  readonly clock: Clock
  readonly logger: Logger
  /** Milliseconds between rounds. */
  readonly intervalMs: number
  /** One round; returns how much it did. When it did something the next round follows at once. */
  readonly run: () => Promise<number>
}

/** Runs background work in rounds, never two at a time. A round that fails is logged and tried again next time. */
export class Poller {
  readonly #options: PollerOptions
  #running: Promise<void> | undefined
  #again = false
  #stopped = true
  #cancel: (() => void) | undefined

  constructor(options: PollerOptions) {
    this.#options = options
  }

  start(): void {
    this.#stopped = false
    this.poke()
  }

  /** There may be work now. */
  poke(): void {
    if (this.#stopped) return
    if (this.#running !== undefined) {
      this.#again = true
      return
    }
    this.#cancel?.()
    this.#running = this.#rounds().finally(() => {
      this.#running = undefined
      if (this.#stopped) return
      this.#cancel = this.#options.clock.after(this.#options.intervalMs, () => this.poke())
    })
  }

  /** Starts no further round and waits for the one that runs. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancel?.()
    await this.#running
  }

  async #rounds(): Promise<void> {
    do {
      this.#again = false
      try {
        if ((await this.#options.run()) > 0) this.#again = true
      } catch (error) {
        this.#options.logger.error(`${this.#options.name} failed`, { error })
      }
    } while (this.#again && !this.#stopped)
  }
}
