import type { BusQuota } from '../quota/quota-limits.js'

/**
 * What one stream keeps, as the quota of its tenant sees it: reserved when a message comes in, so that what is over the
 * limit is refused before anything is written, and put right by what the files really hold after every change.
 */
export class Retained {
  readonly #quota: BusQuota
  readonly #refuses: boolean
  #held: number
  #reserved = 0

  /**
   * @param options.kept - bytes that are there already: counted, whatever the limit.
   * @param options.refuses - false: only counts. Dead letters must find their place, or they would never leave.
   */
  constructor(options: { readonly quota: BusQuota; readonly kept: number; readonly refuses: boolean }) {
    this.#quota = options.quota
    this.#refuses = options.refuses
    this.#held = options.kept
    this.#quota.kept(options.kept)
  }

  /** @throws CloudError `core.bus.quota-exceeded`. */
  reserve(bytes: number): void {
    if (this.#refuses) this.#quota.retain(bytes)
    else this.#quota.kept(bytes)
    this.#held += bytes
    this.#reserved += bytes
  }

  /** What was reserved is written, or was not to be. */
  release(bytes: number): void {
    this.#reserved -= bytes
  }

  /** @param kept - bytes the stream keeps now. */
  match(kept: number): void {
    const more = kept + this.#reserved - this.#held
    if (more > 0) this.#quota.kept(more)
    else if (more < 0) this.#quota.retain(more)
    this.#held += more
  }

  /** The stream is closed or gone: nothing of it is counted here any more. */
  close(): void {
    this.#quota.retain(-this.#held)
    this.#held = 0
    this.#reserved = 0
    this.#quota.close()
  }
}
