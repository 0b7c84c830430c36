import { type ChildProcess, fork } from 'node:child_process'
import { appendFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, CloudError, type ErrorBody, type Logger, sleep } from '@aaas/core-cloud/kernel'

const maxLogBytes = 8 * 1024 * 1024
const longestPauseMs = 5_000
/** After this long without a fault, the next one is the first again. */
const forgivenMs = 60_000
const stopMs = 12_000

/** What a process of the platform said when it was ready. */
export type Ready = Readonly<Record<string, unknown>>

export interface ChildrenOptions {
  /** Folder of the files `<name>.log`. */
  readonly logDir: string
  readonly environment: NodeJS.ProcessEnv
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Forked processes of the platform. Each is told its options by the first message, answers `started` or `failed`, and is
 * started again, with growing pauses, whenever it dies, also while it starts.
 */
export class PlatformChildren {
  readonly #running = new Map<string, ChildProcess>()
  readonly #stopping = new AbortController()

  constructor(readonly options: ChildrenOptions) {}

  pids(): Record<string, number | undefined> {
    return Object.fromEntries([...this.#running].map(([name, child]) => [name, child.pid]))
  }

  /** @throws CloudError with what the process said when its first start fails. */
  async start(name: string, main: string, options: object): Promise<Ready> {
    const child = this.#fork(name, main)
    const ready = await this.#tell(name, child, options)
    // The ports a person was told stay the same when the process is started again.
    void this.#keep(name, main, { ...options, ...ready }, child)
    return ready
  }

  /** The host first: its instances finish what they do while control and the database still answer. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const name of ['host', 'control']) {
      const child = this.#running.get(name)
      if (child === undefined) continue
      child.kill('SIGTERM')
      const cancel = this.options.clock.after(stopMs, () => child.kill('SIGKILL'))
      await exited(child)
      cancel()
    }
  }

  async #keep(name: string, main: string, options: object, first: ChildProcess): Promise<void> {
    const { clock, logger } = this.options
    let child = first
    let startedAt = clock.monotonic()
    for (let faults = 0; ; faults++) {
      await exited(child)
      if (this.#running.get(name) === child) this.#running.delete(name)
      if (clock.monotonic() - startedAt > forgivenMs) faults = 0
      const pauseMs = Math.min(longestPauseMs, 100 * 2 ** faults)
      if (!this.#stopping.signal.aborted) logger.warn(`${name} died, starting it again`, { code: child.exitCode, signal: child.signalCode, pauseMs })
      try {
        await sleep(clock, pauseMs, this.#stopping.signal)
      } catch {
        return
      }
      startedAt = clock.monotonic()
      child = this.#fork(name, main)
      await this.#tell(name, child, options).catch((error: unknown) => logger.error(`${name} cannot start`, { error }))
    }
  }

  #fork(name: string, main: string): ChildProcess {
    const file = join(this.options.logDir, `${name}.log`)
    const child = fork(main, [], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: ['--max-semi-space-size=4'],
      env: this.options.environment,
    })
    this.#running.set(name, child)
    child.stdout?.on('data', (part: Buffer) => appendRotating(file, part))
    child.stderr?.on('data', (part: Buffer) => appendRotating(file, part))
    // A message to a process that is just dying; its exit says the rest.
    child.on('error', () => undefined)
    return child
  }

  #tell(name: string, child: ChildProcess, options: object): Promise<Ready> {
    return new Promise((resolve, reject) => {
      child.on('message', (answer: { type: string; error?: ErrorBody }) => {
        const { type, error, ...ready } = answer
        if (type === 'started') resolve(ready)
        if (type === 'failed' && error !== undefined) reject(CloudError.fromBody(error))
      })
      void exited(child).then(() => {
        const how = child.signalCode ?? child.exitCode ?? 'no code'
        reject(new CloudError('core.kernel.internal', `${name} ended with ${how} while starting; see ${name}.log`))
      })
      child.send({ type: 'start', options })
    })
  }
}

function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise(resolve => child.once('exit', () => resolve()))
}

function appendRotating(file: string, part: Buffer): void {
  try {
    appendFileSync(file, part, { mode: 0o600 })
    if (statSync(file).size > maxLogBytes) renameSync(file, `${file}.1`)
  } catch {
    // A full disk must not stop the platform; the log line is lost.
  }
}
