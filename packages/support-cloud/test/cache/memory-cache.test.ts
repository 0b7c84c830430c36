import { type Cache, memoryCache } from '@aaas/support-cloud/cache'
import { cacheSuite } from '@aaas/support-cloud/cache/suite'
import { ManualClock } from '@aaas/testing'
import fc from 'fast-check'
import { test } from 'tap'

cacheSuite(
  (name, run) => test(name, run),
  async () => {
    const clock = new ManualClock()
    return { cache: memoryCache({ clock, maxBytes: 65_536, maxEntryBytes: 16_384 }), passTime: ms => clock.pass(ms) }
  },
)

test('a hit is the very value that was set', async t => {
  const cache = memoryCache({ clock: new ManualClock() })
  const value = { deep: { list: [1] } }
  await cache.set('k', value, { ttlMs: 1_000 })
  t.equal(await cache.get('k'), value)
})

/** What the cache must look like: no bound, no order, nothing clever. */
class Model {
  readonly rows = new Map<string, { value: number; expiresAt: number; tags: readonly string[] }>()
  get(key: string, now: number): number | undefined {
    const row = this.rows.get(key)
    return row !== undefined && row.expiresAt > now ? row.value : undefined
  }
}

const keys = fc.constantFrom('a', 'b', 'c', 'd')
const tags = fc.subarray(['x', 'y', 'z'])
const step = fc.oneof(
  fc.record({ do: fc.constant('set' as const), key: keys, ttlMs: fc.integer({ min: 1, max: 20 }), tags }),
  fc.record({ do: fc.constant('delete' as const), key: keys }),
  fc.record({ do: fc.constant('invalidate' as const), tags }),
  fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 15 }) }),
)

test('within its bound it behaves like a plain map with lifetimes and tags', async t => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
      let now = 1_000
      const clock = { now: () => now, monotonic: () => now, after: () => () => undefined }
      const cache: Cache = memoryCache({ clock })
      const model = new Model()
      for (const [index, one] of steps.entries()) {
        if (one.do === 'pass') now += one.ms
        else if (one.do === 'set') {
          await cache.set(one.key, index, one)
          model.rows.set(one.key, { value: index, expiresAt: now + one.ttlMs, tags: one.tags })
        } else if (one.do === 'delete') {
          await cache.delete(one.key)
          model.rows.delete(one.key)
        } else {
          await cache.invalidate(one.tags)
          for (const [key, row] of model.rows) if (row.tags.some(tag => one.tags.includes(tag))) model.rows.delete(key)
        }
        for (const key of ['a', 'b', 'c', 'd']) if ((await cache.get(key)) !== model.get(key, now)) return false
      }
      await cache[Symbol.asyncDispose]()
      const { entries, bytes } = cache.stats()
      return entries === 0 && bytes === 0
    }),
    { numRuns: 300 },
  )
  t.pass()
})
