// How long a service is gone when the process that leads it is killed (-9): puts at a steady pace on every survivor,
// and the time from the kill to the first acknowledgement of one that was begun after it.
import { setTimeout as pause } from 'node:timers/promises'
import { post } from '../../tools/verify/_ha-cluster.mjs'

const base64 = text => Buffer.from(text).toString('base64')

/** @param system.{leader, kill, nodes, port} - of the cluster. @returns milliseconds. */
export async function takeOver(system) {
  const leader = await system.leader()
  const survivors = system.nodes().filter(node => node !== leader)
  let first
  const killedAt = performance.now()
  const gone = system.kill(leader)
  while (first === undefined && performance.now() - killedAt < 20_000) {
    for (const node of survivors) {
      const from = performance.now()
      const body = { key: base64('take-over'), value: base64('x') }
      post({ port: system.port(node), path: '/v3/kv/put', body, timeout: 3_000 }).then(({ status }) => {
        if (status === 200 && from >= killedAt) first ??= performance.now() - killedAt
      })
    }
    await pause(10)
  }
  await gone
  if (first === undefined) throw new Error('nobody took over')
  await system.startNode(leader)
  await system.leader()
  return first
}

/** Leadership goes from node to node while callers put. @returns failed calls and the longest of all, milliseconds. */
export async function handOver(cluster, rounds) {
  let running = true
  let calls = 0
  const failed = []
  let longest = 0
  const work = Promise.all(
    Array.from({ length: 12 }, async (_, caller) => {
      const node = 1 + (caller % 3)
      while (running) {
        const from = performance.now()
        const body = { key: base64(`h${caller}`), value: base64('x') }
        const { status, body: answer } = await post({ port: cluster.nodes.get(node).http, path: '/v3/kv/put', body })
        calls += 1
        longest = Math.max(longest, performance.now() - from)
        if (status !== 200) failed.push(answer)
        await pause(1)
      }
    }),
  )
  await pause(200)
  const took = []
  for (let round = 0; round < rounds; round++) {
    const leader = await cluster.leader()
    took.push(await cluster.ask(leader, { transfer: 1 + (leader % 3) }, 'transferred'))
    await pause(50)
  }
  running = false
  await work
  return { calls, failed: failed.length, longest, took }
}
