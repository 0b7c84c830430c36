import { CloudError } from '../../kernel/errors.js'
import type { LogFile, LogFolder } from '../../kernel/files/files.js'
import { checkRecord, RecordError, recordHead } from './record.js'

const columns = 4
const chunkBytes = 1_048_576

/**
 * One file of a stream's log and where its messages are. Takes 24 bytes of memory for a message (up to 39 just after
 * the table grew): sequence, place, size and subject as four bytes each, the time as eight.
 */
export class Segment {
  /** Rows of messages that are not forgotten. */
  live = 0
  /** Bytes of their records. */
  liveBytes = 0
  /** Waiting messages that are in this file. */
  laters = 0
  /** Epoch milliseconds of the newest message with an id: the file is kept until the id may be forgotten. */
  newestId = 0
  /** Bytes of the file that are good. */
  size = 0
  #rows = new Uint32Array(columns * 64)
  #times = new Float64Array(64)
  #count = 0

  constructor(
    readonly name: string,
    readonly file: LogFile,
    /** No message in it or behind it has a smaller sequence. */
    readonly base: number,
  ) {}

  get count(): number {
    return this.#count
  }

  add(sequence: number, place: number, size: number, time: number, subject: number): void {
    const at = this.#count * columns
    if (at === this.#rows.length) {
      const room = Math.ceil(this.#count * 1.6)
      const rows = new Uint32Array(room * columns)
      rows.set(this.#rows)
      this.#rows = rows
      const times = new Float64Array(room)
      times.set(this.#times)
      this.#times = times
    }
    const rows = this.#rows
    rows[at] = sequence - this.base
    rows[at + 1] = place
    rows[at + 2] = size
    rows[at + 3] = subject
    this.#times[this.#count] = time
    this.#count += 1
    this.live += 1
    this.liveBytes += size
  }

  /** Row of a sequence, whether forgotten or not, or of the first one behind it; `count` when there is none. */
  rowAt(sequence: number): number {
    const wanted = sequence - this.base
    if (wanted <= 0) return 0
    // Without holes, which is the rule, the row is known at once.
    if (wanted < this.#count && this.#rows[wanted * columns] === wanted) return wanted
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#rows[middle * columns] as number) < wanted) low = middle + 1
      else high = middle
    }
    return low
  }

  sequence(row: number): number {
    return this.base + (this.#rows[row * columns] as number)
  }

  /** 0: forgotten. */
  place(row: number): number {
    return this.#rows[row * columns + 1] as number
  }

  bytes(row: number): number {
    return this.#rows[row * columns + 2] as number
  }

  time(row: number): number {
    return this.#times[row] as number
  }

  subject(row: number): number {
    return this.#rows[row * columns + 3] as number
  }

  forget(row: number): void {
    this.#rows[row * columns + 1] = 0
    this.live -= 1
    this.liveBytes -= this.bytes(row)
  }
}

/** A file of records. */
export interface Scan {
  readonly folder: LogFolder
  readonly name: string
  readonly file: LogFile
  readonly size: number
  /**
   * True for the newest file: what a killed process had not written to its end is not an error there. Anything else
   * that is not a good record is.
   */
  readonly last: boolean
}

/**
 * Reads a file's records in order.
 * @returns bytes of the file that are good.
 * @throws CloudError `core.bus.corrupt` with file and place.
 */
export async function scanRecords(
  scan: Scan,
  each: (content: Buffer, place: number, size: number) => void,
): Promise<number> {
  const { file, size } = scan
  let base = 0
  let buffer = await file.read(0, Math.min(size, chunkBytes))
  let at = 0
  for (;;) {
    const end = checkRecord(buffer, at, base)
    if (typeof end === 'number') {
      try {
        each(buffer.subarray(at + recordHead, end), base + at, end - at)
      } catch (error) {
        if (error instanceof RecordError) throw corrupt(scan, base + at, error.message)
        throw error
      }
      at = end
    } else if (end === 'cut' && base + buffer.length < size) {
      // More of the file, at least one whole record.
      const length = buffer.length - at >= 4 ? buffer.readUInt32BE(at) + recordHead : 0
      base += at
      buffer = await file.read(base, Math.min(size - base, Math.max(chunkBytes, length)))
      at = 0
      if (buffer.length === 0) throw corrupt(scan, base, 'it is shorter than it was')
    } else if (base + at === size) {
      return size
    } else {
      const torn = scan.last && !(await somethingGoodBehind(scan, base + at + 1))
      if (!torn) throw corrupt(scan, base + at, `a wrong ${end === 'cut' ? 'end' : end}`)
      return base + at
    }
  }
}

/** True when a good record begins anywhere behind: then what is wrong before it was not an unfinished write. */
async function somethingGoodBehind({ file, size }: Scan, from: number): Promise<boolean> {
  const rest = await file.read(from, Math.max(0, Math.min(size - from, 64 * chunkBytes)))
  for (let at = 0; at + recordHead < rest.length; at++) {
    // No record is so long that the first byte of its length is not 0.
    if ((rest[at] as number) === 0 && typeof checkRecord(rest, at, from) === 'number') return true
  }
  return false
}

function corrupt({ folder, name, size }: Scan, place: number, reason: string): CloudError {
  const path = `${folder.path}/${name}`
  const advice = `Restore the file, or cut it to ${place} bytes, which loses what is behind`
  return new CloudError('core.bus.corrupt', `${path} is damaged at byte ${place} of ${size}: ${reason}. ${advice}`, {
    details: { file: path, place, reason },
  })
}
