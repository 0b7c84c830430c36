import { test } from 'tap'
import { MemoryHome, MemoryStorage } from '../../src/ha/memory-storage.js'
import { storageSuite } from '../../src/ha/storage-suite.js'

test('memory', async t => {
  storageSuite(
    (name, fn) => t.test(name, fn),
    async () => {
      const home = new MemoryHome()
      let storage = new MemoryStorage(home)
      return {
        storage,
        async reopen(how) {
          if (how === 'kill') storage.cut()
          else await storage.close()
          storage = new MemoryStorage(home)
          return storage
        },
        [Symbol.asyncDispose]: () => storage.close(),
      }
    },
  )
})
