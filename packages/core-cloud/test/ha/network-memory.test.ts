import { test } from 'tap'
import { MemoryHub } from '../../src/ha/memory-network.js'
import type { HaNetwork } from '../../src/ha/network.js'
import { networkSuite } from '../../src/ha/network-suite.js'

networkSuite(test, async () => {
  const maxQueuedBytes = 4 * 1024 * 1024
  const hub = new MemoryHub({ maxQueuedBytes })
  const opened: HaNetwork[] = []
  return {
    maxQueuedBytes,
    async open(node) {
      const network = hub.join(node)
      opened.push(network)
      return network
    },
    pause: () => new Promise(resolve => setImmediate(resolve)),
    async [Symbol.asyncDispose]() {
      for (const network of opened) await network.close()
    },
  }
})
