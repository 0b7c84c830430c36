const sectorBytes = 512

export interface DiskFaults {
  /** Part of the reads that fail, 0 to 1. */
  readErrors: number
  /** Part of the syncs that fail, 0 to 1. What was to be synced is lost then, whatever follows. */
  syncErrors: number
  /** Bytes that all files together may have. */
  capacity: number
}

type Pending = { readonly kind: 'write'; readonly position: number; readonly data: Buffer } | Truncation
type Truncation = { readonly kind: 'truncate'; readonly size: number }

/** A file: what is read of it, what of that the disk is sure to keep, and what is on the way. */
export class SimInode {
  content: Buffer = Buffer.alloc(0)
  durable: Buffer = Buffer.alloc(0)
  pending: Pending[] = []

  write(data: Buffer, position: number): void {
    const kept = Buffer.from(data)
    this.content = written(this.content, kept, position)
    this.pending.push({ kind: 'write', position, data: kept })
  }

  truncate(size: number): void {
    this.content = Buffer.from(this.content.subarray(0, size))
    this.pending.push({ kind: 'truncate', size })
  }

  sync(): void {
    for (const change of this.pending) this.durable = applied(this.durable, change)
    this.pending = []
  }

  losePower(random: () => number): void {
    // None of it, all of it, or some sectors of it.
    const mood = random()
    for (const change of this.pending) {
      if (mood < 0.15) continue
      if (mood < 0.3) this.durable = applied(this.durable, change)
      else if (change.kind === 'truncate') {
        if (random() < 0.5) this.durable = applied(this.durable, change)
      } else this.durable = torn(this.durable, change.data, change.position, random)
    }
    this.pending = []
    this.content = Buffer.from(this.durable)
  }

  copy(): SimInode {
    const other = new SimInode()
    other.content = Buffer.from(this.content)
    other.durable = Buffer.from(this.durable)
    other.pending = [...this.pending]
    return other
  }
}

function applied(bytes: Buffer, change: Pending): Buffer {
  if (change.kind === 'write') return written(bytes, change.data, change.position)
  return Buffer.from(bytes.subarray(0, change.size))
}

function written(bytes: Buffer, data: Buffer, position: number): Buffer {
  const end = position + data.length
  if (end > bytes.length) {
    const grown = Buffer.alloc(end)
    bytes.copy(grown)
    bytes = grown
  }
  data.copy(bytes, position)
  return bytes
}

/** Every sector of a write arrives for itself. */
function torn(bytes: Buffer, data: Buffer, position: number, random: () => number): Buffer {
  const odds = random()
  for (let at = position; at < position + data.length; ) {
    const end = Math.min(position + data.length, at - (at % sectorBytes) + sectorBytes)
    if (random() < odds) bytes = written(bytes, data.subarray(at - position, end - position), at)
    at = end
  }
  return bytes
}

type Names = Map<string, SimInode>

/** Folders of names, as they are seen and as they would be after a loss of power. */
export class DiskImage {
  #seen = new Map<string, Names>()
  #durable = new Map<string, Names>()
  /** Changes of names that no sync has made safe, in their order. */
  #changes = new Map<string, ((names: Names) => void)[]>()

  get used(): number {
    let sum = 0
    for (const names of this.#seen.values()) for (const { content } of names.values()) sum += content.length
    return sum
  }

  folders(): readonly string[] {
    return [...this.#seen.keys()]
  }

  /** Made when it is not there, for good: the files port promises that. */
  names(folder: string): Names {
    let names = this.#seen.get(folder)
    if (names === undefined) {
      names = new Map()
      this.#seen.set(folder, names)
      this.#durable.set(folder, new Map())
      this.#changes.set(folder, [])
    }
    return names
  }

  inode(folder: string, name: string): SimInode {
    const inode = this.names(folder).get(name)
    if (inode === undefined) throw Object.assign(new Error(`ENOENT: no file ${name}`), { code: 'ENOENT' })
    return inode
  }

  open(folder: string, name: string, make: boolean): SimInode {
    if (!make || this.names(folder).has(name)) return this.inode(folder, name)
    const made = new SimInode()
    this.#change(folder, names => names.set(name, made))
    return made
  }

  rename(folder: string, from: string, to: string): void {
    const inode = this.inode(folder, from)
    this.#change(folder, names => {
      names.delete(from)
      names.set(to, inode)
    })
  }

  remove(folder: string, name: string): void {
    this.inode(folder, name)
    this.#change(folder, names => names.delete(name))
  }

  removeFolder(folder: string): void {
    this.#seen.delete(folder)
    this.#durable.delete(folder)
    this.#changes.delete(folder)
  }

  lose(folder: string, name: string): void {
    this.remove(folder, name)
    this.syncFolder(folder)
  }

  syncFolder(folder: string): void {
    this.names(folder)
    const durable = this.#durable.get(folder) as Names
    for (const change of this.#changes.get(folder) ?? []) change(durable)
    this.#changes.set(folder, [])
  }

  losePower(random: () => number): void {
    for (const [folder, changes] of this.#changes) {
      const durable = this.#durable.get(folder) as Names
      const kept = Math.floor(random() * (changes.length + 1))
      for (const change of changes.slice(0, kept)) change(durable)
      this.#changes.set(folder, [])
      for (const inode of durable.values()) inode.losePower(random)
      this.#seen.set(folder, new Map(durable))
    }
  }

  copy(): DiskImage {
    const other = new DiskImage()
    const copies = new Map<SimInode, SimInode>()
    const copyOf = (inode: SimInode): SimInode => {
      const known = copies.get(inode) ?? inode.copy()
      copies.set(inode, known)
      return known
    }
    for (const [folder, names] of this.#seen) {
      other.#seen.set(folder, new Map([...names].map(([name, inode]) => [name, copyOf(inode)])))
      // A copy is taken of what stands: everything in it is safe.
      other.#durable.set(folder, new Map([...names].map(([name, inode]) => [name, copyOf(inode)])))
      other.#changes.set(folder, [])
    }
    for (const inode of copies.values()) {
      inode.durable = Buffer.from(inode.content)
      inode.pending = []
    }
    return other
  }

  #change(folder: string, change: (names: Names) => void): void {
    change(this.names(folder))
    this.#changes.get(folder)?.push(change)
  }
}
