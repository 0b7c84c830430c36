import assert from 'node:assert/strict'
import { ManualClock, seededIds } from '@aaas/testing'
import { test } from 'tap'
import { detectFailures, type WatchedNetwork } from '../../src/ha/membership/failure-detection.js'
import { MemoryHub } from '../../src/ha/memory-network.js'
import type { HaNetwork } from '../../src/ha/network.js'
import { networkSuite } from '../../src/ha/network-suite.js'
import { silentLogger } from '../../src/kernel/logger.js'

const maxQueuedBytes = 2 * 1024 * 1024

function watch(network: HaNetwork, clock: ManualClock): WatchedNetwork {
  return detectFailures({ network, clock, ids: seededIds(network.self), logger: silentLogger })
}

networkSuite(
  (name, fn) => test(`watched: ${name}`, fn),
  async () => {
    const clock = new ManualClock()
    const hub = new MemoryHub({ maxQueuedBytes })
    return {
      maxQueuedBytes,
      open: async node => watch(hub.join(node), clock),
      pause: () => clock.pass(0),
      [Symbol.asyncDispose]: async () => undefined,
    }
  },
)

/** Three watched nodes that know each other; what the first is told of the others. */
async function three() {
  const clock = new ManualClock()
  const hub = new MemoryHub()
  const deaf = new Set<number>()
  const nodes = [1, 2, 3].map(id => {
    const inner = hub.join(id)
    // A hang: connected, and nothing is read any more.
    const network: HaNetwork = Object.create(inner, {
      self: { value: id },
      address: { value: inner.address },
      send: { value: (...args: Parameters<HaNetwork['send']>) => inner.send(...args) },
      onPeer: { value: (handler: Parameters<HaNetwork['onPeer']>[0]) => inner.onPeer(handler) },
      setPeer: { value: (node: number, address: string) => inner.setPeer(node, address) },
      close: { value: () => inner.close() },
      onFrame: {
        value: (handler: Parameters<HaNetwork['onFrame']>[0]) =>
          inner.onFrame((from, frame) => {
            if (!deaf.has(id)) handler(from, frame)
          }),
      },
    })
    return { inner, watched: watch(network, clock) }
  })
  for (const { watched } of nodes) for (const other of nodes) watched.setPeer(other.inner.self, other.inner.address)
  const told: string[] = []
  nodes[0]?.watched.onPeer((node, state) => told.push(`${node} ${state}`))
  await clock.pass(3_000)
  const [first, second] = nodes.map(({ watched }) => watched) as [WatchedNetwork, WatchedNetwork]
  return { clock, hub, deaf, told, first, second, inner: nodes.map(({ inner }) => inner) }
}

test('a node that is connected and answers nobody is down within 20 seconds, and up when it answers again', async () => {
  const { clock, deaf, told, first } = await three()
  assert.deepEqual(told.sort(), ['2 up', '3 up'])
  deaf.add(3)
  await clock.pass(20_000)
  assert.equal(told.at(-1), '3 down')
  assert.equal(first.healthOf(3), 'dead')
  deaf.delete(3)
  await clock.pass(20_000)
  assert.equal(told.at(-1), '3 up')
  assert.deepEqual(told.slice(2), ['3 down', '3 up'])
})

test('a node whose connection ended is down at once, whatever its health', async () => {
  const { clock, hub, told, first } = await three()
  hub.cut(1, 2)
  await clock.pass(0)
  assert.equal(told.at(-1), '2 down')
  assert.equal(first.healthOf(2), 'alive')
  hub.heal()
  await clock.pass(0)
  assert.equal(told.at(-1), '2 up')
})

test('a stall of this process makes it doubt itself, and nobody is down', async () => {
  const { clock, told, first, deaf } = await three()
  const before = told.length
  const now = clock.monotonic.bind(clock)
  clock.monotonic = () => now() + 30_000
  // Nobody answers in the same moment, which would make it trust itself again.
  for (const node of [2, 3]) deaf.add(node)
  await clock.pass(100)
  assert.equal(first.doubt, 1)
  deaf.clear()
  await clock.pass(30_000)
  assert.equal(told.length, before)
  assert.equal(first.doubt, 0)
})

test('frames of a channel that is not known, and nonsense, are dropped', async () => {
  const { clock, first, inner, told } = await three()
  const frames: string[] = []
  first.onFrame((from, frame) => frames.push(`${from} ${Buffer.from(frame).toString()}`))
  for (const bytes of [[], [7, 1, 2], [1], [1, 255, 0], [0, 120]]) inner[1]?.send(1, [Buffer.from(bytes)])
  await clock.pass(1_000)
  assert.deepEqual(frames, ['2 x'])
  assert.deepEqual(told.sort(), ['2 up', '3 up'])
})
