import type { Clock } from '../../kernel/clock.js'

/** Names that are remembered at most: a forgotten one is waited for anew. */
const maxNames = 4_096

/**
 * For how long something has looked the same, by the own monotonic clock and from the first look on. So no clock of
 * another machine has to be right (the idea is that of Kubernetes' client-go).
 */
export class Sightings {
  readonly #clock: Clock
  readonly #seen = new Map<string, { readonly look: string; readonly since: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @param look - changes with every renewal. @returns milliseconds; 0 for a new look. */
  lastsFor(name: string, look: string): number {
    const now = this.#clock.monotonic()
    const seen = this.#seen.get(name)
    if (seen?.look === look) return now - seen.since
    this.#seen.delete(name)
    if (this.#seen.size >= maxNames) this.#seen.delete(this.#seen.keys().next().value as string)
    this.#seen.set(name, { look, since: now })
    return 0
  }
}
