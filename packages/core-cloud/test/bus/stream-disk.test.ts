import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sleep } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import { openStreams } from '../../src/bus/index.js'
import type { Streams } from '../../src/bus/stream.js'
import { streamSuite } from '../../src/bus/stream-suite.js'
import { diskFiles } from '../../src/kernel/files/disk-files.js'
import { cuttable } from './fixture/cuttable-files.js'
import { fastClock } from './fixture/fast-clock.js'

test('disk, in one process', async t => {
  const clock = fastClock(3)
  streamSuite(
    (name, fn) => t.test(name, fn),
    async () => {
      const dir = mkdtempSync(join(tmpdir(), 'aaas-streams-'))
      let files = cuttable(await diskFiles(dir, process.pid))
      let streams: Streams = await openStreams({ files: files.files, clock })
      return {
        clock,
        passTime: ms => sleep(clock, ms),
        connect: async () => streams,
        async restart() {
          // What was open goes on in vain, as if the process had been killed.
          files.cut()
          await streams[Symbol.asyncDispose]()
          files = cuttable(await diskFiles(dir, process.pid))
          streams = await openStreams({ files: files.files, clock })
        },
        async [Symbol.asyncDispose]() {
          await streams[Symbol.asyncDispose]()
          rmSync(dir, { recursive: true, force: true })
        },
      }
    },
    { durabilities: ['relaxed', 'synced'], restarts: 'reopen' },
  )
})
