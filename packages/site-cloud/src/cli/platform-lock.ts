import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { CloudError } from '@aaas/core-cloud/kernel'

/**
 * Makes sure that one platform runs on a data directory. The lock names the process and when it started, so that
 * neither a crash nor a reused process id blocks the next start.
 * @returns a function that gives the lock back.
 * @throws CloudError `core.deploy.already-running`.
 */
export function takePlatformLock(file: string, pid: number): () => void {
  const holder = readHolder(file)
  if (holder !== undefined && holder.pid !== pid && startTime(holder.pid) === holder.started) {
    throw new CloudError('core.deploy.already-running', `a platform (process ${holder.pid}) already runs on this data directory`, {
      field: 'AAAS_HOME',
      details: { pid: holder.pid },
    })
  }
  writeFileSync(file, JSON.stringify({ pid, started: startTime(pid) }))
  return () => {
    if (readHolder(file)?.pid === pid) rmSync(file, { force: true })
  }
}

function readHolder(file: string): { pid: number; started: string } | undefined {
  try {
    const value = JSON.parse(readFileSync(file, 'utf8')) as { pid: number; started: string }
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
