import { rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { hostMainModule, type HostStart } from '@aaas/core-cloud/deploy'
import { type Clock, type Ids, Lifecycle, type Logger } from '@aaas/core-cloud/kernel'
import { type RunningPostgres, startPostgres } from '@aaas/support-cloud/rdbms'
import type { ControlOptions } from '../site-center/index.js'
import { PlatformChildren } from './platform-children.js'
import { keptSecret, type PlatformHome, prepareHome } from './platform-home.js'
import { takePlatformLock } from './platform-lock.js'
import { ensurePublisherKey, localPublisher } from './publisher.js'

const hostId = 'host-1'

export interface LauncherOptions {
  readonly home: PlatformHome
  readonly edgePort: number
  readonly consolePort: number
  /** PostgreSQL to use instead of one of our own. */
  readonly databaseUrl?: string
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly progress: (text: string) => void
}

export interface RunningPlatform extends AsyncDisposable {
  readonly edgePort: number
  readonly consolePort: number
  readonly postgres: RunningPostgres
  /** Process ids by name: control, host. */
  pids(): Readonly<Record<string, number | undefined>>
}

/**
 * Starts a whole platform on this machine: PostgreSQL, control, host. Control and host are started again when they die.
 * Everything ends with this process, however it ends.
 * @throws CloudError naming what is wrong: port in use, data directory not writable or of a newer version, another
 *   platform on the same directory, no PostgreSQL.
 */
export async function launchPlatform(options: LauncherOptions): Promise<RunningPlatform> {
  const { home, clock, ids, progress } = options
  prepareHome(home)
  const unlock = takePlatformLock(home.lockFile, process.pid)
  const lifecycle = new Lifecycle({ clock, deadlineMs: 25_000 })
  lifecycle.add({
    name: 'lock',
    dispose: async () => {
      rmSync(home.endpointFile, { force: true })
      unlock()
    },
  })
  try {
    progress('starting PostgreSQL')
    const postgres = lifecycle.use(
      'postgres',
      await startPostgres({
        dataDir: home.postgresDir,
        socketDir: home.runDir,
        clock,
        ids,
        logger: options.logger,
        ...(options.databaseUrl === undefined ? {} : { databaseUrl: options.databaseUrl }),
      }),
    )
    const children = new PlatformChildren({ logDir: home.dir, environment: childEnvironment(), clock, logger: options.logger })
    lifecycle.add({ name: 'control and host', dispose: () => children.stop() })
    progress('starting control')
    const control = await children.start('control', controlMain, controlOptions(options, postgres))
    progress('starting host')
    const host = await children.start('host', hostMainModule, hostOptions(options))
    const endpoint = { edgePort: Number(host.edgePort), consolePort: Number(control.consolePort) }
    writeFileSync(home.endpointFile, JSON.stringify(endpoint))
    return { ...endpoint, postgres, pids: () => children.pids(), [Symbol.asyncDispose]: () => lifecycle.stop() }
  } catch (error) {
    await lifecycle.stop().catch(() => undefined)
    throw error
  }
}

const controlMain = fileURLToPath(new URL('../site-center/system-control-main.js', import.meta.url))

function controlOptions({ home, consolePort, ids }: LauncherOptions, postgres: RunningPostgres): ControlOptions {
  return {
    adminUrl: postgres.url,
    controlSocket: home.controlSocket,
    packagesDir: home.packagesDir,
    consolePort,
    hostId,
    agentToken: keptSecret(home.agentTokenFile, () => ids.token(32)),
    cliToken: keptSecret(home.tokenFile, () => ids.token(32)),
    adminPassword: keptSecret(home.adminPasswordFile, () => ids.token(12)),
    trust: { [localPublisher]: ensurePublisherKey(home) },
  }
}

function hostOptions({ home, edgePort, ids }: LauncherOptions): HostStart {
  return {
    home: home.dir,
    runDir: home.runDir,
    hostId,
    controlSocket: home.controlSocket,
    controlToken: keptSecret(home.agentTokenFile, () => ids.token(32)),
    edgePort,
  }
}

function childEnvironment(): NodeJS.ProcessEnv {
  const { PATH = '', NODE_ENV = 'production', LANG = 'C.UTF-8' } = process.env
  return { PATH, NODE_ENV, LANG }
}
