import assert from 'node:assert/strict'
import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { ClusterKey } from '../../src/ha/libp2p/admission.js'
import { topicNetwork } from '../../src/ha/libp2p/libp2p.js'
import { NodeSeals } from '../../src/ha/libp2p/topic.js'
import type { HaNetwork } from '../../src/ha/network.js'
import { silentLogger } from '../../src/kernel/logger.js'
import { SimTopic } from './sim-topic.js'

const key = new ClusterKey('a key of the tests, long enough')

function world(seed: number, nodes = 3) {
  const clock = new ManualClock()
  const topic = new SimTopic(clock, seed)
  const open = (self: number, peer = `peer ${self}`, clusterKey = key): HaNetwork =>
    topicNetwork({
      self,
      topic: topic.open(peer),
      seals: new NodeSeals({ key: clusterKey, self, peer }),
      carrier: {
        address: peer,
        setPeer: () => undefined,
        removePeer: () => undefined,
        onPeer: () => undefined,
        close: async () => undefined,
      },
      clock,
      logger: silentLogger,
      maxQueuedBytes: 4 * 1024 * 1024,
    })
  const networks = Array.from({ length: nodes }, (_, place) => open(place + 1))
  return { clock, topic, open, networks }
}

function numbered(place: number, bytes: number): Buffer[] {
  const first = Buffer.alloc(4)
  first.writeUInt32LE(place)
  return [first, Buffer.alloc(bytes, place % 251)]
}

test('what the topic loses is lost, what it repeats comes once, what it mixes up comes in order and whole', async () => {
  for (const seed of [1, 2, 3]) {
    const { clock, topic, networks } = world(seed)
    await clock.pass(3_000)
    Object.assign(topic.faults, { drop: 0.05, duplicate: 0.2, maxDelayMs: 80 })
    const got = new Map<string, number[]>()
    for (const network of networks) {
      network.onFrame((from, frame) => {
        const place = Buffer.from(frame.buffer, frame.byteOffset).readUInt32LE(0)
        assert(
          frame.subarray(4).every(byte => byte === place % 251),
          'a frame is whole',
        )
        const way = `${from} ${network.self}`
        got.set(way, [...(got.get(way) ?? []), place])
      })
    }
    let sent = 0
    for (let place = 0; place < 150; place++) {
      for (const network of networks) {
        for (const { self } of networks) if (network.send(self, numbered(place, (place * 37) % 3_000))) sent += 1
      }
      await clock.pass(10)
    }
    await clock.pass(10_000)
    let arrived = 0
    for (const [way, places] of got) {
      arrived += places.length
      assert(
        places.every((place, at) => at === 0 || place > (places[at - 1] as number)),
        `${way}: in order and once`,
      )
    }
    assert(sent > 800, `sent ${sent}`)
    assert(arrived > 0.85 * sent && arrived <= sent, `seed ${seed}: ${arrived} of ${sent}`)
  }
})

test('large frames survive a topic that mixes up and repeats', async () => {
  const { clock, topic, networks } = world(9, 2)
  await clock.pass(3_000)
  Object.assign(topic.faults, { duplicate: 0.3, maxDelayMs: 50 })
  const got: number[] = []
  networks[1]?.onFrame((_, frame) => got.push(frame.length))
  const sizes = [1, 300_000, 5, 1_500_000, 128 * 1024, 0]
  for (const [place, size] of sizes.entries()) assert(networks[0]?.send(2, numbered(place, size)))
  await clock.pass(20_000)
  assert.deepEqual(
    got,
    sizes.map(size => size + 4),
  )
})

test('everything that was ever said, said again, changes nothing', async () => {
  const { clock, topic, networks, open } = world(5)
  await clock.pass(3_000)
  const got: string[] = []
  const events: string[] = []
  networks[1]?.onFrame((from, frame) => got.push(`${from} ${Buffer.from(frame).toString()}`))
  for (const word of ['one', 'two', 'three']) networks[0]?.send(2, [Buffer.from(word)])
  await clock.pass(2_000)
  await networks[2]?.close()
  await clock.pass(1_000)
  networks[1]?.onPeer((node, state) => events.push(`${node} ${state}`))
  assert.deepEqual([got.length, events], [3, ['1 up']])
  for (const { from, data } of [...topic.said]) topic.say(from, data)
  await clock.pass(1_000)
  assert.equal(got.length, 3)
  assert.deepEqual(events, ['1 up'], 'a node that is gone does not come back by its old words')
  const again = open(3)
  await clock.pass(3_000)
  assert.deepEqual(events, ['1 up', '3 up'])
  await again.close()
})

test('who has no seal of the cluster, or speaks for another node, is not heard', async () => {
  const { clock, topic, networks, open } = world(6, 2)
  await clock.pass(3_000)
  const events: string[] = []
  networks[0]?.onPeer((node, state) => events.push(`${node} ${state}`))
  const stranger = open(7, 'a stranger', new ClusterKey('another key, just as long'))
  await clock.pass(3_000)
  // Words of node 2 from the mouth of another peer.
  for (const { from, data } of [...topic.said]) if (from === 'peer 2') topic.say('a liar', data)
  await clock.pass(3_000)
  assert.deepEqual(events, ['2 up'])
  await stranger.close()
})

test('a node that is silent for five greetings is down, and up when it is heard again', async () => {
  const { clock, topic, networks } = world(8, 2)
  await clock.pass(3_000)
  const events: string[] = []
  networks[0]?.onPeer((node, state) => events.push(`${node} ${state}`))
  topic.faults.drop = 1
  await clock.pass(4_900)
  assert.deepEqual(events, ['2 up'])
  await clock.pass(2_100)
  assert.deepEqual(events, ['2 up', '2 down'])
  topic.faults.drop = 0
  await clock.pass(3_000)
  assert.deepEqual(events, ['2 up', '2 down', '2 up'])
})
