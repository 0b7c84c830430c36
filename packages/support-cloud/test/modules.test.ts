import { kernelModule } from '@aaas/core-cloud/kernel/module'
import { CacheToken, cacheModule } from '@aaas/support-cloud/cache/module'
import { DatabaseToken, rdbmsModule } from '@aaas/support-cloud/rdbms/module'
import { SearchIndexToken, searchModule } from '@aaas/support-cloud/search/module'
import { ManualClock, openTestDatabase } from '@aaas/testing'
import { Container } from 'inversify'
import { test } from 'tap'

test('a container gives each service once and closes all of them', async t => {
  await using server = await openTestDatabase()
  const clock = new ManualClock()
  const container = new Container()
  container.load(
    kernelModule({ clock }),
    rdbmsModule({ url: server.url }),
    cacheModule({ maxBytes: 10_000 }),
    searchModule({ file: ':memory:', fields: { texts: { name: 1 } } }),
  )
  const cache = container.get(CacheToken)
  const search = container.get(SearchIndexToken)
  const database = container.get(DatabaseToken)
  t.equal(container.get(CacheToken), cache)

  await cache.set('k', 'v', { ttlMs: 50 })
  await clock.pass(51)
  t.equal(await cache.get('k'), undefined, 'the cache runs on the clock of the container')
  await search.put([{ id: '1', texts: { name: 'green tea' } }])
  t.equal((await search.search({ text: 'tea' })).total, 1)
  t.same(await database.query({ text: 'select 1 as one' }), [{ one: 1 }])

  await container.unbindAllAsync()
  await t.rejects(search.count(), { code: 'core.kernel.stopped' })
  await t.rejects(database.query({ text: 'select 1' }))
})

test('a need that nobody bound is named', async t => {
  const container = new Container()
  container.load(cacheModule())
  t.throws(() => container.get(CacheToken), { message: /@aaas\/core-cloud\/Clock/ })
})
