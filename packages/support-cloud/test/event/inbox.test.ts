import { systemIds } from '@aaas/core-cloud/kernel'
import { forgetInbox, inboxNew, inboxOnce } from '@aaas/support-cloud/event'
import { type Database, migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { transactionMigrations } from '@aaas/support-cloud/transaction'
import { openTestDatabase } from '@aaas/testing'
import { type Test, test } from 'tap'

const ids = systemIds()

/** A version 7 UUID of so many days ago. */
function idOf(daysAgo: number): string {
  const hex = (Date.now() - daysAgo * 86_400_000).toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}${ids.uuid().slice(13)}`
}

async function open(t: Test, options = ''): Promise<Database> {
  const server = await openTestDatabase()
  const plain = pgDatabase({ url: server.url })
  await migrate(plain, [transactionMigrations])
  const url = new URL(server.url)
  if (options !== '') url.searchParams.set('options', options)
  const database = pgDatabase({ url: url.href })
  t.teardown(async () => {
    await plain[Symbol.asyncDispose]()
    await database[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })
  return database
}

const took = async (database: Database, id: string): Promise<boolean> =>
  (await database.transaction(tx => inboxOnce(tx, 'c', id, async () => true))) === true

const noted = (database: Database, id: string, daysAgo: number): Promise<unknown> =>
  database.query({
    text: `insert into aaas_inbox (consumer, message_id, day) values ('c', $1, (now() at time zone 'UTC')::date - $2::int)`,
    values: [id, daysAgo],
  })

const partitions = async (database: Database): Promise<number> =>
  (await database.query({ text: `select 1 from pg_inherits where inhparent = 'aaas_inbox'::regclass` })).length

test('a message of an earlier day is known, whatever the form of its id', async t => {
  const database = await open(t)
  for (const [id, daysAgo] of [
    [idOf(20), 20],
    [idOf(20), 3],
    [idOf(1), 0],
    ['provider-7', 12],
    ['x', 0],
  ] as const) {
    await noted(database, id, daysAgo)
    t.notOk(await took(database, id), `${id} ${daysAgo} days ago`)
  }
  for (const id of [idOf(0), idOf(20), 'provider-8']) {
    t.ok(await took(database, id), id)
    t.notOk(await took(database, id), `${id} again`)
  }
  t.equal(await database.transaction(tx => inboxOnce(tx, 'another', 'provider-7', async () => 1)), 1)
})

test('days that are too old are dropped whole; later days get their place', async t => {
  const database = await open(t)
  const [old, young] = [idOf(45), idOf(0)]
  await noted(database, old, 31)
  await noted(database, idOf(30), 30)
  await noted(database, young, 0)
  t.equal(await forgetInbox(database), 0, 'rows without a partition: the old ones go by row')
  t.ok(await took(database, old), 'it counts as new')
  t.notOk(await took(database, young))
  const before = await partitions(database)
  t.equal(await forgetInbox(database, { olderThanMs: 29 * 86_400_000 }), 1)
  t.equal(await partitions(database), before - 1)
  t.strictSame(await database.query({ text: 'select count(*) as n from aaas_inbox_rest' }), [{ n: 0 }])
  t.notOk(await took(database, young))
})

test('a day that nobody made room for is kept aside and moved to its place', async t => {
  const database = await open(t)
  const ahead = idOf(-9)
  await noted(database, ahead, -9)
  await noted(database, 'late', 8)
  await forgetInbox(database)
  t.strictSame(await database.query({ text: 'select count(*) as n from aaas_inbox_rest' }), [{ n: 0 }])
  t.notOk(await took(database, 'late'))
  await t.rejects(database.query({ text: `insert into aaas_inbox select * from aaas_inbox` }), { code: '23505' })
})

test('around midnight: a message that an open transaction of yesterday has is waited for', async t => {
  // The clock of the database says half past midnight: a function of our own hides the server's.
  const database = await open(t, '-c search_path=fake,public,pg_catalog')
  await database.script(`create schema fake; create function fake.now() returns timestamptz language sql stable
    as $$ select date_trunc('day', pg_catalog.now() at time zone 'UTC') at time zone 'UTC' + interval '30 min' $$`)
  const order: string[] = []
  const insert = `insert into aaas_inbox (consumer, message_id, day)
    values ('c', 'm', (pg_catalog.now() at time zone 'UTC')::date - $1::int) on conflict do nothing returning 1 as first`
  let second: Promise<void> | undefined
  await database.transaction(async yesterday => {
    t.equal((await yesterday.query({ text: insert, values: [1] })).length, 1)
    second = database
      .transaction(today => today.query({ text: insert, values: [0] }))
      .then(rows => void order.push(`second ${rows.length}`))
    const waiting = `select count(*) as n from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
    while ((await database.query({ text: waiting }))[0]?.n !== 1) await Promise.resolve()
    order.push('first')
  })
  await second
  t.strictSame(order, ['first', 'second 0'])
})

test('many messages at once: new ones are named, repeats are not', async t => {
  const database = await open(t)
  const [a, b, c] = [idOf(0), idOf(0), 'plain']
  t.strictSame(await inboxNew(database, 'c', [c, a, a]), [c, a])
  t.strictSame(await inboxNew(database, 'c', [b, a, c]), [b])
  t.strictSame(await inboxNew(database, 'd', []), [])
  const many = Array.from({ length: 10_000 }, () => ids.uuid())
  t.equal((await inboxNew(database, 'c', many)).length, 10_000)
  await t.rejects(inboxNew(database, 'c', [...many, a]), { code: 'core.contract.invalid-input', field: 'messageIds' })
})

test('two callers that share many messages do not deadlock, and each message counts once', async t => {
  const database = await open(t)
  const many = Array.from({ length: 500 }, () => ids.uuid())
  const fresh = await Promise.all([
    inboxNew(database, 'c', many),
    inboxNew(database, 'c', many.toReversed()),
    inboxNew(database, 'c', many.slice(100)),
  ])
  t.equal(fresh.flat().length, 500)
})

test('the first level of the inbox keeps its messages when it becomes one by days', async t => {
  await using server = await openTestDatabase()
  await using database = pgDatabase({ url: server.url })
  const levels = (count: number): typeof transactionMigrations => ({
    ...transactionMigrations,
    migrations: transactionMigrations.migrations.slice(0, count),
  })
  await migrate(database, [levels(3)])
  await database.script(`insert into aaas_inbox (consumer, message_id, at)
    values ('c', 'old', now() - interval '10 days'), ('c', 'young', now()), ('c', 'older', now() - interval '50 days')`)
  await migrate(database, [transactionMigrations])
  for (const id of ['old', 'young']) t.notOk(await took(database, id), id)
  t.ok(await took(database, 'older'), 'beyond the window')
  await forgetInbox(database)
  t.notOk(await took(database, 'old'))
})
