import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type HostStart, hostMainModule } from '@aaas/core-cloud/deploy'
import { type Clock, CloudError, type Ids, Lifecycle, type Logger } from '@aaas/core-cloud/kernel'
import { type RunningPostgres, startPostgres, systemSearchPath } from '@aaas/support-cloud/rdbms'
import type { ControlOptions } from '../site-center/index.js'
import { checkPort } from './free-port.js'
import { PlatformChildren } from './platform-children.js'
import { isNewHome, keptSecret, type PlatformHome, prepareHome, removeNewHome } from './platform-home.js'
import { alreadyRunning, lockHolder, takePlatformLock } from './platform-lock.js'
import { PostgresKeeper } from './postgres-keeper.js'
import { ensurePublisherKey, localPublisher } from './publisher.js'

const hostId = 'host-1'

/** Both listen on this machine only; a proxy in front speaks to everybody else. */
const consoleHost = '127.0.0.1'
const edgeHost = '127.0.0.1'

export interface LauncherOptions {
  readonly home: PlatformHome
  readonly edgePort: number
  readonly consolePort: number
  /** Of the host's `/metrics`; 0 takes a free one. */
  readonly metricsPort: number
  /** PostgreSQL to use instead of one of our own. */
  readonly databaseUrl?: string
  /** Folder that our own server keeps its log in, for restores to a moment. Grows until somebody clears it. */
  readonly archiveDir?: string
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly progress: (text: string) => void
  /** Ends a start that is under way; what was started is stopped again. */
  readonly signal?: AbortSignal
}

export interface RunningPlatform extends AsyncDisposable {
  readonly edgePort: number
  readonly consolePort: number
  readonly metricsPort: number
  /** The database server that runs now. */
  readonly postgres: RunningPostgres
  /** Process ids by name: control, host. */
  pids(): Readonly<Record<string, number | undefined>>
}

/**
 * Starts a whole platform on this machine: PostgreSQL, control, host. Each is started again when it dies.
 * Everything ends with this process, however it ends. A first start that fails leaves no data directory behind.
 * @throws CloudError naming what is wrong: port in use, data directory not writable or of a newer version, another
 *   platform on the same directory, no PostgreSQL.
 */
export async function launchPlatform(options: LauncherOptions): Promise<RunningPlatform> {
  const { home, clock } = options
  const fresh = isNewHome(home)
  await checkBefore(options)
  const lifecycle = new Lifecycle({ clock, deadlineMs: 25_000 })
  try {
    prepareHome(home)
    const unlock = takePlatformLock(home.lockFile, process.pid, clock.now())
    lifecycle.add({
      name: 'lock',
      dispose: async () => {
        rmSync(home.endpointFile, { force: true })
        unlock()
      },
    })
    return await start(options, lifecycle)
  } catch (error) {
    await lifecycle.stop().catch(() => undefined)
    // What nobody foresaw keeps its logs; what has a name has said everything.
    const explained =
      CloudError.is(error) && error.code !== 'core.kernel.internal' && error.code !== 'core.deploy.already-running'
    if (fresh && explained) removeNewHome(home)
    throw error
  }
}

/** Everything that can be refused before anything is made. */
async function checkBefore({ home, edgePort, consolePort, metricsPort }: LauncherOptions): Promise<void> {
  const holder = lockHolder(home.lockFile)
  if (holder !== undefined && holder !== process.pid) throw alreadyRunning(holder)
  if (edgePort !== 0 && edgePort === consolePort) {
    throw new CloudError('core.kernel.invalid-config', `AAAS_PORT and AAAS_CONSOLE_PORT are both ${edgePort}`, {
      field: 'AAAS_CONSOLE_PORT',
    })
  }
  if (metricsPort !== 0 && (metricsPort === edgePort || metricsPort === consolePort)) {
    throw new CloudError('core.kernel.invalid-config', `AAAS_METRICS_PORT is ${metricsPort}, as another port is`, {
      field: 'AAAS_METRICS_PORT',
    })
  }
  await checkPort(edgePort, 'AAAS_PORT', edgeHost)
  await checkPort(consolePort, 'AAAS_CONSOLE_PORT', consoleHost)
  await checkPort(metricsPort, 'AAAS_METRICS_PORT', consoleHost)
}

async function start(options: LauncherOptions, lifecycle: Lifecycle): Promise<RunningPlatform> {
  const { home, clock, logger, progress, signal } = options
  progress('starting PostgreSQL')
  const keeper = lifecycle.use(
    'postgres',
    await PostgresKeeper.open({ start: () => openPostgres(options), clock, logger }),
  )
  signal?.throwIfAborted()
  const children = new PlatformChildren({ clock, logger })
  // The host first: its instances finish what they do while control and the database still answer.
  lifecycle.add({ name: 'control and host', dispose: () => children.stop(['host', 'control']) })
  const logFile = (name: string): string => join(home.dir, `${name}.log`)
  progress('starting control')
  const control = await children.start({
    name: 'control',
    main: controlMain,
    options: controlOptions(options, keeper.current),
    logFile: logFile('control'),
  })
  signal?.throwIfAborted()
  progress('starting host')
  const host = await children.start({
    name: 'host',
    main: hostMainModule,
    options: hostOptions(options),
    logFile: logFile('host'),
  })
  signal?.throwIfAborted()
  const endpoint = {
    edgePort: Number(host.edgePort),
    consolePort: Number(control.consolePort),
    metricsPort: Number(host.metricsPort),
  }
  writeFileSync(home.endpointFile, JSON.stringify(endpoint))
  return {
    ...endpoint,
    get postgres() {
      return keeper.current
    },
    pids: () => children.pids(),
    [Symbol.asyncDispose]: () => lifecycle.stop(),
  }
}

function openPostgres(options: LauncherOptions): Promise<RunningPostgres> {
  const { home, clock, ids, logger, databaseUrl, archiveDir, signal } = options
  return startPostgres({
    dataDir: home.postgresDir,
    socketDir: home.runDir,
    searchPath: systemSearchPath(),
    clock,
    ids,
    logger,
    ...(databaseUrl === undefined ? {} : { databaseUrl }),
    ...(archiveDir === undefined ? {} : { archiveDir }),
    ...(signal === undefined ? {} : { signal }),
  })
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
    metricsToken: keptSecret(home.metricsTokenFile, () => ids.token(32)),
    adminPassword: keptSecret(home.adminPasswordFile, () => ids.token(12)),
    trust: { [localPublisher]: ensurePublisherKey(home) },
  }
}

function hostOptions({ home, edgePort, metricsPort, ids }: LauncherOptions): HostStart {
  return {
    home: home.dir,
    runDir: home.runDir,
    hostId,
    controlSocket: home.controlSocket,
    controlToken: keptSecret(home.agentTokenFile, () => ids.token(32)),
    edgePort,
    metricsPort,
    metricsToken: keptSecret(home.metricsTokenFile, () => ids.token(32)),
  }
}
