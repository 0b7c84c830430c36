import { silentLogger, sleep, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import { type Bus, connectBus, remoteStreams } from '../../src/bus/index.js'
import { streamSuite } from '../../src/bus/stream-suite.js'
import { fastClock } from './fixture/fast-clock.js'
import { socketFolder, start, stop } from './fixture/processes.js'

test('over a unix socket, between processes', async t => {
  const epoch = systemClock().now()
  const clock = fastClock(3, epoch)
  const folder = socketFolder()
  const socketPath = `${folder.path}/hub`
  const dir = `${folder.path}/streams`
  const startHub = () => start('streams-hub-process.js', socketPath, dir, '3', String(epoch))
  let hub = await startHub()
  t.teardown(async () => {
    await stop(hub)
    folder.remove()
  })
  let count = 0
  streamSuite(
    (name, fn) => t.test(name, fn),
    async () => {
      const open: AsyncDisposable[] = []
      return {
        clock,
        passTime: ms => sleep(clock, ms),
        async connect() {
          const token = `peer-${count++}`
          const bus: Bus = await connectBus({ socketPath, token, clock, ids: systemIds(), logger: silentLogger })
          const streams = remoteStreams({ bus, clock })
          open.unshift(streams, bus)
          return streams
        },
        async restart() {
          await stop(hub)
          hub = await startHub()
        },
        async [Symbol.asyncDispose]() {
          for (const each of open) await each[Symbol.asyncDispose]()
        },
      }
    },
    { durabilities: ['relaxed', 'synced'], restarts: 'resume' },
  )
})
