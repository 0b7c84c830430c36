import { CloudError } from '../../kernel/errors.js'
import type { LogFile, LogFolder } from '../../kernel/files/files.js'
import { checkStreamConfig, deadSuffix, type FullStreamConfig } from '../stream/stream-checks.js'
import type { StreamConfig } from '../stream.js'
import { jsonRecord, RecordError, RecordType, readJson, readMessage, seal } from './record.js'
import { Segment, scanRecords } from './segment.js'
import { type Purge, StreamIndex } from './stream-index.js'

const format = 1

/** First record of every file of a log. */
export interface SegmentHead {
  readonly base: number
  /** Messages before are forgotten. */
  readonly first: number
  readonly lastLater: number
  /** The file takes the place of others, up to the one with this base. */
  readonly coversTo: number
  readonly config: FullStreamConfig
}

export const segmentName = (base: number): string => `${String(base).padStart(16, '0')}.log`

export function segmentHead(head: SegmentHead): Buffer {
  const record = jsonRecord(RecordType.segment, { format, ...head })
  seal(record, 0, record.length, 0)
  return record
}

/** Makes a new, empty file. */
export async function makeSegment(folder: LogFolder, head: SegmentHead, sync: boolean): Promise<Segment> {
  const name = segmentName(head.base)
  const file = await folder.open(name)
  const record = segmentHead(head)
  try {
    // Left by an attempt that failed.
    if (file.size > 0) await file.truncate(0)
    await file.write([record], 0)
    if (sync) {
      await file.sync()
      await folder.sync()
    }
  } catch (error) {
    await file.close()
    throw error
  }
  const segment = new Segment(name, file, head.base)
  segment.size = record.length
  return segment
}

/**
 * Reads a stream's files.
 * @returns undefined when the stream's making never ended.
 * @throws CloudError `core.bus.corrupt`.
 */
export async function readSegments(folder: LogFolder): Promise<StreamIndex | undefined> {
  const opened: LogFile[] = []
  try {
    return await readAll(folder, opened)
  } catch (error) {
    for (const file of opened) await file.close()
    throw error
  }
}

async function readAll(folder: LogFolder, opened: LogFile[]): Promise<StreamIndex | undefined> {
  const names: string[] = []
  for (const name of (await folder.list()).toSorted()) {
    if (name.endsWith('.new')) await folder.remove(name)
    else if (/^\d{16}\.log$/.test(name)) names.push(name)
  }
  let index: StreamIndex | undefined
  let covered = 0
  for (const [at, name] of names.entries()) {
    if (Number(name.slice(0, 16)) <= covered) {
      await folder.remove(name)
      continue
    }
    const last = at === names.length - 1
    const file = await folder.open(name)
    opened.push(file)
    const segment = new Segment(name, file, Number(name.slice(0, 16)))
    let head: SegmentHead | undefined
    segment.size = await scanRecords({ folder, name, file, size: file.size, last }, (content, place, size) => {
      if (head === undefined) {
        head = readHead(content, segment.base)
        covered = head.coversTo
        if (index === undefined) index = new StreamIndex(head.config)
        else if (JSON.stringify(index.config) !== JSON.stringify(head.config)) index.reconfigure(head.config)
        index.segments.push(segment)
        index.startAt(head.first)
        index.last = Math.max(index.last, head.base - 1)
        index.lastLater = Math.max(index.lastLater, head.lastLater)
      } else apply(index as StreamIndex, segment, content, place, size)
    })
    if (segment.size < file.size) await file.truncate(segment.size)
    if (head !== undefined) continue
    // A file without its first record was being made when the process ended: nothing can be in it.
    opened.pop()
    await file.close()
    await folder.remove(name)
  }
  return index
}

function apply(index: StreamIndex, segment: Segment, content: Buffer, place: number, size: number): void {
  switch (content[0]) {
    case RecordType.message: {
      const record = readMessage(content)
      if (record.sequence <= index.last) throw new RecordError('a sequence that was there before')
      index.message(record, segment, place, size)
      return
    }
    case RecordType.later:
      index.later(readMessage(content), segment, place, size)
      return
    case RecordType.config:
      index.reconfigure(readConfig(readJson(content).config))
      return
    case RecordType.purge:
      index.purge(readPurge(readJson(content)))
      return
    default:
      throw new RecordError('a record of an unknown type')
  }
}

function readHead(content: Buffer, base: number): SegmentHead {
  if (content[0] !== RecordType.segment) throw new RecordError('a file that does not begin with its head')
  const head = readJson(content)
  if (head.format !== format) {
    throw new CloudError(
      'core.kernel.data-too-new',
      `a log of format ${String(head.format)}; this version reads ${format}`,
    )
  }
  if (head.base !== base) throw new RecordError('a file under the name of another')
  const number = (value: unknown): number => {
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw new RecordError('a head with a wrong number')
    return value as number
  }
  return {
    base,
    first: number(head.first),
    lastLater: number(head.lastLater),
    coversTo: number(head.coversTo),
    config: readConfig(head.config),
  }
}

/** Streams of the server itself have names and subjects that users' have not. */
export function checkOwnConfig(config: StreamConfig): FullStreamConfig {
  const { name } = config
  if (typeof name !== 'string') return checkStreamConfig(config)
  const plain = name.startsWith('kv.') ? name.slice(3) : name.endsWith(deadSuffix) ? name.slice(0, -5) : name
  return { ...checkStreamConfig({ ...config, name: plain === '' ? name : plain }), name }
}

function readConfig(value: unknown): FullStreamConfig {
  try {
    return checkOwnConfig(value as StreamConfig)
  } catch (cause) {
    throw new RecordError('a configuration that is none', { cause })
  }
}

function readPurge(value: Readonly<Record<string, unknown>>): Purge {
  const numbers = (list: unknown): boolean =>
    list === undefined || (Array.isArray(list) && list.every(Number.isSafeInteger))
  const { subject, below, sequences, laters } = value
  const good =
    (subject === undefined || typeof subject === 'string') &&
    (below === undefined || Number.isSafeInteger(below)) &&
    numbers(sequences) &&
    numbers(laters)
  if (!good) throw new RecordError('a purge that is none')
  return value as Purge
}
