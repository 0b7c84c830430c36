import { CloudError } from '../../../kernel/errors.js'
import type { Holder } from '../../coordination.js'
import type { Attempt } from '../lease-driver.js'
import type { LogicalTime, Timed } from './logical-time.js'

/** Somebody who holds a name or waits for it. Never changed, but replaced. */
interface Place extends Timed {
  readonly owner: string
  readonly value: string
  /** 0 while it waits. */
  readonly token: number
}

export interface LeaseLimits {
  /** Names that are held at a time, default 10_000; beyond: `core.ha.full`. */
  readonly maxNames: number
  /** Waiting for one name, default 1_000; beyond: `core.ha.overloaded`. */
  readonly maxWaiting: number
}

/** Who holds which name: part of the state machine. Tokens are indexes of the log. */
export class LeaseBook {
  readonly #time: LogicalTime
  readonly #limits: LeaseLimits
  /** By name: its holder first, then who waits, in order. */
  readonly #lines = new Map<string, readonly Place[]>()

  constructor(time: LogicalTime, limits: LeaseLimits) {
    this.#time = time
    this.#limits = limits
  }

  get size(): number {
    return this.#lines.size
  }

  holder(name: string): Holder | undefined {
    const first = this.#lines.get(name)?.[0]
    return first === undefined ? undefined : { node: nodeOf(first.owner), token: first.token, value: first.value }
  }

  /** @returns the token of the owner; undefined: somebody else has it. @throws CloudError `core.ha.full`, `.overloaded`. */
  acquire(attempt: Attempt, index: number): number | undefined {
    const { name, owner, value, ttlMs, wait } = attempt
    const places = this.#lines.get(name) ?? []
    const at = places.findIndex(place => place.owner === owner)
    const place: Place = { owner, value, ttlMs, touched: index, due: undefined, token: places[at]?.token ?? 0 }
    if (at >= 0) this.#lines.set(name, places.with(at, place))
    else if (places.length === 0) {
      if (this.#lines.size >= this.#limits.maxNames)
        throw new CloudError('core.ha.full', `${this.#limits.maxNames} names are held already`)
      this.#lines.set(name, [{ ...place, token: index }])
      return index
    } else if (wait) {
      if (places.length > this.#limits.maxWaiting)
        throw new CloudError('core.ha.overloaded', `${this.#limits.maxWaiting} wait for ${name} already`)
      this.#lines.set(name, [...places, place])
    }
    return at === 0 ? place.token : undefined
  }

  renew(name: string, owner: string, token: number, ttlMs: number, index: number): boolean {
    const places = this.#lines.get(name) ?? []
    const first = places[0]
    if (first === undefined || first.owner !== owner || first.token !== token) return false
    this.#lines.set(name, places.with(0, { ...first, ttlMs, touched: index, due: undefined }))
    return true
  }

  release(name: string, owner: string, index: number): boolean {
    const places = this.#lines.get(name) ?? []
    if (!places.some(place => place.owner === owner)) return false
    this.#settle(
      name,
      places.filter(place => place.owner !== owner),
      index,
    )
    return true
  }

  /** Time has passed. @returns the names whose line changed. */
  advance(seen: number, index: number): string[] {
    const changed: string[] = []
    for (const [name, places] of this.#lines) {
      if (places.every(place => place.due === this.#time.dueOf(place, seen) && !this.#over(place))) continue
      const running = places.map(place => ({ ...place, due: this.#time.dueOf(place, seen) }))
      const left = running.filter(place => !this.#over(place))
      if (left.length < places.length) changed.push(name)
      this.#settle(name, left, index)
    }
    return changed
  }

  *save(): Generator<readonly [string, readonly Place[]], void> {
    yield* this.#lines
  }

  load(name: string, places: readonly Place[]): void {
    this.#lines.set(name, places)
  }

  clear(): void {
    this.#lines.clear()
  }

  #over({ due }: Timed): boolean {
    return due !== undefined && due <= this.#time.now
  }

  /** The first of those who are left holds the name: when it is a new one, from now on. */
  #settle(name: string, places: readonly Place[], index: number): void {
    const first = places[0]
    if (first === undefined) {
      this.#lines.delete(name)
      return
    }
    const holder = first.token === 0 ? { ...first, token: index, touched: index, due: undefined } : first
    this.#lines.set(name, holder === first ? places : places.with(0, holder))
  }
}

/** An owner is its node's name, a colon, and what tells it from the others there. */
function nodeOf(owner: string): string {
  return owner.slice(0, Math.max(0, owner.lastIndexOf(':')))
}
