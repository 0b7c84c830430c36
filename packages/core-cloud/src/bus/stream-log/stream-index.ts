import type { FullStreamConfig } from '../stream/stream-checks.js'
import { covers } from '../subject.js'
import type { MessageRecord } from './record.js'
import type { Segment } from './segment.js'

/** What is known of one subject of a stream. */
interface SubjectEntry {
  readonly id: number
  readonly name: string
  count: number
  last: number
  /** Its kept messages, oldest from `head` on; only when the stream bounds them. */
  kept: number[] | undefined
  head: number
}

/** A message that waits for its time. */
export interface Later {
  readonly id: number
  readonly at: number
  readonly messageId: string
  segment: Segment
  place: number
  size: number
}

export interface Purge {
  readonly subject?: string
  readonly below?: number
  readonly sequences?: readonly number[]
  /** Waiting messages. */
  readonly laters?: readonly number[]
}

/**
 * What is in a stream and where. Applies records in their order, and so comes to the same state when a log is read
 * again: limits that forget the oldest are applied here, not written down. No I/O, no clock.
 */
export class StreamIndex {
  config: FullStreamConfig
  readonly segments: Segment[] = []
  readonly laters = new Map<number, Later>()
  readonly #laterIds = new Map<string, Later>()
  /** Messages for one consumer only. */
  readonly targets = new Map<number, string>()
  readonly #subjects = new Map<string, SubjectEntry>()
  readonly #byId: (SubjectEntry | undefined)[] = []
  readonly #freeIds: number[] = []
  readonly #ids = new Map<string, { readonly sequence: number; readonly time: number }>()
  /** Ids in the order of their times from `#idHead` on: the front of a map that loses it all the time is slow to find. */
  #idOrder: { readonly id: string; readonly time: number }[] = []
  #idHead = 0
  /** Nothing before is kept; what is here may be forgotten too. */
  #low = 1
  last = 0
  messages = 0
  bytes = 0
  /** Of messages that wait for their time. */
  laterBytes = 0
  lastTime = 0
  lastLater = 0

  constructor(config: FullStreamConfig) {
    this.config = config
  }

  /** Sequence of the first kept message; the next one when there is none. */
  get first(): number {
    if (this.messages === 0) return this.last + 1
    const found = this.find(this.#low)
    if (found !== undefined) this.#low = found.segment.sequence(found.row)
    return this.#low
  }

  // ---- records

  message(record: MessageRecord, segment: Segment, place: number, size: number): void {
    if (record.later > 0) this.#endLater(record.later)
    let entry = this.#subjects.get(record.subject)
    entry ??= this.#addSubject(record.subject)
    const { sequence, time } = record
    segment.add(sequence, place, size, time, entry.id)
    this.last = sequence
    this.lastTime = Math.max(this.lastTime, time)
    this.messages += 1
    this.bytes += size
    entry.count += 1
    entry.last = sequence
    if (record.target !== '') this.targets.set(sequence, record.target)
    if (record.messageId !== '') {
      this.#ids.set(record.messageId, { sequence, time })
      this.#idOrder.push({ id: record.messageId, time })
      segment.newestId = Math.max(segment.newestId, time)
    }
    if (this.config.maxPerSubject !== undefined) this.#keepOfSubject(entry, this.config.maxPerSubject, sequence)
    this.#keepLimits()
  }

  later(record: MessageRecord, segment: Segment, place: number, size: number): void {
    const later: Later = { id: record.sequence, at: record.time, messageId: record.messageId, segment, place, size }
    this.laters.set(later.id, later)
    this.#laterIds.set(later.messageId, later)
    segment.laters += 1
    this.laterBytes += size
    this.lastLater = Math.max(this.lastLater, later.id)
  }

  reconfigure(config: FullStreamConfig): void {
    const before = this.config.maxPerSubject
    this.config = config
    const limit = config.maxPerSubject
    if (limit !== before) {
      for (const entry of this.#subjects.values()) {
        entry.kept = undefined
        entry.head = 0
      }
      if (limit !== undefined) {
        for (const [segment, row] of this.rows(this.first)) {
          const entry = this.#byId[segment.subject(row)]
          if (entry !== undefined) this.#keepOfSubject(entry, limit, segment.sequence(row))
        }
      }
    }
    this.#keepLimits()
  }

  /** @returns how many messages were forgotten. */
  purge(which: Purge): number {
    for (const id of which.laters ?? []) this.#endLater(id)
    let count = 0
    if (which.sequences !== undefined) {
      for (const sequence of which.sequences) if (this.#forget(sequence)) count += 1
    } else if (which.laters === undefined) {
      const wanted = which.subject === undefined ? undefined : this.subjectFilter([which.subject])
      for (const [segment, row] of this.rows(this.first)) {
        const sequence = segment.sequence(row)
        if (which.below !== undefined && sequence >= which.below) break
        if (wanted !== undefined && !wanted(segment.subject(row))) continue
        this.#forgetRow(segment, row)
        count += 1
      }
    }
    return count
  }

  /** Nothing before is there any more; from the head of a segment. */
  startAt(first: number): void {
    while (this.messages > 0 && this.first < first) this.#forgetFirst()
    this.last = Math.max(this.last, first - 1)
  }

  /** Forgets what is older. @returns when the next one is due, or undefined. */
  expire(now: number): number | undefined {
    const age = this.config.maxAgeMs
    if (age === undefined) return undefined
    for (;;) {
      const found = this.find(this.#low)
      if (found === undefined) return undefined
      const due = found.segment.time(found.row) + age
      if (due > now) return due
      this.#forgetFirst()
    }
  }

  // ---- questions

  /** The kept message with this sequence or the first one behind it. */
  find(sequence: number): { readonly segment: Segment; readonly row: number } | undefined {
    for (let at = this.#segmentOf(sequence); at < this.segments.length; at++) {
      const segment = this.segments[at] as Segment
      if (segment.live === 0) continue
      for (let row = segment.rowAt(sequence); row < segment.count; row++) {
        if (segment.place(row) !== 0) return { segment, row }
      }
    }
    return undefined
  }

  exactly(sequence: number): { readonly segment: Segment; readonly row: number } | undefined {
    const found = this.find(sequence)
    return found !== undefined && found.segment.sequence(found.row) === sequence ? found : undefined
  }

  /** Kept messages from a sequence on, in order. */
  *rows(from: number): Generator<readonly [Segment, number]> {
    for (let at = this.#segmentOf(from); at < this.segments.length; at++) {
      const segment = this.segments[at] as Segment
      if (segment.live === 0) continue
      for (let row = segment.rowAt(from); row < segment.count; row++) {
        if (segment.place(row) !== 0) yield [segment, row]
      }
    }
  }

  /** First kept message that was stored at a time or later. */
  firstSince(time: number): number {
    for (const segment of this.segments) {
      if (segment.live === 0 || segment.time(segment.count - 1) < time) continue
      for (let row = segment.rowAt(this.first); row < segment.count; row++) {
        if (segment.place(row) !== 0 && segment.time(row) >= time) return segment.sequence(row)
      }
    }
    return this.last + 1
  }

  lastOf(subject: string): number {
    return this.#subjects.get(subject)?.last ?? 0
  }

  /** True when no later message of the subject is kept. */
  isLastOfSubject(sequence: number, subject: number): boolean {
    return this.#byId[subject]?.last === sequence
  }

  subjectName(id: number): string {
    return this.#byId[id]?.name ?? ''
  }

  /** What the patterns let through; remembers what it found about each subject. */
  subjectFilter(patterns: readonly string[]): (subject: number) => boolean {
    const known: ({ readonly entry: SubjectEntry; readonly answer: boolean } | undefined)[] = []
    return subject => {
      const entry = this.#byId[subject]
      if (entry === undefined) return false
      let found = known[subject]
      // A number may have been given to another subject.
      if (found?.entry !== entry) {
        found = { entry, answer: patterns.some(pattern => covers(pattern, entry.name)) }
        known[subject] = found
      }
      return found.answer
    }
  }

  /** Sequence of a message id that is known at this time. */
  knownId(messageId: string, now: number): number | undefined {
    const known = this.#ids.get(messageId)
    return known !== undefined && known.time + this.config.dedupMs > now ? known.sequence : undefined
  }

  laterOf(messageId: string): Later | undefined {
    return this.#laterIds.get(messageId)
  }

  /** Forgets ids whose time is over. @returns how many are left. */
  forgetIds(now: number): number {
    for (; this.#idHead < this.#idOrder.length; this.#idHead++) {
      const { id, time } = this.#idOrder[this.#idHead] as { id: string; time: number }
      if (time + this.config.dedupMs > now) break
      // It may have been used again since.
      if (this.#ids.get(id)?.time === time) this.#ids.delete(id)
    }
    if (this.#idHead > 4_096 && this.#idHead * 2 > this.#idOrder.length) {
      this.#idOrder = this.#idOrder.slice(this.#idHead)
      this.#idHead = 0
    }
    return this.#ids.size
  }

  /** Bytes of what the further messages of a subject, of these sizes, push out. */
  pushedOut(subject: string, appended: readonly number[]): number {
    const limit = this.config.maxPerSubject
    if (limit === undefined) return 0
    const entry = this.#subjects.get(subject)
    const kept = entry?.kept?.slice(entry.head) ?? []
    let bytes = 0
    for (let place = 0; place < kept.length + appended.length - limit; place++) {
      const found = place < kept.length ? this.exactly(kept[place] as number) : undefined
      bytes += found === undefined ? (appended[place - kept.length] ?? 0) : found.segment.bytes(found.row)
    }
    return bytes
  }

  /** How many messages of a subject are pushed out when `more` are added. */
  countPushedOut(subject: string, more: number): number {
    const limit = this.config.maxPerSubject
    return limit === undefined ? 0 : Math.max(0, (this.#subjects.get(subject)?.count ?? 0) + more - limit)
  }

  // ---- inside

  /** The segment in which a sequence is or would be. */
  #segmentOf(sequence: number): number {
    let low = 0
    let high = this.segments.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((this.segments[middle] as Segment).base <= sequence) low = middle
      else high = middle - 1
    }
    return low
  }

  #addSubject(name: string): SubjectEntry {
    const id = this.#freeIds.pop() ?? this.#byId.length
    const entry: SubjectEntry = { id, name, count: 0, last: 0, kept: undefined, head: 0 }
    this.#byId[id] = entry
    this.#subjects.set(name, entry)
    return entry
  }

  #keepOfSubject(entry: SubjectEntry, limit: number, sequence: number): void {
    entry.kept ??= []
    entry.kept.push(sequence)
    while (entry.kept.length - entry.head > limit) this.#forget(entry.kept[entry.head] as number)
  }

  #keepLimits(): void {
    const { discard, maxMessages, maxBytes } = this.config
    if (discard === 'old') while (this.messages > maxMessages || this.bytes > maxBytes) this.#forgetFirst()
  }

  #forgetFirst(): void {
    const found = this.find(this.#low)
    if (found === undefined) return
    this.#forgetRow(found.segment, found.row)
    this.#low = found.segment.sequence(found.row) + 1
  }

  #forget(sequence: number): boolean {
    const found = this.exactly(sequence)
    if (found === undefined) return false
    this.#forgetRow(found.segment, found.row)
    return true
  }

  #forgetRow(segment: Segment, row: number): void {
    const sequence = segment.sequence(row)
    segment.forget(row)
    this.messages -= 1
    this.bytes -= segment.bytes(row)
    this.targets.delete(sequence)
    const entry = this.#byId[segment.subject(row)]
    if (entry === undefined) return
    entry.count -= 1
    if (entry.kept !== undefined) forgetKept(entry, sequence)
    if (entry.count === 0) {
      this.#subjects.delete(entry.name)
      this.#byId[entry.id] = undefined
      this.#freeIds.push(entry.id)
    } else if (entry.last === sequence) entry.last = this.#lastBefore(sequence, entry.id)
  }

  /** The last kept message of a subject before a sequence; only needed when the last one was taken out. */
  #lastBefore(sequence: number, subject: number): number {
    for (let at = this.#segmentOf(sequence); at >= 0; at--) {
      const segment = this.segments[at] as Segment
      for (let row = Math.min(segment.rowAt(sequence), segment.count) - 1; row >= 0; row--) {
        if (segment.place(row) !== 0 && segment.subject(row) === subject) return segment.sequence(row)
      }
    }
    return 0
  }

  #endLater(id: number): void {
    const later = this.laters.get(id)
    if (later === undefined) return
    this.laters.delete(id)
    if (this.#laterIds.get(later.messageId) === later) this.#laterIds.delete(later.messageId)
    later.segment.laters -= 1
    this.laterBytes -= later.size
  }
}

function forgetKept(entry: SubjectEntry, sequence: number): void {
  const kept = entry.kept as number[]
  if (kept[entry.head] === sequence) entry.head += 1
  else {
    const at = kept.indexOf(sequence, entry.head)
    if (at >= 0) kept.splice(at, 1)
  }
  if (entry.head > 64 && entry.head * 2 > kept.length) {
    kept.splice(0, entry.head)
    entry.head = 0
  }
}
