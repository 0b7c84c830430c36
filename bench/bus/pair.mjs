// A caller process and, where there is one, a server process, measured together with the broker.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('side.mjs', import.meta.url))
const alone = new Set(['ours local', 'moleculer local', 'function'])
let count = 0

/** Starts the processes of one kind; both end with this one. */
export async function startPair(kind, { dir, nats, atEnd }) {
  count += 1
  const own = join(dir, String(count))
  mkdirSync(own)
  // The hub and the direct path show what they are without a broker.
  const brokerless = ['ours hub', 'ours direct', 'unix bytes'].includes(kind)
  const env = JSON.stringify({ name: `b${process.pid}-${count}`, dir: own, ...(brokerless ? {} : { nats: nats.url }) })
  const server = alone.has(kind) ? undefined : await start('serve', kind, env, atEnd)
  const client = await start('call', kind, env, atEnd)
  const serverCpu = async () => (server === undefined ? 0 : (await ask(server, {})).cpu)
  return {
    kind,
    /**
     * @returns calls per second, p50 and p99 in ms, processor time of all together per call in us, and `others`: the part
     * of the machine, 0 to 1, that programs outside the benchmark used meanwhile.
     */
    async measure(callers, ms) {
      const before = { server: await serverCpu(), broker: nats.cpu(), machine: machineTime() }
      const answer = await ask(client, { callers, ms })
      if (answer.failed !== undefined) throw new Error(`${kind}: ${answer.failed}`)
      const server = (await serverCpu()) - before.server
      const broker = brokerless ? 0 : nats.cpu() - before.broker
      const { calls, p50, p99 } = answer
      const cpu = answer.cpu + server + broker
      const after = machineTime()
      const others = (after.busy - before.machine.busy - cpu) / Math.max(1, after.all - before.machine.all)
      return {
        perSecond: (calls / answer.ms) * 1_000,
        p50,
        p99,
        cpu: cpu / calls,
        others: Math.max(0, others),
        calls,
        parts: { caller: answer.cpu, server, broker },
      }
    },
  }
}

async function start(role, kind, env, atEnd) {
  const child = fork(program, [role, kind, env], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  atEnd(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  })
  await heard(child)
  return child
}

async function ask(child, question) {
  const answer = heard(child)
  child.send(question)
  return answer
}

/** The next thing a child says. */
async function heard(child) {
  const over = new AbortController()
  const { signal } = over
  const gone = once(child, 'exit', { signal }).then(([code]) => {
    throw new Error(`a process of the benchmark ended with ${code}`)
  })
  gone.catch(() => undefined)
  try {
    const [answer] = await Promise.race([once(child, 'message', { signal }), gone])
    return answer
  } finally {
    over.abort()
  }
}

/** Processor time of another process in microseconds; 0 where the system does not tell. */
export function cpuOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * 10_000
  } catch {
    return 0
  }
}

/** Processor time of the machine so far in microseconds; zeros where the system does not tell. */
function machineTime() {
  try {
    const [first] = readFileSync('/proc/stat', 'utf8').split('\n')
    const [user, nice, system, idle, wait, interrupt, soft] = first.trim().split(/\s+/).slice(1).map(Number)
    const busy = user + nice + system + interrupt + soft
    return { busy: busy * 10_000, all: (busy + idle + wait) * 10_000 }
  } catch {
    return { busy: 0, all: 0 }
  }
}
