import type { Clock } from '../kernel/clock.js'
import type { Logger } from '../kernel/logger.js'
import type { RouteTable } from '../load-balancer/route-table.js'
import type { ControlClient } from './control-link.js'
import type { DesiredSite, DesiredState, ObservedInstance, ObservedSite } from './desired-state.js'
import type { HostMemory } from './host-memory.js'
import { SiteRunner, type SiteRunnerPorts } from './site-runner.js'

export interface HostAgentOptions {
  readonly hostId: string
  readonly edgePort: number
  readonly clock: Clock
  readonly logger: Logger
  readonly memory: HostMemory
  readonly control: Pick<ControlClient, 'desiredState' | 'report'>
  readonly setRoutes: (table: RouteTable) => void
  readonly trust: { keys: DesiredState['trust'] }
  readonly ports: Omit<SiteRunnerPorts, 'routesChanged' | 'memoryChanged' | 'stateChanged' | 'removed'>
  /** Milliseconds between two questions for the desired state; default 5_000. */
  readonly pollMs?: number
  /** Milliseconds between two health checks of an instance; default 5_000. */
  readonly checkMs?: number
}

/** A burst of changes makes one report. */
const reportDelayMs = 100
const reportEveryMs = 10_000
/** Old packages stay for a while: what is being drained may still load files from them. */
const pruneDelayMs = 60_000

/** Keeps the sites of this host as control wants them, with or without control. */
export class HostAgent {
  readonly #options: HostAgentOptions
  readonly #runners = new Map<string, SiteRunner>()
  readonly #timers = new Map<string, () => void>()
  #desired: DesiredState | undefined
  #routes = '[]'
  #polling: Promise<void> | undefined
  #pollAgain = false
  #reporting = false
  #stopped = false
  /** Holds back effects on shared things while several sites change at once. */
  #batching = false

  constructor(options: HostAgentOptions) {
    this.#options = options
  }

  /** Runs what the last good copy says, then follows control. */
  start(): void {
    if (this.#options.memory.desired !== undefined) this.#apply(this.#options.memory.desired)
    this.#every('check', this.#options.checkMs ?? 5_000, () => {
      for (const runner of this.#runners.values()) runner.checkInstances()
    })
    this.#every('report', reportEveryMs, () => void this.#report())
    this.pull()
  }

  /** Asks control for the desired state now. */
  pull(): void {
    if (this.#polling !== undefined) {
      this.#pollAgain = true
      return
    }
    this.#polling = this.#pull().finally(() => {
      this.#polling = undefined
      if (this.#pollAgain) {
        this.#pollAgain = false
        this.pull()
      } else this.#after('poll', this.#options.pollMs ?? 5_000, () => this.pull())
    })
  }

  observe(): readonly ObservedSite[] {
    return [...this.#runners.values()].map(runner => runner.observe()).filter(site => site !== undefined)
  }

  instances(): readonly (ObservedInstance & { readonly site: string })[] {
    return this.observe().flatMap(({ site, instances }) => instances.map(instance => ({ ...instance, site })))
  }

  has(site: string, kind: DesiredSite['kind']): boolean {
    return this.#runners.get(site)?.kind === kind
  }

  /** Ends every instance; the memory stays for the next start. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopped = true
    for (const cancel of this.#timers.values()) cancel()
    await Promise.all([...this.#runners.values()].map(runner => runner.stop(deadlineMs)))
    await this.#options.memory.settled()
  }

  async #pull(): Promise<void> {
    const { control, hostId, logger } = this.#options
    const known = this.#desired?.generation
    try {
      const answer = await control.desiredState({ hostId, ...(known === undefined ? {} : { knownGeneration: known }) })
      if (this.#stopped || !answer.changed) return
      this.#options.memory.saveDesired(answer.state)
      this.#apply(answer.state)
    } catch (error) {
      logger.debug('the desired state could not be asked for', { error })
    }
  }

  #apply(state: DesiredState): void {
    const before = new Map(this.#desired?.sites.map(site => [site.site, site]))
    this.#desired = state
    this.#options.trust.keys = state.trust
    this.#batching = true
    for (const site of state.sites) {
      if (before.get(site.site)?.generation === site.generation) continue
      this.#runnerOf(site.site).want(site)
    }
    const wanted = new Set(state.sites.map(site => site.site))
    for (const [site, runner] of this.#runners) if (!wanted.has(site)) runner.want(undefined)
    this.#batching = false
    this.#publishRoutes()
    this.#options.logger.info('desired state applied', { generation: state.generation, sites: state.sites.length })
  }

  #runnerOf(site: string): SiteRunner {
    const found = this.#runners.get(site)
    if (found !== undefined) return found
    const runner = new SiteRunner(site, this.#options.memory.sites.get(site), {
      ...this.#options.ports,
      routesChanged: () => this.#publishRoutes(),
      memoryChanged: () => this.#remember(),
      stateChanged: () => this.#after('soon', reportDelayMs, () => void this.#report()),
      removed: name => {
        this.#runners.delete(name)
        this.#remember()
      },
    })
    this.#runners.set(site, runner)
    return runner
  }

  #publishRoutes(): void {
    if (this.#batching) return
    const routes = [...this.#runners.values()].map(runner => runner.route).filter(route => route !== undefined)
    const table = withoutConflicts(routes)
    const text = JSON.stringify(table)
    if (text === this.#routes) return
    this.#routes = text
    this.#options.setRoutes(table)
    const lost = routes.filter((route, index) => route.hostNames.length > (table[index]?.hostNames.length ?? 0))
    if (lost.length > 0)
      this.#options.logger.warn('host names are claimed twice', { sites: lost.map(route => route.site) })
  }

  #remember(): void {
    this.#options.memory.saveSites(new Map([...this.#runners].map(([site, runner]) => [site, runner.memory])))
    this.#after('prune', pruneDelayMs, () => {
      const keep = new Set([...this.#runners.values()].flatMap(runner => runner.digests))
      this.#options.ports.packages.prune(keep).catch((error: unknown) => {
        this.#options.logger.warn('old packages could not be removed', { error })
      })
    })
  }

  async #report(): Promise<void> {
    if (this.#reporting || this.#stopped) return
    this.#reporting = true
    const { control, hostId, edgePort, clock, logger } = this.#options
    try {
      const sites = [...this.observe()]
      await control.report({ hostId, sites, edgePort, at: clock.now() })
    } catch (error) {
      logger.debug('the report did not arrive', { error })
    } finally {
      this.#reporting = false
    }
  }

  /** Calls once after a while; a call that already waits under this name goes on waiting. */
  #after(name: string, ms: number, fn: () => void): void {
    if (this.#timers.has(name) || this.#stopped) return
    const cancel = this.#options.clock.after(ms, () => {
      this.#timers.delete(name)
      fn()
    })
    this.#timers.set(name, cancel)
  }

  #every(name: string, ms: number, fn: () => void): void {
    this.#after(name, ms, () => {
      fn()
      this.#every(name, ms, fn)
    })
  }
}

/** Of sites that claim one name the first has it: one mistake must not take the others' routes away. */
function withoutConflicts(routes: RouteTable): RouteTable {
  const taken = new Set<string>()
  return routes.map(route => {
    const hostNames = [...new Set(route.hostNames.map(name => name.toLowerCase()))].filter(name => !taken.has(name))
    for (const name of hostNames) taken.add(name)
    return { ...route, hostNames }
  })
}
