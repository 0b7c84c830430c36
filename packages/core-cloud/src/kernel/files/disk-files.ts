import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CloudError } from '../errors.js'
import type { LogFile, LogFiles, LogFolder } from './files.js'

const gone = '.gone-'
/** Pieces that one call of the operating system takes (IOV_MAX). */
const maxPieces = 1_024

/**
 * Keeps logs in a folder of the disk (0700), one process at a time: a file `lock` has the number of the process.
 * @throws CloudError `core.deploy.already-running` when another living process has the folder,
 *   `core.kernel.not-writable`.
 */
export async function diskFiles(dir: string, pid: number): Promise<LogFiles> {
  const lock = join(dir, 'lock')
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await takeLock(lock, pid)
    for (const name of await readdir(dir)) {
      if (name.startsWith(gone)) await rm(join(dir, name), { recursive: true, force: true })
    }
  } catch (cause) {
    if (CloudError.is(cause)) throw cause
    throw new CloudError('core.kernel.not-writable', `${dir} cannot be used`, { cause, field: 'dir' })
  }
  return {
    async folders() {
      const entries = await readdir(dir, { withFileTypes: true })
      return entries.filter(entry => entry.isDirectory() && !entry.name.startsWith('.')).map(entry => entry.name)
    },
    async folder(name) {
      const path = join(dir, name)
      await mkdir(path, { recursive: true, mode: 0o700 })
      await syncFolder(dir)
      return diskFolder(path)
    },
    async removeFolder(name) {
      const trash = join(dir, `${gone}${name}`)
      try {
        await rm(trash, { recursive: true, force: true })
        await rename(join(dir, name), trash)
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return
        throw error
      }
      await syncFolder(dir)
      await rm(trash, { recursive: true, force: true })
    },
    async close() {
      if ((await owner(lock))?.pid === pid) await rm(lock, { force: true })
    },
  }
}

/** The files of a folder as they are, for looking at them: takes no lock and changes nothing. */
export function diskFilesToRead(dir: string): LogFiles {
  const refused = (): Promise<never> => Promise.reject(new Error(`${dir} was opened to be read`))
  return {
    async folders() {
      const entries = await readdir(dir, { withFileTypes: true })
      return entries.filter(entry => entry.isDirectory() && !entry.name.startsWith('.')).map(entry => entry.name)
    },
    async folder(name) {
      const { path, list, open } = diskFolder(join(dir, name))
      return { path, list, open: file => open(file, 'read'), replace: refused, remove: refused, sync: refused }
    },
    removeFolder: refused,
    close: () => Promise.resolve(),
  }
}

// Not there on Windows.
const canWriteThrough = (constants.O_DSYNC as number | undefined) !== undefined

function flagsOf(access: 'write-through' | undefined): number {
  const flags = constants.O_RDWR | constants.O_CREAT
  return access === 'write-through' && canWriteThrough ? flags | constants.O_DSYNC : flags
}

async function takeLock(lock: string, pid: number): Promise<void> {
  const other = await owner(lock)
  if (other !== undefined && other.pid !== pid && alive(other.pid) && (await birth(other.pid)) === other.birth) {
    throw new CloudError('core.deploy.already-running', `the process ${other.pid} holds ${lock}`, {
      field: 'dir',
    })
  }
  await writeFile(lock, `${pid} ${await birth(pid)}`, { mode: 0o600 })
}

async function owner(lock: string): Promise<{ readonly pid: number; readonly birth: string } | undefined> {
  try {
    const [pid = '', born = ''] = (await readFile(lock, 'utf8')).split(' ')
    return /^[1-9][0-9]{0,9}$/.test(pid) ? { pid: Number(pid), birth: born } : undefined
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Tells a process from a later one with the same number; empty where the system does not say. */
async function birth(pid: number): Promise<string> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    // Field 22, counted behind the name in parentheses, which may hold anything (proc(5)).
    return `${boot.trim()}/${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`
  } catch {
    return ''
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

function diskFolder(path: string): LogFolder {
  return {
    path,
    list: () => readdir(path),
    async open(name, access) {
      const handle = await open(join(path, name), access === 'read' ? constants.O_RDONLY : flagsOf(access), 0o600)
      return new DiskFile(handle, (await handle.stat()).size, access === 'write-through' && canWriteThrough)
    },
    replace: (from, to) => rename(join(path, from), join(path, to)),
    remove: name => unlink(join(path, name)),
    sync: () => syncFolder(path),
  }
}

class DiskFile implements LogFile {
  readonly #handle: FileHandle

  constructor(
    handle: FileHandle,
    readonly size: number,
    readonly writeThrough: boolean,
  ) {
    this.#handle = handle
  }

  async write(pieces: readonly Uint8Array[], position: number): Promise<void> {
    let at = position
    for (let first = 0; first < pieces.length; first += maxPieces) {
      let rest = pieces.slice(first, first + maxPieces)
      // A full disk may take a part: what is left is tried again, and then fails with the reason.
      while (rest.length > 0) {
        const { bytesWritten } = await this.#handle.writev(rest, at)
        at += bytesWritten
        rest = behind(rest, bytesWritten)
      }
    }
  }

  async read(position: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(length)
    let filled = 0
    while (filled < length) {
      const { bytesRead } = await this.#handle.read(buffer, filled, length - filled, position + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return buffer.subarray(0, filled)
  }

  sync(): Promise<void> {
    return this.#handle.datasync()
  }

  truncate(size: number): Promise<void> {
    return this.#handle.truncate(size)
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

/** The pieces without their first `count` bytes. */
function behind(pieces: readonly Uint8Array[], count: number): Uint8Array[] {
  let skip = count
  const rest: Uint8Array[] = []
  for (const piece of pieces) {
    if (skip >= piece.length) skip -= piece.length
    else {
      rest.push(skip === 0 ? piece : piece.subarray(skip))
      skip = 0
    }
  }
  return rest
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
