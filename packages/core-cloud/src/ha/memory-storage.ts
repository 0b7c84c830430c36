import { createHash } from 'node:crypto'
import { CloudError } from '../kernel/errors.js'
import type { Recovered } from './raft/raft-core.js'
import type { AppendWork, Entry, HardState, Membership, SnapshotMark } from './raft/types.js'
import type { GroupId, RaftStorage, SnapshotInlet, StoredSnapshot } from './storage.js'

interface KeptSnapshot {
  readonly mark: SnapshotMark
  readonly data: Buffer
  readonly sha256: Buffer
}

interface KeptGroup {
  hardState: HardState
  mark: SnapshotMark
  /** Behind `mark`. */
  entries: Entry[]
  /** Ascending, at most two. */
  snapshots: KeptSnapshot[]
  partial: PartialSnapshot | undefined
}

interface PartialSnapshot {
  readonly mark: SnapshotMark
  readonly bytes: number
  readonly sha256: Uint8Array
  chunks: Uint8Array[]
  received: number
}

/** What storages in memory leave behind when they are closed or cut off: hand it to the next one. */
export class MemoryHome {
  readonly groups = new Map<GroupId, KeptGroup>()
}

/**
 * Keeps groups in memory: for tests, for simulations, and for groups that need not outlive their process. Works count
 * as durable one turn of the microtask queue after they came.
 */
export class MemoryStorage implements RaftStorage {
  readonly failed: Promise<Error>
  readonly #home: MemoryHome
  readonly #handedOut = new Set<GroupId>()
  readonly #queue: (() => void)[] = []
  /** Of groups with works in the queue: the last index when they are done. */
  readonly #last = new Map<GroupId, number>()
  #running = false
  #ended = false
  #fail: (error: Error) => void = () => undefined

  constructor(home = new MemoryHome()) {
    this.#home = home
    this.failed = new Promise(resolve => {
      this.#fail = resolve
    })
  }

  get groups(): readonly GroupId[] {
    return [...this.#home.groups.keys()].toSorted((a, b) => a - b)
  }

  recovered(group: GroupId): Recovered | undefined {
    const kept = this.#home.groups.get(group)
    if (kept === undefined) return undefined
    const entries = this.#handedOut.has(group) ? [] : [...kept.entries]
    this.#handedOut.add(group)
    const last = kept.mark.index + kept.entries.length
    const commit = Math.max(kept.mark.index, Math.min(kept.hardState.commit, last))
    return { hardState: { ...kept.hardState, commit }, snapshot: kept.mark, entries }
  }

  async create(group: GroupId, first: Membership): Promise<Recovered> {
    this.#checkOpen()
    checkGroup(group)
    if (this.#home.groups.has(group)) throw groupExists(group)
    const hardState = { term: 0, vote: 0, commit: 0 }
    const mark = { index: 0, term: 0, membership: first }
    this.#home.groups.set(group, { hardState, mark, entries: [], snapshots: [], partial: undefined })
    this.#handedOut.add(group)
    return { hardState, snapshot: mark, entries: [] }
  }

  append(group: GroupId, work: AppendWork, done: () => void): void {
    this.#checkOpen()
    const kept = this.#group(group)
    const before = work.snapshot?.index ?? this.#last.get(group) ?? kept.mark.index + kept.entries.length
    const first = work.entries[0]?.index ?? before + 1
    if (first > before + 1) throw gap(first, before)
    this.#last.set(group, work.entries.at(-1)?.index ?? before)
    this.#queue.push(() => {
      if (work.snapshot !== undefined) {
        kept.mark = work.snapshot
        kept.entries = []
      }
      if (work.hardState !== undefined) kept.hardState = work.hardState
      replaceEntries(kept, work.entries)
      done()
    })
    if (this.#running) return
    this.#running = true
    queueMicrotask(() => this.#run())
  }

  async saveSnapshot(group: GroupId, mark: SnapshotMark, state: AsyncIterable<Uint8Array>): Promise<void> {
    this.#checkOpen()
    const kept = this.#group(group)
    const chunks: Uint8Array[] = []
    for await (const chunk of state) chunks.push(Buffer.from(chunk))
    this.#checkOpen()
    this.#run()
    if (mark.index <= kept.mark.index) return
    const data = Buffer.concat(chunks)
    keepSnapshot(kept, { mark, data, sha256: createHash('sha256').update(data).digest() })
    kept.entries = kept.entries.filter(({ index }) => index > mark.index)
    kept.mark = mark
  }

  async openSnapshot(group: GroupId): Promise<StoredSnapshot | undefined> {
    this.#checkOpen()
    const newest = this.#group(group).snapshots.at(-1)
    if (newest === undefined) return undefined
    const { mark, data, sha256 } = newest
    return {
      mark,
      bytes: data.length,
      sha256,
      async read(position, length) {
        return Buffer.from(data.subarray(position, position + length))
      },
      async [Symbol.asyncDispose]() {},
    }
  }

  async receiveSnapshot(group: GroupId, mark: SnapshotMark, bytes: number, sha256: Uint8Array): Promise<SnapshotInlet> {
    this.#checkOpen()
    const kept = this.#group(group)
    if (kept.partial === undefined || !samePlace(kept.partial, mark, bytes, sha256)) {
      kept.partial = { mark, bytes, sha256: Buffer.from(sha256), chunks: [], received: 0 }
    }
    return new MemoryInlet(kept, kept.partial)
  }

  async remove(group: GroupId): Promise<void> {
    this.#checkOpen()
    this.#run()
    this.#home.groups.delete(group)
  }

  async close(): Promise<void> {
    if (!this.#ended) this.#run()
    this.#ended = true
  }

  /** For tests: as if the process had been killed. Works that were not done are lost. */
  cut(): void {
    this.#ended = true
    this.#queue.length = 0
  }

  /** For tests: the disk fails. */
  fail(error: Error): void {
    this.cut()
    this.#fail(error)
  }

  #run(): void {
    for (let turn = this.#queue.shift(); turn !== undefined; turn = this.#queue.shift()) turn()
    this.#last.clear()
    this.#running = false
  }

  #group(group: GroupId): KeptGroup {
    const kept = this.#home.groups.get(group)
    if (kept === undefined) throw unknownGroup(group)
    return kept
  }

  #checkOpen(): void {
    if (this.#ended) throw storageEnded()
  }
}

class MemoryInlet implements SnapshotInlet {
  constructor(
    readonly kept: KeptGroup,
    readonly partial: PartialSnapshot,
  ) {}

  get received(): number {
    return this.partial.received
  }

  async write(chunk: Uint8Array): Promise<void> {
    const { partial } = this
    if (partial.received + chunk.length > partial.bytes) throw tooLong(partial.bytes)
    partial.chunks.push(Buffer.from(chunk))
    partial.received += chunk.length
  }

  async finish(): Promise<void> {
    const { kept, partial } = this
    kept.partial = undefined
    const data = Buffer.concat(partial.chunks)
    const sha256 = createHash('sha256').update(data).digest()
    if (data.length !== partial.bytes || !sha256.equals(partial.sha256)) throw wrongSnapshot(partial.mark)
    keepSnapshot(kept, { mark: partial.mark, data, sha256 })
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function replaceEntries(kept: KeptGroup, entries: readonly Entry[]): void {
  const first = entries[0]
  if (first === undefined) return
  const place = first.index - kept.mark.index - 1
  // What a snapshot covers already came late; it is not needed any more.
  if (place < 0) replaceEntries(kept, entries.slice(-place))
  else {
    kept.entries.length = place
    for (const entry of entries) kept.entries.push(entry)
  }
}

function keepSnapshot(kept: KeptGroup, snapshot: KeptSnapshot): void {
  const others = kept.snapshots.filter(({ mark }) => mark.index !== snapshot.mark.index)
  kept.snapshots = [...others, snapshot].toSorted((a, b) => a.mark.index - b.mark.index).slice(-2)
}

function samePlace(partial: PartialSnapshot, mark: SnapshotMark, bytes: number, sha256: Uint8Array): boolean {
  const sameMark = partial.mark.index === mark.index && partial.mark.term === mark.term
  return sameMark && partial.bytes === bytes && Buffer.compare(partial.sha256, sha256) === 0
}

// ---- what every storage says

/** @throws RangeError. */
export function checkGroup(group: GroupId): void {
  if (!Number.isInteger(group) || group < 1 || group > 0xffff_ffff) {
    throw new RangeError(`${group} is no group: an integer from 1 to 2^32 - 1`)
  }
}

export const groupExists = (group: GroupId): Error => new RangeError(`group ${group} is there already`)
export const unknownGroup = (group: GroupId): Error => new RangeError(`group ${group} was never made here`)
export const gap = (index: number, last: number): Error => new RangeError(`entry ${index} follows ${last}`)

export function storageEnded(cause?: Error): CloudError {
  const reason = cause === undefined ? 'the storage is closed' : `the disk failed: ${cause.message}`
  return new CloudError('core.ha.stopped', reason, cause === undefined ? {} : { cause })
}

export function wrongSnapshot({ index }: SnapshotMark): CloudError {
  return new CloudError('core.ha.corrupt', `the snapshot of ${index} that arrived is not the one that was sent`)
}

export function tooLong(bytes: number): CloudError {
  return new CloudError('core.ha.corrupt', `more arrived than the ${bytes} bytes that the snapshot was said to have`)
}
