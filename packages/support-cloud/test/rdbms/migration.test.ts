import { CloudError } from '@aaas/core-cloud/kernel'
import { type Migration, type MigrationSet, migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { openTestDatabase } from '@aaas/testing'
import { test } from 'tap'

const first: Migration = { level: 1, name: 'table', up: 'create table item (id int); insert into item values (1)' }
const second: Migration = {
  level: 2,
  name: 'more',
  up: async tx => void (await tx.query({ text: 'insert into item values (2)' })),
}
const set = (...migrations: readonly Migration[]): MigrationSet => ({ owner: 'test/item', migrations })

test('steps run once, in order, and new steps are added later', async t => {
  await using server = await openTestDatabase()
  await using database = pgDatabase({ url: server.url })
  t.strictSame(await migrate(database, [set(first)]), ['test/item 1 table'])
  t.strictSame(await migrate(database, [set(first, second)]), ['test/item 2 more'])
  t.strictSame(await migrate(database, [set(first, second)]), [])
  t.strictSame(await database.query({ text: 'select id from item order by id' }), [{ id: 1 }, { id: 2 }])
})

test('a failing step rolls its whole set back, keeps earlier sets, and names the set', async t => {
  await using server = await openTestDatabase()
  await using database = pgDatabase({ url: server.url })
  const broken: MigrationSet = {
    owner: 'test/broken',
    migrations: [
      { level: 1, name: 'good', up: 'create table half (id int)' },
      { level: 2, name: 'bad', up: 'create table half (id int)' },
    ],
  }
  const error: unknown = await migrate(database, [set(first), broken]).catch((failure: unknown) => failure)
  t.ok(CloudError.is(error, 'support.rdbms.migration-failed'))
  t.match(String(error), /test\/broken/)
  t.strictSame(
    await database.query({ text: `select to_regclass('half') as half, (select count(*) from item) as items` }),
    [{ half: null, items: 1 }],
  )
  t.strictSame(await database.query({ text: 'select owner, level from aaas_migration' }), [
    { owner: 'test/item', level: 1 },
  ])
})

test('many processes at once migrate a database exactly once', async t => {
  await using server = await openTestDatabase()
  const pools = Array.from({ length: 6 }, () => pgDatabase({ url: server.url, maxConnections: 1 }))
  const ran = await Promise.all(pools.map(pool => migrate(pool, [set(first, second)])))
  t.equal(ran.flat().length, 2)
  t.strictSame(await pools[0]?.query({ text: 'select count(*) as n from item' }), [{ n: 2 }])
  await Promise.all(pools.map(pool => pool[Symbol.asyncDispose]()))
})

test('a database that a newer version migrated is left alone', async t => {
  await using server = await openTestDatabase()
  await using database = pgDatabase({ url: server.url })
  await migrate(database, [set(first, second)])
  t.strictSame(await migrate(database, [set(first)]), [])
})

test('a gap in the levels is refused', async t => {
  await using server = await openTestDatabase()
  await using database = pgDatabase({ url: server.url })
  await t.rejects(migrate(database, [set(first, { ...second, level: 3 })]), { code: 'support.rdbms.migration-failed' })
})

test('a step may take longer than a statement of a request', async t => {
  await using server = await openTestDatabase()
  await using database = pgDatabase({ url: server.url, statementTimeoutMs: 50 })
  const slow: Migration = { level: 1, name: 'slow', up: 'select pg_sleep(0.2)' }
  t.equal((await migrate(database, [set(slow)])).length, 1)
})
