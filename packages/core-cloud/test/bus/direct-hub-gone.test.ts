import { systemClock } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import type { DirectBus } from '../../src/bus/index.js'
import { acquainted, until } from './fixture/direct-cluster.js'
import { openStar } from './fixture/direct-star.js'

const clock = systemClock({ keepAlive: true })
const empty = Buffer.alloc(0)

test('50 peers go on calling each other while their hub is gone, and find it again', async t => {
  const star = openStar(t)
  const hub = await star.startHub()
  const peers: DirectBus[] = []
  for (let index = 0; index < 50; index++) {
    const bus = await star.join(`p${index}`)
    peers.push(bus)
    // Those who serve come first: what they serve is in the first thing the others hear of them.
    if (index < 10)
      await bus.subscribe(`peer.${index}`, async message => message.respond?.(message.payload), { queue: 'q' })
  }
  await acquainted(peers)
  const callOne = (bus: DirectBus, index: number): Promise<unknown> =>
    bus.request(`peer.${(index + 1) % 10}`, empty, { deadline: clock.now() + 8_000 })
  await Promise.all(peers.map(callOne))
  await hub[Symbol.asyncDispose]()
  // Without a hub nothing but the direct way is there.
  for (let round = 0; round < 5; round++) await Promise.all(peers.map(callOne))
  const again = await star.startHub()
  await until(() => again.connections().length === 50)
  // A newcomer sees that everybody is back, and is seen.
  const late = await star.join('late')
  await acquainted([...peers, late])
  await late.request('peer.7', empty, { deadline: clock.now() + 5_000 })
  t.equal(late.info().direct, 1)
  t.equal(
    peers.map(bus => bus.info().otherWay).reduce((sum, count) => sum + count),
    0,
  )
})
