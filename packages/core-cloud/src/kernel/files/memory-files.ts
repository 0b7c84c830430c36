import type { LogFile, LogFiles, LogFolder } from './files.js'

/** Keeps logs in memory: for tests and for programs that need nothing to outlive them. */
export function memoryFiles(): LogFiles {
  const folders = new Map<string, Map<string, MemoryFile>>()
  return {
    folders: () => Promise.resolve([...folders.keys()]),
    async folder(name) {
      let files = folders.get(name)
      if (files === undefined) {
        files = new Map()
        folders.set(name, files)
      }
      return memoryFolder(name, files)
    },
    async removeFolder(name) {
      folders.delete(name)
    },
    close: () => Promise.resolve(),
  }
}

function memoryFolder(path: string, files: Map<string, MemoryFile>): LogFolder {
  return {
    path,
    list: () => Promise.resolve([...files.keys()]),
    async open(name, access) {
      let file = files.get(name)
      if (file === undefined) {
        if (access === 'read') throw new Error(`no file ${name}`)
        file = new MemoryFile()
        files.set(name, file)
      }
      return file
    },
    async replace(from, to) {
      const file = files.get(from)
      if (file === undefined) throw new Error(`no file ${from}`)
      files.delete(from)
      files.set(to, file)
    },
    async remove(name) {
      files.delete(name)
    },
    sync: () => Promise.resolve(),
  }
}

class MemoryFile implements LogFile {
  readonly writeThrough = true
  #bytes = Buffer.alloc(0)
  #end = 0

  get size(): number {
    return this.#end
  }

  async write(pieces: readonly Uint8Array[], position: number): Promise<void> {
    let at = position
    for (const piece of pieces) {
      this.#reserve(at + piece.length)
      this.#bytes.set(piece, at)
      at += piece.length
    }
    this.#end = Math.max(this.#end, at)
  }

  async read(position: number, length: number): Promise<Buffer> {
    return Buffer.from(this.#bytes.subarray(position, Math.min(this.#end, position + length)))
  }

  sync(): Promise<void> {
    return Promise.resolve()
  }

  async truncate(size: number): Promise<void> {
    this.#end = Math.min(this.#end, size)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#bytes.length) return
    const grown = Buffer.alloc(Math.max(bytes, this.#bytes.length * 2, 4_096))
    this.#bytes.copy(grown, 0, 0, this.#end)
    this.#bytes = grown
  }
}
