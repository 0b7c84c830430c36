import type { LogFile, LogFolder } from '../../kernel/files/files.js'
import { type Chain, RecordBuffer, RecordType, recordHead } from './record.js'
import type { KnownSegment } from './replay.js'
import { segmentName } from './segment-head.js'

/**
 * Room that is made at a time. More is no better: a write of records waits for one of zeros (64 callers: 99th percentile
 * 3 to 4 ms; with steps of 8 MiB 8 to 27 ms, and half of the works a second).
 */
const step = 262_144

/**
 * The segment that is written to. Room is made ahead of the records, with zeros, in steps: a write then changes
 * no size and no map of blocks, which a sync would have to wait for, and a torn one ends within the file.
 */
export class SegmentFile {
  readonly #file: LogFile
  /** Where the next record goes. */
  place: number
  #room: number
  #growing: Promise<void> | undefined
  #broken: unknown

  private constructor(
    readonly segment: number,
    /** Checksum of the head. */
    readonly salt: number,
    /** Number of the write that brought the head. */
    readonly headWrite: number,
    /** Behind the head. */
    readonly start: number,
    readonly limit: number,
    file: LogFile,
  ) {
    this.#file = file
    this.place = start
    this.#room = start
  }

  get known(): KnownSegment {
    const { segment, place: bytes, salt, start, headWrite: write } = this
    return { segment, bytes, salt, start, write }
  }

  /**
   * Makes a segment with its head; it gets its name when all of it is durable.
   * @param limit - bytes up to which room is made ahead.
   */
  static async make(
    folder: LogFolder,
    options: { readonly segment: number; readonly head: Buffer; readonly chain: Chain; readonly limit: number },
  ): Promise<{ readonly file: SegmentFile; readonly chain: Chain }> {
    const name = segmentName(options.segment)
    const buffer = new RecordBuffer(options.head.length + 2 * recordHead)
    buffer.put(RecordType.head, 0, options.head)
    const chain = buffer.seal(0, 0, options.chain, true)
    const draft = await folder.open(`${name}.new`, 'write-through')
    let file: SegmentFile
    try {
      // Left by an attempt that did not end.
      if (draft.size > 0) await draft.truncate(0)
      await draft.write([buffer.view()], 0)
      const { previous: salt, write } = chain
      file = new SegmentFile(options.segment, salt, write, buffer.length, options.limit, draft)
      await file.#grow(buffer.length)
      // Also what a place without write-through was given.
      await draft.sync()
      await folder.replace(`${name}.new`, name)
      await folder.sync()
    } catch (error) {
      await draft.close()
      throw error
    }
    return { file, chain }
  }

  /** Resolves when everything is on the disk. At most one call at a time. */
  async write(pieces: readonly Uint8Array[]): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken
    let bytes = 0
    for (const piece of pieces) bytes += piece.length
    while (this.place + bytes > this.#room) await (this.#growing ?? this.#grow(this.place + bytes))
    await this.#file.write(pieces, this.place)
    if (this.#file.writeThrough !== true) await this.#file.sync()
    this.place += bytes
    if (this.#room - this.place < step / 2 && this.#room < this.limit && this.#growing === undefined) {
      this.#growing = this.#grow(this.place).finally(() => {
        this.#growing = undefined
      })
      // A full disk is told to the write that needs the room; after any other failure there is no next write.
      this.#growing.catch((error: unknown) => {
        if (!isFull(error)) this.#broken = error
      })
    }
  }

  /** Ends it: the log goes on in a segment that is there already. Gives back the room that was not used. */
  async seal(chain: Chain): Promise<void> {
    await this.#growing?.catch(() => undefined)
    await sealSegment(this.#file, this.place, this.salt, chain)
    await this.#file.close()
  }

  async close(): Promise<void> {
    await this.#growing?.catch(() => undefined)
    await this.#file.close()
  }

  async #grow(least: number): Promise<void> {
    const until = Math.max(least, Math.min(this.limit, this.#room + step))
    // To the end of a page of the disk.
    const bytes = Math.ceil(until / 4_096) * 4_096 - this.#room
    const pieces: Uint8Array[] = []
    for (let left = bytes; left > 0; left -= zeros.length) pieces.push(zeros.subarray(0, Math.min(left, zeros.length)))
    await this.#file.write(pieces, this.#room)
    if (this.#file.writeThrough !== true) await this.#file.sync()
    this.#room += bytes
  }
}

/** Cuts a segment behind its last record and says there that the log goes on in the next one. */
export async function sealSegment(file: LogFile, place: number, salt: number, chain: Chain): Promise<void> {
  await file.truncate(place)
  const buffer = new RecordBuffer(recordHead)
  buffer.put(RecordType.continued, 0, new Uint8Array(0))
  buffer.seal(place, salt, chain, true)
  await file.write([buffer.view()], place)
  await file.sync()
}

export function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
}

const zeros = new Uint8Array(65_536)
