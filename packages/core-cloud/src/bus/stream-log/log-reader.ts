import { CloudError } from '../../kernel/errors.js'
import type { LogFolder } from '../../kernel/files/files.js'
import { checkRecord, type MessageRecord, readMessage, recordHead } from './record.js'
import type { Segment } from './segment.js'
import type { StreamIndex } from './stream-index.js'

/** Most bytes that are read at once beyond one message. */
const readBytes = 1_048_576

interface Spot {
  readonly segment: Segment
  readonly place: number
  readonly size: number
}

/** Reads messages from the files of a stream; the newest ones from memory. */
export class LogReader {
  readonly #folder: LogFolder
  readonly #index: StreamIndex
  readonly #cacheBytes: number
  readonly #recent = new Map<number, { readonly record: MessageRecord; readonly size: number }>()
  /** Their sequences from `#oldest` on: the front of a map that loses its front all the time is slow to find. */
  #order: number[] = []
  #oldest = 0
  #recentBytes = 0

  constructor(folder: LogFolder, index: StreamIndex, cacheBytes: number) {
    this.#folder = folder
    this.#index = index
    this.#cacheBytes = cacheBytes
  }

  /** Keeps a message that was just written. */
  remember(record: MessageRecord, size: number): void {
    if (size > this.#cacheBytes / 4) return
    this.#recent.set(record.sequence, { record, size })
    this.#order.push(record.sequence)
    this.#recentBytes += size
    while (this.#recentBytes > this.#cacheBytes) {
      const sequence = this.#order[this.#oldest++] as number
      this.#recentBytes -= this.#recent.get(sequence)?.size ?? 0
      this.#recent.delete(sequence)
    }
    if (this.#oldest > 4_096 && this.#oldest * 2 > this.#order.length) {
      this.#order = this.#order.slice(this.#oldest)
      this.#oldest = 0
    }
  }

  /** The kept ones of these sequences, in order; the first always, further ones while they fit. */
  async read(sequences: readonly number[], maxBytes = readBytes): Promise<MessageRecord[]> {
    const found: MessageRecord[] = []
    let bytes = 0
    for (let at = 0; at < sequences.length && (found.length === 0 || bytes < maxBytes); ) {
      const sequence = sequences[at] as number
      const recent = this.#recent.get(sequence)
      if (recent !== undefined) {
        if (found.length > 0 && bytes + recent.size > maxBytes) break
        at += 1
        bytes += recent.size
        if (this.#index.exactly(sequence) !== undefined) found.push(recent.record)
        continue
      }
      const run = this.#run(sequences, at, maxBytes - bytes)
      if (found.length > 0 && run[0] !== undefined && bytes + run[0].size > maxBytes) break
      for (const record of await this.#readRun(run)) {
        // Forgotten while it was read.
        if (this.#index.exactly(record.sequence) !== undefined) found.push(record)
      }
      at += Math.max(1, run.length)
      for (const { size } of run) bytes += size
    }
    return found
  }

  /** @param spot - may be given another place while this waits. */
  async readAt(spot: Spot): Promise<MessageRecord> {
    const { segment, place, size } = spot
    let bytes: Buffer
    try {
      bytes = await segment.file.read(place, size)
    } catch (error) {
      if (spot.segment === segment) throw error
      return this.readAt(spot)
    }
    return this.#parse(segment, bytes, { segment, place, size }, place)
  }

  /** Where the sequences from `at` on are, as far as they lie behind each other in one file and fit. */
  #run(sequences: readonly number[], at: number, maxBytes: number): (Spot & { readonly sequence: number })[] {
    const run: (Spot & { readonly sequence: number })[] = []
    for (let next = at; next < sequences.length; next++) {
      const sequence = sequences[next] as number
      const found = this.#index.exactly(sequence)
      if (found === undefined) break
      const { segment, row } = found
      const spot = { sequence, segment, place: segment.place(row), size: segment.bytes(row) }
      const [first] = run
      if (first !== undefined && (segment !== first.segment || spot.place + spot.size - first.place > maxBytes)) break
      run.push(spot)
    }
    return run
  }

  async #readRun(run: readonly (Spot & { readonly sequence: number })[]): Promise<MessageRecord[]> {
    const [first] = run
    const last = run[run.length - 1]
    if (first === undefined || last === undefined) return []
    const { segment, place } = first
    let bytes: Buffer
    try {
      bytes = await segment.file.read(place, last.place + last.size - place)
    } catch (error) {
      // Merged or removed meanwhile: what is kept has a new place.
      if (this.#index.segments.includes(segment)) throw error
      return this.read(run.map(({ sequence }) => sequence))
    }
    return run.map(spot => this.#parse(segment, bytes, spot, place))
  }

  #parse(segment: Segment, bytes: Buffer, { place, size }: Spot, base: number): MessageRecord {
    const end = place - base + size
    if (checkRecord(bytes, place - base, base) === end)
      return readMessage(bytes.subarray(place - base + recordHead, end))
    const path = `${this.#folder.path}/${segment.name}`
    throw new CloudError('core.bus.corrupt', `${path} is damaged at byte ${place}`, { details: { file: path, place } })
  }
}
