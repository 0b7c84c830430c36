import {
  chmod,
  chown,
  type FileHandle,
  lchown,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CloudError, type Ids } from '@aaas/core-cloud/kernel'
import type { ServerAccount } from './postgres-account.js'
import type { PostgresEngine } from './postgres-engine.js'
import { runTool } from './postgres-process.js'

/** Where everything of one server lies. */
export interface ClusterPaths {
  readonly data: string
  /** Password of the superuser, 0600, owned by us and not by the server's account. */
  readonly password: string
  /** What the server says; the last one is kept as `.1`. */
  readonly log: string
  /** Written when another node took over: the directory must not be started as it is. */
  readonly fence: string
}

export function clusterPaths(dataDir: string): ClusterPaths {
  return { data: dataDir, password: `${dataDir}.password`, log: `${dataDir}.log`, fence: `${dataDir}.fenced` }
}

/** Bytes after which a log is put aside at the next start. */
const logLimit = 4 * 1024 * 1024

/** Opens the log for appending; the first write of a start, so it also finds out whether we may write here at all. */
export async function openLog(paths: ClusterPaths): Promise<FileHandle> {
  try {
    await mkdir(dirname(paths.data), { recursive: true })
    const size = (await lstat(paths.log).catch(() => undefined))?.size ?? 0
    if (size > logLimit) await rename(paths.log, `${paths.log}.1`)
    return await open(paths.log, 'a', 0o600)
  } catch (error) {
    throw notWritable(dirname(paths.data), error)
  }
}

/** @returns the major version that wrote the directory; undefined when there is none or it is empty. */
export async function dataMajor(paths: ClusterPaths): Promise<number | undefined> {
  const text = await readFile(join(paths.data, 'PG_VERSION'), 'utf8').catch(() => undefined)
  if (text !== undefined) return Number(text.trim())
  const entries = await readdir(paths.data).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw notWritable(paths.data, error)
  })
  if (entries.length === 0) return undefined
  throw new CloudError(
    'core.kernel.invalid-config',
    `${paths.data} is neither empty nor a data directory of PostgreSQL`,
    {
      field: 'dataDir',
    },
  )
}

export interface ClusterOptions {
  readonly paths: ClusterPaths
  readonly engine: PostgresEngine
  readonly account: ServerAccount | undefined
  readonly ids: Ids
  readonly signal?: AbortSignal
}

/**
 * Makes a data directory when there is none, and brings what surrounds it into order: owner, access rules, password.
 * A directory is made beside its place and moved there when complete, so a kill at any moment leaves nothing half-done.
 * @returns the superuser's password.
 */
export async function prepareCluster(options: ClusterOptions): Promise<string> {
  const { paths } = options
  try {
    if ((await dataMajor(paths)) === undefined) await initialise(options)
    await own(paths.data, options.account)
    await chmod(paths.data, 0o700)
    await writeFile(join(paths.data, 'pg_hba.conf'), accessRules, { mode: 0o644 })
    await own(join(paths.data, 'pg_hba.conf'), options.account)
    const password = await readPassword(paths)
    return password ?? (await setPassword(options))
  } catch (error) {
    throw notWritable(paths.data, error)
  }
}

export async function readPassword(paths: ClusterPaths): Promise<string | undefined> {
  const text = await readFile(paths.password, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw notWritable(paths.password, error)
  })
  return text.trim() === '' ? undefined : text.trim()
}

/** Every role proves itself by password, the superuser too; there is no other way in. */
const accessRules = 'local all all scram-sha-256\nlocal replication aaas_replica scram-sha-256\n'

async function initialise(options: ClusterOptions): Promise<void> {
  const { paths, engine, account, signal } = options
  const staging = `${paths.data}.new`
  const failures: string[] = []
  for (const locale of locales(engine.major)) {
    await rm(staging, { recursive: true, force: true })
    await mkdir(staging, { mode: 0o700 })
    await own(staging, account)
    const args = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', ...locale]
    const result = await withFolder(staging, account, ({ path, folder }) =>
      runTool({
        program: join(engine.bin, 'initdb'),
        args: ['-D', path, ...args],
        account,
        folder,
        ...(signal && { signal }),
      }),
    )
    if (result.status === 0) {
      await rename(staging, paths.data)
      // A password file of a directory that somebody removed says nothing about this one.
      await rm(paths.password, { force: true })
      return
    }
    failures.push(result.output.trim().slice(-1_000))
  }
  await rm(staging, { recursive: true, force: true })
  throw new CloudError('support.rdbms.start-failed', `initdb failed: ${failures.join(' | ')}`)
}

/** Bytewise order (fast, and the same on every machine) with Unicode-aware upper and lower case where there is one. */
function locales(major: number): readonly (readonly string[])[] {
  const plain = ['--locale=C']
  if (major >= 17) return [[...plain, '--locale-provider=builtin', '--builtin-locale=C.UTF-8'], plain]
  return [['--locale=C.UTF-8'], plain]
}

/**
 * Sets a new superuser password in single-user mode, which needs no password; also the cure for a lost file.
 * The new one goes to a file beside first: a kill in between leaves a directory whose password is set again.
 */
async function setPassword({ paths, engine, account, ids, signal }: ClusterOptions): Promise<string> {
  const password = ids.token(20)
  const args = ['-c', 'password_encryption=scram-sha-256', '-c', 'log_min_messages=fatal', 'postgres']
  const result = await withFolder(paths.data, account, ({ path, folder }) =>
    runTool({
      program: join(engine.bin, 'postgres'),
      args: ['--single', '-D', path, ...args],
      account,
      folder,
      input: `alter role postgres password '${password}'\n`,
      ...(signal && { signal }),
    }),
  )
  if (result.status !== 0 || /ERROR|FATAL/.test(result.output)) {
    throw new CloudError(
      'support.rdbms.start-failed',
      `setting the password failed: ${result.output.trim().slice(-1_000)}`,
    )
  }
  const staging = `${paths.password}.new`
  await writeFile(staging, `${password}\n`, { mode: 0o600 })
  await rename(staging, paths.password)
  return password
}

/**
 * Gives `work` a path to the folder that the account can use. Under root the folder may lie where the account may not
 * pass (below a 0700 home): the child inherits it as open file descriptor 3 and reaches it by that.
 */
export async function withFolder<T>(
  path: string,
  account: ServerAccount | undefined,
  work: (place: { readonly path: string; readonly folder: number }) => Promise<T>,
): Promise<T> {
  const handle = await open(path, 'r')
  try {
    const byDescriptor = account !== undefined && process.platform === 'linux'
    return await work({ path: byDescriptor ? '/proc/self/fd/3' : path, folder: handle.fd })
  } finally {
    await handle.close()
  }
}

/** Gives a file or folder with everything in it to the account, when another user owns its top. */
export async function own(path: string, account: ServerAccount | undefined): Promise<void> {
  const stat = await lstat(path)
  const wanted = account?.uid ?? process.getuid?.() ?? stat.uid
  if (stat.uid === wanted) return
  if (account === undefined) {
    throw new CloudError(
      'core.kernel.not-writable',
      `${path} belongs to user ${stat.uid}, the platform runs as ${wanted}`,
    )
  }
  // Top last: when this is cut short, the next start sees the old owner there and does it again.
  if (stat.isDirectory()) await ownContent(path, account)
  await chown(path, account.uid, account.gid)
}

async function ownContent(folder: string, account: ServerAccount): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await ownContent(path, account)
    await lchown(path, account.uid, account.gid)
  }
}

const noWrite = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'ENOTDIR', 'EDQUOT', 'EEXIST'])

function notWritable(path: string, error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (CloudError.is(error) || !noWrite.has(code)) return error
  const text = error instanceof Error ? error.message : code
  return new CloudError('core.kernel.not-writable', `cannot write ${path}: ${text}`, {
    cause: error,
    details: { path, code },
  })
}
