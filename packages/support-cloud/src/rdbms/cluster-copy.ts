import { constants, type Dirent } from 'node:fs'
import { copyFile, mkdir, open, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CloudError, type Ids } from '@aaas/core-cloud/kernel'
import type pg from 'pg'
import { withConnection } from './postgres-connection.js'

/** What a copy of a running cluster needs to be brought to a consistent state, and where in the log that is. */
export interface ClusterCopy {
  readonly major: number
  /** Such as `15.18`. */
  readonly version: string
  readonly systemIdentifier: string
  readonly timeline: number
  readonly startLsn: string
  readonly stopLsn: string
  /** Names of the first and last pieces of the log that it needs. */
  readonly startWal: string
  readonly stopWal: string
}

/** Made anew by every server; what is in them would be wrong in a copy. */
const leftOut = new Set([
  ...['pg_wal', 'pg_replslot', 'pg_dynshmem', 'pg_notify', 'pg_serial', 'pg_snapshots', 'pg_stat_tmp', 'pg_subtrans'],
])
const notCopied =
  /^(postmaster\.(pid|opts)|pg_internal\.init.*|pgsql_tmp.*|\.s\.PGSQL\..*|backup_label.*|standby\.signal|recovery\.signal)$/

/**
 * Copies the files of a running server into a new folder, by the server's own protocol for that
 * (`pg_backup_start`, `pg_backup_stop`): pages that change meanwhile are put right from the log. No tool is needed; the
 * embedded binaries have none.
 * @param options.withLog - the pieces of the log that the copy needs go with it: it can be started by itself.
 * @throws CloudError `support.rdbms.backup-failed`; the folder is removed then.
 */
export async function copyRunningCluster(options: {
  /** Superuser's connection string of the server itself, not of whichever has a role. */
  readonly url: string
  readonly from: string
  readonly to: string
  readonly withLog: boolean
  readonly ids: Ids
  readonly signal?: AbortSignal
}): Promise<ClusterCopy> {
  const { from, to, signal } = options
  await mkdir(to, { recursive: true, mode: 0o700 })
  try {
    return await withConnection(options.url, async client => {
      await client.query("set statement_timeout = 0; set idle_session_timeout = 0; set lock_timeout = '60s'")
      const about = await describe(client)
      if (options.withLog) {
        // Ends with the session; keeps the log from the start of the copy on.
        const name = `aaas_copy_${options.ids.token(5)}`
        await client.query('select pg_create_physical_replication_slot($1, true, true)', [name])
      }
      const old = about.major < 15
      const label = `aaas ${options.ids.token(5)}`
      const start = old ? 'pg_start_backup($1, true, false)' : 'pg_backup_start($1, true)'
      const startLsn = await one(client, `select ${start}::text as value`, [label])
      await copyFolder(from, to, signal)
      for (const name of leftOut) await mkdir(join(to, name), { mode: 0o700 })
      await mkdir(join(to, 'pg_wal', 'archive_status'), { mode: 0o700 })
      const stop = old ? 'pg_stop_backup(false, false)' : 'pg_backup_stop(false)'
      const { rows } = await client.query<{ lsn: string; labelfile: string; spcmapfile: string }>(
        `select lsn::text, labelfile, spcmapfile from ${stop}`,
      )
      const { lsn = '', labelfile = '', spcmapfile = '' } = rows[0] ?? {}
      if (spcmapfile.trim() !== '') throw new Error('tablespaces outside the data directory are not copied')
      await writeSynced(join(to, 'backup_label'), labelfile)
      const startWal = /^START WAL LOCATION: .*\(file ([0-9A-F]{24})\)/m.exec(labelfile)?.[1] ?? ''
      const stopWal = await one(client, 'select pg_walfile_name($1::pg_lsn) as value', [lsn])
      if (options.withLog) await copyLog({ from, to, startWal, stopWal })
      return { ...about, startLsn, stopLsn: lsn, startWal, stopWal }
    })
  } catch (error) {
    await rm(to, { recursive: true, force: true })
    if (CloudError.is(error) || signal?.aborted) throw error
    const text = error instanceof Error ? error.message : String(error)
    throw new CloudError('support.rdbms.backup-failed', `the copy of ${from} failed: ${text}`, { cause: error })
  }
}

async function describe(
  client: pg.Client,
): Promise<Pick<ClusterCopy, 'major' | 'version' | 'systemIdentifier' | 'timeline'>> {
  const { rows } = await client.query<{ number: number; version: string; id: string; timeline: number }>(
    `select current_setting('server_version_num')::int as number, current_setting('server_version') as version,
            system_identifier::text as id, timeline_id as timeline from pg_control_system(), pg_control_checkpoint()`,
  )
  const { number = 0, version = '', id = '', timeline = 0 } = rows[0] ?? {}
  return {
    major: Math.floor(number / 10_000),
    version: version.split(' ')[0] ?? version,
    systemIdentifier: id,
    timeline,
  }
}

async function one(client: pg.Client, text: string, values: readonly string[]): Promise<string> {
  const { rows } = await client.query<{ value: string }>(text, [...values])
  return rows[0]?.value ?? ''
}

/** Files at a time: the disk has more than one, and no folder is so large that handles run out. */
const sideBySide = 8

async function copyFolder(from: string, to: string, signal: AbortSignal | undefined, top = true): Promise<void> {
  signal?.throwIfAborted()
  const entries = (await readdir(from, { withFileTypes: true }).catch(ignoreMissing([]))).filter(
    entry => !notCopied.test(entry.name) && !(top && leftOut.has(entry.name)),
  )
  const work = entries.values()
  const worker = async (): Promise<void> => {
    for (const entry of work) await copyEntry({ from, to, entry, signal })
  }
  await Promise.all(Array.from({ length: sideBySide }, worker))
}

async function copyEntry(at: {
  readonly from: string
  readonly to: string
  readonly entry: Dirent
  readonly signal: AbortSignal | undefined
}): Promise<void> {
  const [source, target] = [join(at.from, at.entry.name), join(at.to, at.entry.name)]
  if (at.entry.isSymbolicLink()) throw new Error(`${source} is a link; tablespaces are not copied`)
  if (at.entry.isDirectory()) {
    await mkdir(target, { mode: 0o700 })
    await copyFolder(source, target, at.signal, false)
  } else if (at.entry.isFile()) await copySynced(source, target)
}

/** A table that was dropped meanwhile is no loss: the log says so too. */
async function copySynced(source: string, target: string): Promise<void> {
  const copied = await copyFile(source, target, constants.COPYFILE_FICLONE).then(() => true, ignoreMissing(false))
  if (!copied) return
  const handle = await open(target, 'r')
  await handle.sync().finally(() => handle.close())
}

function ignoreMissing<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return error => {
    if (error.code === 'ENOENT') return instead
    throw error
  }
}

async function copyLog(at: {
  readonly from: string
  readonly to: string
  readonly startWal: string
  readonly stopWal: string
}): Promise<void> {
  const folder = join(at.from, 'pg_wal')
  const names = (await readdir(folder)).filter(
    name => /^[0-9A-F]{24}$/.test(name) && name >= at.startWal && name <= at.stopWal,
  )
  if (!names.includes(at.startWal)) throw new Error(`piece ${at.startWal} of the log is gone`)
  for (const name of names) await copySynced(join(folder, name), join(at.to, 'pg_wal', name))
}

/** Writes a small file so that it survives a loss of power. */
export async function writeSynced(path: string, text: string, mode = 0o600): Promise<void> {
  await writeFile(path, text, { mode })
  const handle = await open(path, 'r')
  await handle.sync().finally(() => handle.close())
}
