import { join } from 'node:path'
import type { LoadedPackage } from '@aaas/core-cloud/cloudware'
import type { PackageRef } from '../cloudware/manifest.js'
import type { Clock } from '../kernel/clock.js'
import { CloudError } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import type { Logger } from '../kernel/logger.js'
import type { Route } from '../load-balancer/route-table.js'
import type { DesiredSite, ObservedSite } from './desired-state.js'
import { memoryOf, rememberedWorld, type SiteMemory } from './host-memory.js'
import type { InstanceCheck, InstanceOptions, ProgramOptions } from './instance-messages.js'
import type { InstanceEvents, InstanceProcess } from './instance-process.js'
import { type LiveFacts, observeSite, routeOf } from './observe.js'
import type { PackageCache } from './package-cache.js'
import { type Effect, plan } from './reconcile-core.js'
import { applyEvent, type SiteEvent, type SiteWorld } from './site-world.js'

/** What the runners of all sites of a host share. */
export interface SiteRunnerPorts {
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly packages: PackageCache
  /** Makes the folder for the site's own files and returns its path. */
  readonly dataDirOf: (site: string) => string
  readonly publicUrlOf: (site: string) => string
  readonly socketPathOf: (instance: string) => string
  /** Lets the instance onto the host's bus. */
  readonly admit: (instance: string, site: DesiredSite) => Pick<InstanceOptions, 'busSocket' | 'busToken' | 'direct'>
  readonly startInstance: (
    options: InstanceOptions,
    events: InstanceEvents & { readonly site: DesiredSite },
  ) => InstanceProcess
  readonly runRelease: (options: ProgramOptions, site: DesiredSite, signal: AbortSignal) => Promise<void>
  /** Resolves when the edge has no request at the instance. */
  readonly drained: (instance: string, signal: AbortSignal) => Promise<void>
  /** The process has started, is about to be stopped, is gone. */
  readonly metered: {
    open(process: { readonly site: string; readonly instance: string; readonly pid: number }): void
    sample(instance: string): void
  }
  /** The process is gone, whatever the reason; its token, socket and log may be put away. */
  readonly ended: (site: string, instance: string) => void
  readonly routesChanged: () => void
  readonly memoryChanged: () => void
  /** Something a report says has changed. */
  readonly stateChanged: () => void
  readonly removed: (site: string) => void
}

/** How long requests in flight may keep a planned stop waiting, milliseconds. */
const edgeDrainMs = 15_000
/** How long a program may take to finish its own work after that. */
const programDrainMs = 10_000
/** Health checks in a row that must fail before an instance counts as unhealthy. */
const unhealthyAfter = 3
/** An instance that answers no check for this long hangs, and is killed. */
const hungMs = 20_000

interface Process {
  readonly handle: InstanceProcess
  readonly site: DesiredSite
  readonly startedAt: number
  answeredAt: number
  failedChecks: number
  ready: boolean
  check: InstanceCheck | undefined
}

/** Carries out what the planner decides for one site, and tells it what happens. */
export class SiteRunner {
  readonly #site: string
  readonly #ports: SiteRunnerPorts
  readonly #logger: Logger
  readonly #processes = new Map<string, Process>()
  readonly #abort = new AbortController()
  #desired: DesiredSite | undefined
  /** What was wanted last, of a site that is being removed. */
  #leaving: DesiredSite | undefined
  #world: SiteWorld
  #cancelWake: () => void = () => undefined

  constructor(site: string, memory: SiteMemory | undefined, ports: SiteRunnerPorts) {
    this.#site = site
    this.#ports = ports
    this.#logger = ports.logger.child({ site })
    this.#world = rememberedWorld(memory)
  }

  /** Sets what is wanted; undefined: nothing. */
  want(desired: DesiredSite | undefined): void {
    this.#leaving = desired === undefined ? (this.#desired ?? this.#leaving) : undefined
    this.#desired = desired
    this.#plan()
  }

  get route(): Route | undefined {
    if (this.#desired !== undefined) return routeOf(this.#desired, this.#world, this.#ports.socketPathOf)
    if (this.#leaving === undefined || this.#world.instances.length === 0) return undefined
    // The edge counts for the meter what it still knows; requests in flight are finished and counted.
    return routeOf({ ...this.#leaving, hostNames: [] }, this.#world, this.#ports.socketPathOf)
  }

  get memory(): SiteMemory {
    return memoryOf(this.#world)
  }

  get kind(): DesiredSite['kind'] | undefined {
    return this.#desired?.kind
  }

  /** Digests that must stay on disk. */
  get digests(): readonly string[] {
    const running = [...this.#processes.values()].map(process => process.site)
    const sites = [this.#desired, this.#world.good, ...running].filter(site => site !== undefined)
    return sites.flatMap(site => [site.package.digest, ...site.cloudware.map(cloudware => cloudware.package.digest)])
  }

  observe(): ObservedSite | undefined {
    return this.#desired === undefined ? undefined : observeSite(this.#desired, this.#world, id => this.#factsOf(id))
  }

  /** Asks every instance how it does, and kills those that have not answered for long. */
  checkInstances(): void {
    const now = this.#ports.clock.monotonic()
    for (const [id, process] of this.#processes) {
      if (process.ready && now - process.answeredAt > hungMs) {
        this.#logger.error('an instance hangs and is killed', { instance: id })
        process.handle.kill()
      } else process.handle.check()
    }
  }

  /** Ends every process, without touching what is wanted: the host stops. Resolves when they are gone. */
  async stop(deadlineMs: number): Promise<void> {
    this.#abort.abort(new CloudError('core.kernel.stopped', 'the host stops'))
    this.#cancelWake()
    await Promise.all([...this.#processes.values()].map(({ handle }) => handle.stop(deadlineMs)))
  }

  #happened(event: SiteEvent): void {
    if (this.#abort.signal.aborted) return
    this.#world = applyEvent(this.#world, event, this.#ports.clock.monotonic())
    this.#plan()
  }

  #plan(): void {
    if (this.#abort.signal.aborted) return
    const { clock, ids } = this.#ports
    const now = clock.monotonic()
    const { world, effects, wakeAt } = plan(this.#desired, this.#world, { now, newId: () => ids.token(5) })
    this.#world = world
    // The edge learns first: nobody is asked to end while it may still get requests.
    this.#ports.routesChanged()
    this.#ports.stateChanged()
    this.#cancelWake()
    this.#cancelWake =
      wakeAt === undefined ? () => undefined : clock.after(Math.max(1, Math.ceil(wakeAt - now)), () => this.#plan())
    for (const effect of effects) this.#carryOut(effect)
  }

  #carryOut(effect: Effect): void {
    switch (effect.type) {
      case 'fetch':
        void this.#fetch(effect.package)
        break
      case 'release':
        void this.#release(effect.key, effect.site)
        break
      case 'start':
        this.#start(effect.instance, effect.site)
        break
      case 'configure':
        this.#processes.get(effect.instance)?.handle.applyCloudware(this.#cloudwareOf(effect.site))
        break
      case 'stop':
        void this.#stop(effect.instance)
        break
      case 'kill':
        this.#processes.get(effect.instance)?.handle.kill()
        break
      case 'save':
        this.#ports.memoryChanged()
        break
      case 'removed':
        this.#cancelWake()
        this.#ports.removed(this.#site)
        break
    }
  }

  async #fetch(ref: PackageRef): Promise<void> {
    const { digest } = ref
    try {
      await this.#ports.packages.fetch(ref)
      this.#happened({ type: 'fetched', digest })
    } catch (error) {
      const retryable = !isRefusal(error)
      this.#logger.warn('a package could not be fetched', { package: `${ref.name}@${ref.version}`, error, retryable })
      this.#happened({ type: 'fetch-failed', digest, retryable, reason: reasonOf(error) })
    }
  }

  async #release(key: string, site: DesiredSite): Promise<void> {
    const logger = this.#logger.child({ version: site.version })
    logger.info('release step starts')
    try {
      await this.#ports.runRelease(this.#programOf(site), site, this.#abort.signal)
      logger.info('release step done')
      this.#happened({ type: 'released', key })
      this.#ports.memoryChanged()
    } catch (error) {
      logger.error('release step failed', { error })
      this.#happened({ type: 'release-failed', key, reason: reasonOf(error) })
    }
  }

  #start(instance: string, site: DesiredSite): void {
    const { clock, admit, socketPathOf, publicUrlOf } = this.#ports
    const logger = this.#logger.child({ instance, version: site.version })
    const options: InstanceOptions = {
      ...this.#programOf(site),
      ...admit(instance, site),
      instanceId: instance,
      version: site.version,
      publicUrl: publicUrlOf(this.#site),
      busPrefix: busPrefixOf(site),
      httpSocket: socketPathOf(instance),
      cloudware: this.#cloudwareOf(site),
    }
    const handle = this.#ports.startInstance(options, {
      site,
      onReady: () => {
        process.ready = true
        process.answeredAt = clock.monotonic()
        logger.info('instance ready', { afterMs: Math.round(clock.now() - process.startedAt) })
        // Its first figures soon, and not only at the next round.
        handle.check()
        this.#happened({ type: 'ready', instance })
      },
      onCheck: check => this.#checked(instance, process, check),
    })
    const process: Process = {
      handle,
      site,
      startedAt: clock.now(),
      answeredAt: clock.monotonic(),
      failedChecks: 0,
      ready: false,
      check: undefined,
    }
    this.#processes.set(instance, process)
    if (handle.pid !== undefined) this.#ports.metered.open({ site: this.#site, instance, pid: handle.pid })
    void handle.exited.then(reason => {
      const asked = this.#world.instances.find(one => one.id === instance)?.state
      if (asked === 'starting' || asked === 'ready') logger.error('instance crashed', { reason })
      else logger.info('instance ended', { reason })
      this.#processes.delete(instance)
      this.#ports.ended(this.#site, instance)
      this.#happened({ type: 'exited', instance, reason })
    })
  }

  #checked(instance: string, process: Process, check: InstanceCheck): void {
    const before = cloudwareStates(process.check)
    process.check = check
    if (cloudwareStates(check) !== before) this.#ports.stateChanged()
    process.answeredAt = this.#ports.clock.monotonic()
    const wasHealthy = process.failedChecks < unhealthyAfter
    process.failedChecks = check.problem === undefined ? 0 : process.failedChecks + 1
    const healthy = process.failedChecks < unhealthyAfter
    if (healthy === wasHealthy) return
    if (healthy) this.#logger.info('instance healthy again', { instance })
    else this.#logger.error('instance unhealthy', { instance, problem: check.problem })
    this.#happened({ type: 'health', instance, healthy })
  }

  /** The edge has stopped sending; waits for what it sent before, then for the program. */
  async #stop(instance: string): Promise<void> {
    const { clock, metered, drained } = this.#ports
    const handle = this.#processes.get(instance)?.handle
    if (handle === undefined) return
    const abort = new AbortController()
    const cancel = clock.after(edgeDrainMs, () => abort.abort(new Error('drain deadline')))
    await drained(instance, abort.signal).catch((error: unknown) => {
      this.#logger.warn('requests were still running when their instance had to go', { instance, error })
    })
    cancel()
    metered.sample(instance)
    await handle.stop(programDrainMs)
  }

  #programOf(site: DesiredSite): ProgramOptions {
    const { dir, packageJson } = this.#ports.packages.get(site.package.digest)
    return {
      packageDir: dir,
      entry: packageJson.aaas.entry,
      dataDir: this.#ports.dataDirOf(this.#site),
      databaseUrl: site.databaseUrl,
      config: site.config,
    }
  }

  #cloudwareOf(site: DesiredSite): readonly LoadedPackage[] {
    return site.cloudware.map(({ package: ref, config }) => ({ ref, config, ...this.#ports.packages.get(ref.digest) }))
  }

  #factsOf(instance: string): LiveFacts {
    const process = this.#processes.get(instance)
    if (process === undefined) return { cloudware: [] }
    const { handle, startedAt, check } = process
    const cloudware = (check?.cloudware ?? []).map(
      ({ name, version, digest, state, calls, failures, restarts, lastError }) => ({
        instance,
        name,
        version,
        digest,
        state,
        calls,
        failures,
        restarts,
        ...(lastError === undefined ? {} : { lastError }),
      }),
    )
    return {
      cloudware,
      startedAt: Math.round(startedAt),
      ...(handle.pid === undefined ? {} : { pid: handle.pid }),
      ...(check === undefined ? {} : { memoryBytes: check.memoryBytes, cpuMs: check.cpuMs }),
    }
  }
}

/** What of the packages' status is news; their counters go with the next report. */
function cloudwareStates(check: InstanceCheck | undefined): string {
  return (check?.cloudware ?? []).map(one => `${one.name} ${one.digest} ${one.state} ${one.restarts}`).join('\n')
}

/** Path of the unix socket of an instance. */
export function instanceSocketPath(runDir: string, instance: string): string {
  return join(runDir, `i-${instance}.sock`)
}

/** Path of the unix socket on which other instances call it directly. */
export function directSocketPath(runDir: string, instance: string): string {
  return join(runDir, `d-${instance}.sock`)
}

/** Prefix of the subjects on which a site or service answers, on the host's hub. */
export function busPrefixOf({ kind, site }: Pick<DesiredSite, 'kind' | 'site'>): string {
  return `${kind}.${site}`
}

/** True when trying again cannot help: the package itself is wrong, or nobody has it. */
function isRefusal(error: unknown): boolean {
  return CloudError.is(error) && !error.retryable && (error.code.startsWith('core.cloudware.') || error.status === 404)
}

function reasonOf(error: unknown): string {
  return CloudError.is(error)
    ? `${error.code}: ${error.message}`
    : error instanceof Error
      ? error.message
      : String(error)
}
