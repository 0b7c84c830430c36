import { CloudError } from '../../kernel/errors.js'
import type { LogFile, LogFolder } from '../../kernel/files/files.js'
import { storageEnded, tooLong, wrongSnapshot } from '../memory-storage.js'
import type { SnapshotMark } from '../raft/types.js'
import type { GroupId, SnapshotInlet, StoredSnapshot } from '../storage.js'
import type { StoredMark, StoredState } from './record-body.js'
import { corrupt } from './replay.js'
import { Damage } from './scan.js'
import { isFull } from './segment-file.js'
import type { WalIdentity } from './segment-head.js'
import {
  ChunkWriter,
  checkChunks,
  chunkBytes,
  readChunk,
  readSnapshotHead,
  type SnapshotHead,
  saltOf,
  writeSnapshotHead,
} from './snapshot-file.js'

const kept = 2

/** A snapshot that is whole. */
interface Known {
  readonly mark: SnapshotMark
  readonly state: StoredState
}

interface SnapshotsOptions {
  readonly folder: LogFolder
  readonly identity: WalIdentity
  /** A sync failed: nothing may be vouched for any more. */
  readonly failed: (error: Error) => void
}

/** The snapshots of all groups of a node, a file each. */
export class Snapshots {
  readonly #options: SnapshotsOptions
  /** Ascending. */
  readonly #known = new Map<GroupId, readonly Known[]>()

  private constructor(options: SnapshotsOptions) {
    this.#options = options
  }

  /**
   * Reads the snapshots that the log begins with as a whole; changes nothing.
   * @param marks - what the log says of each group.
   * @throws CloudError `core.ha.corrupt`.
   */
  static async open(options: SnapshotsOptions, marks: ReadonlyMap<GroupId, StoredMark>): Promise<Snapshots> {
    const snapshots = new Snapshots(options)
    for (const [group, { mark, state }] of marks) {
      if (state === undefined) continue
      snapshots.#add(group, { mark, state: await checkSnapshot(options.folder, group, mark, state) })
    }
    return snapshots
  }

  /**
   * Finds older snapshots, and removes what the log knows nothing of: it is of something that did not end. Only when
   * what was read of the log is durable: otherwise a snapshot that is needed after all could go.
   */
  async tidy(marks: ReadonlyMap<GroupId, StoredMark>): Promise<void> {
    const { folder } = this.#options
    for (const name of await folder.list()) {
      const parts = partsOf(name)
      const stored = parts === undefined ? undefined : marks.get(parts.group)
      if (parts === undefined || stored === undefined || parts.kind === 'new') await folder.remove(name)
      else if (parts.kind === 'part' || name === nameOf(parts.group, stored.mark)) continue
      else if (parts.index < stored.mark.index) await this.#addOlder(name)
      else await folder.remove(name)
    }
  }

  /** The whole snapshot of this place. */
  find(group: GroupId, { index, term }: SnapshotMark): StoredState | undefined {
    return this.#known.get(group)?.find(({ mark }) => mark.index === index && mark.term === term)?.state
  }

  /** Durable when it resolves. */
  async save(group: GroupId, mark: SnapshotMark, state: AsyncIterable<Uint8Array>): Promise<StoredState> {
    const { folder, identity } = this.#options
    const name = nameOf(group, mark)
    const draft = `${name}.new`
    const file = await this.#write(() => folder.open(draft))
    try {
      const stored = await this.#write(async () => {
        if (file.size > 0) await file.truncate(0)
        const writer = new ChunkWriter(file, saltOf(group, mark))
        for await (const piece of state) await writer.write(piece)
        const written = await writer.finish()
        await writeSnapshotHead(file, { ...identity, group, mark, state: written })
        return written
      })
      await this.#publish(file, draft, name)
      this.#add(group, { mark, state: stored })
      return stored
    } catch (error) {
      await folder.remove(draft).catch(() => undefined)
      throw error
    } finally {
      await file.close()
    }
  }

  async receive(group: GroupId, mark: SnapshotMark, state: StoredState): Promise<SnapshotInlet> {
    const { folder, identity } = this.#options
    const name = `${nameOf(group, mark)}.part`
    const others = (await folder.list()).filter(other => partsOf(other)?.group === group && other.endsWith('.part'))
    for (const other of others) if (other !== name) await folder.remove(other)
    const head: SnapshotHead = { ...identity, group, mark, state }
    const file = await this.#write(() => folder.open(name))
    const writer = new ChunkWriter(file, saltOf(group, mark))
    await this.#write(async () => {
      if (file.size > 0 && (await isPartOf(file, head))) await resume(file, head, writer)
      else {
        if (file.size > 0) await file.truncate(0)
        await writeSnapshotHead(file, head)
      }
    })
    return this.#inlet(head, name, file, writer)
  }

  /** @throws CloudError `core.ha.corrupt` from `read`. */
  async newest(group: GroupId): Promise<StoredSnapshot | undefined> {
    const known = this.#known.get(group)?.at(-1)
    if (known === undefined) return undefined
    const { folder } = this.#options
    const { mark, state } = known
    const name = nameOf(group, mark)
    const file = await folder.open(name, 'read')
    const salt = saltOf(group, mark)
    return {
      mark,
      bytes: state.bytes,
      sha256: Buffer.from(state.sha256, 'hex'),
      read: (position, length) =>
        damageOf(folder, name, async () => {
          const end = Math.min(state.bytes, position + length)
          const parts: Buffer[] = []
          for (let at = position; at < end; ) {
            const chunk = Math.floor(at / chunkBytes)
            const content = await readChunk(file, chunk, state.bytes, salt)
            const part = content.subarray(at - chunk * chunkBytes, end - chunk * chunkBytes)
            parts.push(part)
            at += part.length
          }
          return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
        }),
      [Symbol.asyncDispose]: () => file.close(),
    }
  }

  /** Keeps two: the one that the log begins with, and the one before. */
  async prune(group: GroupId, { mark }: StoredMark): Promise<void> {
    const known = this.#known.get(group) ?? []
    const older = known.filter(snapshot => snapshot.mark.index <= mark.index).slice(0, -kept)
    this.#known.set(
      group,
      known.filter(snapshot => !older.includes(snapshot)),
    )
    for (const snapshot of older) await this.#options.folder.remove(nameOf(group, snapshot.mark))
  }

  async remove(group: GroupId): Promise<void> {
    this.#known.delete(group)
    const { folder } = this.#options
    for (const name of await folder.list()) if (partsOf(name)?.group === group) await folder.remove(name)
  }

  #inlet(head: SnapshotHead, name: string, file: LogFile, writer: ChunkWriter): SnapshotInlet {
    const { group, mark, state } = head
    let open = true
    const close = async (): Promise<void> => {
      if (open) await file.close()
      open = false
    }
    return {
      get received() {
        return writer.bytes
      },
      write: async chunk => {
        if (writer.bytes + chunk.length > state.bytes) throw tooLong(state.bytes)
        await this.#write(() => writer.write(chunk))
      },
      finish: async () => {
        const written = await this.#write(() => writer.finish())
        if (written.bytes !== state.bytes || written.sha256 !== state.sha256) {
          await close()
          await this.#options.folder.remove(name)
          throw wrongSnapshot(mark)
        }
        await this.#publish(file, name, nameOf(group, mark))
        this.#add(group, { mark, state })
      },
      [Symbol.asyncDispose]: close,
    }
  }

  /** Gives a file its name, when all of it is on the disk. */
  async #publish(file: LogFile, from: string, to: string): Promise<void> {
    const { folder, failed } = this.#options
    try {
      await file.sync()
      await folder.replace(from, to)
      await folder.sync()
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error(String(cause))
      failed(error)
      throw storageEnded(error)
    }
  }

  /** A full disk costs the snapshot, not the node: its log goes on. */
  async #write<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (cause) {
      if (!isFull(cause)) throw cause
      const text = `the disk of ${this.#options.folder.path} is full: the snapshot was not kept`
      throw new CloudError('core.kernel.not-writable', text, { cause, retryable: true })
    }
  }

  #add(group: GroupId, snapshot: Known): void {
    const others = (this.#known.get(group) ?? []).filter(({ mark }) => mark.index !== snapshot.mark.index)
    this.#known.set(
      group,
      [...others, snapshot].toSorted((a, b) => a.mark.index - b.mark.index),
    )
  }

  /** An older one is there for people: one that is damaged is no reason to stop. */
  async #addOlder(name: string): Promise<void> {
    const { folder } = this.#options
    const file = await folder.open(name, 'read')
    try {
      const { group, mark, state } = await readSnapshotHead(file)
      this.#add(group, { mark, state })
    } catch (error) {
      if (!(error instanceof Damage)) throw error
      await folder.remove(name)
    } finally {
      await file.close()
    }
  }
}

/** Reads a whole snapshot that the log refers to. @throws CloudError `core.ha.corrupt`. */
export async function checkSnapshot(
  folder: LogFolder,
  group: GroupId,
  mark: SnapshotMark,
  state: StoredState,
): Promise<StoredState> {
  const name = nameOf(group, mark)
  if (!(await folder.list()).includes(name)) throw corrupt(folder, name, 0, 'the file is not there')
  const file = await folder.open(name, 'read')
  try {
    await damageOf(folder, name, async () => {
      const head = await readSnapshotHead(file)
      const { mark: found } = head
      if (head.group !== group || found.index !== mark.index || head.state.sha256 !== state.sha256) {
        throw new Damage(0, 'it is not the snapshot that the log refers to')
      }
      await checkChunks(file, head)
    })
  } finally {
    await file.close()
  }
  return state
}

async function isPartOf(file: LogFile, { group, mark, state }: SnapshotHead): Promise<boolean> {
  try {
    const found = await readSnapshotHead(file)
    const sameState = found.state.bytes === state.bytes && found.state.sha256 === state.sha256
    return sameState && found.group === group && found.mark.index === mark.index && found.mark.term === mark.term
  } catch (error) {
    if (error instanceof Damage) return false
    throw error
  }
}

/** Takes the whole chunks that are there; a crash may have torn any of them. */
async function resume(file: LogFile, { group, mark, state }: SnapshotHead, writer: ChunkWriter): Promise<void> {
  const salt = saltOf(group, mark)
  for (let chunk = 0; (chunk + 1) * chunkBytes <= state.bytes; chunk++) {
    try {
      writer.resume(await readChunk(file, chunk, state.bytes, salt))
    } catch (error) {
      if (error instanceof Damage) return
      throw error
    }
  }
}

async function damageOf<T>(folder: LogFolder, name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Damage) throw corrupt(folder, name, error.place, error.message)
    throw error
  }
}

export const isSnapshotName = (name: string): boolean => partsOf(name)?.kind === 'snapshot'

const nameOf = (group: GroupId, { index, term }: SnapshotMark): string => `${group}-${index}-${term}.snapshot`

function partsOf(
  name: string,
): { readonly group: GroupId; readonly index: number; readonly kind: 'snapshot' | 'part' | 'new' } | undefined {
  const match = /^(\d+)-(\d+)-\d+\.snapshot(\.part|\.new)?$/.exec(name)
  if (match === null) return undefined
  const kind = match[3] === '.part' ? 'part' : match[3] === '.new' ? 'new' : 'snapshot'
  return { group: Number(match[1]), index: Number(match[2]), kind }
}
