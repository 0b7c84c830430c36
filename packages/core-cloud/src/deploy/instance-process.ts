import { fileURLToPath } from 'node:url'
import type { LoadedPackage } from '@aaas/core-cloud/cloudware'
import { type CollectedFamily, readFamilies } from '@aaas/core-cloud/telemetry'
import type { Clock } from '../kernel/clock.js'
import { CloudError } from '../kernel/errors.js'
import { type Child, type ChildOptions, describeExit, startChild } from './child-process.js'
import type {
  FromInstance,
  FromRelease,
  InstanceCheck,
  InstanceOptions,
  ProgramOptions,
  ToInstance,
  ToRelease,
} from './instance-messages.js'

/** What every child of the host is started with. */
export interface ChildSettings {
  readonly clock: Clock
  readonly environment: NodeJS.ProcessEnv
  readonly onLine: ChildOptions['onLine']
}

export interface InstanceEvents {
  readonly onReady: () => void
  readonly onCheck: (check: InstanceCheck) => void
}

/** What only the host itself wants to hear of an instance. */
export interface InstanceReports {
  /** Not checked yet. */
  readonly onReadings: (readings: unknown) => void
}

/** The host's end of an instance. */
export interface InstanceProcess {
  readonly pid: number | undefined
  /** Resolves when the process is gone, with what a person should read. Never rejects. */
  readonly exited: Promise<string>
  applyCloudware(packages: readonly LoadedPackage[]): void
  /** Asks how it does; the answer comes as `onCheck`, or never. */
  check(): void
  /** @returns what it counts; undefined when it does not say so within two seconds, or says nonsense. Never rejects. */
  metrics(): Promise<readonly CollectedFamily[] | undefined>
  /** Gives it a new credential for the direct path. */
  renew(credential: string): void
  /** Lets it finish and end; killed at the deadline. Resolves when it is gone. */
  stop(deadlineMs: number): Promise<void>
  kill(): void
}

const instanceModule = fileURLToPath(new URL('./system-instance-main.js', import.meta.url))
const releaseModule = fileURLToPath(new URL('./system-release-main.js', import.meta.url))

/** Beyond the deadline the child itself keeps, before it is killed. */
const killSlackMs = 500
/** A scraper waits ten seconds; one instance that is busy must not cost it all the others. */
const metricsMs = 2_000
/**
 * Share of the instance's memory that V8 may use for objects; buffers, code and stacks need the rest. It is not a wall:
 * buffers escape it.
 */
const heapShare = 0.75
/**
 * Many instances share a machine, and often more of them than it has processors: a collector of its own thread each is
 * then only waited for. With a young generation of 16 MB, V8's own limit, an instance keeps 25 MB more after work and is
 * no faster.
 */
const heapFlags = ['--single-threaded-gc', '--max-semi-space-size=4']

export function startInstance(
  options: InstanceOptions,
  settings: ChildSettings & InstanceEvents & InstanceReports & { readonly memoryMb: number },
): InstanceProcess {
  let failed: string | undefined
  const asked = new Map<number, (families: unknown) => void>()
  const child = startChild({
    module: instanceModule,
    nodeFlags: [`--max-old-space-size=${Math.max(48, Math.floor(settings.memoryMb * heapShare))}`, ...heapFlags],
    environment: settings.environment,
    cwd: options.dataDir,
    onLine: settings.onLine,
    onMessage: message => {
      const received = message as FromInstance
      if (received.type === 'ready') settings.onReady()
      else if (received.type === 'checked') settings.onCheck(received.check)
      else if (received.type === 'metrics') asked.get(received.id)?.(received.families)
      else if (received.type === 'readings') settings.onReadings(received.readings)
      else failed = `${received.error.code}: ${received.error.message}`
    },
  })
  const send = (message: ToInstance): void => child.send(message)
  send({ type: 'start', options })
  let questions = 0
  return {
    pid: child.pid,
    exited: child.exited.then(exit => failed ?? describeExit(exit)),
    applyCloudware: packages => send({ type: 'cloudware', packages }),
    check() {
      questions += 1
      send({ type: 'check', id: questions })
    },
    metrics() {
      const id = ++questions
      return new Promise(resolve => {
        const done = (families: unknown): void => {
          cancel()
          asked.delete(id)
          resolve(readFamilies(families))
        }
        const cancel = settings.clock.after(metricsMs, () => done(undefined))
        asked.set(id, done)
        send({ type: 'metrics', id })
      })
    },
    renew: credential => send({ type: 'credential', credential }),
    async stop(deadlineMs) {
      send({ type: 'drain', deadlineMs })
      const cancel = settings.clock.after(deadlineMs + killSlackMs, () => child.kill('SIGKILL'))
      await child.exited
      cancel()
    },
    kill: () => child.kill('SIGKILL'),
  }
}

/**
 * Runs the release step of a program in a process of its own.
 * @throws CloudError of the step, `core.deploy.release-failed` when the process died, `core.contract.deadline-exceeded`;
 *   the reason of `signal` when it aborts, after the process is gone.
 */
export async function runReleaseStep(
  options: ProgramOptions,
  settings: ChildSettings & { readonly deadlineMs: number; readonly signal: AbortSignal },
): Promise<void> {
  settings.signal.throwIfAborted()
  let outcome: FromRelease | undefined
  const child: Child = startChild({
    module: releaseModule,
    nodeFlags: [],
    environment: settings.environment,
    cwd: options.dataDir,
    onLine: settings.onLine,
    onMessage: message => {
      outcome = message as FromRelease
    },
  })
  const message: ToRelease = { type: 'release', options }
  child.send(message)
  let late = false
  const cancel = settings.clock.after(settings.deadlineMs, () => {
    late = true
    child.kill('SIGKILL')
  })
  const abort = (): void => child.kill('SIGKILL')
  settings.signal.addEventListener('abort', abort, { once: true })
  const exit = await child.exited
  cancel()
  settings.signal.removeEventListener('abort', abort)
  if (outcome?.type === 'released') return
  if (outcome?.type === 'failed') throw CloudError.fromBody(outcome.error)
  settings.signal.throwIfAborted()
  if (late)
    throw new CloudError(
      'core.contract.deadline-exceeded',
      `the release step did not end within ${settings.deadlineMs} ms`,
    )
  throw new CloudError('core.deploy.release-failed', `the release step ${describeExit(exit)}`)
}
