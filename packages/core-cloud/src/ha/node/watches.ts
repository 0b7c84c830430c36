import type { Clock } from '../../kernel/clock.js'

/** Callers that wait for a state of the group; looked at after every turn and tick. */
export class Watches {
  readonly #clock: Clock
  #open: {
    readonly check: () => boolean
    readonly deadline: number
    readonly resolve: (met: boolean) => void
  }[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * @param deadline - on the monotonic clock.
   * @returns whether it came to be so before the deadline.
   */
  until(check: () => boolean, deadline: number): Promise<boolean> {
    if (check()) return Promise.resolve(true)
    if (deadline <= this.#clock.monotonic()) return Promise.resolve(false)
    return new Promise(resolve => this.#open.push({ check, deadline, resolve }))
  }

  look(): void {
    if (this.#open.length === 0) return
    const now = this.#clock.monotonic()
    this.#open = this.#open.filter(({ check, deadline, resolve }) => {
      const met = check()
      if (!met && deadline > now) return true
      resolve(met)
      return false
    })
  }

  /** Nothing will come to be any more. */
  end(): void {
    for (const { resolve } of this.#open.splice(0)) resolve(false)
  }
}
