import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { connect, createServer, type Socket } from 'node:net'
import { test } from 'tap'
import { startLibp2p } from '../../src/ha/libp2p/libp2p.js'
import type { HaNetwork } from '../../src/ha/network.js'
import { networkSuite } from '../../src/ha/network-suite.js'
import { silentLogger } from '../../src/kernel/logger.js'
import { systemClock } from '../../src/kernel/system-clock.js'
import { systemIds } from '../../src/kernel/system-ids.js'

const maxQueuedBytes = 2 * 1024 * 1024
const clock = systemClock({ keepAlive: true })

networkSuite(test, async () => {
  const networks: HaNetwork[] = []
  return {
    maxQueuedBytes,
    async open(node) {
      const { network } = await startLibp2p({
        self: node,
        clusterKey: 'a key of the tests, long enough',
        seed: createHash('sha256').update(`node ${node}`).digest(),
        clock,
        ids: systemIds(),
        logger: silentLogger,
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
})

test('a connection on which nothing comes any more is cut, though TCP is still there', async () => {
  const start = (self: number) =>
    startLibp2p({
      self,
      clusterKey: 'a key of the tests, long enough',
      seed: createHash('sha256').update(`silent ${self}`).digest(),
      clock,
      ids: systemIds(),
      logger: silentLogger,
      maxSilenceMs: 1_500,
    })
  const [one, two] = [await start(1), await start(2)]
  const port = Number(/\/tcp\/(\d+)/.exec(one.network.address)?.[1])
  const sockets: Socket[] = []
  const relay = createServer(incoming => {
    const outgoing = connect(port, '127.0.0.1')
    sockets.push(incoming, outgoing)
    for (const socket of [incoming, outgoing]) socket.on('error', () => undefined)
    incoming.pipe(outgoing).pipe(incoming)
  })
  await new Promise<void>(resolve => relay.listen(0, '127.0.0.1', resolve))
  const { port: relayPort } = relay.address() as { port: number }
  const events: string[] = []
  two.network.onPeer((node, state) => events.push(`${node} ${state}`))
  two.network.setPeer(1, one.network.address.replace(/tcp\/\d+/, `tcp/${relayPort}`))
  const until = async (last: string): Promise<void> => {
    for (let turn = 0; turn < 800 && events.at(-1) !== last; turn++) {
      await new Promise<void>(resolve => clock.after(10, resolve))
    }
    assert.equal(events.at(-1), last)
  }
  await until('1 up')
  for (const socket of sockets) {
    socket.unpipe()
    socket.pause()
  }
  await until('1 down')
  relay.close()
  for (const socket of sockets) socket.destroy()
  await Promise.all([one.network.close(), two.network.close()])
})
