// One of the three processes: a member of the group, and a client of it that counts once in a while.
import { joinCluster, openHa } from '@aaas/core-cloud/ha'
import { silentLogger, sleep, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { counter, counterContract } from './counter.mjs'

const [node, dir, everyMs, ...ports] = process.argv.slice(2)
const self = Number(node)
const clock = systemClock({ keepAlive: true })
const ids = systemIds()
const address = port => `127.0.0.1:${port}`

const cluster = await joinCluster({
  cluster: 'counter',
  node: self,
  voters: [1, 2, 3],
  dir,
  network: { clusterKey: 'only an example of a key', listen: address(ports[self - 1]) },
  peers: Object.fromEntries(ports.map((port, at) => [at + 1, address(port)]).filter(([other]) => other !== self)),
  clock,
  ids,
  logger: silentLogger,
})
const member = await cluster.replicate(2, counter)
const { client } = openHa({ clock, ids }).wrap(counterContract, { mode: 'replicated', definition: counter, member })
process.on('disconnect', () => process.exit())

for (;;) {
  await sleep(clock, Number(everyMs))
  const began = clock.monotonic()
  try {
    const { count } = await client.add({ by: 1 })
    process.send?.({ node: self, count, ms: Math.round(clock.monotonic() - began), role: member.replica.status.role })
  } catch (error) {
    process.send?.({ node: self, error: error.code ?? String(error) })
  }
}
