// Calls over the bus beside raw NATS clients, Moleculer and NestJS: two processes, 200 bytes of JSON, in turns.
// `--rounds N` (default 5), `--only WORDS,WORDS` (kinds whose name has one of them; `streams`), `--no-streams`.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { figures } from '../load.mjs'
import { cpuOf, startPair } from './pair.mjs'
import { measureStreams } from './streams.mjs'

const home = fileURLToPath(new URL('.', import.meta.url))
const levels = [
  { callers: 1, ms: 300 },
  { callers: 64, ms: 400 },
  { callers: 1_024, ms: 400 },
]
const kinds = [
  'nats v2 bytes',
  'nats v2 json',
  'nats v3 bytes',
  'moleculer',
  'nest',
  'ours nats unbatched',
  'ours nats',
  'ours hub',
  'ours direct',
  'unix bytes',
  'moleculer local',
  'ours local',
  'function',
]

export async function bench({ say, args }) {
  const program = ['/usr/sbin/nats-server', '/usr/bin/nats-server', '/usr/local/bin/nats-server'].find(existsSync)
  if (program === undefined) throw new Error('nats-server is not installed (Debian: apt-get install nats-server)')
  const peers = installPeers(say)
  const only = valueOf(args, '--only')?.split(',')
  const chosen = kinds.filter(kind => {
    if (only !== undefined && !only.some(word => kind.includes(word))) return false
    return peers || kind.startsWith('ours') || kind === 'function' || kind === 'unix bytes'
  })
  const rounds = Number(valueOf(args, '--rounds') ?? 5)
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 50) throw new Error('--rounds takes 1 to 50')
  return withBroker(program, async server => {
    const all = figures()
    const pairs = []
    for (const kind of chosen) pairs.push(await startPair(kind, server))
    // Longer than the compiler needs for the longest of the programs.
    for (const pair of pairs) await pair.measure(64, 2_500)
    for (let round = 1; round <= rounds; round++) {
      for (const { callers, ms } of levels) {
        for (const pair of pairs) {
          const { perSecond, p50, p99, cpu, others } = await pair.measure(callers, ms)
          const row = `${pair.kind} c=${callers}`
          all.add(row, '1/s', perSecond)
          all.add(`${row} p50`, 'ms', p50)
          all.add(`${row} p99`, 'ms', p99)
          all.add(`${row} cpu`, 'us', cpu)
          all.add('used by other programs meanwhile', '%', others * 100)
        }
      }
      say(`round ${round} of ${rounds}`)
    }
    const streams = peers && !args.includes('--no-streams') && (only === undefined || only.includes('streams'))
    if (streams) await measureStreams({ url: server.nats.url, rounds, ms: 300, all })
    return { rows: all.rows(), ratios: ratiosOf(all, new Set(chosen), streams) }
  })
}

/** What the bus promises, as far as both sides of a ratio were measured. */
function ratiosOf(all, measured, streams) {
  const wanted = [
    ['ours nats unbatched', 'nats v3 bytes', 64, 0.9],
    ['ours nats unbatched', 'nats v2 json', 64, 1.5],
    ['ours nats unbatched', 'moleculer', 64, 1.3],
    ['ours nats unbatched', 'nest', 64, 1.7],
    ['ours nats', 'nats v2 bytes', 64, 2.2],
    ['ours nats', 'moleculer', 64, 2],
    ['ours nats', 'nest', 64, 3],
    ['ours nats', 'nats v2 bytes', 1_024],
    ['ours nats', 'nats v2 bytes', 1],
    ['ours direct', 'nats v2 bytes', 64, 3],
    ['ours direct', 'nats v2 bytes', 1, 5],
    ['ours direct', 'ours hub', 64],
    ['ours direct', 'unix bytes', 1],
    ['unix bytes', 'nats v2 bytes', 1],
    ['ours direct', 'nats v2 bytes', 1_024],
    ['ours local', 'moleculer local', 64, 2],
    ['ours local', 'function', 64],
  ]
  const calls = wanted
    .filter(([of, by]) => measured.has(of) && measured.has(by))
    .map(([of, by, callers, must]) =>
      all.ratio({ name: `${of} / ${by} at ${callers}`, of: `${of} c=${callers}`, by: `${by} c=${callers}`, must }),
    )
  // On a machine that does other things too these say more than calls per second.
  const costs = [
    ['ours nats', 'nats v2 bytes', 64],
    ['ours direct', 'nats v2 bytes', 64],
    ['ours direct', 'nats v2 bytes', 1],
    ['ours nats unbatched', 'nats v3 bytes', 64],
    ['ours nats unbatched', 'nats v2 json', 64],
    ['ours nats unbatched', 'moleculer', 64],
  ]
  for (const [of, by, callers] of costs.filter(([of, by]) => measured.has(of) && measured.has(by)))
    calls.push(
      all.ratio({
        name: `processor time per call ${of} / ${by} at ${callers}`,
        of: `${of} c=${callers} cpu`,
        by: `${by} c=${callers} cpu`,
        better: 'lower',
      }),
    )
  if (!streams) return calls
  const stream = (name, row, must) =>
    all.ratio({ name, of: row.replace('*', 'ours'), by: row.replace('*', 'nats v3'), must })
  return [
    ...calls,
    stream('acknowledged publishes ours / js.publish at 1024', 'publish * c=1024', 2.5),
    stream('consume with ack ours / nats v3', 'consume *', 0.95),
  ]
}

/** @returns false, with a word, when they cannot be had; ours is measured alone then. */
function installPeers(say) {
  const { dependencies } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))
  const there = Object.entries(dependencies).every(([name, version]) => {
    const file = join(home, 'node_modules', name, 'package.json')
    return existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).version === version
  })
  if (there) return true
  say('installing the peers into bench/bus/node_modules, once')
  try {
    const flags = ['--no-audit', '--no-fund', '--no-package-lock', '--loglevel', 'error']
    execFileSync('npm', ['install', ...flags], { cwd: home, stdio: ['ignore', 'ignore', 'inherit'], timeout: 300_000 })
    return true
  } catch (error) {
    say(`the peers are left out, for they cannot be installed: ${error.message.split('\n')[0]}`)
    return false
  }
}

/** Runs `work` beside a private nats-server; everything that was started is stopped, however it ends. */
async function withBroker(program, work) {
  const dir = mkdtempSync(join(tmpdir(), 'aaas-bb-'))
  const stops = []
  const interrupted = []
  const end = new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      const onSignal = () => reject(new Error(`interrupted by ${signal}`))
      process.on(signal, onSignal)
      interrupted.push(() => process.off(signal, onSignal))
    }
  })
  try {
    const port = await freePort()
    const broker = spawn(program, ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', join(dir, 'js')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    stops.push(async () => {
      const gone = once(broker, 'exit')
      broker.kill()
      await gone
    })
    await new Promise((resolve, reject) => {
      broker.once('exit', code => reject(new Error(`nats-server ended with ${code}`)))
      broker.stderr.on('data', part => String(part).includes('Server is ready') && resolve())
    })
    const nats = { url: `nats://127.0.0.1:${port}`, cpu: () => cpuOf(broker.pid) }
    return await Promise.race([work({ dir, nats, atEnd: stop => void stops.push(stop) }), end])
  } finally {
    for (const forget of interrupted) forget()
    for (const stop of stops.reverse()) await stop()
    rmSync(dir, { recursive: true, force: true })
  }
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  return port
}

function valueOf(args, name) {
  const at = args.indexOf(name)
  return at < 0 ? undefined : args[at + 1]
}
