import type { Clock } from './clock.js'

/** Something that waits until a deadline; made by {@link Deadlines.add}. */
export interface Deadline {
  /** Monotonic milliseconds. */
  readonly due: number
  readonly expire: () => void
  before: Deadline | undefined
  after: Deadline | undefined
}

/**
 * Many deadlines on one timer. A call that ends in time costs an insert into and a delete from a linked list: no timer
 * is made for it, and nothing is rehashed. A deadline fires up to 1 ms late and never early. Runs on the monotonic clock,
 * so setting the machine's clock neither ends nor prolongs a call under way.
 */
export class Deadlines {
  readonly #clock: Clock
  #first: Deadline | undefined
  #armedFor = Number.POSITIVE_INFINITY
  #disarm: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @param waitMs - milliseconds from now; less than 0 counts as 0. */
  add(waitMs: number, expire: () => void): Deadline {
    const due = this.#clock.monotonic() + (waitMs > 0 ? waitMs : 0)
    const entry: Deadline = { due, expire, before: undefined, after: this.#first }
    if (this.#first !== undefined) this.#first.before = entry
    this.#first = entry
    if (due < this.#armedFor) this.#arm(due)
    return entry
  }

  /** Harmless for one that fired or was removed. */
  remove(entry: Deadline): void {
    const { before, after } = entry
    if (before === undefined && this.#first !== entry) return
    if (before === undefined) this.#first = after
    else before.after = after
    if (after !== undefined) after.before = before
    // A removed entry that outlives its neighbours must not keep them.
    entry.before = undefined
    entry.after = undefined
  }

  /** Forgets everything without firing it. */
  clear(): void {
    while (this.#first !== undefined) this.remove(this.#first)
    this.#disarm?.()
    this.#disarm = undefined
    this.#armedFor = Number.POSITIVE_INFINITY
  }

  #arm(due: number): void {
    this.#disarm?.()
    this.#armedFor = due
    // Timers of the machine are cut to 2^31-1 ms; one further away is looked at again then.
    const wait = Math.min(due - this.#clock.monotonic(), 2_000_000_000)
    this.#disarm = this.#clock.after(Math.max(0, Math.ceil(wait)), () => this.#sweep())
  }

  #sweep(): void {
    this.#armedFor = Number.POSITIVE_INFINITY
    this.#disarm = undefined
    const now = this.#clock.monotonic()
    const fired: Deadline[] = []
    let next = Number.POSITIVE_INFINITY
    for (let entry = this.#first; entry !== undefined; entry = entry.after) {
      if (entry.due <= now) fired.push(entry)
      else if (entry.due < next) next = entry.due
    }
    if (next < this.#armedFor) this.#arm(next)
    // The list is newest first; equals fire in the order they were added.
    for (const entry of fired.reverse().sort((a, b) => a.due - b.due)) {
      // One that was removed by the expiry of another does not fire any more.
      if (entry.before === undefined && this.#first !== entry) continue
      this.remove(entry)
      entry.expire()
    }
  }
}
