import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CloudError } from '@aaas/core-cloud/kernel'

/** Milliseconds of one tick: Linux tells user space 100 ticks a second, whatever the kernel runs at. */
const tickMs = 10

/** @throws CloudError `site.template.unmeasurable` where the system has no /proc of Linux. */
export function checkProcessMeter(): void {
  try {
    cpuMsOf(process.pid)
  } catch (cause) {
    const message = 'processor time of other processes is read from /proc, which only Linux has'
    throw new CloudError('site.template.unmeasurable', message, { cause })
  }
}

/** Processor time of one process since it started. */
export function cpuMsOf(pid: number): number {
  const { user, system } = statOf(pid)
  return (user + system) * tickMs
}

/** Processor time of a PostgreSQL server: the postmaster, those it started, and those of them that ended. */
export function postgresCpuMs(dataDir: string): number {
  const postmaster = Number(readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[0])
  const own = statOf(postmaster)
  let ticks = own.user + own.system + own.waitedFor
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = statOfLiving(Number(name))
    if (stat?.parent === postmaster) ticks += stat.user + stat.system
  }
  return ticks * tickMs
}

/** Largest resident memory of a process since it started, MiB. */
export function peakMemoryMbOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024
}

interface Stat {
  readonly parent: number
  readonly user: number
  readonly system: number
  /** Of children that ended and were waited for. */
  readonly waitedFor: number
}

function statOf(pid: number): Stat {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The second field is the name in brackets, which may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const at = (index: number): number => Number(fields[index])
  return { parent: at(1), user: at(11), system: at(12), waitedFor: at(13) + at(14) }
}

/** Undefined when it ended meanwhile. */
function statOfLiving(pid: number): Stat | undefined {
  try {
    return statOf(pid)
  } catch {
    return undefined
  }
}
