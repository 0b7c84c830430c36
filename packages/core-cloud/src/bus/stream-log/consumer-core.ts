import { type FullConsumerConfig, pauseAfter } from '../stream/stream-checks.js'

/** A message that was delivered and is not settled. */
interface Entry {
  readonly sequence: number
  /** Deliveries so far. */
  attempt: number
  /** Who has it; empty while it waits. */
  member: string
  /** Epoch milliseconds: when it may be delivered again, or until when its member may keep it. */
  due: number
}

/** What a member says about a delivery. `back`: it was not begun; `working`: it takes longer. */
export interface Settlement {
  readonly sequence: number
  readonly attempt: number
  readonly kind: 'ack' | 'nak' | 'term' | 'working' | 'back'
  readonly delayMs?: number
  readonly reason?: string
}

/** What must be remembered beyond the end of the process. `due` 0: a member has it. */
export type Change =
  | { readonly kind: 'unsettled'; readonly sequence: number; readonly attempt: number; readonly due: number }
  | { readonly kind: 'settled'; readonly sequence: number }

export interface Assigned {
  readonly sequence: number
  readonly attempt: number
}

/** A message that is given up. It counts as unsettled until {@link ConsumerCore.buried}. */
export interface Dying {
  readonly sequence: number
  readonly attempts: number
  readonly reason: string
}

/** What a consumer is made again from. */
export interface ConsumerState {
  /** Everything before was delivered once, or is not for this consumer. */
  readonly cursor: number
  /** Of those, the ones that are not settled: sequence, attempts, when due (0: a member has it). */
  readonly unsettled: readonly (readonly [number, number, number])[]
}

/** What the consumer asks about the stream. */
export interface StreamView {
  /** The first message for this consumer at a sequence or behind it. */
  next(from: number): number | undefined
  kept(sequence: number): boolean
}

interface Member {
  /** Messages it takes at a time. */
  capacity: number
  held: number
}

/**
 * Who gets which message when: a state machine without clock and I/O. Times are epoch milliseconds.
 * Everything before the cursor is settled, held by a member, waiting to be delivered again, or dying.
 */
export class ConsumerCore {
  #config: FullConsumerConfig
  #cursor: number
  readonly #waiting = new Map<number, Entry>()
  /** In the order in which they were last heard of: the first one is the first whose time is over. */
  readonly #held = new Map<number, Entry>()
  readonly #dying = new Map<number, Dying>()
  readonly #members = new Map<string, Member>()
  #changes: Change[] = []
  #newlyDying: Dying[] = []

  /** @param rejoinAt - until then, what members had waits for them. */
  constructor(config: FullConsumerConfig, state: ConsumerState, rejoinAt: number) {
    this.#config = config
    this.#cursor = state.cursor
    for (const [sequence, attempt, due] of state.unsettled) {
      this.#waiting.set(sequence, { sequence, attempt, member: '', due: due === 0 ? rejoinAt : due })
      this.#cursor = Math.max(this.#cursor, sequence + 1)
    }
  }

  get config(): FullConsumerConfig {
    return this.#config
  }

  get cursor(): number {
    return this.#cursor
  }

  get unsettled(): number {
    return this.#waiting.size + this.#held.size + this.#dying.size
  }

  get members(): number {
    return this.#members.size
  }

  /** Everything up to here is settled. */
  get floor(): number {
    let least = this.#cursor
    for (const entries of [this.#waiting, this.#held, this.#dying]) {
      for (const sequence of entries.keys()) if (sequence < least) least = sequence
    }
    return least - 1
  }

  state(): ConsumerState {
    const unsettled = [...this.#waiting.values(), ...this.#held.values()].map(
      ({ sequence, attempt, member, due }) => [sequence, attempt, member === '' ? due : 0] as const,
    )
    // Nobody knows whether one that was dying reached the dead letters: it is decided about once more.
    for (const { sequence, attempts } of this.#dying.values()) unsettled.push([sequence, attempts, 1])
    return { cursor: this.#cursor, unsettled: unsettled.sort(([a], [b]) => a - b) }
  }

  configure(config: FullConsumerConfig): void {
    this.#config = config
  }

  /** What happened since the last call, to be written down. */
  takeChanges(): Change[] {
    const changes = this.#changes
    this.#changes = []
    return changes
  }

  /** Messages that were given up since the last call. */
  takeDying(): Dying[] {
    const dying = this.#newlyDying
    this.#newlyDying = []
    return dying
  }

  // ---- members

  join(member: string): void {
    this.#members.set(member, { capacity: 0, held: 0 })
  }

  has(member: string): boolean {
    return this.#members.has(member)
  }

  setCapacity(member: string, capacity: number): void {
    const found = this.#members.get(member)
    if (found !== undefined) found.capacity = capacity
  }

  /** The member is gone: what it had may be delivered at once. */
  leave(member: string, now: number): void {
    if (!this.#members.delete(member)) return
    for (const entry of [...this.#held.values()]) {
      if (entry.member === member) this.#fail(entry, now, 'the member that had it went away')
    }
  }

  /**
   * A member comes back under a new name and still works on some messages.
   * @returns those that it may keep: nobody else got them meanwhile.
   */
  adopt(member: string, working: readonly Assigned[], now: number): Assigned[] {
    const kept: Assigned[] = []
    for (const { sequence, attempt } of working) {
      const entry = this.#waiting.get(sequence)
      if (entry === undefined || entry.attempt > attempt) continue
      this.#hold(entry, member, attempt, now)
      kept.push({ sequence, attempt })
    }
    return kept
  }

  // ---- messages

  /** @returns false for a delivery that is not this member's (any more): nothing happens. */
  settle(member: string, { sequence, attempt, kind, delayMs, reason = '' }: Settlement, now: number): boolean {
    const entry = this.#held.get(sequence)
    if (entry === undefined || entry.member !== member || entry.attempt !== attempt) return false
    switch (kind) {
      case 'ack':
        this.#release(entry)
        this.#changes.push({ kind: 'settled', sequence })
        return true
      case 'nak':
        this.#fail(entry, now + (delayMs ?? pauseAfter(this.#config.backoffMs, attempt)), reason || 'given back')
        return true
      case 'term':
        this.#release(entry)
        this.#die(entry, reason)
        return true
      case 'working':
        entry.due = now + this.#config.ackWaitMs
        this.#held.delete(sequence)
        this.#held.set(sequence, entry)
        return true
      case 'back':
        this.#release(entry)
        entry.attempt -= 1
        this.#wait(entry, now)
        return true
    }
  }

  /** A delivery whose message is not kept any more. */
  forget(sequence: number): void {
    const entry = this.#held.get(sequence)
    if (entry === undefined) return
    this.#release(entry)
    this.#changes.push({ kind: 'settled', sequence })
  }

  /** The dead letters have it. */
  buried(sequence: number): void {
    if (this.#dying.delete(sequence)) this.#changes.push({ kind: 'settled', sequence })
  }

  /** Takes messages away from members whose time is over. */
  expire(now: number): void {
    for (const entry of this.#held.values()) {
      if (entry.due > now) break
      // Its handler may go on: the member has a place less until it says how many it has.
      const member = this.#members.get(entry.member)
      if (member !== undefined) member.capacity = Math.max(0, member.capacity - 1)
      this.#fail(entry, now, `no word within ${this.#config.ackWaitMs} ms`)
    }
  }

  /** When {@link ConsumerCore.expire} or {@link ConsumerCore.take} have something to do without anything new. */
  get nextDue(): number | undefined {
    const [first] = this.#held.values()
    let next = first?.due
    for (const { due } of this.#waiting.values()) if (next === undefined || due < next) next = due
    return next
  }

  /** Gives a member what it has room for: what comes again first, then new ones, both in the order of the stream. */
  take(member: string, view: StreamView, now: number): Assigned[] {
    const found = this.#members.get(member)
    const taken: Assigned[] = []
    if (found === undefined) return taken
    const again = [...this.#waiting.values()].filter(({ due }) => due <= now).sort((a, b) => a.sequence - b.sequence)
    for (const entry of again) {
      if (found.held >= found.capacity) return taken
      const { sequence } = entry
      if (entry.attempt >= this.#config.maxDeliveries) {
        // Its last member had it when the server ended, or the limit is lower now.
        this.#waiting.delete(sequence)
        this.#die(entry, `not settled in ${entry.attempt} deliveries`)
      } else if (view.kept(sequence)) {
        this.#hold(entry, member, entry.attempt + 1, now)
        taken.push({ sequence, attempt: entry.attempt })
      } else {
        this.#waiting.delete(sequence)
        this.#changes.push({ kind: 'settled', sequence })
      }
    }
    while (found.held < found.capacity && this.unsettled < this.#config.maxUnsettled) {
      const sequence = view.next(this.#cursor)
      if (sequence === undefined) break
      this.#cursor = sequence + 1
      this.#hold({ sequence, attempt: 0, member: '', due: 0 }, member, 1, now)
      taken.push({ sequence, attempt: 1 })
    }
    return taken
  }

  // ---- inside

  #hold(entry: Entry, member: string, attempt: number, now: number): void {
    this.#waiting.delete(entry.sequence)
    entry.member = member
    entry.attempt = attempt
    entry.due = now + this.#config.ackWaitMs
    this.#held.set(entry.sequence, entry)
    const found = this.#members.get(member)
    if (found !== undefined) found.held += 1
    this.#changes.push({ kind: 'unsettled', sequence: entry.sequence, attempt, due: 0 })
  }

  #release(entry: Entry): void {
    this.#held.delete(entry.sequence)
    const found = this.#members.get(entry.member)
    if (found !== undefined) found.held -= 1
    entry.member = ''
  }

  #wait(entry: Entry, due: number): void {
    entry.due = due
    this.#waiting.set(entry.sequence, entry)
    // 0 would say that a member has it.
    this.#changes.push({ kind: 'unsettled', sequence: entry.sequence, attempt: entry.attempt, due: Math.max(1, due) })
  }

  #fail(entry: Entry, due: number, reason: string): void {
    this.#release(entry)
    if (entry.attempt >= this.#config.maxDeliveries) this.#die(entry, reason)
    else this.#wait(entry, due)
  }

  #die({ sequence, attempt }: Entry, reason: string): void {
    const dying: Dying = { sequence, attempts: attempt, reason }
    this.#dying.set(sequence, dying)
    this.#newlyDying.push(dying)
  }
}
