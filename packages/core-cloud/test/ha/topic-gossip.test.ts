import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { ManualClock } from '@aaas/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { ClusterKey } from '../../src/ha/libp2p/admission.js'
import { gossipPlane } from '../../src/ha/libp2p/gossip-plane.js'
import { decodeGossip, type GossipMessage } from '../../src/ha/libp2p/gossip-records.js'
import { GossipTable } from '../../src/ha/libp2p/gossip-table.js'
import { startLibp2p } from '../../src/ha/libp2p/libp2p.js'
import { NodeSeals } from '../../src/ha/libp2p/topic.js'
import { createLogger, type LogRecord, silentLogger } from '../../src/kernel/logger.js'
import { systemClock } from '../../src/kernel/system-clock.js'
import { systemIds } from '../../src/kernel/system-ids.js'
import { SimTopic } from './sim-topic.js'

const clusterKey = 'a key of the tests, long enough'

function world(nodes: number, seed = 1) {
  const clock = new ManualClock()
  const topic = new SimTopic(clock, seed)
  const lines: LogRecord[] = []
  const logger = createLogger({ now: () => 0, write: line => lines.push(line) })
  const open = (self: number, key = clusterKey, peer = `peer ${self}`) => {
    const seals = new NodeSeals({ key: new ClusterKey(key), self, peer })
    const address = (): string => `address of ${self}`
    return gossipPlane({ self, topic: topic.open(peer), seals, address, zone: `z${self % 2}`, clock, logger })
  }
  return { clock, topic, lines, open, planes: Array.from({ length: nodes }, (_, place) => open(place + 1)) }
}

const advert = (instance: string, weight = 1) => ({
  service: 'sms',
  version: '1.0.0',
  instance,
  address: `http://${instance}`,
  weight,
})

test('members, services, loads and leaders are known to everybody', async () => {
  const { clock, planes } = world(3)
  const [one, two, three] = planes as [(typeof planes)[0], (typeof planes)[0], (typeof planes)[0]]
  const withdraw = one.advertise(advert('a'))
  two.advertise(advert('b', 2))
  one.reportLoad({ service: 'sms', instance: 'a', latencyMs: 12.5, queued: 3, limit: 20 })
  one.reportLoad({ service: 'sms', instance: 'nobody', latencyMs: 1, queued: 0, limit: 1 })
  two.hintLeader({ group: 7, term: 3, leader: 2 })
  await clock.pass(2_500)
  assert.deepEqual(
    three.members().map(({ node, address, zone }) => [node, address, zone]),
    [
      [1, 'address of 1', 'z1'],
      [2, 'address of 2', 'z0'],
    ],
  )
  assert.deepEqual(
    three.services('sms').map(({ instance, weight, node }) => [instance, weight, node]),
    [
      ['a', 1, 1],
      ['b', 2, 2],
    ],
  )
  assert.deepEqual(three.loads('sms'), [{ service: 'sms', instance: 'a', latencyMs: 12.5, queued: 3, limit: 20 }])
  assert.deepEqual(one.leaderOf(7), { group: 7, term: 3, leader: 2 })
  withdraw()
  await clock.pass(200)
  assert.deepEqual(
    three.services('sms').map(({ instance }) => instance),
    ['b'],
  )
})

test('equal repetitions are not one message: what is only repeated stays, what is not is gone after ten', async () => {
  const { clock, topic, planes } = world(2)
  planes[0]?.advertise(advert('a'))
  await clock.pass(60_000)
  assert.equal(planes[1]?.services('sms').length, 1)
  assert.equal(new Set(topic.said.map(({ data }) => Buffer.from(data).toString('hex'))).size, topic.said.length)
  topic.faults.drop = 1
  await clock.pass(8_500)
  assert.equal(planes[1]?.services('sms').length, 1)
  await clock.pass(2_000)
  assert.equal(planes[1]?.services('sms').length, 0)
  assert.deepEqual(planes[1]?.members(), [])
})

test('who leaves is gone at once, and does not come back by its old words', async () => {
  const { clock, topic, planes, open } = world(2)
  planes[0]?.advertise(advert('a'))
  await clock.pass(2_000)
  await planes[0]?.[Symbol.asyncDispose]()
  await clock.pass(10)
  assert.deepEqual(planes[1]?.members(), [])
  for (const { from, data } of [...topic.said]) topic.say(from, data)
  await clock.pass(100)
  assert.deepEqual(planes[1]?.members(), [])
  open(1)
  await clock.pass(200)
  assert.deepEqual(
    planes[1]?.members().map(({ node }) => node),
    [1],
  )
})

test('a leader hint counts only with a higher term', async () => {
  const { clock, planes } = world(2)
  planes[0]?.hintLeader({ group: 1, term: 5, leader: 1 })
  await clock.pass(200)
  for (const [term, leader, known] of [
    [4, 2, 1],
    [5, 2, 1],
    [6, 2, 2],
  ] as const) {
    planes[1]?.hintLeader({ group: 1, term, leader })
    await clock.pass(200)
    assert.equal(planes[0]?.leaderOf(1)?.leader, known)
  }
})

test('a seal of another cluster, a stolen name and nonsense are dropped and told', async () => {
  const { clock, topic, lines, open, planes } = world(1)
  open(8, 'another key, just as long')
  open(1, clusterKey, 'a second node 1')
  topic.say('noise', Buffer.from('{"version":1}'))
  topic.say('noise', Buffer.from('{"version":2}'))
  topic.say('noise', Buffer.alloc(70_000))
  await clock.pass(500)
  assert.deepEqual(planes[0]?.members(), [])
  const codes = lines.map(({ fields }) => (fields.error as { code: string }).code)
  for (const code of ['wrong-cluster', 'duplicate-node', 'bad-message', 'newer-version']) {
    assert(codes.includes(`core.ha.${code}`), code)
  }
})

function words(from: number, more: Partial<GossipMessage> = {}): GossipMessage {
  const lists = { services: [], leaders: [], loads: [] }
  const head = { version: 1, from, epoch: 1, counter: 1, seal: '', address: '', zone: '', leaving: false } as const
  return { ...head, ...lists, ...more }
}

test('tables have room for what they may, and the dead make room first', async () => {
  const table = new GossipTable({ ttlMs: 100, maxNodes: 2, maxGroups: 2 })
  assert(table.take(words(1), 0))
  assert(table.take(words(2), 50))
  assert.equal(table.take(words(3), 60), false)
  assert(table.take(words(3), 110))
  assert.deepEqual(
    table.members(110).map(({ node }) => node),
    [2, 3],
  )
  for (const group of [1, 2, 3]) table.hint({ group, term: 1, leader: 1 })
  assert.deepEqual(
    [1, 2, 3].map(group => table.leaderOf(group)?.leader),
    [undefined, 1, 1],
  )
})

test('whatever the order in which words come, the newest stay', async () => {
  const said = Array.from({ length: 6 }, (_, at) =>
    words(1, { epoch: 1 + Math.floor(at / 3), counter: 1 + (at % 3), address: `${at}` }),
  )
  fc.assert(
    fc.property(fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 1 }), order => {
      const table = new GossipTable({ ttlMs: 100 })
      for (const at of order) table.take(said[at] as GossipMessage, 0)
      assert.equal(table.members(0)[0]?.address, `${Math.max(...order)}`)
    }),
  )
})

test('a node advertises 128 instances and not one more', async () => {
  const { planes } = world(1)
  for (let count = 0; count < 128; count++) planes[0]?.advertise(advert(`i${count}`))
  planes[0]?.advertise(advert('i5', 3))
  assert.throws(() => planes[0]?.advertise(advert('one more')), { code: 'core.ha.overloaded' })
})

test('bytes that are no gossip are refused', async () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.json().map(text => Buffer.from(text)),
      ),
      bytes => {
        assert.throws(() => decodeGossip(bytes))
      },
    ),
  )
})

test('on gossipsub: signed, over three nodes', async () => {
  const clock = systemClock({ keepAlive: true })
  const hosts = await Promise.all(
    [1, 2, 3].map(self => {
      const seed = createHash('sha256').update(`gossip ${self}`).digest()
      return startLibp2p({ self, clusterKey, seed, clock, ids: systemIds(), logger: silentLogger })
    }),
  )
  const planes = hosts.map(({ network, topic, seals }, place) => {
    const parts = { topic: topic('gossip'), seals, address: () => network.address }
    return gossipPlane({ self: place + 1, ...parts, clock, logger: silentLogger, intervalMs: 100 })
  })
  planes[0]?.advertise(advert('a'))
  for (const place of [1, 2]) hosts[place]?.network.setPeer(1, hosts[0]?.network.address as string)
  for (let turn = 0; turn < 1_000; turn++) {
    if (planes[2]?.services('sms').length === 1 && planes[2].members().length === 2) break
    await new Promise<void>(resolve => clock.after(10, resolve))
  }
  assert.equal(planes[2]?.services('sms')[0]?.node, 1)
  assert.deepEqual(
    planes[2]
      ?.members()
      .map(({ node }) => node)
      .sort(),
    [1, 2],
  )
  for (const plane of planes) await plane[Symbol.asyncDispose]()
  for (const { network } of hosts) await network.close()
})
