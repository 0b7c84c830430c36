import type { Clock } from './clock.js'

/** Something that waits until a deadline; made by {@link Deadlines.add}. */
export interface Deadline {
  readonly expire: () => void
  readonly slot: number
  readonly others: Set<Deadline>
}

/**
 * Many deadlines on one timer. A call that ends in time costs one insert and one delete in a set: no timer is made for it.
 * A deadline fires up to 1 ms late and never early. Runs on the monotonic clock, so setting the machine's clock
 * neither ends nor prolongs a call under way.
 */
export class Deadlines {
  readonly #clock: Clock
  /** By monotonic millisecond. */
  readonly #slots = new Map<number, Set<Deadline>>()
  #armedFor = Number.POSITIVE_INFINITY
  #disarm: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @param waitMs - milliseconds from now; less than 0 counts as 0. */
  add(waitMs: number, expire: () => void): Deadline {
    const slot = Math.ceil(this.#clock.monotonic() + (waitMs > 0 ? waitMs : 0))
    let others = this.#slots.get(slot)
    if (others === undefined) {
      others = new Set()
      this.#slots.set(slot, others)
      if (slot < this.#armedFor) this.#arm(slot)
    }
    const entry: Deadline = { expire, slot, others }
    others.add(entry)
    return entry
  }

  remove(entry: Deadline): void {
    // An entry of the slot being swept right now leaves its set too, so it does not fire any more.
    entry.others.delete(entry)
    if (entry.others.size === 0 && this.#slots.get(entry.slot) === entry.others) this.#slots.delete(entry.slot)
  }

  /** Forgets everything without firing it. */
  clear(): void {
    for (const entries of this.#slots.values()) entries.clear()
    this.#slots.clear()
    this.#disarm?.()
    this.#disarm = undefined
    this.#armedFor = Number.POSITIVE_INFINITY
  }

  #arm(slot: number): void {
    this.#disarm?.()
    this.#armedFor = slot
    // Timers of the machine are cut to 2^31-1 ms; a slot further away is looked at again then.
    const wait = Math.min(slot - this.#clock.monotonic(), 2_000_000_000)
    this.#disarm = this.#clock.after(Math.max(0, Math.ceil(wait)), () => this.#sweep())
  }

  #sweep(): void {
    this.#armedFor = Number.POSITIVE_INFINITY
    this.#disarm = undefined
    const due = Math.floor(this.#clock.monotonic())
    const fired: Set<Deadline>[] = []
    for (const [slot, entries] of this.#slots) {
      if (slot > due) continue
      this.#slots.delete(slot)
      fired.push(entries)
    }
    for (const entries of fired) for (const entry of entries) entry.expire()
    let next = Number.POSITIVE_INFINITY
    for (const slot of this.#slots.keys()) if (slot < next) next = slot
    if (next < this.#armedFor) this.#arm(next)
  }
}
