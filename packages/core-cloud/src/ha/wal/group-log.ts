import type { Recovered } from '../raft/raft-core.js'
import type { Entry, HardState, Membership } from '../raft/types.js'
import type { StoredMark, WorkBody } from './record-body.js'
import { RecordError } from './record-body.js'

/** Entries next to each other, by index and by segment. */
export interface Run {
  segment: number
  first: number
  last: number
  /** Of their records, about. */
  bytes: number
}

/**
 * What the log holds of one group as of one place in it: states, and in which segments its entries are. While the log
 * is read, and until they are handed out, the entries too.
 */
export class GroupLog {
  hardState: HardState = { term: 0, vote: 0, commit: 0 }
  mark: StoredMark
  /** Of the entries behind the mark; ascending, without gaps. */
  readonly runs: Run[] = []
  /** `[0]` is of the mark's index + 1. `undefined` stands for one that was in a segment before the first that is left. */
  #entries: (Entry | undefined)[] | undefined

  private constructor(mark: StoredMark, keep: boolean) {
    this.mark = mark
    this.#entries = keep ? [] : undefined
  }

  static made(membership: Membership, keep: boolean): GroupLog {
    return new GroupLog({ mark: { index: 0, term: 0, membership }, state: undefined }, keep)
  }

  /** As the head of the first segment tells it: entries up to `last`, wherever they are. */
  static continued(hardState: HardState, mark: StoredMark, last: number): GroupLog {
    const log = new GroupLog(mark, true)
    log.hardState = hardState
    const { index } = mark.mark
    log.#entries = new Array(last - index).fill(undefined)
    // Segment 0 is none: these must be found as copies.
    if (last > index) log.runs.push({ segment: 0, first: index + 1, last, bytes: 0 })
    return log
  }

  get last(): number {
    return this.runs.at(-1)?.last ?? this.mark.mark.index
  }

  /** @throws RecordError when entries do not follow. */
  work({ hardState, mark, entries }: WorkBody, segment: number, bytes: number): void {
    if (mark !== undefined) {
      this.mark = mark
      this.runs.length = 0
      if (this.#entries !== undefined) this.#entries = []
    }
    if (hardState !== undefined) this.hardState = hardState
    const { index } = this.mark.mark
    const first = entries[0]?.index ?? 0
    const last = first + entries.length - 1
    if (entries.length === 0 || last <= index) return
    if (first > this.last + 1) throw new RecordError(`entry ${first} follows ${this.last}`)
    const begin = Math.max(first, index + 1)
    this.#cutRuns(begin)
    this.#addRun({ segment, first: begin, last, bytes })
    if (this.#entries === undefined) return
    this.#entries.length = begin - index - 1
    for (let at = begin - first; at < entries.length; at++) this.#entries.push(entries[at])
  }

  /** The group's own snapshot: what it covers is forgotten. */
  snapshot(mark: StoredMark): void {
    const before = this.mark.mark.index
    const { index } = mark.mark
    if (index <= before) return
    this.mark = mark
    this.#entries?.splice(0, index - before)
    while (this.runs.length > 0) {
      const run = this.runs[0] as Run
      if (run.last > index) {
        if (run.first <= index) shrink(run, index + 1, run.last)
        break
      }
      this.runs.shift()
    }
  }

  /** Entries once more, from a segment that goes. While the log is read they fill holes and do nothing else. */
  copies(entries: readonly Entry[], segment: number): void {
    const { index } = this.mark.mark
    for (const entry of entries) {
      const place = entry.index - index - 1
      if (this.#entries === undefined || place < 0 || place >= this.#entries.length) continue
      this.#entries[place] ??= entry
    }
    const first = entries[0]?.index ?? 0
    this.relabel(first, first + entries.length - 1, segment)
  }

  /** Entries that are in `segment` from now on. */
  relabel(first: number, last: number, segment: number): void {
    const runs = this.runs.splice(0)
    for (const run of runs) {
      const [from, to] = [Math.max(run.first, first), Math.min(run.last, last)]
      if (from > to) this.#addRun(run)
      else {
        const each = run.bytes / (run.last - run.first + 1)
        const part = (begin: number, end: number, where: number): void => {
          if (begin <= end) this.#addRun({ segment: where, first: begin, last: end, bytes: each * (end - begin + 1) })
        }
        part(run.first, from - 1, run.segment)
        part(from, to, segment)
        part(to + 1, run.last, run.segment)
      }
    }
  }

  /** True when the newest record of this entry is in this segment. */
  isIn(index: number, segment: number): boolean {
    return this.runs.some(run => run.segment === segment && run.first <= index && index <= run.last)
  }

  /** The first index that should be here and is not; while the entries are kept. */
  get missing(): number | undefined {
    const place = this.#entries?.indexOf(undefined) ?? -1
    return place === -1 ? undefined : this.mark.mark.index + 1 + place
  }

  /** Hands the entries out, once. */
  take(): Recovered {
    const entries = (this.#entries ?? []) as Entry[]
    this.#entries = undefined
    const { mark } = this.mark
    const commit = Math.max(mark.index, Math.min(this.hardState.commit, this.last))
    return { hardState: { ...this.hardState, commit }, snapshot: mark, entries }
  }

  #cutRuns(from: number): void {
    for (let run = this.runs.at(-1); run !== undefined && run.last >= from; run = this.runs.at(-1)) {
      if (run.first < from) {
        shrink(run, run.first, from - 1)
        return
      }
      this.runs.pop()
    }
  }

  #addRun(run: Run): void {
    const before = this.runs.at(-1)
    if (before?.segment === run.segment && before.last + 1 === run.first) {
      before.last = run.last
      before.bytes += run.bytes
    } else this.runs.push(run)
  }
}

function shrink(run: Run, first: number, last: number): void {
  run.bytes *= (last - first + 1) / (run.last - run.first + 1)
  run.first = first
  run.last = last
}
