// Three processes of a replicated service; clients write and read through all of them while the leader is killed (-9)
// 50 times and processes are stopped and continued. What the clients saw must be linearizable.
// `--network tcp|libp2p` (default tcp), `--kills N`.
import { setTimeout as pause } from 'node:timers/promises'
import { checkLinearizable } from '../../packages/testing/dist/src/index.js'
import { HaCluster, post } from './_ha-cluster.mjs'

const clients = 6
const keysOfRound = 4
const base64 = text => Buffer.from(String(text)).toString('base64')

const register = {
  initial: undefined,
  step(state, input, output) {
    if (input.kind === 'put') return { state: input.value }
    return output === undefined || output.value === state ? { state } : undefined
  },
  key: String,
}

function option(name, otherwise) {
  const at = process.argv.indexOf(name)
  return at < 0 ? otherwise : process.argv[at + 1]
}

export async function verify({ say }) {
  const network = option('--network', 'tcp')
  const kills = Number(option('--kills', 50))
  const cluster = new HaCluster({ network, limits: { snapshotEntries: 3_000, keepEntries: 500 } })
  const run = { cluster, history: [], round: 0, nextValue: 1, over: false, counts: {}, firstAfter: undefined }
  try {
    await cluster.start()
    await cluster.leader()
    const work = Promise.all(Array.from({ length: clients }, (_, client) => callLoop(run, client)))
    const outages = []
    let pauses = 0
    for (let kill = 1; kill <= kills; kill++) {
      run.round = kill
      await pause(150)
      const leader = await cluster.leader()
      outages.push(await killLeader(run, leader))
      await cluster.startNode(leader)
      await cluster.leader()
      if (kill % 5 === 0) {
        pauses += 1
        await pauseLeader(run, pauses)
      }
      if (kill % 10 === 0) say(`${kill} kills: take-over ${figures(outages)}`)
    }
    run.over = true
    await work
    await readAll(run)
    say(`${run.history.length} calls; looking for an order of them that fits`)
    const verdict = judge(run.history)
    const ok = verdict.bad.length === 0 && outages.every(ms => ms !== undefined)
    for (const line of [...verdict.bad.slice(0, 3), ...cluster.logs.slice(0, ok ? 0 : 10)]) say(line)
    const sorted = [...outages].sort((a, b) => a - b)
    const takeOverMs = { median: sorted[kills >> 1], max: sorted.at(-1), min: sorted[0] }
    return { ok, network, kills, pauses, ...verdict.counts, answers: run.counts, takeOverMs }
  } finally {
    await cluster.stop()
  }
}

const figures = outages => {
  const sorted = [...outages].sort((a, b) => a - b)
  return `median ${sorted[sorted.length >> 1]} ms, longest ${sorted.at(-1)} ms`
}

/** @returns milliseconds from the kill to the first acknowledgement of a put that was begun after it. */
async function killLeader(run, leader) {
  const { cluster } = run
  const survivors = [...cluster.nodes.keys()].filter(node => node !== leader)
  let first
  const killedAt = performance.now()
  const gone = cluster.kill(leader)
  // Puts at a steady pace on every survivor: one that is stuck does not hide that another passed.
  for (let turn = 0; first === undefined && performance.now() - killedAt < 15_000; turn++) {
    for (const node of survivors) {
      const from = performance.now()
      // A key of its own: what is there at the end says whether it was lost, and no order has to be looked for.
      call(run, 100, 'put', node, `o${run.round}-${turn}-${node}`).then(answered => {
        if (answered && from >= killedAt) first ??= performance.now() - killedAt
      })
    }
    await pause(10)
  }
  await gone
  return first === undefined ? undefined : Math.round(first)
}

/** A leader that stands still for longer than an election, and goes on as if nothing had been. */
async function pauseLeader(run, count) {
  const { cluster } = run
  const leader = await cluster.leader()
  cluster.signal(leader, 'SIGSTOP')
  await pause(count % 2 === 0 ? 300 : 1_800)
  cluster.signal(leader, 'SIGCONT')
  // Asked at once: it may still think that it leads.
  await Promise.all(Array.from({ length: 8 }, (_, place) => call(run, 50 + place + run.round * 10_000, 'get', leader)))
  await cluster.leader()
}

async function callLoop(run, client) {
  while (!run.over) {
    const nodes = [...run.cluster.nodes.keys()]
    const node = nodes[Math.floor(Math.random() * nodes.length)]
    if (node !== undefined) await call(run, client, Math.random() < 0.5 ? 'put' : 'get', node)
    await pause(2 + Math.random() * 8)
  }
}

/** @returns whether it was answered with success. */
async function call(run, client, kind, node, key = `r${run.round}-${Math.floor(Math.random() * keysOfRound)}`) {
  const port = run.cluster.nodes.get(node)?.http
  if (port === undefined) return false
  const value = kind === 'put' ? String(run.nextValue++) : undefined
  const body = kind === 'put' ? { key: base64(key), value: base64(value) } : { key: base64(key) }
  const entry = { client, key, node, input: { kind, value }, startedAt: performance.now() }
  const answer = await post({ port, path: kind === 'put' ? '/v3/kv/put' : '/v3/kv/range', body })
  const said = answer.status === 200 ? `${kind} answered` : `${kind} ${answer.body?.code ?? 'connection lost'}`
  run.counts[said] = (run.counts[said] ?? 0) + 1
  if (answer.status === 200) {
    const found = answer.body.kvs?.[0]?.value
    const seen = found === undefined ? undefined : Buffer.from(found, 'base64').toString()
    run.history.push({ ...entry, endedAt: performance.now(), output: { value: kind === 'put' ? undefined : seen } })
    return true
  }
  const unknown = answer.status === 0 ? answer.sent : answer.body.code === 'core.ha.outcome-unknown'
  if (kind === 'put' && unknown) run.history.push(entry)
  return false
}

/** What is there at the end: an acknowledged write that was lost shows here at the latest. */
async function readAll(run) {
  const keys = [...new Set(run.history.map(({ key }) => key))]
  const nodes = [...run.cluster.nodes.keys()]
  await Promise.all(
    Array.from({ length: 16 }, async (_, reader) => {
      for (let at = reader; at < keys.length; at += 16) await call(run, 200 + reader, 'get', nodes[at % 3], keys[at])
    }),
  )
}

function judge(history) {
  const bad = []
  const byKey = Map.groupBy === undefined ? grouped(history) : Map.groupBy(history, ({ key }) => key)
  let lost = 0
  let stale = 0
  for (const [key, calls] of byKey) {
    const verdict = checkLinearizable(register, calls)
    if (verdict.linearizable) continue
    bad.push(
      `${key}: ${verdict.gaveUp ? 'search given up' : `no order fits ${JSON.stringify(verdict.stuck?.slice(0, 3))}`}`,
    )
    // Which of the two it is: a value that is found nowhere any more was lost, one that comes back was read too late.
    const last = calls.filter(({ input }) => input.kind === 'get').at(-1)
    const later = calls.some(
      ({ output, startedAt }) => startedAt > (last?.startedAt ?? 0) && output?.value !== undefined,
    )
    if (last?.output.value === undefined && !later) lost += 1
    else stale += 1
  }
  const puts = history.filter(({ input, endedAt }) => input.kind === 'put' && endedAt !== undefined).length
  const reads = history.filter(({ input }) => input.kind === 'get').length
  const counts = {
    calls: history.length,
    acknowledgedPuts: puts,
    reads,
    keys: byKey.size,
    linearizable: bad.length === 0,
  }
  return { bad, counts: { ...counts, keysThatLost: lost, keysReadStale: stale } }
}

function grouped(history) {
  const all = new Map()
  for (const call of history) all.set(call.key, [...(all.get(call.key) ?? []), call])
  return all
}
