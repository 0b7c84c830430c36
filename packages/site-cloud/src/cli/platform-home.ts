import { createHash } from 'node:crypto'
import { accessSync, constants, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
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
  readonly lockFile: string
  readonly controlSocket: string
  readonly tokenFile: string
  readonly adminPasswordFile: string
  readonly agentTokenFile: string
  readonly publisherKeyFile: string
  readonly publisherPublicKeyFile: string
  /** Where the running platform listens: JSON `{ edgePort, consolePort }`. */
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
    lockFile: join(dir, 'lock'),
    controlSocket: join(runDir, 'control.sock'),
    tokenFile: join(secretsDir, 'cli-token'),
    adminPasswordFile: join(secretsDir, 'admin-password'),
    agentTokenFile: join(secretsDir, 'agent-token'),
    publisherKeyFile: join(secretsDir, 'publisher.key.pem'),
    publisherPublicKeyFile: join(secretsDir, 'publisher.pub.pem'),
    endpointFile: join(dir, 'endpoint.json'),
  }
}

/**
 * Creates the folders and checks that this version may use them.
 * @throws CloudError `core.kernel.not-writable` or `core.kernel.data-too-new`; then nothing was changed.
 */
export function prepareHome(home: PlatformHome): void {
  try {
    mkdirSync(home.dir, { recursive: true, mode: 0o755 })
    accessSync(home.dir, constants.W_OK)
    const file = join(home.dir, 'data-version')
    const found = readVersion(file)
    if (found !== undefined && found > dataVersion) {
      throw new CloudError(
        'core.kernel.data-too-new',
        `${home.dir} has data version ${found}, this platform reads up to ${dataVersion}: use a newer platform or set AAAS_HOME to another folder`,
        { field: 'AAAS_HOME', details: { found, supported: dataVersion } },
      )
    }
    for (const dir of [home.runDir, home.packagesDir, home.hostDir]) mkdirSync(dir, { recursive: true, mode: 0o755 })
    mkdirSync(home.secretsDir, { recursive: true, mode: 0o700 })
    if (found === undefined) writeFileSync(file, `${dataVersion}\n`)
  } catch (error) {
    if (CloudError.is(error)) throw error
    throw new CloudError('core.kernel.not-writable', `cannot write in ${home.dir}: ${(error as Error).message}`, {
      field: 'AAAS_HOME',
      cause: error,
    })
  }
}

function readVersion(file: string): number | undefined {
  try {
    const value = Number(readFileSync(file, 'utf8').trim())
    return Number.isInteger(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Reads a secret, making and storing it (0600) the first time. */
export function keptSecret(file: string, make: () => string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    const value = make()
    writeFileSync(file, `${value}\n`, { mode: 0o600, flag: 'wx' })
    return value
  }
}
