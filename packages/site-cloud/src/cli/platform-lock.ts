import { linkSync, mkdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { CloudError } from '@aaas/core-cloud/kernel'

/** Milliseconds; taking over a lock is some system calls, so a folder this old was left by a process that died in it. */
const takeoverMs = 10_000

interface Holder {
  readonly pid: number
  readonly started: string | undefined
}

/**
 * Makes sure that one platform runs on a data directory. The lock names the process and when it started, so that
 * neither a crash nor a reused process id blocks the next start.
 * @param now - epoch milliseconds.
 * @returns a function that gives the lock back.
 * @throws CloudError `core.deploy.already-running`.
 */
export function takePlatformLock(file: string, pid: number, now: number): () => void {
  const own = `${file}.${pid}`
  writeFileSync(own, JSON.stringify({ pid, started: startTime(pid) }))
  try {
    // A link appears with its content, and only one process can make it.
    if (!linked(own, file)) takeOver(own, file, pid, now)
  } finally {
    rmSync(own, { force: true })
  }
  return () => {
    if (readHolder(file)?.pid === pid) rmSync(file, { force: true })
  }
}

/** The living process that holds a lock; undefined when there is none. */
export function lockHolder(file: string): number | undefined {
  const holder = readHolder(file)
  return holder !== undefined && startTime(holder.pid) !== undefined && startTime(holder.pid) === holder.started
    ? holder.pid
    : undefined
}

/** Replaces the lock of a dead process; a folder keeps two processes from doing so at once. */
function takeOver(own: string, file: string, pid: number, now: number): void {
  const folder = `${file}.takeover`
  try {
    mkdirSync(folder)
  } catch {
    if (now - modifiedAt(folder) < takeoverMs) throw alreadyRunning(undefined)
    rmdirSync(folder)
    mkdirSync(folder)
  }
  try {
    const holder = lockHolder(file)
    if (holder !== undefined && holder !== pid) throw alreadyRunning(holder)
    rmSync(file, { force: true })
    if (!linked(own, file)) throw alreadyRunning(undefined)
  } finally {
    rmdirSync(folder)
  }
}

export function alreadyRunning(pid: number | undefined): CloudError {
  const who = pid === undefined ? 'another platform' : `a platform (process ${pid})`
  return new CloudError(
    'core.deploy.already-running',
    `${who} already runs on this data directory; set AAAS_HOME for a second one`,
    {
      field: 'AAAS_HOME',
      ...(pid === undefined ? {} : { details: { pid } }),
    },
  )
}

function linked(own: string, file: string): boolean {
  try {
    linkSync(own, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function modifiedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

function readHolder(file: string): Holder | undefined {
  try {
    const value = JSON.parse(readFileSync(file, 'utf8')) as Holder
    return Number.isInteger(value.pid) ? value : undefined
  } catch {
    return undefined
  }
}

/** When a process started, in clock ticks since boot (field 22 of its stat); `alive` where there is no /proc. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    try {
      process.kill(pid, 0)
      return process.platform === 'linux' ? undefined : 'alive'
    } catch {
      return undefined
    }
  }
}
