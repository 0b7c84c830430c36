import { cp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { CloudError, sleep } from '@aaas/core-cloud/kernel'
import { type ClusterCopy, copyRunningCluster, writeSynced } from './cluster-copy.js'
import { clusterPaths, dataMajor, readPassword } from './postgres-cluster.js'
import { withConnection } from './postgres-connection.js'
import { type PostgresOptions, startServer } from './postgres-server.js'

/** What a finished backup says about itself (`backup.json`). */
export interface BackupInfo extends ClusterCopy {
  readonly format: 1
  /** Epoch milliseconds. The backup can be restored to `endedAt` and, with the archive, to any later moment. */
  readonly startedAt: number
  readonly endedAt: number
}

/**
 * Copies a running server that this machine's launcher started, while it works, into a new folder: data (`base/`),
 * what is needed to start it, and the superuser's password. **Secret** (0700), and as large as the data directory.
 * With an archive (`archiveDir` of `startPostgres`) it can be restored to any moment after its end.
 * @param options.to - must not exist; appears under its name when it is complete and on the disk.
 * @throws CloudError `support.rdbms.backup-failed`, `core.kernel.invalid-config`, `support.rdbms.unavailable`.
 */
export async function backupCluster(
  options: Pick<PostgresOptions, 'dataDir' | 'clock' | 'ids' | 'signal'> & {
    /** Superuser's connection string; `url` of the running server. */
    readonly url: string
    readonly to: string
  },
): Promise<BackupInfo> {
  const paths = clusterPaths(resolve(options.dataDir))
  const [target, staging] = [resolve(options.to), `${resolve(options.to)}.part`]
  if ((await readdir(target).catch(() => undefined)) !== undefined) throw invalid('to', `${target} exists`)
  const password = await readPassword(paths)
  if (password === undefined) throw invalid('dataDir', `${paths.data} is not a directory of this launcher`)
  await rm(staging, { recursive: true, force: true })
  await mkdir(staging, { recursive: true, mode: 0o700 })
  const startedAt = options.clock.now()
  try {
    const copy = await copyRunningCluster({
      url: options.url,
      from: paths.data,
      to: join(staging, 'base'),
      withLog: true,
      ids: options.ids,
      ...(options.signal && { signal: options.signal }),
    })
    await writeSynced(join(staging, 'password'), `${password}\n`)
    const info: BackupInfo = { format: 1, ...copy, startedAt, endedAt: options.clock.now() }
    await writeSynced(join(staging, 'backup.json'), `${JSON.stringify(info, undefined, 2)}\n`)
    await rename(staging, target)
    return info
  } catch (error) {
    await rm(staging, { recursive: true, force: true })
    throw error
  }
}

/** @throws CloudError `support.rdbms.backup-failed` when the folder is not a finished backup. */
export async function readBackup(folder: string): Promise<BackupInfo> {
  try {
    const info: unknown = JSON.parse(await readFile(join(folder, 'backup.json'), 'utf8'))
    if ((info as Partial<BackupInfo>).format === 1) return info as BackupInfo
  } catch (cause) {
    throw new CloudError('support.rdbms.backup-failed', `${folder} is not a finished backup`, { cause })
  }
  throw new CloudError('support.rdbms.backup-failed', `${folder} was written by another version of the platform`)
}

export interface RestoreOptions extends Omit<PostgresOptions, 'databaseUrl' | 'archiveDir'> {
  /** Folder of {@link backupCluster}. */
  readonly backup: string
  /** Folder that the server kept its log in; needed for `until` and for everything behind the end of the backup. */
  readonly archive?: string
  /**
   * Epoch milliseconds: transactions that had committed by then are there, later ones are not. Default: everything that
   * the backup and the archive have.
   */
  readonly until?: number
}

/** Folder inside the data directory: whatever account the server has, it reaches it. */
const logFolder = 'aaas_archive'

/**
 * Makes a new data directory from a backup, brought to the wanted moment; the server is stopped again afterwards and can
 * be started by `startPostgres`, with the password of the time of the backup. Also the way to a clone: give another
 * `dataDir`. Nothing is left behind when it fails.
 * @throws CloudError `support.rdbms.restore-failed` when the archive ends before `until`, or pieces are missing;
 *   `support.rdbms.backup-failed`, `support.rdbms.version-mismatch`, `core.kernel.invalid-config`.
 */
export async function restoreCluster(options: RestoreOptions): Promise<{ readonly endedAt: number }> {
  const paths = clusterPaths(resolve(options.dataDir))
  const info = await readBackup(options.backup)
  if ((await dataMajor(paths)) !== undefined) throw invalid('dataDir', `${paths.data} has data already`)
  if (options.until !== undefined && options.archive === undefined) {
    throw invalid('archive', 'a moment needs the archive of the log')
  }
  if (options.until !== undefined && !(options.until >= info.endedAt)) {
    throw invalid('until', `the backup ended at ${info.endedAt}, it cannot go back further`)
  }
  const staging = `${paths.data}.restoring`
  await rm(staging, { recursive: true, force: true })
  await mkdir(dirname(staging), { recursive: true })
  try {
    await cp(join(options.backup, 'base'), staging, { recursive: true, mode: 2 })
    if (options.archive !== undefined) await prepareRecovery(staging, info, options.archive, options.until)
    await cp(join(options.backup, 'password'), paths.password)
    await rm(paths.data, { recursive: true, force: true })
    await rename(staging, paths.data)
    return { endedAt: await recover(options, paths.data) }
  } catch (error) {
    await rm(staging, { recursive: true, force: true })
    await rm(paths.data, { recursive: true, force: true })
    await rm(paths.password, { force: true })
    if (!CloudError.is(error, 'support.rdbms.start-failed')) throw error
    throw new CloudError('support.rdbms.restore-failed', `the restored server did not get there: ${error.message}`, {
      cause: error,
      ...(error.details === undefined ? {} : { details: error.details }),
    })
  }
}

async function prepareRecovery(
  data: string,
  info: BackupInfo,
  archive: string,
  until: number | undefined,
): Promise<void> {
  await mkdir(join(data, logFolder), { mode: 0o700 })
  const pieces = (await readdir(archive)).filter(
    name =>
      /^[0-9A-F]{8}\.history$/.test(name) || (/^[0-9A-F]{24}$/.test(name) && name.slice(8) >= info.startWal.slice(8)),
  )
  for (const name of pieces) await cp(join(archive, name), join(data, logFolder, name), { mode: 2 })
  const lines = [`restore_command = 'cp "${logFolder}/%f" "%p"'`, `recovery_target_action = 'promote'`]
  if (until !== undefined)
    lines.push(`recovery_target_time = '${new Date(until).toISOString().replace('T', ' ').replace('Z', '+00')}'`)
  const auto = join(data, 'postgresql.auto.conf')
  const before = await readFile(auto, 'utf8').catch(() => '')
  await writeSynced(auto, `${before}\n${lines.join('\n')}\n`)
  await writeSynced(join(data, 'recovery.signal'), '')
}

/** Starts the server, waits until it has replayed everything wanted, tidies up and stops it. @returns the last moment. */
async function recover(options: RestoreOptions, data: string): Promise<number> {
  const { clock } = options
  const deadline = clock.monotonic() + (options.startTimeoutMs ?? 3_600_000)
  await using server = await startServer({ startTimeoutMs: 3_600_000, ...options }, { archive_mode: 'off' })
  let ended = false
  void server.ended.then(() => {
    ended = true
  })
  for (;;) {
    const state = await withConnection(server.url, async client => {
      const { rows } = await client.query<{ busy: boolean; last: number | null }>(
        `select pg_is_in_recovery() as busy, (extract(epoch from pg_last_xact_replay_timestamp()) * 1000)::float8 as last`,
      )
      if (rows[0]?.busy !== false) return undefined
      for (const name of ['restore_command', 'recovery_target_action', 'recovery_target_time']) {
        await client.query(`alter system reset ${name}`)
      }
      return Math.round(rows[0].last ?? 0)
    }).catch((error: unknown) => {
      if (CloudError.is(error, 'support.rdbms.unavailable')) return undefined
      throw error
    })
    if (state !== undefined) {
      await rm(join(data, logFolder), { recursive: true, force: true })
      return state
    }
    if (ended || clock.monotonic() > deadline) {
      const log = await readFile(clusterPaths(data).log, 'utf8').catch(() => '')
      const tail = log.trim().split('\n').slice(-3).join(' | ')
      throw new CloudError('support.rdbms.restore-failed', `the restored server did not get there: ${tail}`)
    }
    await sleep(clock, 50, options.signal)
  }
}

function invalid(field: string, reason: string): CloudError {
  return new CloudError('core.kernel.invalid-config', reason, { field })
}
