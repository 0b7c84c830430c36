import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CloudError, type Logger, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import {
  type Database,
  type LeasePort,
  pgDatabase,
  processLease,
  type ReplicatedPostgresOptions,
  startPostgres,
  startReplicatedPostgres,
} from '@aaas/support-cloud/rdbms'
import { eventually } from '@aaas/testing'
import { test } from 'tap'
import { alive, serverHome, sql } from './server-fixture.js'

const clock = systemClock({ keepAlive: true })
const ids = systemIds()
const trace: Logger = process.env.AAAS_TEST_TRACE
  ? {
      ...silentLogger,
      warn: (text, fields) => console.error(text, fields),
      error: (text, fields) => console.error(text, fields),
      info: text => console.error(text),
      child: () => trace,
    }
  : silentLogger

const optionsFor = (home: string, more: Partial<ReplicatedPostgresOptions> = {}): ReplicatedPostgresOptions => ({
  dataDir: join(home, 'nodes'),
  socketDir: join(home, 'run'),
  clock,
  ids,
  logger: trace,
  ...more,
})

const pidOf = (home: string, node: string): number =>
  Number(readFileSync(join(home, 'nodes', node, 'postmaster.pid'), 'utf8').split('\n')[0])

/** Writes numbers by several writers until told to stop; what was acknowledged is remembered. */
function load(database: Database): { readonly acknowledged: Set<number>; stop(): Promise<void> } {
  const acknowledged = new Set<number>()
  let next = 0
  let stopped = false
  const writer = async (): Promise<void> => {
    while (!stopped) {
      next += 1
      const id = next
      try {
        await database.query({ name: 'write', text: 'insert into written values ($1)', values: [id] })
        acknowledged.add(id)
      } catch (error) {
        // Its outcome is unknown: only what was acknowledged counts.
        if (!CloudError.is(error) || !error.retryable) throw error
      }
    }
  }
  const writers = Promise.all(Array.from({ length: 4 }, writer))
  return {
    acknowledged,
    async stop() {
      stopped = true
      await writers
    },
  }
}

async function lost(database: Database, acknowledged: ReadonlySet<number>): Promise<number[]> {
  const rows = await database.query<{ id: number }>({ text: 'select id from written' })
  const there = new Set(rows.map(row => row.id))
  return [...acknowledged].filter(id => !there.has(id))
}

test('a primary killed under load is replaced, twice, without losing an acknowledged commit', async t => {
  await using home = await serverHome('aaas-rep-')
  const servers = await startReplicatedPostgres(optionsFor(home.path))
  await using database = pgDatabase({ url: servers.url, connectTimeoutMs: 20_000, maxConnections: 5 })
  await database.script('create table written (id int primary key)')
  await servers.inSync()
  t.match(servers.status(), { primary: 'a', term: 1, inSync: true, failOvers: 0 })
  const work = load(database)
  for (const [victim, heir] of [
    ['a', 'b'],
    ['b', 'a'],
  ] as const) {
    const before = work.acknowledged.size
    await eventually('commits flow', () => work.acknowledged.size > before + 100)
    const pid = pidOf(home.path, victim)
    process.kill(pid, 'SIGKILL')
    const killedAt = work.acknowledged.size
    await eventually(
      'commits flow again',
      () => servers.status().primary === heir && work.acknowledged.size > killedAt + 100,
    )
    t.notOk(alive(pid))
    await t.rejects(startPostgres({ ...optionsFor(home.path), dataDir: join(home.path, 'nodes', victim) }), {
      code: 'support.rdbms.fenced',
    })
    await servers.inSync()
  }
  await work.stop()
  t.same(await lost(database, work.acknowledged), [])
  t.match(servers.status(), { primary: 'a', term: 3, inSync: true, failOvers: 2 })
  t.same(await sql(servers.url, `select current_setting('aaas.fence') as fence`), [{ fence: '3' }])
  await servers[Symbol.asyncDispose]()

  await using again = await startReplicatedPostgres(optionsFor(home.path))
  t.same(await lost(database, work.acknowledged), [], 'nor by a restart')
  await again.inSync()
  t.match(again.status(), { primary: 'a', term: 3 })
})

test('roles change under the lease only, and only to a standby that has everything', async t => {
  await using home = await serverHome('aaas-rep-')
  const own = processLease({ after: 41 })
  let held = true
  const lease: LeasePort = {
    acquire: () => (held ? own.acquire() : Promise.reject(new CloudError('support.rdbms.lease-lost', 'taken'))),
    renew: () => own.renew(),
    get token() {
      return own.token
    },
  }
  const servers = await startReplicatedPostgres(optionsFor(home.path, { lease }))
  await using database = pgDatabase({ url: servers.url, connectTimeoutMs: 20_000 })
  await database.script('create table written (id int primary key)')
  await servers.inSync()
  t.equal(servers.status().term, 42)

  held = false
  await t.rejects(servers.failOver(), { code: 'support.rdbms.lease-lost' })
  t.match(servers.status(), { primary: 'a', inSync: true, failOvers: 0 })
  t.equal((await database.query({ text: 'select 1 as one' })).length, 1, 'nothing was stopped')
  held = true

  process.kill(pidOf(home.path, 'b'), 'SIGKILL')
  await eventually('it is known to be alone', () => !servers.status().inSync)
  await t.rejects(servers.failOver(), { code: 'support.rdbms.not-in-sync' })
  await database.query({ text: 'insert into written values (1)' })
  await servers.inSync()
  await servers.failOver()
  t.match(servers.status(), { primary: 'b', term: 43 })
  t.same(await database.query({ text: 'select id from written' }), [{ id: 1 }])
  await servers[Symbol.asyncDispose]()

  // A strict one acknowledges nothing while the standby is away.
  await using strict = await startReplicatedPostgres(optionsFor(home.path, { strict: true }))
  await strict.inSync()
  process.kill(pidOf(home.path, 'a'), 'SIGKILL')
  await eventually('the standby is missed', () => !strict.status().inSync)
  await database.query({ text: 'insert into written values (2)' })
  const standbys = `select count(*) as n from pg_stat_replication where sync_state = 'sync'`
  t.same(await database.query({ text: standbys }), [{ n: 1 }], 'it waited for the standby')
})
