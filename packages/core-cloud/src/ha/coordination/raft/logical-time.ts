/** What has a lifetime. */
export interface Timed {
  readonly ttlMs: number
  /** Index of the command that began or renewed it. */
  readonly touched: number
  /** Logical time when it is over; undefined: it has not begun to run. */
  readonly due: number | undefined
}

export interface TimeState {
  readonly now: number
  readonly epoch: number
  readonly base: number
}

/**
 * Time that all members agree on: it goes on by commands and by nothing else. One node at a time is the timekeeper. It
 * becomes that by a command, whose index is the epoch, and then says how many milliseconds have passed by its own
 * monotonic clock since it saw that command applied. What others say does not count any more: so no millisecond counts
 * twice, and while nobody keeps the time it stands still. Nothing ends too early, then, whoever fails.
 *
 * The timekeeper also says how far the log was applied when it looked at its clock. A lifetime begins to run with the
 * first time that was read when its grant was applied: at that moment, and so before it ends, whoever asked for the grant
 * had sent its call.
 */
export class LogicalTime {
  #state: TimeState = { now: 0, epoch: 0, base: 0 }

  get state(): TimeState {
    return this.#state
  }

  get now(): number {
    return this.#state.now
  }

  /** A node becomes the timekeeper. */
  begin(index: number): void {
    this.#state = { now: this.#state.now, epoch: index, base: this.#state.now }
  }

  /** @returns whether it counts: said by the present timekeeper, and not back. */
  advance(epoch: number, elapsedMs: number): boolean {
    if (epoch !== this.#state.epoch || !(elapsedMs >= 0)) return false
    const now = this.#state.base + Math.floor(elapsedMs)
    if (now < this.#state.now) return false
    this.#state = { ...this.#state, now }
    return true
  }

  /** What an advance makes of a lifetime. @param seen - the index up to which the log was applied then. */
  dueOf(timed: Timed, seen: number): number | undefined {
    if (timed.due !== undefined || timed.touched > seen) return timed.due
    return this.#state.now + timed.ttlMs
  }

  restore(state: TimeState): void {
    this.#state = state
  }
}
