import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { backupCluster, readBackup, restoreCluster } from '@aaas/support-cloud/rdbms'
import { test } from 'tap'
import { serverHome, sql, start } from './server-fixture.js'

const options = { clock: systemClock({ keepAlive: true }), ids: systemIds(), logger: silentLogger }

test('a backup taken under writes, and the archive, bring the data of a moment back', async t => {
  await using home = await serverHome('aaas-bak-')
  await chmod(home.path, 0o755)
  const archiveDir = join(home.path, 'archive')
  const server = await start(home.path, { archiveDir })
  const { url } = server
  await sql(url, 'create table kept (n int); insert into kept select generate_series(1, 1000)')
  let stop = false
  let written = 1_000
  const writing = (async () => {
    while (!stop) {
      written += 1
      await sql(url, `insert into kept values (${written})`)
    }
  })()
  const dataDir = join(home.path, 'postgres')
  const to = join(home.path, 'backup')
  const before = written
  const info = await backupCluster({ ...options, dataDir, url, to })
  stop = true
  await writing
  t.same(await readBackup(to), info)
  await t.rejects(backupCluster({ ...options, dataDir, url, to }), { code: 'core.kernel.invalid-config', field: 'to' })
  const [moment] = await sql(
    url,
    `insert into kept values (-1) returning (extract(epoch from clock_timestamp()) * 1000 + 5)::float8 as at`,
  )
  await sql(url, 'select pg_sleep(0.05)')
  await sql(url, 'delete from kept')
  await sql(url, 'select pg_switch_wal()')
  const archived = `select 1 from pg_stat_archiver, pg_control_checkpoint() where last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 16777216)`
  while ((await sql(url, archived)).length === 0) await sql(url, 'select pg_sleep(0.05)')
  await server[Symbol.asyncDispose]()

  const restore = (name: string, more: object): Promise<unknown> =>
    restoreCluster({
      ...options,
      dataDir: join(home.path, name),
      socketDir: join(home.path, `run-${name}`),
      backup: to,
      ...more,
    })
  const count = async (name: string): Promise<unknown> => {
    await using restored = await start(home.path, {
      dataDir: join(home.path, name),
      socketDir: join(home.path, `run-${name}`),
    })
    const [row] = await sql(restored.url, 'select count(*) as n, min(n) as least from kept')
    return row
  }
  await restore('alone', {})
  const alone = (await count('alone')) as { n: number; least: number }
  t.ok(alone.n >= before && alone.least === 1, 'the backup alone: all that had committed when it began')
  await restore('moment', { archive: archiveDir, until: Number(moment?.at) })
  t.same(await count('moment'), { n: written + 1, least: -1 }, 'the moment before the delete')
  t.notOk((await readdir(join(home.path, 'moment'))).includes('aaas_archive'))
  await t.rejects(restore('moment', {}), { code: 'core.kernel.invalid-config', field: 'dataDir' })

  for (const [field, more] of [
    ['archive', { until: Date.now() }],
    ['until', { archive: archiveDir, until: info.endedAt - 60_000 }],
  ] as const) {
    await t.rejects(restore('refused', more), { code: 'core.kernel.invalid-config', field })
  }
  await t.rejects(restore('future', { archive: archiveDir, until: Date.now() + 3_600_000 }), {
    code: 'support.rdbms.restore-failed',
  })
  t.notOk(
    (await readdir(home.path)).some(name => /^(future|refused)(\.restoring)?$/.test(name)),
    'nothing is left',
  )
})

test('what is not a finished backup is refused', async t => {
  await using home = await serverHome('aaas-bak-')
  const folder = join(home.path, 'backup')
  await mkdir(folder)
  await t.rejects(readBackup(folder), { code: 'support.rdbms.backup-failed' })
  await writeFile(join(folder, 'backup.json'), '{"format":9}')
  await t.rejects(readBackup(folder), { code: 'support.rdbms.backup-failed' })
  const server = await start(home.path)
  const stranger = { ...options, dataDir: join(home.path, 'elsewhere'), url: server.url, to: join(home.path, 'b') }
  await t.rejects(backupCluster(stranger), { code: 'core.kernel.invalid-config', field: 'dataDir' })
  const abort = new AbortController()
  const cut = backupCluster({
    ...options,
    dataDir: join(home.path, 'postgres'),
    url: server.url,
    to: join(home.path, 'cut'),
    signal: abort.signal,
  })
  abort.abort()
  await t.rejects(cut, { name: 'AbortError' })
  t.notOk((await readdir(home.path)).some(name => name.startsWith('cut')))
  await server[Symbol.asyncDispose]()
})

test('an archive that cannot be written is refused before anything starts', async t => {
  await using home = await serverHome('aaas-bak-')
  await t.rejects(start(home.path, { archiveDir: join(home.path, "it's") }), {
    code: 'core.kernel.invalid-config',
    field: 'archiveDir',
  })
  if (process.getuid?.() === 0) {
    // Below a folder that the server's account may not enter.
    await t.rejects(start(home.path, { archiveDir: join(home.path, 'archive') }), {
      code: 'core.kernel.invalid-config',
      field: 'archiveDir',
    })
  }
  await rm(join(home.path, 'archive'), { recursive: true, force: true })
  for (const [name, value] of [
    ['fsync', 'off'],
    ['listen_addresses', '*'],
    ['a b', '1'],
  ] as const) {
    await t.rejects(start(home.path, { settings: { [name]: value } }), {
      code: 'core.kernel.invalid-config',
      field: `settings/${name}`,
    })
  }
  await using server = await start(home.path, { settings: { work_mem: '5MB' } })
  t.same(await sql(server.url, 'show work_mem'), [{ work_mem: '5MB' }])
  t.match(await readFile(join(home.path, 'postgres.log'), 'utf8'), /ready|system is/)
})
