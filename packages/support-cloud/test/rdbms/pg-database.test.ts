import { CloudError } from '@aaas/core-cloud/kernel'
import { type Database, pgDatabase, type Queryable, sqlState } from '@aaas/support-cloud/rdbms'
import { eventually, openTestDatabase } from '@aaas/testing'
import { test } from 'tap'

async function withDatabase(work: (database: Database, other: Database) => Promise<void>): Promise<void> {
  await using server = await openTestDatabase()
  await using database = pgDatabase({ url: server.url })
  await using other = pgDatabase({ url: server.url })
  await work(database, other)
}

test('bigint and numeric arrive as numbers, and never rounded silently', t =>
  withDatabase(async database => {
    const max = Number.MAX_SAFE_INTEGER
    const rows = await database.query({
      text: 'select $1::bigint as a, (-$1::bigint) as b, sum($1::bigint) as c, 1.25::numeric as d, null::bigint as e',
      values: [max],
    })
    t.strictSame(rows, [{ a: max, b: -max, c: max, d: 1.25, e: null }])
    const arrays = await database.query({
      text: 'select array[[1,2],[3,null]]::bigint[] as a, array[1.5]::numeric[] as b',
    })
    t.strictSame(arrays, [
      {
        a: [
          [1, 2],
          [3, null],
        ],
        b: [1.5],
      },
    ])
    for (const text of [
      '9007199254740992::bigint',
      '(-9007199254740992)::bigint',
      'sum(9007199254740992)',
      'array[9007199254740992]',
    ]) {
      await t.rejects(database.query({ text: `select ${text} as x` }), RangeError, text)
    }
    t.strictSame(await database.query({ text: 'select 1 as alive' }), [{ alive: 1 }])
  }))

test('a statement that failed inside and was swallowed does not look like a commit', t =>
  withDatabase(async database => {
    await database.script('create table item (id int primary key)')
    const swallowing = database.transaction(async tx => {
      await tx.query({ text: 'insert into item values (1)' })
      await tx.query({ text: 'insert into item values (1)' }).catch(() => undefined)
      return 'done'
    })
    await t.rejects(swallowing, /rolled back/)
    t.strictSame(await database.query({ text: 'select * from item' }), [])
  }))

test('a transaction commits when the work resolves and leaves nothing when it rejects', t =>
  withDatabase(async database => {
    await database.script('create table item (id int primary key)')
    t.equal(
      await database.transaction(tx => tx.query({ text: 'insert into item values (1)' }).then(() => 'done')),
      'done',
    )
    const failing = database.transaction(async tx => {
      await tx.query({ text: 'insert into item values (2)' })
      throw new Error('changed my mind')
    })
    await t.rejects(failing, /changed my mind/)
    t.strictSame(await database.query({ text: 'select * from item' }), [{ id: 1 }])
  }))

test('a transaction that escaped its work is dead', t =>
  withDatabase(async database => {
    let escaped: Queryable | undefined
    await database.transaction(async tx => {
      escaped = tx
    })
    await t.rejects(async () => escaped?.query({ text: 'select 1' }), /has ended/)
  }))

test('serialization failures are retried three times, other failures not at all', t =>
  withDatabase(async database => {
    for (const [state, calls] of [
      ['40001', 4],
      ['40P01', 4],
      ['23505', 1],
    ] as const) {
      let seen = 0
      const failing = database.transaction(async tx => {
        seen += 1
        await tx.query({ text: `do $$ begin raise exception 'no' using errcode = '${state}'; end $$` })
      })
      const error: unknown = await failing.catch((failure: unknown) => failure)
      t.equal(sqlState(error), state)
      t.equal(seen, calls, state)
    }
    let seen = 0
    const passing = database.transaction(async tx => {
      seen += 1
      if (seen < 4) await tx.query({ text: `do $$ begin raise exception 'no' using errcode = '40001'; end $$` })
      return seen
    })
    t.equal(await passing, 4)
  }))

test('two transactions that deadlock both finish', t =>
  withDatabase(async (database, other) => {
    await database.script('create table item (id int primary key, n int); insert into item values (1, 0), (2, 0)')
    let waiting = 2
    let bothHold: () => void = () => undefined
    const held = new Promise<void>(resolve => {
      bothHold = resolve
    })
    const change = (on: Database, first: number, second: number): Promise<void> =>
      on.transaction(async tx => {
        await tx.query({ text: 'update item set n = n + 1 where id = $1', values: [first] })
        waiting -= 1
        if (waiting === 0) bothHold()
        await held
        await tx.query({ text: 'update item set n = n + 1 where id = $1', values: [second] })
      })
    await Promise.all([change(database, 1, 2), change(other, 2, 1)])
    t.strictSame(await database.query({ text: 'select n from item order by id' }), [{ n: 2 }, { n: 2 }])
  }))

test('a connection that the server ends becomes support.rdbms.unavailable, in and between statements', t =>
  withDatabase(async (database, other) => {
    const end = (pid: unknown): Promise<unknown> =>
      other.query({ text: 'select pg_terminate_backend($1)', values: [pid] })
    const isUnavailable = (error: unknown): boolean =>
      CloudError.is(error, 'support.rdbms.unavailable') && error.retryable
    const during = database.transaction(async tx => {
      const [row] = await tx.query({ text: 'select pg_backend_pid() as pid' })
      const sleeping = tx.query({ text: 'select pg_sleep(20)' })
      await Promise.all([sleeping, end(row?.pid)])
    })
    t.ok(isUnavailable(await during.catch((error: unknown) => error)), 'a running statement')
    const between = database.transaction(async tx => {
      const [row] = await tx.query({ text: 'select pg_backend_pid() as pid' })
      await end(row?.pid)
      // The end arrives while nothing runs on the connection; that must not end this process.
      const gone = 'select count(*) as n from pg_stat_activity where pid = $1'
      while ((await other.query({ text: gone, values: [row?.pid] }))[0]?.n !== 0) await Promise.resolve()
      await tx.query({ text: 'select 1' })
    })
    t.ok(isUnavailable(await between.catch((error: unknown) => error)), 'the next statement')
    t.strictSame(await database.query({ text: 'select 1 as one' }), [{ one: 1 }])
  }))

test('a server that is not there is unavailable; a wrong statement keeps its state', t =>
  withDatabase(async database => {
    await using absent = pgDatabase({ url: 'postgres://nobody@localhost:5432/none?host=/nonexistent' })
    for (const call of [absent.query({ text: 'select 1' }), absent.transaction(async () => 1)]) {
      const error: unknown = await call.catch((failure: unknown) => failure)
      t.ok(CloudError.is(error, 'support.rdbms.unavailable'))
    }
    t.equal(sqlState(await database.query({ text: 'selec 1' }).catch((error: unknown) => error)), '42601')
  }))

test('a statement over its time is ended by the server', async t => {
  await using server = await openTestDatabase()
  await using database = pgDatabase({ url: server.url, statementTimeoutMs: 50 })
  t.equal(sqlState(await database.query({ text: 'select pg_sleep(20)' }).catch((error: unknown) => error)), '57014')
})

test('a full pool makes callers wait, and gives up after the time to connect', async t => {
  await using server = await openTestDatabase()
  await using database = pgDatabase({ url: server.url, maxConnections: 1, connectTimeoutMs: 100 })
  // The time to connect holds for the connection itself, too: on a busy machine it may take several attempts.
  const connected = (): Promise<boolean> =>
    database.query({ text: 'select 1' }).then(
      () => true,
      () => false,
    )
  await eventually('the only connection is there', connected)
  const outcome = await database
    .transaction(() => database.query({ text: 'select 1' }))
    .catch((error: unknown) => error)
  t.ok(CloudError.is(outcome, 'support.rdbms.overloaded'))
})
