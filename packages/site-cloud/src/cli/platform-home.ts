import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { CloudError } from '@aaas/core-cloud/kernel'

/** Version of the layout below the data directory; goes up when an older platform could not read it. */
const dataVersion = 1
/** Longest name a unix socket may have on Linux is 107 bytes; the longest file below run/ has about 50. */
const maxRunDir = 55

/** Where one platform keeps everything. */
export interface PlatformHome {
  readonly dir: string
  readonly runDir: string
  readonly secretsDir: string
  readonly postgresDir: string
  readonly packagesDir: string
  readonly hostDir: string
  /** Capacity measured on this machine, one file per template. */
  readonly capacityDir: string
  readonly lockFile: string
  readonly controlSocket: string
  readonly tokenFile: string
  readonly adminPasswordFile: string
  readonly agentTokenFile: string
  /** What a scraper presents to read `/metrics`. */
  readonly metricsTokenFile: string
  readonly publisherKeyFile: string
  readonly publisherPublicKeyFile: string
  /** Where the running platform listens: JSON `{ edgePort, consolePort, metricsPort }`. */
  readonly endpointFile: string
}

export function platformHome(environment: NodeJS.ProcessEnv): PlatformHome {
  const dir = resolve(environment.AAAS_HOME || join(homedir(), '.aaas'))
  const hash = createHash('sha256').update(dir).digest('hex').slice(0, 12)
  const runDir = Buffer.byteLength(join(dir, 'run')) <= maxRunDir ? join(dir, 'run') : join(tmpdir(), `aaas-${hash}`)
  const secretsDir = join(dir, 'secrets')
  return {
    dir,
    runDir,
    secretsDir,
    postgresDir: join(dir, 'postgres'),
    packagesDir: join(dir, 'packages'),
    hostDir: join(dir, 'host'),
    capacityDir: join(dir, 'capacity'),
    lockFile: join(dir, 'lock'),
    controlSocket: join(runDir, 'control.sock'),
    tokenFile: join(secretsDir, 'cli-token'),
    adminPasswordFile: join(secretsDir, 'admin-password'),
    agentTokenFile: join(secretsDir, 'agent-token'),
    metricsTokenFile: join(secretsDir, 'metrics-token'),
    publisherKeyFile: join(secretsDir, 'publisher.key.pem'),
    publisherPublicKeyFile: join(secretsDir, 'publisher.pub.pem'),
    endpointFile: join(dir, 'endpoint.json'),
  }
}

/**
 * Creates the folders and checks that this version may use them.
 * @throws CloudError `core.kernel.not-writable`, `core.kernel.data-too-new` or `core.kernel.invalid-config`; then nothing
 *   was changed.
 */
export function prepareHome(home: PlatformHome): void {
  const file = join(home.dir, 'data-version')
  try {
    const found = checkDataVersion(home)
    makeFolder(home.dir, 0o755)
    accessSync(home.dir, constants.W_OK)
    for (const dir of [home.runDir, home.packagesDir, home.hostDir]) makeFolder(dir, 0o755)
    makeFolder(home.secretsDir, 0o700)
    if (found === undefined) writeFileSync(file, `${dataVersion}\n`)
  } catch (error) {
    if (CloudError.is(error)) throw error
    throw new CloudError(
      'core.kernel.not-writable',
      `cannot write in ${home.dir}: ${(error as Error).message}; set AAAS_HOME to another folder`,
      {
        field: 'AAAS_HOME',
        cause: error,
      },
    )
  }
}

/**
 * Makes a folder with those above it, unless it is there. Not by `recursive`: below file systems that answer ENOENT for
 * any new name, such as /proc, Node 20 then tries for ever.
 */
export function makeFolder(dir: string, mode: number): void {
  if (existsSync(dir)) return
  if (dirname(dir) !== dir) makeFolder(dirname(dir), 0o755)
  try {
    mkdirSync(dir, { mode })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** True when there is nothing of ours or anybody's in the folder: a start that fails may take away what it made. */
export function isNewHome(home: PlatformHome): boolean {
  try {
    return readdirSync(home.dir).length === 0
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}

/** Takes away a home that a failed first start made. */
export function removeNewHome(home: PlatformHome): void {
  rmSync(home.dir, { recursive: true, force: true })
  rmSync(home.runDir, { recursive: true, force: true })
}

/**
 * Reads which layout a data directory has.
 * @returns undefined when there is no data yet.
 * @throws CloudError `core.kernel.data-too-new`, `core.kernel.invalid-config`.
 */
export function checkDataVersion(home: PlatformHome): number | undefined {
  const text = readVersion(join(home.dir, 'data-version'))
  if (text === undefined) return undefined
  const found = Number(text)
  if (!Number.isInteger(found) || text === '') {
    throw new CloudError(
      'core.kernel.invalid-config',
      `${home.dir}/data-version holds '${text.slice(0, 40)}' instead of a number`,
      {
        field: 'AAAS_HOME',
      },
    )
  }
  if (found <= dataVersion) return found
  throw new CloudError(
    'core.kernel.data-too-new',
    `${home.dir} has data version ${found}, this platform reads up to ${dataVersion}: use a newer platform or set AAAS_HOME to another folder`,
    { field: 'AAAS_HOME', details: { found, supported: dataVersion } },
  )
}

function readVersion(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Reads a secret, making and storing it (0600) the first time. */
export function keptSecret(file: string, make: () => string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    // One that is there but cannot be read must not be replaced: others know it.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new CloudError('core.kernel.not-writable', `cannot read ${file}: ${(error as Error).message}`, {
        field: 'AAAS_HOME',
        cause: error,
      })
    }
    const value = make()
    writeFileSync(file, `${value}\n`, { mode: 0o600, flag: 'wx' })
    return value
  }
}
