import { CloudError } from '@aaas/core-cloud/kernel'
import {
  type ConnectionBudget,
  changedUrl,
  connectionBudget,
  type Database,
  databaseHosts,
  pgDatabase,
} from '@aaas/support-cloud/rdbms'
import { eventually, openTestDatabase } from '@aaas/testing'
import { type Test, test } from 'tap'

test('a connection string with several hosts becomes one for each', t => {
  for (const [url, urls, target] of [
    ['postgres://u:p@one/d', ['postgres://u:p@one/d'], 'any'],
    ['postgres://u:p@one:1,two:2/d?x=1', ['postgres://u:p@one:1/d?x=1', 'postgres://u:p@two:2/d?x=1'], 'read-write'],
    ['postgres://one,two/d?target_session_attrs=any', ['postgres://one/d', 'postgres://two/d'], 'any'],
    [
      'postgres://u@h/d?host=/a,/b&port=1,2',
      ['postgres://u@h/d?host=%2Fa&port=1', 'postgres://u@h/d?host=%2Fb&port=2'],
      'read-write',
    ],
    [
      'postgresql://u@/d?host=/a&port=5&target_session_attrs=standby',
      ['postgresql://u@localhost/d?host=%2Fa&port=5'],
      'standby',
    ],
  ] as const) {
    t.same(databaseHosts(url), { urls, target }, url)
  }
  for (const url of [
    'mysql://one/d',
    'nothing',
    'postgres://one,,two/d',
    'postgres://one:x,two/d',
    'postgres://h/d?host=a,b&port=1,2,3',
    'postgres://h/d?target_session_attrs=best',
    `postgres://${Array.from({ length: 17 }, (_, n) => `h${n}`).join()}/d`,
  ]) {
    t.throws(() => databaseHosts(url), { code: 'core.kernel.invalid-config', field: 'url' }, url)
  }
  t.equal(databaseHosts(`postgres://${Array.from({ length: 16 }, (_, n) => `h${n}`).join()}/d`).urls.length, 16)
  t.equal(
    changedUrl('postgres://u:p@one:1,two:2/d?x=1', { name: 'e', role: 'r:', password: '@' }),
    'postgres://r%3A:%40@one:1,two:2/e?x=1',
  )
  t.end()
})

async function open(t: Test): Promise<string> {
  const server = await openTestDatabase()
  t.teardown(() => server[Symbol.asyncDispose]())
  return server.url
}

/** The same server as several hosts: a dead one and itself. */
function withHosts(url: string, hosts: readonly string[], target: string): string {
  const one = new URL(url)
  const live = one.searchParams.get('host') ?? one.hostname
  one.searchParams.set('host', hosts.map(host => (host === 'live' ? live : host)).join())
  one.searchParams.set('target_session_attrs', target)
  return one.href
}

test('the first host that answers and has the role is taken', async t => {
  const url = await open(t)
  await using database = pgDatabase({ url: withHosts(url, ['/nonexistent', 'live'], 'read-write') })
  t.same(await database.query({ text: 'select 1 as one' }), [{ one: 1 }])
  await using preferring = pgDatabase({ url: withHosts(url, ['/nonexistent', 'live'], 'prefer-standby') })
  t.same(await preferring.query({ text: 'select 1 as one' }), [{ one: 1 }])
  for (const [hosts, target] of [
    [['live', 'live'], 'standby'],
    [['/nonexistent', '/absent'], 'any'],
    [['live'], 'read-only'],
  ] as const) {
    await using wrong = pgDatabase({ url: withHosts(url, hosts, target), connectTimeoutMs: 200 })
    const error: unknown = await wrong.query({ text: 'select 1' }).catch((failure: unknown) => failure)
    t.ok(CloudError.is(error, 'support.rdbms.unavailable') && error.retryable, `${hosts.join()} ${target}`)
    t.notMatch(String(error), 'postgres://')
  }
  const unknown = changedUrl(withHosts(url, ['live', '/nonexistent'], 'any'), { name: 'nowhere' })
  await using refused = pgDatabase({ url: unknown, connectTimeoutMs: 5_000 })
  await t.rejects(refused.query({ text: 'select 1' }), { code: '3D000' }, 'said at once')
})

test('a primary that was replaced is left: its fence is lower than one seen before', async t => {
  const url = await open(t)
  await using admin = pgDatabase({ url })
  const [row] = await admin.query<{ name: string }>({ text: 'select current_database() as name' })
  const fence = (term: number): Promise<unknown> =>
    admin.query({ text: `alter role all in database ${row?.name} set aaas.fence = '${term}'` })
  await fence(5)
  const pool = { url: withHosts(url, ['live', '/nonexistent'], 'read-write'), connectTimeoutMs: 1_000 }
  await using database = pgDatabase(pool)
  const cut = (): Promise<unknown> =>
    admin.query({
      text: `select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
    })
  t.same(await database.query({ text: `select current_setting('aaas.fence') as f` }), [{ f: '5' }])
  await fence(4)
  await cut()
  const tried = async (): Promise<unknown> => database.query({ text: 'select 1' }).catch((failure: unknown) => failure)
  let outcome: unknown
  // The connection that was cut may be noticed first, or the time to connect pass.
  await eventually('the fence is seen', async () => {
    outcome = await tried()
    return /was replaced/.test(String(outcome))
  })
  t.match(String(outcome), /fence 4, not 5/)
  await fence(6)
  t.same(await database.query({ text: `select current_setting('aaas.fence') as f` }), [{ f: '6' }])
})

test('the line of callers has an end, and one past it is refused at once', async t => {
  const url = await open(t)
  await using database = pgDatabase({ url, maxConnections: 1, maxWaiting: 2, connectTimeoutMs: 5_000 })
  const order: string[] = []
  let full: unknown
  await database.transaction(async () => {
    const waiting = ['first', 'second'].map(name =>
      database.query({ text: 'select 1' }).then(() => void order.push(name)),
    )
    full = await database.query({ text: 'select 1' }).catch((error: unknown) => error)
    order.push('refused')
    void Promise.all(waiting)
  })
  await database.query({ text: 'select 1' })
  t.same(order, ['refused', 'first', 'second'])
  t.ok(CloudError.is(full, 'support.rdbms.overloaded') && full.retryable)
  t.throws(() => pgDatabase({ url, maxConnections: 0 }), {
    code: 'core.kernel.invalid-config',
    field: 'maxConnections',
  })
  t.throws(() => pgDatabase({ url, maxConnections: 1_001 }), {
    code: 'core.kernel.invalid-config',
    field: 'maxConnections',
  })
})

async function pools(t: Test, count: number, budget: ConnectionBudget): Promise<Database[]> {
  const databases: Database[] = []
  for (let n = 0; n < count; n++) databases.push(pgDatabase({ url: await open(t), budget, connectTimeoutMs: 8_000 }))
  t.teardown(() => Promise.all(databases.map(database => database[Symbol.asyncDispose]())))
  return databases
}

test('databases share a budget: never more connections, and everybody gets on', async t => {
  const budget = connectionBudget({ max: 3 })
  const databases = await pools(t, 6, budget)
  let most = 0
  const done = databases.map(() => 0)
  await Promise.all(
    databases.flatMap((database, index) =>
      Array.from({ length: 4 }, async () => {
        while (Math.min(...done) < 10) {
          await database.query({ text: 'select pg_sleep(0.002)' })
          done[index] = (done[index] ?? 0) + 1
          most = Math.max(most, budget.stats().open)
        }
      }),
    ),
  )
  t.equal(most, 3)
  await Promise.all(databases.map(database => database[Symbol.asyncDispose]()))
  t.same(budget.stats(), { open: 0, waitingDatabases: 0 })
})

test('an idle connection of one database makes room for another at once', async t => {
  const budget = connectionBudget({ max: 1 })
  const [one, two] = (await pools(t, 2, budget)) as [Database, Database]
  const started = performance.now()
  for (let round = 0; round < 3; round++) {
    await one.query({ text: 'select 1' })
    await two.query({ text: 'select 1' })
  }
  t.ok(performance.now() - started < 8_000)
  t.equal(budget.stats().open, 1)
  const holding = one.transaction(tx => tx.query({ text: 'select pg_sleep(0.2)' }))
  await two.query({ text: 'select 1' })
  await holding
  t.throws(() => connectionBudget({ max: 0 }), { code: 'core.kernel.invalid-config', field: 'max' })
  t.throws(() => connectionBudget({ max: 10_001 }), { code: 'core.kernel.invalid-config', field: 'max' })
})

test('a connection that cannot be opened gives its place back', async t => {
  const budget = connectionBudget({ max: 1 })
  const [sound] = (await pools(t, 1, budget)) as [Database]
  await using absent = pgDatabase({ url: 'postgres://nobody@localhost:5432/none?host=/nonexistent', budget })
  for (let round = 0; round < 3; round++)
    await t.rejects(absent.query({ text: 'select 1' }), { code: 'support.rdbms.unavailable' })
  t.same(await sound.query({ text: 'select 1 as one' }), [{ one: 1 }])
})
