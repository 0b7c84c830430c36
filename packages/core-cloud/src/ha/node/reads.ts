import type { Clock } from '../../kernel/clock.js'
import type { ReadState, Refusal } from '../raft/types.js'
import { type CallOptions, deadlineOf, overloaded, stopped, unavailable } from './call-end.js'
import type { NodeLimits } from './node-limits.js'

interface WaitingRead {
  readonly deadline: number
  readonly resolve: (index: number) => void
  readonly reject: (error: unknown) => void
  settled: boolean
}

interface Round {
  readonly reads: readonly WaitingRead[]
  readonly askedAt: number
  index: number | undefined
}

type Level = 'linearizable' | 'lease'

/**
 * The reads of one group on this node that wait: those of one turn are asked for together, as one read of the core.
 * Ids of the core's reads are odd for reads by lease: that is how a leader knows what a follower's read asks for.
 */
export class Reads {
  readonly #clock: Clock
  readonly #limits: NodeLimits
  readonly #gathering: Record<Level, WaitingRead[]> = { linearizable: [], lease: [] }
  readonly #rounds = new Map<number, Round>()
  #nextId: number
  #size = 0
  #earliestDeadline = Number.POSITIVE_INFINITY
  #stopped = false

  /** @param first - random: an answer to a read of an earlier life of this node must not fit one of this life. */
  constructor(clock: Clock, limits: NodeLimits, first: number) {
    this.#clock = clock
    this.#limits = limits
    this.#nextId = first * 2
  }

  get size(): number {
    return this.#size
  }

  call(level: Level, options: CallOptions): Promise<number> {
    if (this.#stopped) return Promise.reject(stopped())
    if (options.signal?.aborted) return Promise.reject(options.signal.reason as Error)
    if (this.#size >= this.#limits.maxReads) return Promise.reject(overloaded(`${this.#size} reads are waiting`))
    const deadline = deadlineOf(this.#clock, options, this.#limits.callMs)
    if (deadline <= this.#clock.monotonic()) return Promise.reject(unavailable('the deadline of the read has passed'))
    this.#size += 1
    this.#earliestDeadline = Math.min(this.#earliestDeadline, deadline)
    const { signal } = options
    return new Promise((resolve, reject) => {
      const waiting: WaitingRead = { deadline, resolve, reject, settled: false }
      this.#gathering[level].push(waiting)
      signal?.addEventListener('abort', () => this.#fail(waiting, signal.reason), { once: true })
    })
  }

  /** Asks for what has gathered. @param ask - the core's `read`. */
  flush(ask: (id: number, level: Level) => Refusal | undefined): void {
    for (const level of ['linearizable', 'lease'] as const) {
      if (this.#gathering[level].length === 0 || this.#rounds.size >= this.#limits.maxReadRounds) continue
      const id = this.#nextId + (level === 'lease' ? 1 : 0)
      this.#nextId = (this.#nextId + 2) % 2 ** 52
      const refusal = ask(id, level)
      if (refusal === 'overloaded') {
        for (const read of this.#gathering[level].splice(0)) {
          this.#fail(read, overloaded('the leader has as many reads as it may'))
        }
      } else if (refusal === undefined) {
        const reads = this.#gathering[level].splice(0)
        this.#rounds.set(id, { reads, askedAt: this.#clock.monotonic(), index: undefined })
      }
    }
  }

  answered(states: readonly ReadState[], applied: number): void {
    for (const { read, index } of states) {
      const round = this.#rounds.get(read)
      if (round !== undefined) round.index ??= index
    }
    this.applied(applied)
  }

  /** @returns whether a round ended. */
  applied(applied: number): boolean {
    let ended = false
    for (const [id, { reads, index }] of this.#rounds) {
      if (index === undefined || index > applied) continue
      this.#rounds.delete(id)
      ended = true
      for (const read of reads) {
        if (read.settled) continue
        this.#settle(read)
        read.resolve(applied)
      }
    }
    return ended
  }

  /** Whoever was asked may not lead any more: rounds without an answer are asked for again. */
  askAgain(before = Number.POSITIVE_INFINITY): void {
    for (const [id, { reads, askedAt, index }] of this.#rounds) {
      if (index !== undefined || askedAt > before) continue
      this.#rounds.delete(id)
      this.#gathering[id % 2 === 1 ? 'lease' : 'linearizable'].push(...reads.filter(({ settled }) => !settled))
    }
  }

  /** @param now - monotonic. */
  tick(now: number): void {
    this.askAgain(now - this.#limits.readRetryMs)
    if (now < this.#earliestDeadline) return
    this.#earliestDeadline = Number.POSITIVE_INFINITY
    for (const read of this.#all()) {
      if (read.deadline <= now) this.#fail(read, unavailable('no leader has answered the read before the deadline'))
      else this.#earliestDeadline = Math.min(this.#earliestDeadline, read.deadline)
    }
    for (const list of [this.#gathering.linearizable, this.#gathering.lease]) {
      list.splice(0, list.length, ...list.filter(({ settled }) => !settled))
    }
  }

  stop(): void {
    this.#stopped = true
  }

  abandon(): void {
    this.#stopped = true
    for (const read of this.#all()) this.#fail(read, stopped())
    this.#rounds.clear()
  }

  #all(): readonly WaitingRead[] {
    const { linearizable, lease } = this.#gathering
    const asked = [...this.#rounds.values()].flatMap(({ reads }) => reads)
    return [...linearizable, ...lease, ...asked].filter(({ settled }) => !settled)
  }

  #fail(read: WaitingRead, error: unknown): void {
    if (read.settled) return
    this.#settle(read)
    read.reject(error)
  }

  #settle(read: WaitingRead): void {
    read.settled = true
    this.#size -= 1
  }
}
