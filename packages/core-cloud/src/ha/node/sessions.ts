import type { ByteReader } from './byte-reader.js'
import type { ByteWriter } from './byte-writer.js'
import type { Command } from './command.js'

/** Part of the replicated state: the same on every member of a group, for ever. */
export interface SessionLimits {
  /** Default 10_000; then the one unused for longest is forgotten. */
  readonly maxSessions: number
  /** A session is forgotten when nothing of it was in this many entries of the log; default 1_000_000. */
  readonly idleEntries: number
  /** Sequences from the lowest open one on whose results are kept; default 65_536. */
  readonly maxSpan: number
}

export const sessionDefaults: SessionLimits = { maxSessions: 10_000, idleEntries: 1_000_000, maxSpan: 65_536 }

export type Outcome =
  | { readonly kind: 'applied'; readonly index: number; readonly result: Uint8Array }
  /** The session is not known (any more): the command was not applied now. */
  | { readonly kind: 'expired' }
  /** Its proposer has given it up: it was not applied now, and its result is forgotten if it was before. */
  | { readonly kind: 'closed' }

interface Session {
  lastIndex: number
  floor: number
  readonly results: Map<number, { readonly index: number; readonly result: Uint8Array }>
}

/**
 * Who has asked for what: a command that is in the log twice, because its proposer did not hear of the first, has its
 * effect once (Raft thesis, 6.3). A session is opened by an entry of its own, and its id is that entry's index: a
 * command that comes when its session is forgotten is refused, and can therefore not be applied a second time.
 */
export class Sessions {
  readonly #limits: SessionLimits
  /** The one unused for longest first. */
  readonly #sessions = new Map<number, Session>()
  /** The last of them. */
  #latest = 0

  constructor(limits: SessionLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#sessions.size
  }

  open(index: number): void {
    this.#sessions.set(index, { lastIndex: index, floor: 1, results: new Map() })
    this.#latest = index
    this.#forget(index)
  }

  /** Calls `run` when this command was not applied before. */
  apply(command: Extract<Command, { kind: 'run' }>, index: number, run: () => Uint8Array): Outcome {
    const { session: id, sequence, floor } = command
    this.#forget(index)
    const session = this.#sessions.get(id)
    if (session === undefined) return { kind: 'expired' }
    if (id !== this.#latest) {
      this.#sessions.delete(id)
      this.#sessions.set(id, session)
      this.#latest = id
    }
    session.lastIndex = index
    raiseFloor(session, Math.max(floor, sequence - this.#limits.maxSpan + 1))
    if (sequence < session.floor) return { kind: 'closed' }
    const before = session.results.get(sequence)
    if (before !== undefined) return { kind: 'applied', ...before }
    const done = { index, result: run() }
    session.results.set(sequence, done)
    return { kind: 'applied', ...done }
  }

  /** What is known of a command without an entry at hand: after a snapshot. `undefined`: it was not applied yet. */
  lookup(id: number, sequence: number): Outcome | undefined {
    const session = this.#sessions.get(id)
    if (session === undefined) return { kind: 'expired' }
    if (sequence < session.floor) return { kind: 'closed' }
    const before = session.results.get(sequence)
    return before === undefined ? undefined : { kind: 'applied', ...before }
  }

  write(out: ByteWriter): void {
    out.u32(this.#sessions.size)
    for (const [id, { lastIndex, floor, results }] of this.#sessions) {
      out.number(id).number(lastIndex).number(floor).u32(results.size)
      for (const [sequence, { index, result }] of results) out.number(sequence).number(index).bytes(result)
    }
  }

  /** Replaces everything. @throws CloudError `core.ha.bad-message`. */
  read(input: ByteReader): void {
    this.#sessions.clear()
    for (let count = input.count(28); count > 0; count--) {
      const id = input.number()
      const session = { lastIndex: input.number(), floor: input.number(), results: new Map() }
      for (let results = input.count(20); results > 0; results--) {
        const sequence = input.number()
        // A copy: a view would keep the whole snapshot in memory.
        session.results.set(sequence, { index: input.number(), result: Uint8Array.from(input.bytes()) })
      }
      this.#sessions.set(id, session)
      this.#latest = id
    }
  }

  #forget(index: number): void {
    for (const [id, { lastIndex }] of this.#sessions) {
      const idle = lastIndex < index - this.#limits.idleEntries
      if (!idle && this.#sessions.size <= this.#limits.maxSessions) return
      this.#sessions.delete(id)
    }
  }
}

function raiseFloor(session: Session, floor: number): void {
  if (floor - session.floor > session.results.size) {
    for (const sequence of session.results.keys()) if (sequence < floor) session.results.delete(sequence)
    session.floor = floor
    return
  }
  for (; session.floor < floor; session.floor++) session.results.delete(session.floor)
}
