import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'tap'
import { ClusterKey } from '../../src/ha/libp2p/admission.js'
import { startLibp2p, topicNetwork } from '../../src/ha/libp2p/libp2p.js'
import { NodeSeals } from '../../src/ha/libp2p/topic.js'
import type { HaNetwork } from '../../src/ha/network.js'
import { networkSuite } from '../../src/ha/network-suite.js'
import { silentLogger } from '../../src/kernel/logger.js'
import { systemClock } from '../../src/kernel/system-clock.js'
import { systemIds } from '../../src/kernel/system-ids.js'
import { SimTopic } from './sim-topic.js'

const clock = systemClock({ keepAlive: true })
const maxQueuedBytes = 2 * 1024 * 1024
const clusterKey = 'a key of the tests, long enough'

// On a topic in memory that mixes up and repeats; `verify ha-topic` runs the same on gossipsub.
networkSuite(
  (name, fn) => test(`over a topic: ${name}`, fn),
  async () => {
    const topic = new SimTopic(clock, 1)
    Object.assign(topic.faults, { duplicate: 0.1, maxDelayMs: 3 })
    const key = new ClusterKey(clusterKey)
    const networks: HaNetwork[] = []
    let opened = 0
    return {
      maxQueuedBytes,
      async open(self) {
        opened += 1
        const peer = `peer ${opened}`
        const network = topicNetwork({
          self,
          topic: topic.open(peer),
          seals: new NodeSeals({ key, self, peer }),
          carrier: {
            address: peer,
            setPeer: () => undefined,
            removePeer: () => undefined,
            onPeer: () => undefined,
            close: async () => undefined,
          },
          clock,
          logger: silentLogger,
          epoch: opened,
          helloMs: 100,
          maxQueuedBytes,
        })
        networks.push(network)
        return network
      },
      pause: () => new Promise(resolve => clock.after(5, () => resolve())),
      async [Symbol.asyncDispose]() {
        await Promise.all(networks.map(network => network.close()))
      },
    }
  },
)

test('on gossipsub: nodes that are not connected reach each other over one between them', async () => {
  const hosts = await Promise.all(
    [1, 2, 3].map(self =>
      startLibp2p({
        self,
        clusterKey,
        seed: createHash('sha256').update(`line ${self}`).digest(),
        clock,
        ids: systemIds(),
        logger: silentLogger,
      }),
    ),
  )
  const networks = hosts.map(({ network, seals, topic }, place): HaNetwork => {
    const own = { self: place + 1, seals, carrier: network, clock, logger: silentLogger }
    return topicNetwork({ ...own, topic: topic('raft'), helloMs: 200 })
  })
  const [one, two, three] = networks as [HaNetwork, HaNetwork, HaNetwork]
  // A line: 1 and 3 know nothing of each other.
  one.setPeer(2, two.address)
  three.setPeer(2, two.address)
  const got: string[] = []
  one.onFrame((from, frame) => got.push(`${from} ${Buffer.from(frame).toString()}`))
  three.onFrame((from, frame) => three.send(from, [Buffer.from('heard '), frame]))
  for (let turn = 0; turn < 1_000 && got.length === 0; turn++) {
    if (turn % 50 === 0) one.send(3, [Buffer.from('over there')])
    await new Promise<void>(resolve => clock.after(10, resolve))
  }
  assert.equal(got[0], '3 heard over there')
  await Promise.all(networks.map(network => network.close()))
})
