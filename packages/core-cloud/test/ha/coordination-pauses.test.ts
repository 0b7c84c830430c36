import assert from 'node:assert/strict'
import { type Bucket, openStreams, type Streams } from '@aaas/core-cloud/bus'
import { ManualClock, seededIds, seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { CoordinationMachine } from '../../src/ha/coordination/raft/coordination-machine.js'
import { raftCoordination } from '../../src/ha/coordination/raft/raft-coordination.js'
import type { Coordination, Lease } from '../../src/ha/coordination.js'
import { kubernetesLeaseCoordination, leaseSimulator } from '../../src/ha/kubernetes-lease/kubernetes-lease.js'
import { natsKvCoordination } from '../../src/ha/nats-kv/nats-kv.js'
import { CoreGroup } from './coordination/core-group.js'
import { OwnClock } from './coordination/own-clock.js'

const stepMs = 20
const worldMs = 25_000

interface World {
  readonly grants: number
  readonly writes: number
}

/** What the nodes coordinate over, and how it is disturbed. */
interface Ground {
  readonly nodes: readonly Coordination[]
  disturb(at: number): void
  heal(): void
  pause(at: number): void
  resume(at: number): void
  close(): void
}
type Lay = (clock: ManualClock, clocks: readonly OwnClock[], seed: number) => Promise<Ground>

const raft: Lay = async (clock, clocks, seed) => {
  const machines = clocks.map(() => new CoordinationMachine())
  const group = new CoreGroup(clock, machines)
  const nodes = machines.map((machine, at) => {
    const place = { clock: clocks[at]!, ids: seededIds(seed * 10 + at), node: `n${at}`, driftShare: 0.1 }
    return raftCoordination({ ...place, replica: group.members[at]!, machine, stepMs: 100 })
  })
  return {
    nodes,
    disturb: at => group.isolate(at % 2 === 0 ? (group.leader?.id ?? 1) : at + 1),
    heal: () => group.heal(),
    pause: at => {
      group.members[at]!.paused = true
    },
    resume: at => {
      group.members[at]!.paused = false
    },
    close: () => group.close(),
  }
}

/** Nodes that are cut off, or stand still, get no answers until that is over. */
function gates(clock: ManualClock, count: number) {
  const shut = Array.from({ length: count }, () => ({ cut: false, paused: false }))
  const through = async <T>(at: number, run: () => Promise<T>): Promise<T> => {
    const wait = async (): Promise<void> => {
      while (shut[at]!.cut || shut[at]!.paused) await new Promise<void>(resolve => clock.after(20, resolve))
    }
    await wait()
    const value = await run()
    await wait()
    return value
  }
  return {
    through,
    disturb: (at: number) => {
      shut[at]!.cut = true
    },
    heal: () => {
      for (const one of shut) one.cut = false
    },
    pause: (at: number) => {
      shut[at]!.paused = true
    },
    resume: (at: number) => {
      shut[at]!.paused = false
    },
  }
}

const kubernetes: Lay = async (clock, clocks, seed) => {
  const { fetch } = leaseSimulator({ clock, latencyMs: 3 })
  const ways = gates(clock, clocks.length)
  const nodes = clocks.map((own, at) =>
    kubernetesLeaseCoordination({
      clock: own,
      ids: seededIds(seed * 10 + at),
      node: `n${at}`,
      namespace: 'test',
      pollMs: 100,
      fetch: (url, init) => ways.through(at, () => fetch(url, { ...init, signal: new AbortController().signal })),
    }),
  )
  return { ...ways, nodes, close: () => undefined }
}

const nats: Lay = async (clock, clocks, seed) => {
  const streams = await openStreams({ clock })
  const ways = gates(clock, clocks.length)
  const gated = (at: number): Streams =>
    ({
      bucket: async config => {
        const bucket = await streams.bucket(config)
        const call =
          <A extends unknown[], R>(run: (...args: A) => Promise<R>) =>
          (...args: A): Promise<R> =>
            ways.through(at, () => run.apply(bucket, args))
        const { get, create, update, watch } = bucket
        return { get: call(get), create: call(create), update: call(update), watch: call(watch) } as unknown as Bucket
      },
    }) as Streams
  const nodes = await Promise.all(
    clocks.map((own, at) => {
      const place = { clock: own, ids: seededIds(seed * 10 + at), node: `n${at}`, streams: gated(at) }
      return natsKvCoordination({ ...place, durability: 'relaxed' })
    }),
  )
  return { ...ways, nodes, close: () => undefined }
}

/**
 * Three nodes with clocks that run apart, of which each wants one name again and again, while they are cut off and stand
 * still. Whoever believes to hold the name writes every 20 ms, after asking its lease and nobody else.
 */
async function live(seed: number, lay: Lay): Promise<World> {
  const random = seededRandom(seed)
  const clock = new ManualClock()
  const clocks = [1, 2, 3].map(() => new OwnClock(clock, 0.97 + random() * 0.06))
  const ground = await lay(clock, clocks, seed)
  const held: (Lease | undefined)[] = []
  const tokens: number[] = []
  let writes = 0
  const write = (at: number): void => {
    const lease = held[at]
    if (lease === undefined) return
    try {
      lease.assertHeld()
    } catch {
      return
    }
    writes += 1
    assert.ok(
      lease.token >= (tokens.at(-1) ?? 0),
      `seed ${seed}: a write with token ${lease.token} after ${tokens.at(-1)}`,
    )
    if (lease.token !== tokens.at(-1)) tokens.push(lease.token)
  }
  const candidacies = ground.nodes.map((node, at) =>
    node.elect('job', { ttlMs: 1_000 + Math.floor(random() * 2_000) }, async lease => {
      held[at] = lease
      const term = 500 + random() * 4_000
      await new Promise<void>(resolve => {
        const cancel = clocks[at]!.after(term, resolve)
        lease.signal.addEventListener('abort', () => {
          cancel()
          resolve()
        })
      })
      held[at] = undefined
    }),
  )
  for (let now = 0; now < worldMs; now += stepMs) {
    await clock.pass(stepMs)
    for (const [at, own] of clocks.entries()) if (!own.paused) write(at)
    if (random() < 0.004) disturb(ground, clock, clocks, random, write)
    if (random() < 0.01) ground.heal()
  }
  ground.heal()
  for (const [at, own] of clocks.entries()) wake(ground, own, at, write)
  const ended = Promise.all(candidacies.map(candidacy => candidacy.stop()))
  await clock.pass(20_000)
  await ended
  ground.close()
  return { grants: tokens.length, writes }
}

function disturb(
  ground: Ground,
  clock: ManualClock,
  clocks: readonly OwnClock[],
  random: () => number,
  write: (at: number) => void,
): void {
  const at = Math.floor(random() * clocks.length)
  const own = clocks[at]!
  if (random() < 0.5) {
    ground.disturb(at)
    return
  }
  if (own.paused) return
  own.pause()
  ground.pause(at)
  clock.after(200 + random() * 5_000, () => wake(ground, own, at, write))
}

/** The first thing a node does when it goes on is the write that it was about to make. */
function wake(ground: Ground, own: OwnClock, at: number, write: (at: number) => void): void {
  ground.resume(at)
  if (own.paused) own.resume(() => write(at))
}

for (const [name, lay] of Object.entries({ raft, nats, kubernetes })) {
  test(`${name}: no two hold a name at one time, whoever stands still or is cut off, and tokens rise`, async t => {
    let grants = 0
    let writes = 0
    for (let seed = 1; seed <= 3; seed++) {
      const world = await live(seed, lay)
      grants += world.grants
      writes += world.writes
    }
    t.comment(`${grants} grants, ${writes} writes`)
    assert.ok(grants > 10, `${grants} grants`)
    assert.ok(writes > 1_000, `${writes} writes`)
  })
}
