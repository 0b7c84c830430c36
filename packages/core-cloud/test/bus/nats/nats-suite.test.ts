import { silentLogger, systemIds } from '@aaas/core-cloud/kernel'
import { findTestEngine, type NatsServers, startNats } from '@aaas/testing'
import { test } from 'tap'
import { type BusFixture, busSuite } from '../../../src/bus/bus-suite.js'
import type { Bus } from '../../../src/bus/index.js'
import { type NatsBusOptions, natsBus } from '../../../src/bus/nats/nats-bus.js'
import { ShiftedClock } from '../fixture/shifted-clock.js'

const engine = findTestEngine('nats')
const skip = 'skip' in engine ? engine.skip : false
const program = 'path' in engine ? engine.path : ''
const config = 'max_payload: 9MB\nmax_pending: 64MB'

/** Every bus of a fixture at a server of its own, as far as there are several. */
function fixtureOn(servers: NatsServers, options: Partial<NatsBusOptions> = {}): BusFixture {
  const clock = new ShiftedClock()
  const open: Bus[] = []
  return {
    clock,
    passTime: ms => clock.pass(ms),
    async connect() {
      const running = servers.nodes.filter(node => node.running)
      const first = running[open.length % running.length]!.url
      const bus = await natsBus({
        servers: [first, ...servers.urls.filter(url => url !== first)],
        clock,
        ids: systemIds(),
        logger: silentLogger,
        ...options,
      })
      open.push(bus)
      return bus
    },
    async [Symbol.asyncDispose]() {
      for (const bus of open) await bus[Symbol.asyncDispose]()
    },
  }
}

for (const batch of [undefined, false] as const) {
  test(`nats, one server, ${batch === false ? 'no batches' : 'batches'}`, { skip }, async t => {
    const servers = await startNats({ program, config, streams: false })
    t.teardown(() => servers[Symbol.asyncDispose]())
    busSuite(
      (name, fn) => t.test(name, fn),
      async () => fixtureOn(servers, batch === false ? { batch } : {}),
      { ends: 'separate', balance: 'random' },
    )
  })
}

test('nats, three servers, each killed and started again between', { skip }, async t => {
  const servers = await startNats({ program, config, count: 3, streams: false })
  t.teardown(() => servers[Symbol.asyncDispose]())
  let count = 0
  busSuite(
    (name, fn) => t.test(name, fn),
    async () => {
      const fixture = fixtureOn(servers)
      count += 1
      // A server dies before one test and is back before the fourth after it; the tests between have two.
      const node = servers.nodes[Math.floor(count / 8) % 3]!
      if (count % 8 === 0) await node.kill()
      if (count % 8 === 4) await servers.nodes[Math.floor((count - 4) / 8) % 3]!.start()
      return fixture
    },
    { ends: 'separate', balance: 'random' },
  )
})
