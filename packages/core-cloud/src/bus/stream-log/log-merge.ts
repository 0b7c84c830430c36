import type { LogFile, LogFolder } from '../../kernel/files/files.js'
import { jsonRecord, messageRecordBytes, RecordType, readMessage, seal, writeMessage } from './record.js'
import { Segment, scanRecords } from './segment.js'
import { type SegmentHead, segmentHead, segmentName } from './segments.js'
import type { StreamIndex } from './stream-index.js'

/**
 * Neighbouring files, the newest excepted, that would fit into one without what is forgotten in them.
 * @returns from and to (inclusive) as places in `index.segments`, or undefined when it is not worth it.
 */
export function chooseMerge(
  index: StreamIndex,
  segmentBytes: number,
  now: number,
): { readonly from: number; readonly to: number } | undefined {
  const { segments, config } = index
  let from = 0
  let live = 0
  let size = 0
  for (let to = 0; to < segments.length - 1; to++) {
    const segment = segments[to] as Segment
    const blocked = segment.newestId + config.dedupMs > now
    if (blocked || live + segment.liveBytes > segmentBytes / 2) {
      if (size - live > segmentBytes) return { from, to: to - 1 }
      from = blocked ? to + 1 : to
      live = blocked ? 0 : segment.liveBytes
      size = blocked ? 0 : segment.size
      continue
    }
    live += segment.liveBytes
    size += segment.size
  }
  return size - live > segmentBytes ? { from, to: segments.length - 2 } : undefined
}

interface Moved {
  readonly kind: 'message' | 'later'
  readonly sequence: number
  readonly place: number
  readonly size: number
}

/**
 * Writes what is still wanted of some files into one that takes their place. Messages may be forgotten meanwhile, and
 * new ones be stored behind.
 */
export async function mergeSegments(
  folder: LogFolder,
  index: StreamIndex,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<void> {
  const old = index.segments.slice(from, to + 1)
  const first = old[0] as Segment
  const name = segmentName(first.base)
  const file = await folder.open(`${name}.new`)
  const writer = new MergeWriter(file)
  const head: SegmentHead = {
    base: first.base,
    first: index.first,
    lastLater: index.lastLater,
    coversTo: (old[old.length - 1] as Segment).base,
    config: index.config,
  }
  try {
    await writer.raw(segmentHead(head))
    for (const segment of old) await copy(folder, index, segment, writer, from === 0)
    await writer.flush()
    // The old files go next: what replaces them must be on the disk before, whatever the stream's durability.
    await file.sync()
    await folder.replace(`${name}.new`, name)
    await folder.sync()
  } catch (error) {
    await file.close()
    throw error
  }
  const merged = new Segment(name, file, first.base)
  merged.size = writer.end
  moveRows(index, old, merged, writer.moved)
  index.segments.splice(index.segments.indexOf(first), old.length, merged)
  for (const segment of old) {
    await segment.file.close()
    if (segment !== first) await folder.remove(segment.name)
  }
}

async function copy(
  folder: LogFolder,
  index: StreamIndex,
  segment: Segment,
  writer: MergeWriter,
  front: boolean,
): Promise<void> {
  const contents: Buffer[] = []
  await scanRecords({ folder, name: segment.name, file: segment.file, size: segment.size, last: false }, content => {
    contents.push(Buffer.from(content))
  })
  for (const content of contents) {
    const type = content[0]
    if (type === RecordType.message) {
      const record = readMessage(content)
      if (index.exactly(record.sequence) !== undefined) await writer.message(RecordType.message, record)
      // Without it the waiting message that became this one would come back.
      else if (record.later > 0 && !front) await writer.raw(jsonRecord(RecordType.purge, { laters: [record.later] }))
    } else if (type === RecordType.later) {
      const record = readMessage(content)
      if (index.laters.has(record.sequence)) await writer.message(RecordType.later, record)
    } else if (type === RecordType.purge && !front) {
      await writer.control(content)
    }
  }
}

function moveRows(index: StreamIndex, old: readonly Segment[], merged: Segment, moved: readonly Moved[]): void {
  for (const { kind, sequence, place, size } of moved) {
    if (kind === 'later') {
      const later = index.laters.get(sequence)
      if (later === undefined) continue
      Object.assign(later, { segment: merged, place, size })
      merged.laters += 1
      continue
    }
    const found = index.exactly(sequence)
    if (found === undefined || !old.includes(found.segment)) continue
    const { segment, row } = found
    merged.add(sequence, place, size, segment.time(row), segment.subject(row))
  }
  for (const segment of old) merged.newestId = Math.max(merged.newestId, segment.newestId)
}

/** Collects records and writes them in large pieces. */
class MergeWriter {
  readonly moved: Moved[] = []
  end = 0
  readonly #file: LogFile
  #waiting: Buffer[] = []
  #waitingBytes = 0

  constructor(file: LogFile) {
    this.#file = file
  }

  async message(type: RecordType, record: ReturnType<typeof readMessage>): Promise<void> {
    const bytes = Buffer.allocUnsafe(messageRecordBytes(record))
    const end = writeMessage(bytes, 0, type, record)
    const kind = type === RecordType.later ? 'later' : 'message'
    this.moved.push({ kind, sequence: record.sequence, place: this.end, size: end })
    await this.raw(bytes.subarray(0, end))
  }

  control(content: Buffer): Promise<void> {
    return this.raw(Buffer.concat([Buffer.alloc(8), content]))
  }

  async raw(record: Buffer): Promise<void> {
    seal(record, 0, record.length, this.end)
    this.#waiting.push(record)
    this.#waitingBytes += record.length
    this.end += record.length
    if (this.#waitingBytes > 1_048_576) await this.flush()
  }

  async flush(): Promise<void> {
    const pieces = this.#waiting
    const place = this.end - this.#waitingBytes
    this.#waiting = []
    this.#waitingBytes = 0
    await this.#file.write(pieces, place)
  }
}
