import type { Clock } from '../kernel/clock.js'
import { CloudError } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import type { Logger } from '../kernel/logger.js'
import { canonicalJson } from './canonical-json.js'
import type { CloudwareState, View } from './cloudware.js'
import { HookFailure } from './hook-failure.js'
import { defaultHookLimits, type HookLimits } from './hook-limits.js'
import { asOutput, asVerdict, asView } from './hook-results.js'
import type { CloudwareStatus, Hook, HookHost } from './hooks.js'
import type { HookUse } from './manifest.js'
import { parsePackageJson } from './package-json.js'
import type { LaunchPackage } from './package-process.js'
import { type LoadedPackage, PackageSupervisor, type SupervisorOptions } from './package-supervisor.js'
import { systemLaunchPackage } from './system-package-process.js'

export interface HookHostOptions {
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** Where packages keep state; may be given later by `useState`. Without it, packages that use state get an error. */
  readonly stateFor?: (packageName: string) => CloudwareState
  /** More flags for Node in the packages' processes. */
  readonly nodeOptions?: readonly string[]
  /**
   * Keeps packages from reading files other than their own and the platform's, from writing any, and from starting processes
   * and threads (Node's permission model; the network stays open). Default true.
   */
  readonly confined?: boolean
  readonly limits?: Partial<HookLimits>
  /** How a package's process is started; default a child process of this one. */
  readonly launch?: LaunchPackage
}

/** A hook host whose packages can be changed while it serves. */
export interface RunningHookHost extends HookHost, AsyncDisposable {
  /**
   * Makes `packages` the ones that run: starts new ones, replaces those whose digest or configuration changed, stops the
   * others. A replacement takes over in one step when it is ready; calls on the old one finish. One that does not start
   * leaves the old one serving, shows in `status()` and is tried again. Resolves when each package started or failed, and
   * the replaced ones are gone. Calls made meanwhile never fail because of it.
   * @throws CloudError `core.cloudware.invalid-manifest` for a bad package.json, `core.kernel.invalid-config` for two
   *   packages of one name, `core.kernel.stopped`; then nothing changes.
   */
  set(packages: readonly LoadedPackage[]): Promise<void>
  /** Gives packages a place for their state, from now on. */
  useState(stateFor: (packageName: string) => CloudwareState): void
}

/** A package by name: the version that serves, and the one that shall take over. */
interface Slot {
  serving: PackageSupervisor | undefined
  next: PackageSupervisor | undefined
}

interface Route {
  readonly slot: Slot
  readonly packageName: string
  readonly use: HookUse
}

/** Starts a hook host without packages. */
export function createHookHost(options: HookHostOptions): RunningHookHost {
  return new SystemHookHost(options)
}

class SystemHookHost implements RunningHookHost {
  readonly #slots = new Map<string, Slot>()
  readonly #supervisor: SupervisorOptions
  #stateFor: HookHostOptions['stateFor']
  /** Replaced as a whole, so that a look-up never sees half a change. */
  #routes: ReadonlyMap<string, readonly Route[]> = new Map()
  #wanted: readonly LoadedPackage[] = []
  #changing: Promise<void> = Promise.resolve()
  /** Replaced versions that still finish their calls. */
  readonly #retiring = new Set<Promise<void>>()
  #stopped = false

  constructor(options: HookHostOptions) {
    const { clock, ids, logger, nodeOptions = [], confined = true } = options
    this.#stateFor = options.stateFor
    this.#supervisor = {
      clock,
      ids,
      logger,
      limits: { ...defaultHookLimits, ...options.limits },
      launch: options.launch ?? systemLaunchPackage({ nodeOptions, confined }),
      state: name => {
        if (this.#stateFor === undefined)
          throw new CloudError('core.cloudware.state-unavailable', 'the program keeps no state for packages')
        return this.#stateFor(name)
      },
      onReady: () => undefined,
    }
  }

  has(hook: string): boolean {
    return this.#routes.has(hook)
  }

  consumers(hook: string): readonly string[] {
    return this.#handlers(hook, 'on').map(route => route.packageName)
  }

  status(): readonly CloudwareStatus[] {
    return [...this.#slots.values()]
      .flatMap(slot => [slot.serving, slot.next])
      .filter(supervisor => supervisor !== undefined)
      .map(supervisor => supervisor.status())
  }

  async validate(hook: Hook, input: unknown): Promise<void> {
    for (const route of this.#handlers(hook.name, 'validate')) {
      const verdict = await this.#try(route, hook, { input }, asVerdict)
      if (verdict === undefined || verdict.ok) continue
      throw new CloudError('core.cloudware.vetoed', verdict.message, {
        ...(verdict.field === undefined ? {} : { field: verdict.field }),
        details: { package: route.packageName, hook: hook.name },
      })
    }
  }

  async transform<T>(hook: Hook, value: T): Promise<T> {
    let current = value
    for (const route of this.#handlers(hook.name, 'transform')) {
      const changed = await this.#try(route, hook, { input: current }, answer => ({
        value: asOutput(hook, answer) as T,
      }))
      if (changed !== undefined) current = changed.value
    }
    return current
  }

  async provide<T>(hook: Hook, input: unknown): Promise<T | undefined> {
    for (const route of this.#handlers(hook.name, 'provide')) {
      const provided = await this.#try(route, hook, { input }, answer => ({ value: asOutput(hook, answer) as T }))
      if (provided !== undefined) return provided.value
    }
    return undefined
  }

  async deliver(hook: Hook, consumer: string, event: { readonly id: string; readonly data: unknown }): Promise<void> {
    const route = this.#handlers(hook.name, 'on').find(each => each.packageName === consumer)
    const supervisor = route?.slot.serving
    try {
      if (route === undefined || supervisor === undefined) throw new HookFailure('down', 'is not loaded')
      await supervisor.call(route.use, { input: event.data, eventId: event.id }, () => undefined)
    } catch (error) {
      throw failed(hook, consumer, error, { retryable: true })
    }
  }

  async views(hook: Hook, input: unknown): Promise<readonly { readonly package: string; readonly view: View }[]> {
    const answers = await Promise.all(
      this.#handlers(hook.name, 'view').map(async ({ slot, packageName, use }) => {
        // A view that fails is left out whatever its failure mode: a page never depends on one.
        const view = await slot.serving?.call(use, { input }, asView).catch(() => undefined)
        return view === undefined ? undefined : { package: packageName, view }
      }),
    )
    return answers.filter(answer => answer !== undefined)
  }

  useState(stateFor: (packageName: string) => CloudwareState): void {
    this.#stateFor = stateFor
  }

  async set(packages: readonly LoadedPackage[]): Promise<void> {
    if (this.#stopped) throw new CloudError('core.kernel.stopped', 'the hook host is stopped')
    const parsed = packages.map(loaded => ({ ...loaded, packageJson: parsePackageJson(loaded.packageJson) }))
    const names = parsed.map(loaded => loaded.ref.name)
    const twice = names.find((name, index) => names.indexOf(name) !== index)
    if (twice !== undefined)
      throw new CloudError('core.kernel.invalid-config', `package ${twice} is given twice`, { field: 'packages' })
    this.#wanted = parsed
    await this.#change()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true
    this.#wanted = []
    // A start that hangs must not hold up the stop: the change under way ends when its processes are gone.
    const starting = [...this.#slots.values()].flatMap(slot => slot.next ?? [])
    await Promise.all(starting.map(supervisor => supervisor.stop()))
    await this.#change()
  }

  /** Changes run one after another; each goes straight to what is wanted then, so that waiting ones have nothing left to do. */
  #change(): Promise<void> {
    this.#changing = this.#changing.then(() => this.#apply(this.#wanted))
    return this.#changing
  }

  async #apply(wanted: readonly LoadedPackage[]): Promise<void> {
    const leaving: PackageSupervisor[] = []
    const starting: PackageSupervisor[] = []
    for (const [name, slot] of this.#slots) {
      if (wanted.some(loaded => loaded.ref.name === name)) continue
      this.#slots.delete(name)
      leaving.push(...[slot.serving, slot.next].filter(supervisor => supervisor !== undefined))
    }
    for (const loaded of wanted) {
      const slot = this.#slots.get(loaded.ref.name) ?? { serving: undefined, next: undefined }
      this.#slots.set(loaded.ref.name, slot)
      if (slot.next !== undefined && !same(slot.next.loaded, loaded)) {
        leaving.push(slot.next)
        slot.next = undefined
      }
      if (slot.next !== undefined || (slot.serving !== undefined && same(slot.serving.loaded, loaded))) continue
      slot.next = this.#start(slot, loaded)
      starting.push(slot.next)
    }
    this.#route()
    await Promise.all([...leaving.map(supervisor => supervisor.stop()), ...starting.map(each => each.firstStart)])
    for (const slot of this.#slots.values()) {
      // Nothing to fall back on: from now on the failure modes of the package decide, as if it had crashed.
      if (slot.serving === undefined) slot.serving = slot.next
      if (slot.serving === slot.next) slot.next = undefined
    }
    this.#route()
    await Promise.all(this.#retiring)
  }

  #start(slot: Slot, loaded: LoadedPackage): PackageSupervisor {
    const supervisor: PackageSupervisor = new PackageSupervisor(loaded, {
      ...this.#supervisor,
      onReady: () => {
        if (slot.next !== supervisor) return
        const old = slot.serving
        slot.serving = supervisor
        slot.next = undefined
        this.#route()
        if (old === undefined) return
        const retired = old.stop().finally(() => this.#retiring.delete(retired))
        this.#retiring.add(retired)
      },
    })
    return supervisor
  }

  #route(): void {
    const routes = new Map<string, Route[]>()
    for (const [packageName, slot] of this.#slots) {
      for (const use of slot.serving?.uses ?? []) {
        const list = routes.get(use.hook) ?? []
        list.push({ slot, packageName, use })
        routes.set(use.hook, list)
      }
    }
    for (const list of routes.values()) {
      list.sort((a, b) => a.use.order - b.use.order || (a.packageName < b.packageName ? -1 : 1))
    }
    this.#routes = routes
  }

  #handlers(hook: string, kind: HookUse['kind']): readonly Route[] {
    const routes = this.#routes.get(hook)
    if (routes === undefined) return []
    return routes.every(route => route.use.kind === kind) ? routes : routes.filter(route => route.use.kind === kind)
  }

  /** @returns undefined when the handler failed and its failure mode is open, or its package was removed meanwhile. */
  async #try<T>(
    { slot, packageName, use }: Route,
    hook: Hook,
    request: { readonly input: unknown },
    check: (value: unknown) => T,
  ): Promise<T | undefined> {
    // A chain may reach a package that was replaced or removed since the chain began: it takes what is there now.
    if (this.#slots.get(packageName) !== slot) return undefined
    const supervisor = slot.serving
    const current = supervisor?.uses.find(each => each.hook === use.hook && each.kind === use.kind)
    if (supervisor === undefined || current === undefined) return undefined
    try {
      return await supervisor.call(current, request, check)
    } catch (error) {
      if (current.failure === 'open') return undefined
      throw failed(hook, packageName, error)
    }
  }
}

function same(a: LoadedPackage, b: LoadedPackage): boolean {
  return a.ref.digest === b.ref.digest && canonicalJson(a.config ?? {}) === canonicalJson(b.config ?? {})
}

function failed(
  hook: Hook,
  packageName: string,
  error: unknown,
  options: { readonly retryable?: boolean } = {},
): CloudError {
  const reason = error instanceof HookFailure ? error.reason : 'threw'
  const text = error instanceof Error ? error.message : String(error)
  return new CloudError('core.cloudware.hook-failed', `${packageName}: ${text}`, {
    ...options,
    cause: error,
    details: { package: packageName, hook: hook.name, reason },
  })
}
