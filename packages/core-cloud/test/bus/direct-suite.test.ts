import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { findTestEngine, ManualClock, startNats } from '@aaas/testing'
import { type Test, test } from 'tap'
import type { Bus } from '../../src/bus/bus.js'
import { busSuite } from '../../src/bus/bus-suite.js'
import type { DirectBus } from '../../src/bus/index.js'
import { connectBus, listenBus, memoryBus } from '../../src/bus/index.js'
import { natsBus } from '../../src/bus/nats/nats-bus.js'
import { acquainted, joinDirect } from './fixture/direct-cluster.js'
import { socketFolder, start, stop } from './fixture/processes.js'

interface Below {
  readonly clock: ManualClock
  connect(name: string): Promise<Bus>
  close(): Promise<void>
}

interface Kind {
  readonly ends: 'separate' | 'shared'
  readonly over: 'unix' | 'tls'
  readonly balance?: 'random'
  readonly open: () => Promise<Below>
}

/** Runs every promise of the port on direct buses, and looks that requests really went directly. */
async function directSuite(t: Test, { ends, over, open, balance }: Kind): Promise<void> {
  let direct = 0
  let otherWay = 0
  busSuite(
    (name, fn) => t.test(name, fn),
    async () => {
      const { clock, connect, close } = await open()
      const folder = socketFolder()
      const buses: DirectBus[] = []
      const gone = new Set<DirectBus>()
      return {
        clock,
        passTime: ms => clock.pass(ms),
        async connect() {
          if (ends === 'shared' && buses[0] !== undefined) return buses[0]
          const name = `peer-${buses.length}`
          const listen =
            over === 'tls' ? { tcp: { host: '127.0.0.1', port: 0 } } : { socketPath: `${folder.path}/${name}` }
          const bus = await joinDirect(await connect(name), { clock, name, listen })
          const dispose = bus[Symbol.asyncDispose].bind(bus)
          bus[Symbol.asyncDispose] = () => {
            gone.add(bus)
            return dispose()
          }
          buses.push(bus)
          await clock.pass(0)
          await acquainted(buses.filter(other => !gone.has(other)))
          return bus
        },
        async [Symbol.asyncDispose]() {
          for (const bus of buses) {
            direct += bus.info().direct
            otherWay += bus.info().otherWay
            await bus[Symbol.asyncDispose]()
          }
          await close()
          folder.remove()
        },
      }
    },
    { ends, ...(balance === undefined ? {} : { balance }) },
  )
  await t.test('requests went directly', async t => {
    t.comment(`${direct} requests went directly, ${otherWay} of them took the bus below after all`)
    t.ok(direct > 20)
    t.ok(otherWay < direct / 2)
  })
}

test('over memory', t =>
  directSuite(t, {
    ends: 'shared',
    over: 'unix',
    open: async () => {
      const clock = new ManualClock()
      return { clock, connect: async () => memoryBus({ clock }), close: async () => undefined }
    },
  }))

test('over a hub in its own process', t =>
  directSuite(t, {
    ends: 'separate',
    over: 'unix',
    open: async () => {
      const clock = new ManualClock()
      const folder = socketFolder()
      const hub = await listenBus({
        socketPath: `${folder.path}/hub`,
        clock,
        logger: silentLogger,
        authenticate: () => undefined,
      })
      return {
        clock,
        connect: async name => hub.bus({ name, kind: 'host', publish: ['>'], subscribe: ['>'] }),
        async close() {
          await hub[Symbol.asyncDispose]()
          folder.remove()
        },
      }
    },
  }))

for (const over of ['unix', 'tls'] as const) {
  test(`over a unix hub between processes, calls over ${over}`, async t => {
    const folder = socketFolder()
    const socketPath = `${folder.path}/hub`
    const hub = await start('hub-process.js', socketPath)
    t.teardown(async () => {
      await stop(hub)
      folder.remove()
    })
    await directSuite(t, {
      ends: 'separate',
      over,
      open: async () => {
        // The hub's clock runs; the clients' one starts with it and stands.
        const clock = new ManualClock(systemClock().now())
        return {
          clock,
          connect: token => connectBus({ socketPath, token, clock, ids: systemIds(), logger: silentLogger }),
          close: async () => undefined,
        }
      },
    })
  })
}

const engine = findTestEngine('nats')

test('over NATS', 'skip' in engine ? engine : {}, async t => {
  const program = 'path' in engine ? engine.path : ''
  const servers = await startNats({ program, config: 'max_payload: 9MB', streams: false })
  t.teardown(() => servers[Symbol.asyncDispose]())
  await directSuite(t, {
    ends: 'separate',
    over: 'unix',
    // A call that does not go directly is for the server to place, and it does so by chance.
    balance: 'random',
    open: async () => {
      const clock = new ManualClock(systemClock().now())
      const parts = { servers: servers.urls, clock, ids: systemIds(), logger: silentLogger }
      return { clock, connect: name => natsBus({ ...parts, name }), close: async () => undefined }
    },
  })
})
