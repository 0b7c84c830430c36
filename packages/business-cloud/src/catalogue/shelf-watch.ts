import { type Clock, CloudError, type Logger } from '@aaas/core-cloud/kernel'
import type { Queryable } from '@aaas/support-cloud/rdbms'
import { readShelfState, type ShelfVersion } from './shelf-reads.js'

/** How long one look at the database may stand, milliseconds: no price and no stock is shown that is older. */
const standMs = 1_000
/** From this age on the next look is taken beside the requests, so that under load none of them waits for it. */
const renewMs = 700
/** A SKU that nobody asked for in this time is looked at no more. */
const followMs = 10_000
/** SKUs in one statement. */
const maxSkus = 5_000

/** Units of one SKU that can be ordered. Times are monotonic milliseconds, taken before the statement was sent. */
interface Level {
  units: number
  at: number
  usedAt: number
}

/**
 * Looks at what changes on the shelf: its version, and the stock of the SKUs that were asked for lately. One statement
 * sees all of it, about once a second while anybody asks and never while nobody does. While the database cannot be
 * reached, what is known stands.
 */
export class ShelfWatch {
  readonly #levels = new Map<string, Level>()
  #version: ShelfVersion | undefined
  #asOf = Number.NEGATIVE_INFINITY
  #freshUntil = Number.NEGATIVE_INFINITY
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined
  #looks = 0
  #revision = 0

  constructor(
    readonly deps: {
      readonly db: Queryable
      readonly clock: Clock
      readonly logger: Logger
      /** Told once whenever a new version is seen, the first included. */
      readonly onVersion?: (version: ShelfVersion) => void
    },
  ) {}

  /** The newest version, at most a second old; undefined when that is not known: then {@link look} first. Takes the next look in time. */
  known(): ShelfVersion | undefined {
    const left = this.#freshUntil - this.deps.clock.monotonic()
    if (left <= 0) return undefined
    if (left <= standMs - renewMs && this.#running === undefined) this.#begin().catch(() => undefined)
    return this.#version
  }

  /** Looks that succeeded so far: what was put together after the last one need not be looked over again. */
  get looks(): number {
    return this.#looks
  }

  /** Another number whenever the version or the stock of a SKU that was asked for lately is seen to have changed. */
  get revision(): number {
    return this.#revision
  }

  /**
   * Shares a look that is under way.
   * @throws CloudError `support.rdbms.unavailable` when there is nothing to go on with.
   */
  look(): Promise<void> {
    return this.#running ?? this.#begin()
  }

  /** Units as they were read with something else. @param at - monotonic milliseconds before it was read. */
  learn(skus: readonly string[], units: readonly number[], at: number): void {
    for (let index = 0; index < skus.length; index++) this.#set(skus[index] ?? '', units[index] ?? 0, at)
  }

  /** Units of the SKUs, none older than the last look; undefined when some are: then {@link follow} first. */
  units(skus: readonly string[]): number[] | undefined {
    const usedAt = this.deps.clock.monotonic()
    const units: number[] = []
    for (const sku of skus) {
      const level = this.#levels.get(sku)
      if (level === undefined || level.at < this.#asOf) return undefined
      level.usedAt = usedAt
      units.push(level.units)
    }
    return units
  }

  /** Takes a look that sees these SKUs, and goes on looking at them while they are asked for. */
  follow(skus: readonly string[]): Promise<void> {
    const usedAt = this.deps.clock.monotonic()
    for (const sku of skus) {
      const level = this.#levels.get(sku)
      if (level === undefined) this.#levels.set(sku, { units: 0, at: Number.NEGATIVE_INFINITY, usedAt })
      else level.usedAt = usedAt
    }
    return this.#again()
  }

  /** What was derived from the shelf by other ways, such as an index, has changed. */
  touch(): void {
    this.#revision += 1
  }

  /** The next call looks anew: after a change by this process, or when another one told of a change. */
  async forget(): Promise<void> {
    // A look under way may have begun before the change: let it end first.
    await this.#running?.catch(() => undefined)
    this.#version = undefined
    this.#freshUntil = Number.NEGATIVE_INFINITY
    this.#asOf = this.deps.clock.monotonic()
    this.#levels.clear()
    this.#looks += 1
    this.touch()
  }

  /** A look that begins after this call. */
  #again(): Promise<void> {
    if (this.#running === undefined) return this.#begin()
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        return this.#begin()
      })
    return this.#next
  }

  #begin(): Promise<void> {
    const running = this.#look()
      .catch((error: unknown) => this.#goOn(error))
      .finally(() => {
        if (this.#running === running) this.#running = undefined
      })
    this.#running = running
    return running
  }

  async #look(): Promise<void> {
    const { clock, db, onVersion } = this.deps
    const at = clock.monotonic()
    const followed = this.#followed(at)
    const first = await readShelfState(db, followed.slice(0, maxSkus))
    this.#see(followed, first.units, at)
    for (let start = maxSkus; start < followed.length; start += maxSkus) {
      const skus = followed.slice(start, start + maxSkus)
      this.#see(skus, (await readShelfState(db, skus)).units, at)
    }
    const isNew = first.version !== this.#version?.version || first.epoch !== this.#version.epoch
    if (isNew) this.#revision += 1
    this.#version = { epoch: first.epoch, version: first.version }
    this.#asOf = at
    this.#freshUntil = at + standMs
    this.#looks += 1
    if (isNew) onVersion?.(this.#version)
  }

  /** What is known stands in while the database is away; asked again in a second. */
  #goOn(error: unknown): void {
    if (this.#version === undefined || !CloudError.is(error, 'support.rdbms.unavailable')) throw error
    this.deps.logger.warn('catalogue: the database is away; what is known is shown', { error })
    this.#freshUntil = this.deps.clock.monotonic() + standMs
  }

  #followed(now: number): string[] {
    const followed: string[] = []
    for (const [sku, level] of this.#levels) {
      if (now - level.usedAt > followMs) this.#levels.delete(sku)
      else followed.push(sku)
    }
    return followed
  }

  #see(skus: readonly string[], units: readonly number[], at: number): void {
    for (let index = 0; index < units.length; index++) {
      const sku = skus[index] ?? ''
      const level = this.#levels.get(sku)
      // What was read with something else in the meantime is newer.
      if (level === undefined || level.at > at) continue
      if (level.units !== units[index]) this.#revision += 1
      level.units = units[index] ?? 0
      level.at = at
    }
  }

  #set(sku: string, units: number, at: number): void {
    const level = this.#levels.get(sku)
    if (level === undefined) this.#levels.set(sku, { units, at, usedAt: this.deps.clock.monotonic() })
    else if (level.at <= at) {
      if (level.units !== units) this.#revision += 1
      level.units = units
      level.at = at
    }
  }
}
