import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { busSuite } from '../../src/bus/bus-suite.js'
import { type Bus, connectBus, listenBus, memoryBus } from '../../src/bus/index.js'
import { socketFolder, start, stop } from './fixture/processes.js'

test('memory', async t => {
  busSuite(
    (name, fn) => t.test(name, fn),
    async () => {
      const clock = new ManualClock()
      // One bus for all: in one process there is only one.
      const bus = memoryBus({ clock })
      const views: Bus[] = []
      return {
        clock,
        passTime: ms => clock.pass(ms),
        connect: async () => {
          views.push(bus)
          return bus
        },
        [Symbol.asyncDispose]: () => Promise.resolve(bus[Symbol.asyncDispose]()),
      }
    },
    { ends: 'shared' },
  )
})

test('hub, in its own process', async t => {
  busSuite(
    (name, fn) => t.test(name, fn),
    async () => {
      const clock = new ManualClock()
      const folder = socketFolder()
      const hub = await listenBus({
        socketPath: `${folder.path}/hub`,
        clock,
        logger: silentLogger,
        authenticate: () => undefined,
      })
      let count = 0
      return {
        clock,
        passTime: ms => clock.pass(ms),
        connect: async () => hub.bus({ name: `local-${count++}`, kind: 'host', publish: ['>'], subscribe: ['>'] }),
        async [Symbol.asyncDispose]() {
          await hub[Symbol.asyncDispose]()
          folder.remove()
        },
      }
    },
    { ends: 'separate' },
  )
})

test('unix socket, between processes', async t => {
  const folder = socketFolder()
  const socketPath = `${folder.path}/hub`
  const hub = await start('hub-process.js', socketPath)
  t.teardown(async () => {
    await stop(hub)
    folder.remove()
  })
  let count = 0
  busSuite(
    (name, fn) => t.test(name, fn),
    async () => {
      // The hub's clock runs; the clients' one starts with it and stands.
      const clock = new ManualClock(systemClock().now())
      const open: Bus[] = []
      return {
        clock,
        passTime: ms => clock.pass(ms),
        async connect() {
          const bus = await connectBus({
            socketPath,
            token: `peer-${count++}`,
            clock,
            ids: systemIds(),
            logger: silentLogger,
          })
          open.push(bus)
          return bus
        },
        async [Symbol.asyncDispose]() {
          for (const bus of open) await bus[Symbol.asyncDispose]()
        },
      }
    },
    { ends: 'separate' },
  )
})
