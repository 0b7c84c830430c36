// A replicated key/value service beside etcd, NATS and a bare replicated log: three processes each, on one disk, in turns.
// Puts of 256 bytes and linearizable gets by the same HTTP client with the same JSON bodies, at the leader; etcd also by
// its gRPC, and whichever of etcd's two is better is what a ratio is taken by. `--rounds N` (default 5), `--kills N`
// (default 50), `--only puts,gets,entries,take-over,hand-over`, `--no-libp2p`.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HaCluster } from '../../tools/verify/_ha-cluster.mjs'
import { answered, caller, closedLoop, figures } from '../load.mjs'
import { EtcdCluster, etcdProgram } from './etcd.mjs'
import { grpcCaller } from './grpc.mjs'
import { natsKeyValue } from './nats.mjs'
import { handOver, takeOver } from './take-over.mjs'

const value = Buffer.alloc(256, 'x')
const base64 = text => Buffer.from(text).toString('base64')
const parts = ['puts', 'gets', 'entries', 'take-over', 'hand-over']

export async function bench({ say, args }) {
  const only = valueOf(args, '--only')?.split(',') ?? parts
  const rounds = Number(valueOf(args, '--rounds') ?? 5)
  const kills = Number(valueOf(args, '--kills') ?? 50)
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 50) throw new Error('--rounds takes 1 to 50')
  if (!Number.isInteger(kills) || kills < 1 || kills > 500) throw new Error('--kills takes 1 to 500')
  if (etcdProgram === undefined) throw new Error('etcd is not installed (Debian: apt-get install etcd-server)')
  const dir = mkdtempSync(join(tmpdir(), 'aaas-bh-'))
  const stops = []
  const atEnd = stop => stops.push(stop)
  const all = figures()
  try {
    const world = await startAll({ dir, atEnd, args, only, say })
    if (only.includes('puts') || only.includes('gets')) await calls({ ...world, all, rounds, only, say })
    if (only.includes('entries')) await entries({ ...world, all, rounds, say })
    if (only.includes('hand-over')) await plannedHandOver({ ...world, all })
    if (only.includes('take-over')) await takeOvers({ ...world, all, kills, say })
  } finally {
    for (const stop of stops.reverse()) await stop()
    rmSync(dir, { recursive: true, force: true })
  }
  const rows = all.rows()
  return { rows, ratios: ratiosOf(all, new Set(rows.map(({ name }) => name))) }
}

async function startAll({ dir, atEnd, args, only, say }) {
  const clusters = []
  for (const network of args.includes('--no-libp2p') ? ['tcp'] : ['tcp', 'libp2p']) {
    const cluster = new HaCluster({ network, dir: join(dir, network) })
    atEnd(() => cluster.stop())
    await cluster.start()
    await cluster.leader()
    clusters.push({ label: `ours ${network}`, cluster })
  }
  const etcd = new EtcdCluster(dir)
  atEnd(() => etcd.stop())
  if (['puts', 'gets', 'take-over'].some(part => only.includes(part))) await etcd.start()
  const nats = only.includes('puts') || only.includes('gets') ? await natsKeyValue(atEnd, say) : undefined
  const floor = only.includes('entries') ? await startFloor(dir, atEnd) : undefined
  return { clusters, etcd, nats, floor }
}

// ---- calls of a remote client

async function calls({ clusters, etcd, nats, all, rounds, only, say }) {
  const systems = []
  for (const { label, cluster } of clusters) {
    systems.push(overHttp(label, cluster.nodes.get(await cluster.leader()).http))
  }
  const leader = etcd.port(await etcd.leader())
  systems.push(overHttp('etcd json', leader), overGrpc('etcd grpc', leader))
  if (nats !== undefined) systems.push(nats)
  const kinds = [
    ['puts', 'put', 1],
    ['puts', 'put', 64],
    ['gets', 'get', 1],
    ['gets', 'get', 64],
  ].filter(([part]) => only.includes(part))
  // Until the code of all is compiled: a server is seldom a second old.
  for (const system of systems) await load(system, 'put', 64, 2.5)
  for (const system of systems) await load(system, 'get', 64, 1)
  for (let round = 1; round <= rounds; round++) {
    for (const [, kind, callers] of kinds) {
      for (const system of systems) {
        const { perSecond, p50, p99 } = await load(system, kind, callers, 0.6)
        const row = `${kind} ${system.label} c=${callers}`
        all.add(row, '1/s', perSecond)
        all.add(`${row} p50`, 'ms', p50)
        all.add(`${row} p99`, 'ms', p99)
      }
    }
    say(`round ${round} of ${rounds}`)
  }
  for (const system of systems) system.close?.()
}

async function load(system, kind, callers, seconds) {
  const { send, close } = system.open(callers)
  try {
    const work = (worker, round) => send[kind](`k${worker}-${round % 50}`)
    return await closedLoop({ callers, seconds, send: work, warmUpSeconds: 0.15 })
  } finally {
    close()
  }
}

function overHttp(label, port) {
  return {
    label,
    open(callers) {
      const { call, close } = caller({ port, sockets: callers })
      const ask = async (path, body) => answered(200, await call('POST', path, JSON.stringify(body)))
      return {
        close,
        send: {
          put: key => ask('/v3/kv/put', { key: base64(key), value: value.toString('base64') }),
          get: key => ask('/v3/kv/range', { key: base64(key) }),
        },
      }
    },
  }
}

function overGrpc(label, port) {
  return {
    label,
    open() {
      const client = grpcCaller(port)
      const send = { put: key => client.put(Buffer.from(key), value), get: key => client.get(Buffer.from(key)) }
      return { send, close: client.close }
    },
  }
}

// ---- entries of proposers in the leader's process

async function entries({ clusters, floor, all, rounds, say }) {
  const ask = (target, proposers, ms) => target({ proposers, ms })
  const targets = [['floor', question => floorAsk(floor, question)]]
  for (const { label, cluster } of clusters) {
    const leader = await cluster.leader()
    targets.push([label, question => cluster.ask(leader, question, 'loaded')])
  }
  for (const [, target] of targets) await ask(target, 256, 2_500)
  for (let round = 1; round <= rounds; round++) {
    for (const proposers of [1, 256]) {
      for (const [label, target] of targets) {
        const { failed, perSecond, p50, p99 } = await ask(target, proposers, 700)
        if (failed !== undefined) throw new Error(`${label}: ${failed}`)
        const row = `entries ${label} p=${proposers}`
        all.add(row, '1/s', perSecond)
        all.add(`${row} p50`, 'ms', p50)
        all.add(`${row} p99`, 'ms', p99)
      }
    }
    say(`entries: round ${round} of ${rounds}`)
  }
}

async function startFloor(dir, atEnd) {
  const child = fork(fileURLToPath(new URL('floor.mjs', import.meta.url)), [dir, 'leader'])
  atEnd(async () => {
    const gone = once(child, 'exit')
    child.disconnect()
    await gone
  })
  await once(child, 'message')
  return child
}

async function floorAsk(child, question) {
  const answer = once(child, 'message')
  child.send(question)
  return (await answer)[0].loaded
}

// ---- leaders that go

async function plannedHandOver({ clusters, all }) {
  for (const { label, cluster } of clusters) {
    const { calls, failed, longest, took } = await handOver(cluster, 10)
    all.add(`hand-over ${label} calls`, '', calls)
    all.add(`hand-over ${label} failed calls`, '', failed)
    all.add(`hand-over ${label} longest call`, 'ms', longest)
    for (const ms of took) all.add(`hand-over ${label}`, 'ms', ms)
  }
}

async function takeOvers({ clusters, etcd, all, kills, say }) {
  const systems = clusters.map(({ label, cluster }) => ({
    label,
    leader: () => cluster.leader(),
    kill: node => cluster.kill(node),
    nodes: () => [...cluster.nodes.keys()],
    port: node => cluster.nodes.get(node).http,
    startNode: node => cluster.startNode(node),
  }))
  systems.push({
    label: 'etcd',
    leader: () => etcd.leader(),
    kill: node => etcd.kill(node),
    nodes: () => etcd.nodes,
    port: node => etcd.port(node),
    startNode: async node => etcd.startNode(node),
  })
  for (let kill = 1; kill <= kills; kill++) {
    for (const system of systems) all.add(`take-over ${system.label}`, 'ms', await takeOver(system))
    if (kill % 10 === 0) say(`${kill} kills of each`)
  }
}

// ---- ratios

function ratiosOf(all, measured) {
  const ratios = []
  const add = ratio => measured.has(ratio.of) && measured.has(ratio.by) && ratios.push(all.ratio(ratio))
  const best = (rows, better) => {
    const found = rows.filter(row => measured.has(row))
    return found.sort((a, b) => (better === 'lower' ? 1 : -1) * (all.median(a) - all.median(b)))[0]
  }
  const etcd = (row, better) => best([row.replace('*', 'etcd json'), row.replace('*', 'etcd grpc')], better)
  const beside = ({ name, row, better, must, by }) => {
    for (const label of ['ours tcp', 'ours libp2p']) {
      const named = `${name}: ${label} / ${by}`
      add({ name: named, of: row.replace('*', label), by, better, ...(must === undefined ? {} : { must }) })
    }
  }
  const wanted = [
    ['put p50 at 1', 'put * c=1 p50', 'lower', 0.8],
    ['puts/s at 64', 'put * c=64', 'higher', 2],
    ['linearizable get p50 at 1', 'get * c=1 p50', 'lower', 0.8],
    ['gets/s at 64', 'get * c=64', 'higher'],
  ]
  for (const [name, row, better, must] of wanted) {
    const by = etcd(row, better)
    if (by !== undefined) beside({ name, row, better, must, by })
    beside({ name: `${name}, NATS not synced`, row, better, by: row.replace('*', 'nats r3 (not synced)') })
  }
  beside({ name: 'entries/s of 256', row: 'entries * p=256', better: 'higher', must: 0.5, by: 'entries floor p=256' })
  beside({ name: 'take-over', row: 'take-over *', better: 'lower', must: 0.5, by: 'take-over etcd' })
  return ratios
}

function valueOf(args, name) {
  const at = args.indexOf(name)
  return at < 0 ? undefined : args[at + 1]
}
