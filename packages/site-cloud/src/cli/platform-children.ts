import { type ChildProcess, fork } from 'node:child_process'
import { appendFileSync, renameSync, statSync } from 'node:fs'
import { type Clock, CloudError, type ErrorBody, type Logger } from '@aaas/core-cloud/kernel'

const maxLogBytes = 8 * 1024 * 1024
const leastPauseMs = 100
const mostPauseMs = 10_000
/** A process that ran this long was well: its next death starts with the shortest pause again. */
const wellMs = 60_000
const startMs = 60_000
const stopMs = 12_000

/** One process to keep running. */
export interface ChildPlan {
  readonly name: string
  /** Module to fork; it gets `options` as its first message and answers `started` or `failed`. */
  readonly main: string
  readonly options: object
  readonly logFile: string
}

interface Started {
  readonly child: ChildProcess
  readonly ready: Readonly<Record<string, unknown>>
}

/** Forked processes of the platform, started again with growing pauses when they die, for as long as it takes. */
export class PlatformChildren {
  readonly #running = new Map<string, ChildProcess>()
  #stopping = false

  constructor(readonly deps: { readonly clock: Clock; readonly logger: Logger }) {}

  pids(): Record<string, number | undefined> {
    return Object.fromEntries([...this.#running].map(([name, child]) => [name, child.pid]))
  }

  /** @returns what the process said when it was ready. @throws what it failed with; then it is not started again. */
  async start(plan: ChildPlan): Promise<Readonly<Record<string, unknown>>> {
    const { child, ready } = await this.#fork(plan)
    // The ports a person was told stay the same when a process is started again.
    const { type: _, ...ports } = ready
    this.#watch({ ...plan, options: { ...plan.options, ...ports } }, child, leastPauseMs)
    return ready
  }

  /** Ends them in the order of `names`, each before the next. */
  async stop(names: readonly string[]): Promise<void> {
    this.#stopping = true
    for (const name of names) {
      const child = this.#running.get(name)
      if (child === undefined || hasEnded(child)) continue
      const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
      child.kill('SIGTERM')
      const cancel = this.deps.clock.after(stopMs, () => child.kill('SIGKILL'))
      await gone
      cancel()
    }
  }

  #watch(plan: ChildPlan, child: ChildProcess, pauseMs: number): void {
    const { clock, logger } = this.deps
    const startedAt = clock.monotonic()
    const onExit = (code: number | null, signal: string | null): void => {
      if (this.#stopping) return
      const pause = clock.monotonic() - startedAt > wellMs ? leastPauseMs : pauseMs
      logger.warn(`${plan.name} died, starting it again`, { code, signal, pauseMs: pause })
      this.#again(plan, pause)
    }
    if (hasEnded(child)) onExit(child.exitCode, child.signalCode)
    else child.once('exit', onExit)
  }

  #again(plan: ChildPlan, pauseMs: number): void {
    const next = Math.min(mostPauseMs, pauseMs * 2)
    this.deps.clock.after(pauseMs, () => {
      if (this.#stopping) return
      this.#fork(plan).then(
        ({ child }) => this.#watch(plan, child, next),
        (error: unknown) => {
          if (this.#stopping) return
          this.deps.logger.error(`${plan.name} cannot start`, { error, pauseMs: next })
          this.#again(plan, next)
        },
      )
    })
  }

  #fork({ name, main, options, logFile }: ChildPlan): Promise<Started> {
    const child = fork(main, [], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: ['--max-semi-space-size=4'],
      env: {
        PATH: process.env.PATH ?? '',
        NODE_ENV: process.env.NODE_ENV ?? 'production',
        LANG: process.env.LANG ?? 'C.UTF-8',
      },
    })
    this.#running.set(name, child)
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (part: Buffer) => appendRotating(logFile, part))
    // A child that died before it read its message; its exit says so.
    child.on('error', error => this.deps.logger.warn(`${name}: a message was lost`, { error }))
    child.send({ type: 'start', options }, () => undefined)
    return new Promise((resolve, reject) => {
      const cancel = this.deps.clock.after(startMs, () => {
        child.kill('SIGKILL')
        reject(
          new CloudError('core.kernel.internal', `${name} did not start within ${startMs / 1000} s; see ${logFile}`),
        )
      })
      child.on('message', (answer: { type: string; error?: ErrorBody } & Record<string, unknown>) => {
        cancel()
        if (answer.type === 'started') resolve({ child, ready: answer })
        if (answer.type === 'failed' && answer.error !== undefined) reject(CloudError.fromBody(answer.error))
      })
      child.once('exit', code => {
        cancel()
        if (this.#running.get(name) === child) this.#running.delete(name)
        reject(
          new CloudError(
            'core.kernel.internal',
            `${name} ended with ${code ?? 'a signal'} while starting; see ${logFile}`,
          ),
        )
      })
    })
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

function appendRotating(file: string, part: Buffer): void {
  try {
    appendFileSync(file, part, { mode: 0o600 })
    if (statSync(file).size > maxLogBytes) renameSync(file, `${file}.1`)
  } catch {
    // A full disk must not stop the platform; the log line is lost.
  }
}
