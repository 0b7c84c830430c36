// One node of `verify ha-holders`: stands for election, and writes its token to a file that all share, every few
// milliseconds, whenever its lease says that it may. Nothing but the lease keeps two from writing.
import { closeSync, openSync, writeSync } from 'node:fs'
import { joinCluster } from '../../packages/core-cloud/dist/src/ha/index.js'
import { silentLogger, sleep, systemClock, systemIds } from '../../packages/core-cloud/dist/src/kernel/index.js'

const [, , node, dir, shared, ...ports] = process.argv
const self = Number(node)
const clock = systemClock({ keepAlive: true })
const ids = systemIds()
const address = port => `127.0.0.1:${port}`
const cluster = await joinCluster({
  cluster: 'holders',
  node: self,
  voters: [1, 2, 3],
  dir,
  network: { clusterKey: 'the key of a demonstration', listen: address(ports[self - 1]) },
  peers: Object.fromEntries(ports.map((port, at) => [at + 1, address(port)]).filter(([other]) => other !== self)),
  clock,
  ids,
  logger: silentLogger,
})
const file = openSync(shared, 'a')
process.on('disconnect', () => {
  closeSync(file)
  process.exit()
})
cluster.coordination.elect('writer', { ttlMs: 1_000 }, async lease => {
  process.send({ node: self, token: lease.token })
  while (!lease.signal.aborted) {
    try {
      lease.assertHeld()
    } catch {
      return
    }
    // A line of 16 bytes in one write: none is torn, and the file keeps the order.
    writeSync(file, `${String(lease.token).padStart(13)} ${self}\n`)
    await sleep(clock, 2)
  }
})
process.send({ node: self, ready: true })
