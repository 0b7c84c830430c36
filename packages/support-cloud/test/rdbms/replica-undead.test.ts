import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import {
  type LeasePort,
  pgDatabase,
  processLease,
  type RunningPostgres,
  startPostgres,
  startReplicatedPostgres,
} from '@aaas/support-cloud/rdbms'
import { eventually } from '@aaas/testing'
import { test } from 'tap'
import { connectClient } from '../../src/rdbms/connect-client.js'
import { serverHome, sql } from './server-fixture.js'

const options = { clock: systemClock({ keepAlive: true }), ids: systemIds(), logger: silentLogger }

/** The old primary as it is where nobody could stop it: its data, its settings, and clients that write. */
async function undead(home: string): Promise<RunningPostgres> {
  const dataDir = join(home, 'undead', 'a')
  mkdirSync(join(home, 'undead'))
  // With its owner, mode and links.
  execFileSync('cp', ['-a', join(home, 'nodes', 'a'), dataDir])
  cpSync(join(home, 'nodes', 'a.password'), `${dataDir}.password`)
  return startPostgres({ ...options, dataDir, socketDir: join(home, 'run-undead') })
}

test('a primary that was replaced and lives on acknowledges no write, and is left by those who know better', async t => {
  await using home = await serverHome('aaas-rep-')
  const own = processLease({ after: 0 })
  let old: RunningPostgres | undefined
  const lease: LeasePort = {
    acquire: () => own.acquire(),
    // Between the stop of the old primary and the promotion of the standby: here it rises again.
    async renew() {
      old = await undead(home.path)
      await own.renew()
    },
    get token() {
      return own.token
    },
  }
  const folders = { dataDir: join(home.path, 'nodes'), socketDir: join(home.path, 'run') }
  await using servers = await startReplicatedPostgres({ ...options, ...folders, lease })
  await using database = pgDatabase({ url: servers.url, connectTimeoutMs: 20_000, maxConnections: 2 })
  await database.script('create table written (id int primary key)')
  await database.query({ text: 'insert into written values (1)' })
  await servers.inSync()
  await servers.failOver()
  t.match(servers.status(), { primary: 'b', term: 2 })
  if (old === undefined) throw new Error('the old primary does not live')
  t.same(await sql(old.url, 'select pg_is_in_recovery() as standby'), [{ standby: false }], 'it takes itself for one')

  let acknowledged = 0
  const writes = Array.from({ length: 4 }, (_, n) =>
    sql(old?.url ?? '', `insert into written values (${100 + n})`).then(() => {
      acknowledged += 1
    }),
  )
  const refused = Promise.allSettled(writes)
  await eventually('all of them wait for the standby that left', async () => {
    const waiting = `select count(*) as n from pg_stat_activity where wait_event = 'SyncRep'`
    return (await sql(old?.url ?? '', waiting))[0]?.n === 4
  })
  for (let id = 2; id <= 50; id++) await database.query({ text: 'insert into written values ($1)', values: [id] })
  await servers.inSync()
  t.equal(acknowledged, 0, 'while the new one acknowledged 49')
  t.same(await sql(old.url, 'select max(id) as last from written'), [{ last: 1 }], 'nor does anybody there see them')

  // The old one first, as before; this client has seen the token of the new one.
  const { searchParams } = new URL(servers.url)
  const both = new URL(servers.url)
  const there = new URL(old.url).searchParams.get('host') ?? ''
  both.searchParams.set('host', `${there},${(searchParams.get('host') ?? '').split(',')[1]}`)
  const memory = { last: 0, fence: 2 }
  const { client } = await connectClient({ url: both.href, timeoutMs: 10_000, memory })
  t.match((await client.query('select max(id) as last from written')).rows, [{ last: 50 }])
  t.equal(memory.last, 1, 'it left the first host')
  await client.end()

  await old[Symbol.asyncDispose]()
  t.same(
    (await refused).map(({ status }) => status),
    ['rejected', 'rejected', 'rejected', 'rejected'],
  )
  t.same(await database.query({ text: 'select count(*) as n, max(id) as last from written' }), [{ n: 50, last: 50 }])
})
