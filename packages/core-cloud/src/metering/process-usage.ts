import { readdirSync, readFileSync } from 'node:fs'
import type { Clock } from '../kernel/clock.js'

/** What a process and its descendants have used. */
export interface ProcessUsage {
  /** Processor time since the start, milliseconds. */
  readonly cpuMs: number
  /** Resident memory now, KiB. Pages shared by several processes count once for each. */
  readonly memoryKib: number
}

/** The kernel reports processor time in ticks of 1/100 s to programs, whatever it uses itself. */
const msPerTick = 10
/** Processes of one instance at most; a fork bomb must not stop the meter. */
const maxProcesses = 64
/** How long a list of all processes serves: long enough for one round over all instances. */
const tableMs = 1_000

/**
 * Asks the kernel what a process uses, its children and theirs included (also those that ended, once their parent has
 * taken note). Never the program's own word.
 * Reads synchronously: `/proc` answers from memory, and a file there costs a tenth of an asynchronous read.
 * @returns a function that gives undefined when the process is gone, or the system has no `/proc`.
 */
export function processUsageReader({
  clock,
  root = '/proc',
}: {
  clock: Clock
  root?: string
}): (pid: number) => ProcessUsage | undefined {
  let table: ReadonlyMap<number, readonly number[]> = new Map()
  let tableAt = Number.NEGATIVE_INFINITY
  const childrenOf = (pid: number): readonly number[] => {
    const listed = read(`${root}/${pid}/task/${pid}/children`)
    if (listed !== undefined) return listed.split(' ').filter(Boolean).map(Number)
    // A kernel without that list: look at everybody's parent, once for all instances.
    if (clock.monotonic() - tableAt > tableMs) {
      table = childTable(root)
      tableAt = clock.monotonic()
    }
    return table.get(pid) ?? []
  }
  return pid => {
    let cpuTicks = 0
    let memoryKib = 0
    const pending = [pid]
    for (let count = 0; pending.length > 0 && count < maxProcesses; count++) {
      const next = pending.shift() ?? pid
      const stat = read(`${root}/${next}/stat`)
      if (stat === undefined) {
        if (next === pid) return undefined
        continue
      }
      cpuTicks += ticksOf(stat)
      memoryKib += Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`${root}/${next}/status`) ?? '')?.[1] ?? 0)
      pending.push(...childrenOf(next))
    }
    return { cpuMs: cpuTicks * msPerTick, memoryKib }
  }
}

/** utime + stime + cutime + cstime. */
function ticksOf(stat: string): number {
  const fields = fieldsOf(stat)
  return [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index] ?? 0), 0)
}

/** The fields after the name, which is in parentheses and may hold anything. */
function fieldsOf(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function childTable(root: string): Map<number, number[]> {
  const table = new Map<number, number[]>()
  for (const name of readdirSync(root)) {
    if (!/^\d+$/.test(name)) continue
    const stat = read(`${root}/${name}/stat`)
    if (stat === undefined) continue
    const parent = Number(fieldsOf(stat)[1])
    const children = table.get(parent) ?? []
    table.set(parent, children)
    children.push(Number(name))
  }
  return table
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
