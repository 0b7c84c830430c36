import type { Bucket, BucketChange, BucketEntry } from '@aaas/core-cloud/bus'
import { CloudError } from '../../kernel/errors.js'
import { checkExpect, checkName, checkPut, checkWhole, maxListed, stopped } from '../coordination/checks.js'
import type { KeyChange, KeyEntry, KeyValue, PutOptions } from '../coordination.js'
import { reaching, unlessConflict } from './bucket-errors.js'

/*
 * A value begins with one byte: 0, or 1 for a key that was deleted. A bucket does not tell a new watcher of keys that are
 * gone; our watchers, who begin at a revision, must hear of them.
 */
const gone = Buffer.from([1])
const maxTries = 16

/** Keys and values in a bucket. */
export class BucketKeys implements KeyValue {
  readonly #bucket: Bucket
  readonly #closing: AbortSignal

  constructor(bucket: Bucket, closing: AbortSignal) {
    this.#bucket = bucket
    this.#closing = closing
  }

  async get(key: string): Promise<KeyEntry | undefined> {
    checkName(key, 'key')
    const entry = await this.#read(key)
    return entry === undefined || isGone(entry.value) ? undefined : entryOf(entry)
  }

  async put(key: string, value: Uint8Array, options: PutOptions = {}): Promise<number> {
    checkPut(key, value, options)
    if (options.ttlMs !== undefined)
      throw new CloudError('core.ha.unsupported', 'keys in a bucket of NATS have no lifetime of their own', {
        field: 'ttlMs',
      })
    this.#alive()
    const stored = Buffer.concat([Buffer.from([0]), value])
    const { expect } = options
    if (expect === undefined) return await reaching('write', () => this.#bucket.put(key, stored))
    const entry = await this.#read(key)
    const present = entry === undefined || isGone(entry.value) ? 0 : entry.revision
    if (present !== expect) throw conflict(key, expect)
    const revision = await unlessConflict(() =>
      entry === undefined ? this.#bucket.create(key, stored) : this.#bucket.update(key, stored, entry.revision),
    )
    if (revision === undefined) throw conflict(key, expect)
    return revision
  }

  async delete(key: string, { expect }: Pick<PutOptions, 'expect'> = {}): Promise<boolean> {
    checkName(key, 'key')
    checkExpect(expect)
    for (let tries = 0; tries < maxTries; tries++) {
      const entry = await this.#read(key)
      const present = entry === undefined || isGone(entry.value) ? 0 : entry.revision
      if (expect !== undefined && expect !== present) throw conflict(key, expect)
      if (present === 0) return false
      if ((await unlessConflict(() => this.#bucket.update(key, gone, present))) !== undefined) return true
    }
    throw new CloudError('core.ha.overloaded', `${key} changes too often to be deleted`)
  }

  async list(folder?: string): Promise<{ readonly entries: readonly KeyEntry[]; readonly revision: number }> {
    const pattern = patternOf(folder)
    this.#alive()
    const entries = new Map<string, KeyEntry>()
    let revision = 0
    const watch = await reaching('read', () =>
      this.#bucket.watch(pattern, change => {
        // In the order of their revisions: behind the last one nothing was left out.
        revision = Math.max(revision, change.revision)
        if (change.kind === 'put' && !isGone(change.value)) entries.set(change.key, entryOf(change))
        else entries.delete(change.key)
      }),
    )
    await watch.drain()
    if (entries.size > maxListed)
      throw new CloudError('core.ha.full', `more than ${maxListed} keys: list a folder`, { field: 'folder' })
    return { entries: [...entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1)), revision }
  }

  watch(
    folder?: string,
    { from, signal }: { readonly from?: number; readonly signal?: AbortSignal } = {},
  ): AsyncIterable<KeyChange> {
    const pattern = patternOf(folder)
    if (from !== undefined) checkWhole(from, 'from', { least: 0, most: Number.MAX_SAFE_INTEGER })
    const start = from === undefined ? this.list(folder).then(({ revision }) => revision) : from
    if (typeof start !== 'number') start.catch(() => undefined)
    return this.#changes(pattern, start, signal)
  }

  async *#changes(
    pattern: string,
    start: number | Promise<number>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<KeyChange, void> {
    const from = await start
    let wake: () => void = () => undefined
    /** At most one: the bucket gives the next one when this one was taken. */
    let waiting: { readonly change: BucketChange; readonly taken: () => void } | undefined
    let over = false
    const ring = (): void => wake()
    for (const one of [signal, this.#closing]) one?.addEventListener('abort', ring)
    const opening = this.#bucket.watch(pattern, change => {
      if (over || change.revision <= from) return undefined
      return new Promise<void>(resolve => {
        waiting = { change, taken: resolve }
        ring()
      })
    })
    opening.catch(ring)
    try {
      for (;;) {
        if (this.#closing.aborted) throw stopped()
        if (signal?.aborted === true) return
        const next = take()
        if (next !== undefined) {
          yield changeOf(next)
          continue
        }
        await Promise.race([
          new Promise<void>(resolve => (wake = resolve)),
          reaching('read', () => opening).then(never),
        ])
      }
    } finally {
      over = true
      take()
      for (const one of [signal, this.#closing]) one?.removeEventListener('abort', ring)
      const watch = await opening.catch(() => undefined)
      await watch?.drain()
    }

    function take(): BucketChange | undefined {
      const taken = waiting
      waiting = undefined
      taken?.taken()
      return taken?.change
    }
  }

  #read(key: string): Promise<BucketEntry | undefined> {
    this.#alive()
    return reaching('read', () => this.#bucket.get(key))
  }

  #alive(): void {
    if (this.#closing.aborted) throw stopped()
  }
}

/** @throws CloudError `core.ha.invalid-argument`. */
function patternOf(folder: string | undefined): string {
  if (folder === undefined) return '>'
  checkName(folder, 'folder')
  return `${folder}.>`
}

function isGone(value: Uint8Array): boolean {
  return value[0] !== 0
}

function entryOf({ key, value, revision }: BucketEntry): KeyEntry {
  return { key, value: Uint8Array.prototype.slice.call(value, 1), revision }
}

function changeOf(change: BucketChange): KeyChange {
  if (change.kind === 'put' && !isGone(change.value)) return { kind: 'put', ...entryOf(change) }
  return { kind: 'delete', key: change.key, revision: change.revision }
}

function conflict(key: string, expect: number): CloudError {
  return new CloudError('core.ha.conflict', `${key} has not revision ${expect}`, { field: 'expect' })
}

const never = (): Promise<never> => new Promise(() => undefined)
