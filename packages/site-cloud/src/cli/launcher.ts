import { type ChildProcess, fork } from 'node:child_process'
import { appendFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hostMainModule, type HostStart } from '@aaas/core-cloud/deploy'
import { type Clock, CloudError, type ErrorBody, type Ids, Lifecycle, type Logger } from '@aaas/core-cloud/kernel'
import { type RunningPostgres, startPostgres } from '@aaas/support-cloud/rdbms'
import type { ControlOptions } from '../site-center/index.js'
import { keptSecret, type PlatformHome, prepareHome } from './platform-home.js'
import { takePlatformLock } from './platform-lock.js'
import { ensurePublisherKey, localPublisher } from './publisher.js'

const hostId = 'host-1'
const maxLogBytes = 8 * 1024 * 1024

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
    const children = new Children(options)
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

interface Started {
  readonly child: ChildProcess
  readonly ready: Record<string, unknown>
}

/** Forked processes of the platform, started again with growing pauses when they die. */
class Children {
  readonly #running = new Map<string, ChildProcess>()
  #stopping = false

  constructor(readonly options: LauncherOptions) {}

  pids(): Record<string, number | undefined> {
    return Object.fromEntries([...this.#running].map(([name, child]) => [name, child.pid]))
  }

  async start(name: string, main: string, options: object): Promise<Record<string, unknown>> {
    const { child, ready } = await this.#fork(name, main, options)
    // The ports a person was told stay the same when a process is started again.
    const { type: _, ...ports } = ready
    this.#watch(name, main, { ...options, ...ports }, child, 0)
    return ready
  }

  #watch(name: string, main: string, options: object, child: ChildProcess, failures: number): void {
    const { clock, logger } = this.options
    const startedAt = clock.monotonic()
    child.once('exit', (code, signal) => {
      this.#running.delete(name)
      if (this.#stopping) return
      const count = clock.monotonic() - startedAt > 60_000 ? 0 : failures + 1
      const pause = Math.min(10_000, 100 * 2 ** count)
      logger.warn(`${name} died, starting it again`, { code, signal, pauseMs: pause })
      clock.after(pause, () => {
        if (this.#stopping) return
        this.#fork(name, main, options).then(
          next => this.#watch(name, main, options, next.child, count),
          (error: unknown) => {
            logger.error(`${name} cannot start`, { error })
            if (!this.#stopping) clock.after(5_000, () => void this.start(name, main, options).catch(() => undefined))
          },
        )
      })
    })
  }

  #fork(name: string, main: string, options: object): Promise<Started> {
    const logFile = join(this.options.home.dir, `${name}.log`)
    const child = fork(main, [], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: ['--max-semi-space-size=4'],
      env: { PATH: process.env.PATH ?? '', NODE_ENV: process.env.NODE_ENV ?? 'production', LANG: process.env.LANG ?? 'C.UTF-8' },
    })
    this.#running.set(name, child)
    child.stdout?.on('data', (part: Buffer) => appendRotating(logFile, part))
    child.stderr?.on('data', (part: Buffer) => appendRotating(logFile, part))
    child.send({ type: 'start', options })
    return new Promise((resolve, reject) => {
      child.on('message', (answer: { type: string; error?: ErrorBody } & Record<string, unknown>) => {
        if (answer.type === 'started') resolve({ child, ready: answer })
        if (answer.type === 'failed' && answer.error !== undefined) reject(CloudError.fromBody(answer.error))
      })
      child.once('exit', code => {
        reject(new CloudError('core.kernel.internal', `${name} ended with ${code ?? 'a signal'} while starting; see ${logFile}`))
      })
    })
  }

  /** The host first: its instances finish what they do while control and the database still answer. */
  async stop(): Promise<void> {
    this.#stopping = true
    for (const name of ['host', 'control']) {
      const child = this.#running.get(name)
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) continue
      const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
      child.kill('SIGTERM')
      const cancel = this.options.clock.after(12_000, () => child.kill('SIGKILL'))
      await gone
      cancel()
    }
  }
}

function appendRotating(file: string, part: Buffer): void {
  try {
    appendFileSync(file, part, { mode: 0o600 })
    if (statSync(file).size > maxLogBytes) renameSync(file, `${file}.1`)
  } catch {
    // A full disk must not stop the platform; the log line is lost.
  }
}
