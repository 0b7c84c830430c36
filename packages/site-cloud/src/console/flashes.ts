import type { Clock } from '@aaas/core-cloud/kernel'
import type { Flash } from './view.js'

const keptMs = 60_000
const maxKept = 1_000

/**
 * Messages between a form and the page that follows it. Kept in memory and not in the address or a cookie, because some
 * hold a secret; one that nobody fetched within a minute is gone.
 */
export class Flashes {
  readonly #kept = new Map<string, { readonly flash: Flash; readonly until: number }>()

  constructor(readonly deps: { readonly clock: Clock }) {}

  /** @param session - the form token of a session. A second message replaces the first. */
  put(session: string, flash: Flash): void {
    this.#kept.delete(session)
    const oldest = this.#kept.size >= maxKept ? this.#kept.keys().next().value : undefined
    if (oldest !== undefined) this.#kept.delete(oldest)
    this.#kept.set(session, { flash, until: this.deps.clock.monotonic() + keptMs })
  }

  take(session: string): Flash | undefined {
    const found = this.#kept.get(session)
    this.#kept.delete(session)
    return found !== undefined && found.until > this.deps.clock.monotonic() ? found.flash : undefined
  }
}
