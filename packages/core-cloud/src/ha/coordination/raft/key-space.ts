import { CloudError } from '../../../kernel/errors.js'
import type { KeyChange, KeyEntry } from '../../coordination.js'
import { isBelow, maxListed } from '../checks.js'
import type { LogicalTime, Timed } from './logical-time.js'

/** Never changed, but replaced: a snapshot may hold on to it. */
interface Row extends KeyEntry {
  readonly life: Timed | undefined
}

export interface KeyLimits {
  /** Default 100_000. */
  readonly maxKeys: number
  /** Of keys and values together, default 64 MiB. */
  readonly maxBytes: number
  /** Changes that are kept for watchers, default 10_000 and 16 MiB. */
  readonly maxChanges: number
  readonly maxChangeBytes: number
}

/** Keys and values: part of the state machine. Revisions are indexes of the log. */
export class KeySpace {
  readonly #time: LogicalTime
  readonly #limits: KeyLimits
  readonly #rows = new Map<string, Row>()
  /** Keys with a lifetime. */
  readonly #timed = new Set<string>()
  #bytes = 0
  /** The latest changes, oldest first: the same for everybody who reads, not part of a snapshot. */
  #changes: KeyChange[] = []
  #changeBytes = 0
  #compacted = 0
  #dropped = 0

  constructor(time: LogicalTime, limits: KeyLimits) {
    this.#time = time
    this.#limits = limits
  }

  get size(): number {
    return this.#rows.size
  }

  get timed(): number {
    return this.#timed.size
  }

  get(key: string): KeyEntry | undefined {
    const row = this.#rows.get(key)
    return row === undefined ? undefined : entryOf(row)
  }

  /** @throws CloudError `core.ha.full` beyond what `list` may give. */
  list(folder: string | undefined): readonly KeyEntry[] {
    const entries: KeyEntry[] = []
    for (const row of this.#rows.values()) {
      if (!isBelow(row.key, folder)) continue
      if (entries.length === maxListed)
        throw new CloudError('core.ha.full', `more than ${maxListed} keys: list a folder`, { field: 'folder' })
      entries.push(entryOf(row))
    }
    return entries.sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  /** @throws CloudError `core.ha.conflict`, `core.ha.full`. */
  put(key: string, value: Uint8Array, expect: number | undefined, ttlMs: number | undefined, index: number): void {
    const before = this.#expected(key, expect)
    const { maxKeys, maxBytes } = this.#limits
    const bytes = this.#bytes + sizeOf(key, value) - (before === undefined ? 0 : sizeOf(key, before.value))
    if (before === undefined && this.#rows.size >= maxKeys)
      throw new CloudError('core.ha.full', `${maxKeys} keys are kept already`, { field: 'key' })
    if (bytes > maxBytes)
      throw new CloudError('core.ha.full', `all keys may have ${maxBytes} bytes`, { field: 'value' })
    const life = ttlMs === undefined ? undefined : { ttlMs, touched: index, due: undefined }
    this.#store({ key, value, revision: index, life })
    this.#note({ kind: 'put', key, value, revision: index })
  }

  /** @returns whether it was there. @throws CloudError `core.ha.conflict`. */
  delete(key: string, expect: number | undefined, index: number): boolean {
    if (this.#expected(key, expect) === undefined) return false
    this.#drop(key)
    this.#note({ kind: 'delete', key, revision: index })
    return true
  }

  /** Time has passed. */
  advance(seen: number, index: number): void {
    for (const key of [...this.#timed]) {
      const row = this.#rows.get(key) as Row
      const life = row.life as Timed
      const due = this.#time.dueOf(life, seen)
      if (due !== undefined && due <= this.#time.now) this.delete(key, undefined, index)
      else if (due !== life.due) this.#store({ ...row, life: { ...life, due } })
    }
  }

  /**
   * The next changes behind a revision, of whole commands.
   * @throws CloudError `core.ha.compacted` when some of them are not kept any more.
   */
  after(revision: number, folder: string | undefined): readonly KeyChange[] {
    if (revision < this.#compacted)
      throw new CloudError('core.ha.compacted', `changes behind revision ${revision} are not kept any more`, {
        field: 'from',
        details: { oldest: this.#compacted },
      })
    let [low, high] = [this.#dropped, this.#changes.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#changes[middle] as KeyChange).revision <= revision) low = middle + 1
      else high = middle
    }
    return this.#changes.slice(low).filter(({ key }) => isBelow(key, folder))
  }

  *save(): Generator<Row, void> {
    yield* this.#rows.values()
  }

  load(row: Row): void {
    this.#store(row)
  }

  /** @param index - of the snapshot that is loaded next: what was before is not known here. */
  clear(index: number): void {
    this.#rows.clear()
    this.#timed.clear()
    this.#bytes = 0
    this.#changes = []
    this.#changeBytes = 0
    this.#dropped = 0
    this.#compacted = index
  }

  #expected(key: string, expect: number | undefined): Row | undefined {
    const row = this.#rows.get(key)
    const revision = row?.revision ?? 0
    if (expect === undefined || expect === revision) return row
    throw new CloudError('core.ha.conflict', `${key} has revision ${revision}, not ${expect}`, {
      field: 'expect',
      details: { revision },
    })
  }

  #store(row: Row): void {
    this.#drop(row.key)
    this.#rows.set(row.key, row)
    this.#bytes += sizeOf(row.key, row.value)
    if (row.life !== undefined) this.#timed.add(row.key)
  }

  #drop(key: string): void {
    const row = this.#rows.get(key)
    if (row === undefined) return
    this.#bytes -= sizeOf(key, row.value)
    this.#rows.delete(key)
    this.#timed.delete(key)
  }

  #note(change: KeyChange): void {
    this.#changes.push(change)
    this.#changeBytes += changeSize(change)
    const { maxChanges, maxChangeBytes } = this.#limits
    while (this.#changes.length - this.#dropped > maxChanges || this.#changeBytes > maxChangeBytes) {
      const oldest = this.#changes[this.#dropped] as KeyChange
      this.#changeBytes -= changeSize(oldest)
      this.#compacted = oldest.revision
      this.#dropped += 1
    }
    // Moving them all for each one that goes would cost more than the change itself.
    if (this.#dropped < maxChanges) return
    this.#changes = this.#changes.slice(this.#dropped)
    this.#dropped = 0
  }
}

function entryOf({ key, value, revision }: Row): KeyEntry {
  return { key, value: Uint8Array.prototype.slice.call(value), revision }
}

function sizeOf(key: string, value: Uint8Array): number {
  return key.length + value.length + 64
}

function changeSize(change: KeyChange): number {
  return sizeOf(change.key, change.kind === 'put' ? change.value : new Uint8Array(0))
}
