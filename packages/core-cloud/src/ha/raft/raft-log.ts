import type { Entry, SnapshotMark } from './types.js'

/**
 * The log behind the last compaction, in memory: reads never wait for a disk. The driver writes down what is handed
 * out, says when it is durable, and compacts before the memory it may use is full.
 *
 * offset < ... <= applied <= applying <= committed; stable <= handed <= last. Committed entries may not be stable here:
 * a majority of others can be ahead.
 */
export class RaftLog {
  /** `#entries[0]` has this index + 1; everything up to it is in the snapshot. */
  #offset: number
  #offsetTerm: number
  #entries: Entry[]
  committed: number
  /** Given to the state machine. */
  applying: number
  applied: number
  /** Given to the storage. */
  handed: number
  stable: number
  /** Received, not yet given to the storage; not yet given to the state machine. */
  snapshotToStore: SnapshotMark | undefined
  snapshotToLoad: SnapshotMark | undefined
  /** The latest one a member can be given. */
  snapshot: SnapshotMark

  constructor(snapshot: SnapshotMark, entries: readonly Entry[], commit: number) {
    this.snapshot = snapshot
    this.#offset = snapshot.index
    this.#offsetTerm = snapshot.term
    this.#entries = [...entries]
    for (const [place, entry] of entries.entries()) {
      if (entry.index !== snapshot.index + 1 + place) {
        throw new RangeError(`entry ${entry.index} follows ${snapshot.index + place}`)
      }
    }
    this.applied = this.applying = snapshot.index
    this.stable = this.handed = this.last
    if (commit > this.last) throw new RangeError(`commit index ${commit} is behind the last entry ${this.last}`)
    this.committed = Math.max(snapshot.index, commit)
    this.#commitChanges(entries)
  }

  /** Index before the first entry that is still here. */
  get offset(): number {
    return this.#offset
  }

  get last(): number {
    return this.#offset + this.#entries.length
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#offsetTerm
  }

  /** Undefined when it was compacted or is not there yet. */
  term(index: number): number | undefined {
    if (index === this.#offset) return this.#offsetTerm
    return this.#entries[index - this.#offset - 1]?.term
  }

  at(index: number): Entry | undefined {
    return this.#entries[index - this.#offset - 1]
  }

  /** Entries `from`..`to` (inclusive) of together at most `maxBytes`, but at least one when there is one. */
  slice(from: number, to: number, maxBytes: number): readonly Entry[] {
    let end = from
    let bytes = 0
    while (end <= to) {
      bytes += entryBytes(this.#entries[end - this.#offset - 1] as Entry)
      if (bytes > maxBytes && end > from) break
      end += 1
    }
    return this.#entries.slice(from - this.#offset - 1, end - this.#offset - 1)
  }

  /** True when a log that ends so has everything this one could have committed. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.last)
  }

  /**
   * The largest index up to `index` whose term is at most `term`: nothing behind it can be in a log that has `term` at
   * `index`. With its term; term 0 when that is compacted.
   */
  meet(index: number, term: number): { readonly index: number; readonly term: number } {
    for (let at = Math.min(index, this.last); at > this.#offset; at--) {
      const found = this.term(at) as number
      if (found <= term) return { index: at, term: found }
    }
    const at = Math.min(index, this.#offset)
    return { index: at, term: at === this.#offset ? this.#offsetTerm : 0 }
  }

  /** Adds what a leader proposes. Indexes follow the last one. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) this.#entries.push(entry)
  }

  /**
   * Takes over what a leader sent behind an entry that is here already: drops conflicting entries, adds missing ones.
   * @returns the last index that is now the leader's.
   */
  accept(prevIndex: number, entries: readonly Entry[]): number {
    for (const [place, entry] of entries.entries()) {
      if (this.term(entry.index) === entry.term) continue
      if (entry.index <= this.committed) throw new Error(`committed entry ${entry.index} conflicts with the leader's`)
      this.#truncate(entry.index - 1)
      const missing = entries.slice(place)
      this.append(missing)
      this.#commitChanges(missing)
      break
    }
    return prevIndex + entries.length
  }

  /**
   * A change of membership is proposed only by a leader that has applied the one before: who has a later one knows the
   * earlier one to be committed. Without this rule a restarted member that has not recorded the commit could lead, and
   * commit both at once, by the majority of a membership two steps ago, which need not share a member with today's.
   */
  #commitChanges(added: readonly Entry[]): void {
    if (!added.some(({ kind }) => kind === 'membership')) return
    let [earlier, latest] = [0, 0]
    for (let index = this.committed + 1; index <= this.last; index++) {
      if (this.at(index)?.kind === 'membership') [earlier, latest] = [latest, index]
    }
    if (earlier > 0) this.commitTo(earlier)
  }

  #truncate(last: number): void {
    if (last >= this.last) return
    this.#entries.length = last - this.#offset
    this.handed = Math.min(this.handed, last)
    this.stable = Math.min(this.stable, last)
  }

  /** @returns whether something new is committed. */
  commitTo(index: number): boolean {
    if (index <= this.committed) return false
    if (index > this.last) throw new Error(`commit of ${index} behind the last entry ${this.last}`)
    this.committed = index
    return true
  }

  /** What the storage was given up to here is durable, unless it was replaced since. */
  stableTo(index: number, term: number): void {
    if (index > this.stable && index <= this.handed && this.term(index) === term) this.stable = index
  }

  /** Replaces everything by a received snapshot. */
  restore(snapshot: SnapshotMark): void {
    this.#reset(snapshot)
    this.committed = snapshot.index
    this.stable = this.handed = snapshot.index
    this.snapshotToStore = this.snapshotToLoad = this.snapshot = snapshot
  }

  /**
   * The state machine's snapshot of `snapshot.index` is durable. Entries are kept from `keepAfter` on, so that members
   * a little behind need no snapshot.
   */
  compact(snapshot: SnapshotMark, keepAfter: number): void {
    if (snapshot.index > this.applied)
      throw new RangeError(`a snapshot of ${snapshot.index}; ${this.applied} is applied`)
    if (snapshot.index <= this.snapshot.index) return
    this.snapshot = snapshot
    // What is not durable cannot be left out: the storage still needs it.
    const offset = Math.min(keepAfter, snapshot.index, this.stable)
    if (offset <= this.#offset) return
    this.#offsetTerm = this.term(offset) as number
    this.#entries = this.#entries.slice(offset - this.#offset)
    this.#offset = offset
  }

  #reset(snapshot: SnapshotMark): void {
    this.#offset = snapshot.index
    this.#offsetTerm = snapshot.term
    this.#entries = []
  }
}

/** What an entry counts in limits of bytes. */
export function entryBytes(entry: { readonly data: Uint8Array }): number {
  return entry.data.length + 32
}
