import { seededRandom } from './seeded-random.js'
import { type DiskFaults, DiskImage, type SimInode } from './sim-disk-image.js'

/** What the simulated disk hands out: the `LogFile`, `LogFolder` and `LogFiles` ports of the kernel of `@aaas/core-cloud`. */
export interface SimFile {
  readonly size: number
  readonly writeThrough: boolean
  write(pieces: readonly Uint8Array[], position: number): Promise<void>
  read(position: number, length: number): Promise<Buffer>
  sync(): Promise<void>
  truncate(size: number): Promise<void>
  close(): Promise<void>
}

export interface SimFolder {
  readonly path: string
  list(): Promise<readonly string[]>
  open(name: string, access?: 'write-through' | 'read'): Promise<SimFile>
  replace(from: string, to: string): Promise<void>
  remove(name: string): Promise<void>
  sync(): Promise<void>
}

export interface SimFiles {
  folders(): Promise<readonly string[]>
  folder(name: string): Promise<SimFolder>
  removeFolder(name: string): Promise<void>
  close(): Promise<void>
}

/**
 * A disk that forgets, tears, lies and fills up, as its seed says. What was written and not synced may be gone after a
 * crash, in sectors of 512 bytes each for itself; names made and not synced likewise, in their order.
 *
 * Operations that change something are counted from 1: {@link cutAt} ends the power inside of one of them. From then on
 * every call fails; {@link restart} brings back what was kept.
 */
export class SimDisk {
  /** May be changed at any time. */
  readonly faults: DiskFaults = { readErrors: 0, syncErrors: 0, capacity: Number.POSITIVE_INFINITY }
  /** Operations that changed something, or tried to. */
  operations = 0
  readonly #random: () => number
  #image = new DiskImage()
  #cutAt = Number.POSITIVE_INFINITY
  #life = 0
  #dead = false

  constructor(seed: number) {
    this.#random = seededRandom(seed)
  }

  /** The power ends inside of this operation: what it writes may be there in any part. */
  cutAt(operation: number): void {
    this.#cutAt = operation
  }

  get cut(): boolean {
    return this.#dead
  }

  /** The power ends now. */
  crash(): void {
    this.#dead = true
  }

  /**
   * After a loss of power, or (`kill`) after the end of the process alone: then nothing that was written is lost.
   * Files of before are dead.
   */
  restart(how: 'power' | 'kill' = 'power'): void {
    if (how === 'power') this.#image.losePower(this.#random)
    this.#life += 1
    this.#dead = false
    this.#cutAt = Number.POSITIVE_INFINITY
  }

  /** Bytes of a file as they would be read; changes to them are changes of the disk (bit flips). */
  bytes(folder: string, name: string): Buffer {
    return this.#image.inode(folder, name).content
  }

  names(folder: string): readonly string[] {
    return [...this.#image.names(folder).keys()].toSorted()
  }

  /** Takes a file away as a person would: for good. */
  lose(folder: string, name: string): void {
    this.#image.lose(folder, name)
  }

  /** Everything as it is, on a disk of its own. */
  copy(seed: number): SimDisk {
    const other = new SimDisk(seed)
    other.#image = this.#image.copy()
    return other
  }

  files(): SimFiles {
    const life = this.#life
    const image = this.#image
    return {
      folders: () => this.#look(life, () => image.folders()),
      folder: async name => {
        await this.#look(life, () => image.names(name))
        return this.#folder(life, name)
      },
      removeFolder: name => this.#change(life, () => image.removeFolder(name)),
      close: () => Promise.resolve(),
    }
  }

  #folder(life: number, folder: string): SimFolder {
    const image = this.#image
    return {
      path: `/sim/${folder}`,
      list: () => this.#look(life, () => [...image.names(folder).keys()]),
      open: async (name, access) => {
        const made = () => this.#file(life, image.open(folder, name, access !== 'read'), access)
        return access === 'read' || image.names(folder).has(name) ? this.#look(life, made) : this.#change(life, made)
      },
      replace: (from, to) => this.#change(life, () => image.rename(folder, from, to)),
      remove: name => this.#change(life, () => image.remove(folder, name)),
      sync: () =>
        this.#change(life, () => {
          this.#maybe(this.faults.syncErrors, 'EIO', 'a sync of a folder failed')
          image.syncFolder(folder)
        }),
    }
  }

  #file(life: number, inode: SimInode, access: 'write-through' | 'read' | undefined): SimFile {
    const writeThrough = access === 'write-through'
    const writable = <T>(work: () => T): Promise<T> =>
      access === 'read' ? Promise.reject(diskError('EBADF', 'opened to be read')) : this.#change(life, work)
    const sync = (): void => {
      try {
        this.#maybe(this.faults.syncErrors, 'EIO', 'a sync failed')
      } catch (error) {
        // As Linux does it: what could not be written counts as clean from now on, and is lost with the power.
        inode.pending.length = 0
        throw error
      }
      inode.sync()
    }
    return {
      size: inode.content.length,
      writeThrough,
      write: (pieces, position) =>
        writable(() => {
          const data = Buffer.concat(pieces)
          const room = this.faults.capacity - this.#image.used
          const more = Math.max(0, position + data.length - inode.content.length)
          if (more > room) {
            // A full disk takes what fits, in pages.
            const fits = Math.max(0, data.length - (more - Math.max(0, room)))
            inode.write(data.subarray(0, fits - (fits % 4_096)), position)
            throw diskError('ENOSPC', 'no space left on the disk')
          }
          inode.write(data, position)
          if (writeThrough && !this.#dead) sync()
        }),
      read: (position, length) =>
        this.#look(life, () => {
          this.#maybe(this.faults.readErrors, 'EIO', 'a read failed')
          return Buffer.from(inode.content.subarray(position, position + length))
        }),
      sync: () =>
        writable(() => {
          if (!this.#dead) sync()
        }),
      truncate: size => writable(() => inode.truncate(size)),
      close: () => Promise.resolve(),
    }
  }

  #maybe(chance: number, code: string, text: string): void {
    if (chance > 0 && this.#random() < chance) throw diskError(code, text)
  }

  async #look<T>(life: number, work: () => T): Promise<T> {
    await Promise.resolve()
    this.#alive(life)
    return work()
  }

  async #change<T>(life: number, work: () => T): Promise<T> {
    await Promise.resolve()
    this.#alive(life)
    this.operations += 1
    if (this.operations === this.#cutAt) {
      // Inside: it happened, as far as the disk wants to have it so, and nobody is told.
      this.#dead = true
      if (this.#random() < 0.7) work()
      throw diskError('EIO', 'the power is gone')
    }
    return work()
  }

  #alive(life: number): void {
    if (this.#dead || life !== this.#life) throw diskError('EIO', 'the power is gone')
  }
}

function diskError(code: string, text: string): Error {
  return Object.assign(new Error(`${code}: ${text}`), { code })
}
