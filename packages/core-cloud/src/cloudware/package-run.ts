import type { Clock } from '../kernel/clock.js'
import { CloudError } from '../kernel/errors.js'
import type { Logger } from '../kernel/logger.js'
import type { CloudwareState } from './cloudware.js'
import type { HostFrame, PackageFrame, StateRequest } from './frames.js'
import { HookFailure } from './hook-failure.js'
import type { HookLimits } from './hook-limits.js'
import { isPackageFrame, isStateRequest } from './package-frame-check.js'
import type { LaunchPackage, PackageProcess } from './package-process.js'

export interface PackageRunOptions {
  readonly launch: LaunchPackage
  readonly clock: Clock
  readonly logger: Logger
  readonly limits: HookLimits
  readonly name: string
  readonly dir: string
  readonly entry: string
  readonly hooks: readonly string[]
  readonly config: unknown
  readonly memoryMb: number
  /** @throws when the program keeps no state. */
  readonly state: () => CloudwareState
  onReady(): void
  /** Comes once, with the reason in words. */
  onExit(reason: string): void
  onMemory(bytes: number): void
}

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: HookFailure) => void
  readonly cancelDeadline: () => void
}

/** A look that finds the answer late may itself be late: the host's own event loop was busy. It looks again after this. */
const secondLookMs = 50

/** One process of one package, from its launch to its exit. */
export class PackageRun {
  readonly #options: PackageRunOptions
  readonly #process: PackageProcess
  readonly #pending = new Map<number, Pending>()
  readonly #timers = new Set<() => void>()
  #phase: 'starting' | 'ready' | 'stopping' | 'gone' = 'starting'
  #lastId = 0
  #pings = 0
  #pongs = 0
  #stateCalls = 0
  #killReason: string | undefined
  #lastPrinted = ''
  #reportedBytes: number | undefined
  readonly #window = { second: -1, frames: 0, lines: 0 }
  readonly #idleWaiters: (() => void)[] = []
  readonly #exitWaiters: (() => void)[] = []

  constructor(options: PackageRunOptions) {
    this.#options = options
    const { limits, name, dir, entry, hooks, config, memoryMb } = options
    this.#process = options.launch({
      dir,
      memoryMb,
      events: {
        frame: value => this.#take(value),
        printed: line => this.#printed(line),
        exited: reason => this.#exited(reason),
      },
    })
    this.#process.send({ t: 'start', name, entry, config, hooks })
    this.#after(limits.startMs, () => {
      if (this.#phase === 'starting') this.#kill(`was not ready within ${limits.startMs} ms`)
    })
    this.#watchMemory()
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  get inFlight(): number {
    return this.#pending.size
  }

  /** Calls the handler of a hook. @throws HookFailure */
  call(
    hook: string,
    input: unknown,
    options: { readonly deadlineMs: number; readonly eventId?: string },
  ): Promise<unknown> {
    const { limits, clock } = this.#options
    if (this.#phase !== 'ready') return Promise.reject(new HookFailure('down', 'its process is not running'))
    if (this.#pending.size >= limits.inFlight) {
      return Promise.reject(new HookFailure('refused', `${limits.inFlight} calls are in flight`))
    }
    return new Promise((resolve, reject) => {
      this.#lastId += 1
      const id = this.#lastId
      const { eventId, deadlineMs } = options
      if (!this.#process.send({ t: 'call', id, hook, input, ...(eventId === undefined ? {} : { eventId }) })) {
        reject(new HookFailure('refused', 'the value is too large, or the process does not read'))
        return
      }
      const cancelDeadline = clock.after(deadlineMs, () => this.#missed(id, deadlineMs))
      this.#pending.set(id, { resolve, reject, cancelDeadline })
    })
  }

  /** Resolves when no call is in flight, or after `drainMs`. */
  drained(): Promise<void> {
    if (this.#pending.size === 0) return Promise.resolve()
    return new Promise(resolve => {
      this.#idleWaiters.push(resolve)
      this.#after(this.#options.limits.drainMs, resolve)
    })
  }

  /** Lets the package close what it opened, then ends its process. Resolves when it is gone. */
  stop(): Promise<void> {
    if (this.#phase === 'gone') return Promise.resolve()
    if (this.#phase === 'starting') this.#kill('stopped')
    this.#phase = 'stopping'
    this.#process.send({ t: 'stop' })
    this.#after(this.#options.limits.stopMs, () => this.#kill('did not stop in time'))
    return new Promise(resolve => this.#exitWaiters.push(resolve))
  }

  #take(value: unknown): void {
    if (!isPackageFrame(value)) return this.#kill('sent a frame of no known form')
    const answers = (value.t === 'result' || value.t === 'error') && this.#pending.has(value.id)
    if (!answers && this.#count('frames') > this.#options.limits.framesPerSecond)
      return this.#kill('sent too many frames')
    switch (value.t) {
      case 'result':
        return this.#settle(value.id, pending => pending.resolve(value.value))
      case 'error':
        return this.#settle(value.id, pending =>
          pending.reject(new HookFailure('threw', value.error.message.slice(0, 1_000))),
        )
      case 'ready':
        if (this.#phase !== 'starting') return
        this.#phase = 'ready'
        return this.#options.onReady()
      case 'failed':
        if (this.#phase === 'starting') this.#kill(`did not start: ${value.error.message.slice(0, 1_000)}`)
        return
      case 'pong':
        this.#pongs = Math.max(this.#pongs, Math.min(value.id, this.#pings))
        return
      case 'state':
        return void this.#answerState(value.id, value)
      case 'log':
        return this.#logged(value)
      case 'memory':
        this.#reportedBytes = value.bytes
    }
  }

  #settle(id: number, settle: (pending: Pending) => void): void {
    const pending = this.#pending.get(id)
    if (pending === undefined) return
    this.#pending.delete(id)
    pending.cancelDeadline()
    settle(pending)
    if (this.#pending.size === 0) for (const resolve of this.#idleWaiters.splice(0)) resolve()
  }

  #missed(id: number, deadlineMs: number): void {
    this.#process.send({ t: 'abort', id })
    this.#settle(id, pending => pending.reject(new HookFailure('deadline', `gave no answer within ${deadlineMs} ms`)))
    this.#ping()
  }

  /** A handler that waits too long is alive; an event loop that answers nothing is not. */
  #ping(): void {
    if (this.#pings > this.#pongs || this.#phase === 'gone') return
    this.#pings += 1
    const ping = this.#pings
    const { pingMs } = this.#options.limits
    this.#process.send({ t: 'ping', id: ping })
    this.#after(pingMs, () =>
      this.#after(secondLookMs, () => {
        if (this.#pongs < ping) this.#kill(`gave no sign of life for ${pingMs} ms`)
      }),
    )
  }

  #watchMemory(): void {
    const { limits, memoryMb, onMemory } = this.#options
    this.#after(limits.memoryCheckMs, async () => {
      const bytes = (await this.#process.residentBytes()) ?? this.#reportedBytes
      if (this.#phase === 'gone') return
      if (bytes !== undefined) {
        onMemory(bytes)
        if (bytes > memoryMb * 1_048_576)
          return this.#kill(`used ${Math.round(bytes / 1_048_576)} MiB of memory; ${memoryMb} are allowed`)
      }
      this.#watchMemory()
    })
  }

  async #answerState(id: number, request: unknown): Promise<void> {
    const answer = (frame: Omit<HostFrame & { t: 'state' }, 't' | 'id'>): void => {
      if (!this.#process.send({ t: 'state', id, ...frame })) this.#kill('does not read its answers')
    }
    this.#stateCalls += 1
    try {
      if (!isStateRequest(request))
        throw new CloudError('core.cloudware.invalid-state', 'a key or value is outside the limits')
      if (this.#stateCalls > this.#options.limits.inFlight) {
        throw new CloudError(
          'core.cloudware.state-unavailable',
          `${this.#options.limits.inFlight} state calls are in flight`,
        )
      }
      const value = await applyState(this.#options.state(), request as StateRequest)
      answer(value === undefined ? {} : { value })
    } catch (error) {
      const { code, message } = CloudError.from(error)
      answer({ error: { code, message } })
    } finally {
      this.#stateCalls -= 1
    }
  }

  #logged({ level, message, fields = {} }: PackageFrame & { t: 'log' }): void {
    if (!this.#mayWrite()) return
    const small = JSON.stringify(fields).length <= 4_096
    this.#options.logger[level](message.slice(0, 2_000), small ? fields : { fields: 'too large' })
  }

  #printed(line: string): void {
    if (telling(line)) this.#lastPrinted = line
    if (this.#mayWrite()) this.#options.logger.info(line, { printed: true })
  }

  #mayWrite(): boolean {
    const lines = this.#count('lines')
    const { linesPerSecond } = this.#options.limits
    if (lines === linesPerSecond + 1)
      this.#options.logger.warn('the package writes too many lines; the rest of this second is dropped')
    return lines <= linesPerSecond
  }

  #count(what: 'frames' | 'lines'): number {
    const second = Math.floor(this.#options.clock.monotonic() / 1_000)
    if (second !== this.#window.second) Object.assign(this.#window, { second, frames: 0, lines: 0 })
    this.#window[what] += 1
    return this.#window[what]
  }

  #kill(reason: string): void {
    this.#killReason ??= reason
    this.#process.kill()
  }

  #exited(reason: string): void {
    this.#phase = 'gone'
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
    const printed = this.#lastPrinted === '' ? '' : `; it last printed: ${this.#lastPrinted.slice(0, 300)}`
    const why = this.#killReason ?? `${reason}${printed}`
    for (const id of [...this.#pending.keys()]) {
      this.#settle(id, pending => pending.reject(new HookFailure('died', `its process ${why}`)))
    }
    for (const resolve of this.#exitWaiters.splice(0)) resolve()
    this.#options.onExit(why)
  }

  #after(ms: number, fn: () => void): void {
    const cancel = this.#options.clock.after(ms, () => {
      this.#timers.delete(cancel)
      fn()
    })
    this.#timers.add(cancel)
  }
}

/** Node ends a crash report with its version, after a stack: the line with the message is the one worth keeping. */
function telling(line: string): boolean {
  return /\w/.test(line) && !/^(\s|Node\.js v|-----|<---|\d+: 0x)/.test(line)
}

function applyState(state: CloudwareState, request: StateRequest): Promise<unknown> {
  switch (request.op) {
    case 'get':
      return state.get(request.key)
    case 'put':
      return state.put(request.key, request.value ?? null)
    case 'increment':
      return state.increment(request.key, request.by)
    case 'increment-once':
      return state.incrementOnce(request.key, request.by, request.once)
  }
}
