import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CloudError } from '@aaas/core-cloud/kernel'
import { eventually } from '@aaas/testing'
import { test } from 'tap'
import { alive, killOwner, serverHome, serverPid, sql, start, startOwner } from './server-fixture.js'

const nobody = 65_534
const isRoot = process.getuid?.() === 0

test('nobody enters without a password, and a lost password file is replaced', async t => {
  await using home = await serverHome()
  const first = await start(home.path)
  const anonymous = new URL(first.url)
  anonymous.password = 'guess'
  await t.rejects(sql(anonymous.href, 'select 1'), { code: '28P01' })
  const password = join(home.path, 'postgres.password')
  t.equal((await stat(password)).mode & 0o777, 0o600)
  t.equal((await stat(join(home.path, 'postgres'))).mode & 0o777, 0o700)
  await first[Symbol.asyncDispose]()
  await rm(password)
  const second = await start(home.path)
  t.not(second.url, first.url)
  t.equal((await sql(second.url, 'select 1 as one')).length, 1)
  await second[Symbol.asyncDispose]()
})

test('a data directory with a very long path works; a socket folder with one is refused', async t => {
  await using home = await serverHome()
  const long = join(home.path, 'x'.repeat(60), 'y'.repeat(60))
  const server = await start(home.path, { dataDir: join(long, 'postgres') })
  t.equal((await sql(server.url, 'select 1 as one')).length, 1)
  await server[Symbol.asyncDispose]()
  await t.rejects(start(home.path, { socketDir: long }), { code: 'core.kernel.invalid-config', field: 'socketDir' })
})

test('a directory of another major version or with other content is refused and left alone', async t => {
  await using home = await serverHome()
  const data = join(home.path, 'postgres')
  await mkdir(data)
  await writeFile(join(data, 'letters.txt'), 'mine')
  await t.rejects(start(home.path), { code: 'core.kernel.invalid-config', field: 'dataDir' })
  await writeFile(join(data, 'PG_VERSION'), '9\n')
  const error: unknown = await start(home.path).catch((failure: unknown) => failure)
  t.ok(CloudError.is(error, 'support.rdbms.version-mismatch'))
  t.match(String(error), /written by PostgreSQL 9/)
  t.equal(await readFile(join(data, 'letters.txt'), 'utf8'), 'mine')
})

test('a place that cannot be written is named', async t => {
  await using home = await serverHome()
  await writeFile(join(home.path, 'file'), '')
  const inside = join(home.path, 'file', 'postgres')
  const error: unknown = await start(home.path, { dataDir: inside }).catch((failure: unknown) => failure)
  t.ok(CloudError.is(error, 'core.kernel.not-writable'))
  t.match(String(error), join(home.path, 'file'))
})

test('an ordinary user runs it too, and is told about a read-only folder', {
  skip: isRoot ? false : 'needs root',
}, async t => {
  await using home = await serverHome()
  await chown(home.path, nobody, nobody)
  const owner = await startOwner(home.path, { uid: nobody })
  t.notOk(owner.said.code)
  const pid = (await serverPid(home.path)) ?? 0
  t.equal((await stat(`/proc/${pid}`)).uid, nobody)
  await killOwner(owner)
  await eventually('the server is gone', () => !alive(pid))
  await using closed = await serverHome()
  await chmod(closed.path, 0o555)
  const refused = await startOwner(closed.path, { uid: nobody })
  t.equal(refused.said.code, 'core.kernel.not-writable')
})

test('an aborted start stops what it had begun', async t => {
  await using home = await serverHome()
  const abort = new AbortController()
  const starting = start(home.path, { signal: abort.signal })
  await eventually('the data directory is being made', () => existsSync(join(home.path, 'postgres.new')))
  abort.abort()
  await t.rejects(starting, { name: 'AbortError' })
  const next = await start(home.path)
  t.equal(next.adopted, false)
  await next[Symbol.asyncDispose]()
})

test('a server given by URL is checked and neither started nor stopped', async t => {
  await using home = await serverHome()
  const server = await start(home.path)
  const external = await start(home.path, { databaseUrl: server.url })
  t.equal(external.engine, 'external')
  await external[Symbol.asyncDispose]()
  t.equal((await sql(server.url, 'select 1 as one')).length, 1)
  await sql(server.url, `create role weak login password 'weak'`)
  await sql(server.url, 'grant connect on database postgres to weak')
  const weak = new URL(server.url)
  weak.username = 'weak'
  weak.password = 'weak'
  await t.rejects(start(home.path, { databaseUrl: weak.href }), {
    code: 'core.kernel.invalid-config',
    field: 'databaseUrl',
  })
  await server[Symbol.asyncDispose]()
  await t.rejects(start(home.path, { databaseUrl: server.url }), { code: 'support.rdbms.unavailable' })
})
