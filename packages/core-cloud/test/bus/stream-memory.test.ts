import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { openStreams } from '../../src/bus/index.js'
import { streamSuite } from '../../src/bus/stream-suite.js'

test('memory', async t => {
  streamSuite(
    (name, fn) => t.test(name, fn),
    async () => {
      const clock = new ManualClock()
      const streams = await openStreams({ clock })
      return {
        clock,
        passTime: ms => clock.pass(ms),
        connect: async () => streams,
        [Symbol.asyncDispose]: () => streams[Symbol.asyncDispose](),
      }
    },
    { durabilities: ['relaxed'], restarts: 'none' },
  )
})
