import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { createOutboxRelay, emitEvent, type OutboxRelayOptions } from '@aaas/support-cloud/event'
import { outboxRelaySuite } from '@aaas/support-cloud/event/suite'
import { type Database, migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { transactionMigrations } from '@aaas/support-cloud/transaction'
import { openTestDatabase } from '@aaas/testing'
import { test } from 'tap'

const clock = systemClock({ keepAlive: true })
const ids = systemIds()

/** A wrong claim in place of the right one: everything else of the relay stays. */
async function withClaim(change: (definition: string) => string): Promise<
  AsyncDisposable & {
    readonly database: Database
    readonly tests: ReadonlyMap<string, () => Promise<void>>
  }
> {
  const server = await openTestDatabase()
  const database = pgDatabase({ url: server.url })
  await migrate(database, [transactionMigrations])
  const [row] = await database.query<{ definition: string }>({
    text: `select pg_get_functiondef('aaas_outbox_claim'::regproc) as definition`,
  })
  const definition = row?.definition ?? ''
  const changed = change(definition)
  if (changed === definition) throw new Error('the bug could not be planted')
  await database.script(`create table cursor (last bigint); insert into cursor values (0); ${changed}`)
  const tests = new Map<string, () => Promise<void>>()
  const ends: (() => Promise<void>)[] = []
  outboxRelaySuite(
    (name, run) => void tests.set(name, run),
    async () => ({
      database,
      ids,
      start(options: Partial<OutboxRelayOptions> = {}) {
        const defaults = { database, clock, ids, logger: silentLogger, pollMs: 30, firstPauseMs: 10, drainMs: 100 }
        const relay = createOutboxRelay({ ...defaults, ...options })
        ends.push(async () => relay[Symbol.asyncDispose]())
        return Object.assign(relay, { kill: async () => relay[Symbol.asyncDispose]() })
      },
      async [Symbol.asyncDispose]() {
        await Promise.all(ends.splice(0).map(end => end()))
      },
    }),
  )
  return {
    database,
    tests,
    async [Symbol.asyncDispose]() {
      await Promise.all(ends.map(end => end()))
      await database[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

test('planted: a claim by id cursor loses what is committed later, and the suite says so', async t => {
  await using broken = await withClaim(definition =>
    definition
      .replace(
        'where o.available_at <= now() order by o.id',
        'where o.available_at <= now() and o.id > (select last from cursor) order by o.id',
      )
      .replace(
        'return query',
        'update cursor set last = greatest(last, (select max(i) from unnest(v_ids) i)); return query',
      ),
  )
  const name = 'an event whose id is lower but whose commit is later is told too'
  await t.rejects(broken.tests.get(name)?.() ?? Promise.resolve(), /Expected values to be strictly deep-equal/)
})

test('planted: a claim that does not look for gaps breaks the order of a key, and the suite says so', async t => {
  await using broken = await withClaim(definition => definition.replace('and e.id < c.last', 'and e.id < 0'))
  const name = 'a batch with a gap stops at it: what another relay holds in the middle goes first'
  await t.rejects(broken.tests.get(name)?.() ?? Promise.resolve(), /Expected values to be strictly deep-equal/)
})

test('without a planted bug the same tests pass', async t => {
  await using sound = await withClaim(definition => definition.replace('begin', 'begin '))
  for (const [name, run] of sound.tests) {
    if (/lower but whose commit|with a gap/.test(name)) await t.resolves(run(), name)
  }
})

test('a claim from a long backlog reads no more rows than it needs', async t => {
  await using server = await openTestDatabase()
  await using database = pgDatabase({ url: server.url, maxConnections: 1 })
  await migrate(database, [transactionMigrations])
  // The plan is made while the table is empty; nothing analyses it later.
  const claim = 'select count(*) as n from aaas_outbox_claim(100)'
  for (let call = 0; call < 10; call++) await database.query({ name: 'claim', text: claim })
  await database.transaction(tx => emitEvent(tx, { eventId: ids.uuid(), topic: 't', key: 'first', payload: 1 }))
  await database.script(`insert into aaas_outbox (event_id, topic, key, payload)
    select gen_random_uuid(), 't', 'k' || n % 70, '1' from generate_series(1, 50000) n`)
  const rows = await database.transaction(async tx => {
    const [claimed] = await tx.query<{ n: number }>({ name: 'claim', text: claim })
    const text = `select sum(pg_stat_get_xact_tuples_returned(oid)) as n from pg_class
      where oid = 'aaas_outbox'::regclass or oid in (select indexrelid from pg_index where indrelid = 'aaas_outbox'::regclass)`
    const [count] = await tx.query<{ n: number }>({ text })
    return { claimed: claimed?.n, read: count?.n ?? Number.POSITIVE_INFINITY }
  })
  t.equal(rows.claimed, 100)
  t.ok(rows.read < 1_000, `${rows.read} rows and index entries read`)
})
