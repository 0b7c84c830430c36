import { join } from 'node:path'
import type { Clock } from '../kernel/clock.js'
import { CloudError } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import type { Logger } from '../kernel/logger.js'
import { CircuitBreaker } from './circuit-breaker.js'
import type { CloudwareState } from './cloudware.js'
import { HookFailure } from './hook-failure.js'
import type { HookLimits } from './hook-limits.js'
import type { CloudwareStatus } from './hooks.js'
import type { HookUse, PackageJson, PackageRef } from './manifest.js'
import { checkPackageConfig } from './package-config.js'
import type { LaunchPackage } from './package-process.js'
import { PackageRun } from './package-run.js'

/** A package as a host gets it: verified, unpacked, configured. */
export interface LoadedPackage {
  readonly ref: PackageRef
  readonly packageJson: PackageJson
  /** Absolute path of its unpacked folder. */
  readonly dir: string
  readonly config: unknown
}

export interface SupervisorOptions {
  readonly launch: LaunchPackage
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly limits: HookLimits
  /** @throws when the program keeps no state. */
  readonly state: (packageName: string) => CloudwareState
  /** Called each time a process of the package became ready. */
  readonly onReady: () => void
}

/** A process that was ready for this long starts its next life with the shortest wait. */
const stableMs = 60_000

/** Keeps one version of one package running: restarts it, counts, and stops calling handlers that keep failing. */
export class PackageSupervisor {
  readonly loaded: LoadedPackage
  readonly uses: readonly HookUse[]
  /** Resolves when the first start ended, well or badly. Never rejects. */
  readonly firstStart: Promise<void>
  readonly #options: SupervisorOptions
  readonly #breakers: ReadonlyMap<string, CircuitBreaker>
  #run: PackageRun | undefined
  #state: CloudwareStatus['state'] = 'starting'
  #config: unknown
  #calls = 0
  #failures = 0
  #restarts = 0
  #memoryBytes = 0
  #lastError: string | undefined
  #failedStarts = 0
  #readyAt: number | undefined
  #cancelRestart: () => void = () => undefined
  #firstStartEnded: () => void = () => undefined

  constructor(loaded: LoadedPackage, options: SupervisorOptions) {
    const { clock, limits } = options
    this.loaded = loaded
    this.uses = loaded.packageJson.aaas.hooks ?? []
    this.#options = options
    const { breakerFailures: failures, breakerFirstMs: firstMs, breakerMaxMs: maxMs } = limits
    this.#breakers = new Map(this.uses.map(use => [use.hook, new CircuitBreaker({ clock, failures, firstMs, maxMs })]))
    this.firstStart = new Promise(resolve => {
      this.#firstStartEnded = resolve
    })
    try {
      this.#config = checkPackageConfig(loaded.packageJson, loaded.config)
      this.#launch()
    } catch (error) {
      // Trying again would not help: a new `set` brings another configuration.
      this.#failed(CloudError.from(error).message)
    }
  }

  get ready(): boolean {
    return this.#state === 'ready'
  }

  /** Process of the package, for tests and the console. */
  get pid(): number | undefined {
    return this.#run?.pid
  }

  /**
   * Calls one handler.
   * @param check - turns the answer into a value; what it throws makes the call a failure.
   * @throws HookFailure
   */
  async call<T>(
    use: HookUse,
    request: { readonly input: unknown; readonly eventId?: string },
    check: (value: unknown) => T,
  ): Promise<T> {
    const attempt = this.#breakers.get(use.hook)?.enter()
    this.#calls += 1
    if (attempt === undefined) {
      this.#failures += 1
      throw new HookFailure('circuit-open', `is not called for a while: ${this.#lastError ?? 'it kept failing'}`)
    }
    try {
      if (this.#run === undefined) throw new HookFailure('down', 'its process is not running')
      const { eventId, input } = request
      const answer = await this.#run.call(use.hook, input, {
        deadlineMs: use.deadlineMs,
        ...(eventId === undefined ? {} : { eventId }),
      })
      const value = check(answer)
      attempt.succeed()
      return value
    } catch (error) {
      const failure =
        error instanceof HookFailure ? error : new HookFailure('wrong-result', CloudError.from(error).message)
      this.#failures += 1
      // A process that is away or full says nothing about the handler: the circuit is for handlers.
      if (failure.reason === 'down' || failure.reason === 'refused') attempt.cancel()
      else {
        this.#lastError = `${use.hook} ${failure.message}`
        if (attempt.fail())
          this.#options.logger.warn('a handler keeps failing and is not called for a while', this.#fields(use.hook))
      }
      throw failure
    }
  }

  /** Finishes what is in flight, within the limit, then ends the process. */
  async stop(): Promise<void> {
    const run = this.#run
    this.#state = 'stopping'
    this.#cancelRestart()
    await run?.drained()
    await run?.stop()
    this.#run = undefined
    this.#firstStartEnded()
  }

  status(): CloudwareStatus {
    const { ref } = this.loaded
    return {
      name: ref.name,
      version: ref.version,
      digest: ref.digest,
      state: this.#state,
      hooks: this.uses.map(use => use.hook),
      calls: this.#calls,
      failures: this.#failures,
      restarts: this.#restarts,
      memoryBytes: this.#memoryBytes,
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
    }
  }

  #launch(): void {
    const { launch, clock, limits, state, onReady } = this.#options
    const { ref, packageJson, dir } = this.loaded
    this.#state = 'starting'
    this.#readyAt = undefined
    const run: PackageRun = new PackageRun({
      launch,
      clock,
      limits,
      logger: this.#options.logger.child({ package: ref.name, version: ref.version }),
      name: ref.name,
      dir,
      entry: join(dir, packageJson.aaas.entry),
      hooks: this.uses.map(use => use.hook),
      config: this.#config,
      memoryMb: packageJson.aaas.resources?.memoryMb ?? 128,
      state: () => state(ref.name),
      onReady: () => {
        if (this.#state === 'stopping') return
        this.#state = 'ready'
        this.#readyAt = clock.monotonic()
        onReady()
        this.#firstStartEnded()
      },
      onMemory: bytes => {
        this.#memoryBytes = Math.max(this.#memoryBytes, bytes)
      },
      onExit: reason => {
        if (this.#state === 'stopping') return
        this.#run = undefined
        this.#failed(reason)
        this.#restart()
      },
    })
    this.#run = run
  }

  #failed(reason: string): void {
    this.#state = 'backoff'
    this.#lastError = reason
    this.#options.logger.warn('a package is not running', { ...this.#fields(), reason })
    this.#firstStartEnded()
  }

  #restart(): void {
    const { clock, ids, limits } = this.#options
    const stable = this.#readyAt !== undefined && clock.monotonic() - this.#readyAt >= stableMs
    if (stable) this.#failedStarts = 0
    const waitMs = Math.min(limits.restartFirstMs * 2 ** this.#failedStarts, limits.restartMaxMs)
    this.#failedStarts += 1
    // Spread by a fifth, so that the instances of a site do not restart in step.
    this.#cancelRestart = clock.after(Math.round(waitMs * (0.9 + ids.random() * 0.2)), () => {
      this.#restarts += 1
      this.#launch()
    })
  }

  #fields(hook?: string): Record<string, unknown> {
    const { name, version } = this.loaded.ref
    return { package: name, version, ...(hook === undefined ? {} : { hook, reason: this.#lastError }) }
  }
}
