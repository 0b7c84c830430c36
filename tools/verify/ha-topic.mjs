// npm run verify -- ha-topic: every promise of a network of nodes, kept by `raft-over-topic` on real gossipsub.
import { createHash } from 'node:crypto'
import { startLibp2p, topicNetwork } from '../../packages/core-cloud/dist/src/ha/libp2p/libp2p.js'
import { networkSuite } from '../../packages/core-cloud/dist/src/ha/network-suite.js'
import { silentLogger, systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'

const maxQueuedBytes = 2 * 1024 * 1024
const clock = systemClock({ keepAlive: true })

export async function verify({ say }) {
  const promises = []
  networkSuite((name, fn) => promises.push({ name, fn }), open)
  const failed = []
  for (const { name, fn } of promises) {
    const start = clock.monotonic()
    try {
      await fn()
      say(`ok      ${name} (${Math.round(clock.monotonic() - start)} ms)`)
    } catch (error) {
      failed.push(name)
      say(`FAILED  ${name}: ${error.message}`)
    }
  }
  return { ok: failed.length === 0, promises: promises.length, failed }
}

async function open() {
  const networks = []
  return {
    maxQueuedBytes,
    async open(self) {
      const seed = createHash('sha256').update(`verify topic ${self}`).digest()
      const ports = { clock, ids: systemIds(), logger: silentLogger }
      const host = await startLibp2p({ self, clusterKey: 'the key of this demonstration', seed, ...ports })
      const { network: carrier, seals } = host
      const topic = host.topic('raft')
      const network = topicNetwork({ self, topic, seals, carrier, ...ports, helloMs: 100, maxQueuedBytes })
      networks.push(network)
      return network
    },
    pause: () => new Promise(resolve => clock.after(5, resolve)),
    async [Symbol.asyncDispose]() {
      await Promise.all(networks.map(network => network.close()))
    },
  }
}
