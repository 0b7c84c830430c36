import type { AppendWork, Entry, HardState, Recovered, SnapshotMark } from '@aaas/core-cloud/ha'
import type { RegisterState } from './register.js'

/** What survives a crash of one member. Writes arrive whole, one after the other, except the last before a crash. */
export class WorkDisk implements Recovered {
  hardState: HardState = { term: 0, vote: 0, commit: 0 }
  snapshot: SnapshotMark
  /** Of the snapshot. */
  state: RegisterState
  readonly entries: Entry[] = []

  constructor(first: SnapshotMark, state: RegisterState) {
    this.snapshot = first
    this.state = state
  }

  get last(): number {
    return this.snapshot.index + this.entries.length
  }

  at(index: number): Entry | undefined {
    return this.entries[index - this.snapshot.index - 1]
  }

  /** @param received - the data of snapshots that have arrived, by index. */
  write({ snapshot, entries, hardState }: AppendWork, received: ReadonlyMap<number, RegisterState>): void {
    if (hardState !== undefined) this.hardState = hardState
    if (snapshot !== undefined) {
      const state = received.get(snapshot.index)
      if (state === undefined) throw new Error(`a snapshot of ${snapshot.index} without data`)
      this.snapshot = snapshot
      this.state = state
      this.entries.length = 0
    }
    const [first] = entries
    if (first === undefined) return
    if (first.index > this.last + 1) throw new Error(`entry ${first.index} is written behind ${this.last}`)
    if (first.index <= this.last) this.entries.length = Math.max(0, first.index - this.snapshot.index - 1)
    for (const entry of entries) if (entry.index > this.snapshot.index) this.entries.push(entry)
  }

  /** The beginning of a write: the hard state goes first, of the entries a few. */
  tear(work: AppendWork, random: () => number): void {
    const count = work.snapshot !== undefined ? 0 : Math.floor(random() * work.entries.length)
    this.write({ ...work, snapshot: undefined, entries: work.entries.slice(0, count) }, new Map())
  }

  /** The member's own snapshot: what is in it need not be kept as entries. */
  compact(mark: SnapshotMark, state: RegisterState): void {
    this.entries.splice(0, mark.index - this.snapshot.index)
    this.snapshot = mark
    this.state = state
  }
}
