import { appendFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../kernel/clock.js'
import { CloudError } from '../kernel/errors.js'
import { checkLimit, checkNames, matcher, maxPageChars, parseLogLine } from './log-line.js'
import type { LogPage, LogQuery, LogStore, StoredLogRecord } from './log-store.js'
import { type ReadBudget, reverseLines } from './reverse-lines.js'

export interface FileLogStoreOptions {
  /** Folder with one folder a site, in which each instance has `<instance>.jsonl`, `<instance>.1.jsonl` ... */
  readonly dir: string
  readonly clock: Clock
  /** Bytes after which a file is rotated; default 8 MiB. */
  readonly maxFileBytes?: number
  /** Files per instance, the current one included; default 3. */
  readonly filesPerInstance?: number
  /** Bytes that the files of dead instances of a site may have together; default 64 MiB. */
  readonly maxDeadBytes?: number
  /** Bytes one search may read; default 64 MiB. */
  readonly maxSearchBytes?: number
  /** Milliseconds a line may wait in memory; default 500. */
  readonly flushMs?: number
}

/** Characters that may wait in memory per instance; beyond it lines are dropped (the disk does not keep up). */
const maxPendingChars = 4 * 1024 * 1024
const flushChars = 64 * 1024

interface Writer {
  lines: string[]
  chars: number
  bytes: number | undefined
  cancelTimer: (() => void) | undefined
  /** Writes run one after another. */
  tail: Promise<void>
}

/** Lines in files that a person can read with `tail -f`. */
export function fileLogStore(options: FileLogStoreOptions): LogStore {
  return new FileLogStore(options)
}

class FileLogStore implements LogStore {
  readonly #options: Required<FileLogStoreOptions>
  readonly #writers = new Map<string, Map<string, Writer>>()
  #dropped = 0

  constructor(options: FileLogStoreOptions) {
    this.#options = {
      maxFileBytes: 8 * 1024 * 1024,
      filesPerInstance: 3,
      maxDeadBytes: 64 * 1024 * 1024,
      maxSearchBytes: 64 * 1024 * 1024,
      flushMs: 500,
      ...options,
    }
  }

  get dropped(): number {
    return this.#dropped
  }

  append(site: string, instance: string, line: string, stream?: 'stdout' | 'stderr'): void {
    checkNames(site, instance)
    const writer = this.#writer(site, instance)
    const now = this.#options.clock.now()
    const {
      instance: _,
      fields,
      ...record
    } = parseLogLine(line, { instance, now, ...(stream === undefined ? {} : { stream }) })
    const text = `${JSON.stringify({ ...fields, ...record })}\n`
    if (writer.chars + text.length > maxPendingChars) {
      this.#dropped += 1
      return
    }
    writer.lines.push(text)
    writer.chars += text.length
    if (writer.chars >= flushChars) void this.#flush(site, instance, writer)
    else
      writer.cancelTimer ??= this.#options.clock.after(
        this.#options.flushMs,
        () => void this.#flush(site, instance, writer),
      )
  }

  async close(site: string, instance: string): Promise<void> {
    checkNames(site, instance)
    const writer = this.#writers.get(site)?.get(instance)
    if (writer !== undefined) {
      await this.#flush(site, instance, writer)
      if (writer.chars === 0) this.#writers.get(site)?.delete(instance)
    }
    await this.#prune(site)
  }

  async search(query: LogQuery): Promise<LogPage> {
    checkNames(query.site, query.instance)
    checkLimit(query.limit)
    await this.#flushSite(query.site)
    const files = await this.#files(query.site)
    const instances = [...files.keys()].filter(id => query.instance === undefined || id === query.instance)
    const budget: ReadBudget = { bytes: this.#options.maxSearchBytes }
    const streams = instances.map(id => this.#newestFirst(query, id, files.get(id) ?? [], budget))
    const records: StoredLogRecord[] = []
    let chars = 0
    for await (const { record, size } of mergeNewestFirst(streams)) {
      records.push(record)
      chars += size
      if (records.length >= query.limit || chars >= maxPageChars) return { records, complete: true }
    }
    return { records, complete: budget.bytes > 0 }
  }

  async remove(site: string): Promise<void> {
    checkNames(site)
    await this.#flushSite(site)
    this.#writers.delete(site)
    await rm(join(this.#options.dir, site), { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const site of [...this.#writers.keys()]) await this.#flushSite(site)
    this.#writers.clear()
  }

  #writer(site: string, instance: string): Writer {
    const writers = this.#writers.get(site) ?? new Map<string, Writer>()
    this.#writers.set(site, writers)
    const writer = writers.get(instance) ?? {
      lines: [],
      chars: 0,
      bytes: undefined,
      cancelTimer: undefined,
      tail: Promise.resolve(),
    }
    writers.set(instance, writer)
    return writer
  }

  async #flushSite(site: string): Promise<void> {
    const writers = [...(this.#writers.get(site) ?? [])]
    await Promise.all(writers.map(([instance, writer]) => this.#flush(site, instance, writer)))
  }

  #flush(site: string, instance: string, writer: Writer): Promise<void> {
    writer.cancelTimer?.()
    writer.cancelTimer = undefined
    writer.tail = writer.tail.then(() => this.#write(site, instance, writer))
    return writer.tail
  }

  async #write(site: string, instance: string, writer: Writer): Promise<void> {
    if (writer.lines.length === 0) return
    const text = writer.lines.join('')
    const lines = writer.lines.length
    writer.lines = []
    writer.chars = 0
    const path = this.#path(site, instance, 0)
    try {
      await mkdir(join(this.#options.dir, site), { recursive: true, mode: 0o700 })
      writer.bytes ??= await sizeOf(path)
      if (writer.bytes >= this.#options.maxFileBytes) {
        await this.#rotate(site, instance)
        writer.bytes = 0
      }
      await appendFile(path, text, { mode: 0o600 })
      writer.bytes += Buffer.byteLength(text)
    } catch {
      // The store cannot log its own trouble into itself; the count is what tells it.
      this.#dropped += lines
      writer.bytes = undefined
    }
  }

  async #rotate(site: string, instance: string): Promise<void> {
    const last = this.#options.filesPerInstance - 1
    await rm(this.#path(site, instance, last), { force: true })
    for (let index = last - 1; index >= 0; index--) {
      const from = this.#path(site, instance, index)
      if ((await sizeOf(from)) > 0) await rename(from, this.#path(site, instance, index + 1))
    }
  }

  #path(site: string, instance: string, index: number): string {
    return join(this.#options.dir, site, index === 0 ? `${instance}.jsonl` : `${instance}.${index}.jsonl`)
  }

  /** Paths by instance, the newest file first. */
  async #files(site: string): Promise<Map<string, string[]>> {
    const files = new Map<string, { index: number; path: string }[]>()
    for (const name of await namesIn(join(this.#options.dir, site))) {
      const parts = /^([A-Za-z0-9-]+)(?:\.(\d+))?\.jsonl$/.exec(name)
      if (parts?.[1] === undefined) continue
      const list = files.get(parts[1]) ?? []
      files.set(parts[1], list)
      list.push({ index: Number(parts[2] ?? 0), path: join(this.#options.dir, site, name) })
    }
    const ordered = [...files].map(
      ([id, list]) => [id, list.sort((a, b) => a.index - b.index).map(file => file.path)] as const,
    )
    return new Map(ordered)
  }

  async *#newestFirst(query: LogQuery, instance: string, paths: string[], budget: ReadBudget): AsyncGenerator<Found> {
    const matches = matcher(query)
    for (const path of paths) {
      for await (const line of reverseLines(path, budget)) {
        const record = parseLogLine(line, { instance, now: 0 })
        // Clocks may step back, so a line older than `since` ends the search only when it is older by a minute.
        if (query.since !== undefined && record.at < query.since - 60_000) return
        if (matches(record)) yield { record, size: line.length }
      }
    }
  }

  /** Removes the oldest files of dead instances beyond the limit of the site. */
  async #prune(site: string): Promise<void> {
    const dead: { path: string; size: number; at: number }[] = []
    for (const [id, paths] of await this.#files(site)) {
      if (this.#writers.get(site)?.has(id)) continue
      for (const path of paths) {
        const info = await stat(path).catch(() => undefined)
        if (info !== undefined) dead.push({ path, size: info.size, at: info.mtimeMs })
      }
    }
    let kept = 0
    for (const file of dead.sort((a, b) => b.at - a.at)) {
      kept += file.size
      if (kept > this.#options.maxDeadBytes) await rm(file.path, { force: true })
    }
  }
}

interface Found {
  readonly record: StoredLogRecord
  readonly size: number
}

/** Merges streams that are each newest first. */
async function* mergeNewestFirst(streams: readonly AsyncGenerator<Found>[]): AsyncGenerator<Found> {
  const heads: { stream: AsyncGenerator<Found>; found: Found }[] = []
  try {
    for (const stream of streams) {
      const { value, done } = await stream.next()
      if (done !== true) heads.push({ stream, found: value })
    }
    while (heads.length > 0) {
      const newest = heads.reduce((best, head) => (head.found.record.at > best.found.record.at ? head : best))
      yield newest.found
      const { value, done } = await newest.stream.next()
      if (done === true) heads.splice(heads.indexOf(newest), 1)
      else newest.found = value
    }
  } finally {
    await Promise.all(heads.map(head => head.stream.return(undefined)))
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isMissing(error)) return 0
    throw error
  }
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir)
  } catch (error) {
    if (isMissing(error)) return []
    throw new CloudError('core.kernel.not-writable', `cannot read the logs in ${dir}`, { cause: error })
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
