import type { Clock } from '@aaas/core-cloud/kernel'

/** A machine's own clock on the one of the world: it goes at its own rate, and nothing runs while it stands still. */
export class OwnClock implements Clock {
  readonly #world: Clock
  readonly #rate: number
  #paused = false
  #due: (() => void)[] = []

  /** @param rate - seconds of this clock in one of the world's. */
  constructor(world: Clock, rate: number) {
    this.#world = world
    this.#rate = rate
  }

  get paused(): boolean {
    return this.#paused
  }

  now(): number {
    return this.#world.now()
  }

  monotonic(): number {
    return this.#world.monotonic() * this.#rate
  }

  after(ms: number, fn: () => void): () => void {
    let cancelled = false
    const run = (): void => {
      if (cancelled) return
      if (this.#paused) this.#due.push(run)
      else fn()
    }
    const cancel = this.#world.after(ms / this.#rate, run)
    return () => {
      cancelled = true
      cancel()
    }
  }

  pause(): void {
    this.#paused = true
  }

  /** @param first - code that was interrupted: it goes on before any timer. */
  resume(first: () => void): void {
    this.#paused = false
    first()
    for (const run of this.#due.splice(0)) run()
  }
}
