import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SimDisk } from '@aaas/testing'
import { test } from 'tap'
import { storageSuite } from '../../src/ha/storage-suite.js'
import { openDiskStorage } from '../../src/ha/wal/disk-storage.js'
import { diskFiles } from '../../src/kernel/files/disk-files.js'
import type { LogFiles } from '../../src/kernel/files/files.js'
import { cuttable } from '../bus/fixture/cuttable-files.js'

const identity = { cluster: 'suite', node: 1 }

for (const segmentBytes of [65_536, 67_108_864]) {
  test(`disk, segments of ${segmentBytes}`, async t => {
    storageSuite(
      (name, fn) => t.test(name, fn),
      async () => {
        const dir = mkdtempSync(join(tmpdir(), 'aaas-wal-'))
        const open = async (): Promise<{ readonly files: LogFiles; cut(): void }> =>
          cuttable(await diskFiles(dir, process.pid))
        let files = await open()
        let storage = await openDiskStorage({ ...identity, files: files.files, segmentBytes })
        return {
          storage,
          async reopen(how) {
            if (how === 'kill') files.cut()
            await storage.close().catch(() => undefined)
            files = await open()
            storage = await openDiskStorage({ ...identity, files: files.files, segmentBytes })
            return storage
          },
          async [Symbol.asyncDispose]() {
            await storage.close()
            rmSync(dir, { recursive: true, force: true })
          },
        }
      },
    )
  })
}

test('simulated disk, the power goes', async t => {
  let seed = 0
  storageSuite(
    (name, fn) => t.test(name, fn),
    async () => {
      const disk = new SimDisk(++seed)
      let storage = await openDiskStorage({ ...identity, files: disk.files(), segmentBytes: 65_536 })
      return {
        storage,
        async reopen(how) {
          if (how === 'close') await storage.close()
          disk.crash()
          disk.restart()
          storage = await openDiskStorage({ ...identity, files: disk.files(), segmentBytes: 65_536 })
          return storage
        },
        [Symbol.asyncDispose]: () => storage.close(),
      }
    },
  )
})
