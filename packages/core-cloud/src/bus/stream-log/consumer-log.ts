import type { LogFile, LogFolder } from '../../kernel/files/files.js'
import type { Logger } from '../../kernel/logger.js'
import { checkConsumerConfig, type FullConsumerConfig } from '../stream/stream-checks.js'
import type { ConsumerConfig } from '../stream.js'
import type { Change, ConsumerState } from './consumer-core.js'
import { jsonRecord, RecordError, RecordType, readJson, recordHead, seal } from './record.js'
import { scanRecords } from './segment.js'

const fileName = 'consumers.log'
const newName = 'consumers.log.new'
/** The file is written anew when it is larger than this and than eight times what is in it. */
const leastRewriteBytes = 262_144
const changeBytes = 19

export interface StoredConsumer {
  readonly config: FullConsumerConfig
  readonly state: ConsumerState
}

interface Draft {
  config: FullConsumerConfig
  cursor: number
  readonly unsettled: Map<number, readonly [number, number, number]>
}

/**
 * The consumers of one stream on the disk: whole states, and behind them what changed. Changes of one turn are written
 * together and not waited for: what is lost with the machine comes again. When a write fails, everything is written
 * anew with the next change.
 */
export class ConsumerLog {
  readonly #folder: LogFolder
  readonly #logger: Logger
  readonly #states: () => ReadonlyMap<string, StoredConsumer>
  #file: LogFile
  #size: number
  #wholeBytes = 0
  #failed = false
  #pending = new Map<string, Change[]>()
  #whole = new Map<string, StoredConsumer | undefined>()
  #writing: Promise<void> | undefined
  #closed = false

  private constructor(
    folder: LogFolder,
    file: LogFile,
    size: number,
    options: { readonly logger: Logger; readonly states: () => ReadonlyMap<string, StoredConsumer> },
  ) {
    this.#folder = folder
    this.#file = file
    this.#size = size
    this.#logger = options.logger
    this.#states = options.states
  }

  /**
   * @param options.states - every consumer as it is when asked.
   * @throws CloudError `core.bus.corrupt`.
   */
  static async open(
    folder: LogFolder,
    options: { readonly logger: Logger; readonly states: () => ReadonlyMap<string, StoredConsumer> },
  ): Promise<{ readonly log: ConsumerLog; readonly consumers: ReadonlyMap<string, StoredConsumer> }> {
    if ((await folder.list()).includes(newName)) await folder.remove(newName)
    const file = await folder.open(fileName)
    const drafts = new Map<string, Draft>()
    const scan = { folder, name: fileName, file, size: file.size, last: true }
    const size = await scanRecords(scan, content => readRecord(drafts, content)).catch(async (error: unknown) => {
      await file.close()
      throw error
    })
    if (size < file.size) await file.truncate(size)
    const consumers = new Map<string, StoredConsumer>()
    for (const [name, { config, cursor, unsettled }] of drafts) {
      consumers.set(name, { config, state: { cursor, unsettled: [...unsettled.values()] } })
    }
    return { log: new ConsumerLog(folder, file, size, options), consumers }
  }

  /** Something changed in a consumer; written soon. */
  changed(name: string, changes: readonly Change[]): void {
    if (changes.length === 0) return
    const pending = this.#pending.get(name)
    if (pending === undefined) this.#pending.set(name, [...changes])
    else for (const change of changes) pending.push(change)
    this.#writing ??= this.#write()
  }

  /** A consumer was made, configured or (undefined) removed. Resolves when the operating system has it. */
  async replace(name: string, consumer: StoredConsumer | undefined): Promise<void> {
    this.#pending.delete(name)
    this.#whole.set(name, consumer)
    this.#writing ??= this.#write()
    await this.#writing
  }

  /** Writes what waits and closes the file. */
  async close(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing
    this.#closed = true
    await this.#file.close()
  }

  async #write(): Promise<void> {
    await Promise.resolve()
    while ((this.#pending.size > 0 || this.#whole.size > 0) && !this.#closed) {
      const records: Buffer[] = []
      for (const [name, consumer] of this.#whole) records.push(wholeRecord(name, consumer))
      for (const [name, changes] of this.#pending) records.push(progressRecord(name, changes))
      this.#whole.clear()
      this.#pending.clear()
      try {
        const large = this.#size > leastRewriteBytes && this.#size > 8 * this.#wholeBytes
        if (this.#failed || large) await this.#rewrite()
        else await this.#append(records)
        this.#failed = false
      } catch (error) {
        if (!this.#failed) this.#logger.warn('the state of consumers cannot be written', { file: fileName, error })
        this.#failed = true
        break
      }
    }
    this.#writing = undefined
  }

  async #append(records: readonly Buffer[]): Promise<void> {
    let place = this.#size
    for (const record of records) {
      seal(record, 0, record.length, place)
      place += record.length
    }
    await this.#file.write(records, this.#size)
    this.#size = place
  }

  async #rewrite(): Promise<void> {
    const records = [...this.#states()].map(([name, consumer]) => wholeRecord(name, consumer))
    let size = 0
    for (const record of records) {
      seal(record, 0, record.length, size)
      size += record.length
    }
    const file = await this.#folder.open(newName)
    try {
      if (file.size > 0) await file.truncate(0)
      await file.write(records, 0)
      await file.sync()
      await this.#folder.replace(newName, fileName)
    } catch (error) {
      await file.close()
      throw error
    }
    await this.#file.close()
    this.#file = file
    this.#size = size
    this.#wholeBytes = size
  }
}

function wholeRecord(name: string, consumer: StoredConsumer | undefined): Buffer {
  return jsonRecord(RecordType.consumer, { name, ...consumer })
}

function progressRecord(name: string, changes: readonly Change[]): Buffer {
  const record = Buffer.allocUnsafe(recordHead + 2 + name.length + changes.length * changeBytes)
  let at = recordHead
  record[at++] = RecordType.progress
  record[at++] = name.length
  at += record.write(name, at, 'latin1')
  for (const change of changes) {
    const unsettled = change.kind === 'unsettled'
    record[at++] = unsettled ? 1 : 0
    at = record.writeDoubleBE(change.sequence, at)
    at = record.writeUInt16BE(unsettled ? change.attempt : 0, at)
    at = record.writeDoubleBE(unsettled ? change.due : 0, at)
  }
  return record
}

function readRecord(drafts: Map<string, Draft>, content: Buffer): void {
  if (content[0] === RecordType.consumer) readWhole(drafts, readJson(content))
  else if (content[0] === RecordType.progress) readProgress(drafts, content)
  else throw new RecordError('a record of an unknown type')
}

function readWhole(drafts: Map<string, Draft>, { name, config, state }: Readonly<Record<string, unknown>>): void {
  if (typeof name !== 'string') throw new RecordError('a consumer without a name')
  if (config === undefined) {
    drafts.delete(name)
    return
  }
  const { cursor, unsettled } = (state ?? {}) as Partial<ConsumerState>
  const triple = (each: unknown): boolean => Array.isArray(each) && each.length === 3 && each.every(Number.isFinite)
  if (!Number.isSafeInteger(cursor) || !Array.isArray(unsettled) || !unsettled.every(triple)) {
    throw new RecordError('a consumer without a state')
  }
  let checked: FullConsumerConfig
  try {
    checked = checkConsumerConfig(config as ConsumerConfig)
  } catch (cause) {
    throw new RecordError('a consumer with a wrong configuration', { cause })
  }
  const entries = unsettled as readonly (readonly [number, number, number])[]
  drafts.set(name, {
    config: checked,
    cursor: cursor as number,
    unsettled: new Map(entries.map(each => [each[0], each])),
  })
}

function readProgress(drafts: Map<string, Draft>, content: Buffer): void {
  const nameEnd = 2 + (content[1] ?? 0)
  if ((content.length - nameEnd) % changeBytes !== 0 || nameEnd > content.length) {
    throw new RecordError('changes of a wrong length')
  }
  const draft = drafts.get(content.toString('latin1', 2, nameEnd))
  // Of a consumer that was removed in the same moment.
  if (draft === undefined) return
  for (let at = nameEnd; at < content.length; at += changeBytes) {
    const sequence = content.readDoubleBE(at + 1)
    if (!Number.isSafeInteger(sequence) || sequence < 1) throw new RecordError('a change of a wrong sequence')
    draft.cursor = Math.max(draft.cursor, sequence + 1)
    if (content[at] === 1) {
      draft.unsettled.set(sequence, [sequence, content.readUInt16BE(at + 9), content.readDoubleBE(at + 11)])
    } else draft.unsettled.delete(sequence)
  }
}
