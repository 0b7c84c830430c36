import type { Route, Upstream } from '../load-balancer/route-table.js'
import type { DesiredSite, ObservedInstance, ObservedSite } from './desired-state.js'
import { isComplete, isLive, targetOf } from './reconcile-core.js'
import { releaseKeyOf, revisionOf, type SiteWorld, type WorldInstance } from './site-world.js'

/** What only the running process knows. */
export interface LiveFacts {
  /** Epoch milliseconds; the planner's own times are of a clock that cannot be set. */
  readonly startedAt?: number
  readonly pid?: number
  readonly memoryBytes?: number
  readonly cpuMs?: number
  readonly cloudware: ObservedSite['cloudware']
}

/** The site as the edge is to see it: ready instances get requests, draining ones finish theirs. */
export function routeOf(desired: DesiredSite, world: SiteWorld, socketPathOf: (instance: string) => string): Route {
  const ready = world.instances.filter(one => one.state === 'ready')
  const healthy = ready.filter(one => one.healthy)
  // When all fail their health check, their own error pages are better than none.
  const serving = healthy.length > 0 ? healthy : ready
  const draining = world.instances.filter(
    one => one.state === 'draining' || (one.state === 'ready' && !serving.includes(one)),
  )
  const upstream = (one: WorldInstance, state: Upstream['state']): Upstream => ({
    id: one.id,
    socketPath: socketPathOf(one.id),
    concurrency: desired.concurrency,
    state,
  })
  return {
    site: desired.site,
    hostNames: desired.hostNames,
    maintenance: desired.maintenance,
    upstreams: [...serving.map(one => upstream(one, 'ready')), ...draining.map(one => upstream(one, 'draining'))],
  }
}

/** What the host says about the site. */
export function observeSite(
  desired: DesiredSite,
  world: SiteWorld,
  factsOf: (instance: string) => LiveFacts,
): ObservedSite {
  const failure = world.failure?.generation === desired.generation ? world.failure : undefined
  const living = world.instances.map(one => observeInstance(one, factsOf(one.id)))
  const dead: ObservedInstance[] = world.crashed.map(({ id, version, restarts }) => ({
    id,
    version,
    restarts,
    state: 'crashed',
  }))
  return {
    site: desired.site,
    observedGeneration: desired.generation,
    servingVersion: servingVersion(world),
    phase: phaseOf(desired, world),
    ...(failure === undefined
      ? {}
      : { failure: { version: failure.version, step: failure.step, reason: failure.reason.slice(0, 2_000) } }),
    instances: [...living, ...dead],
    cloudware: world.instances.filter(isLive).flatMap(one => factsOf(one.id).cloudware),
  }
}

function observeInstance(one: WorldInstance, facts: LiveFacts): ObservedInstance {
  const { pid, startedAt, memoryBytes, cpuMs } = facts
  return {
    id: one.id,
    version: one.version,
    state: one.state === 'stopping' ? 'stopped' : one.state,
    restarts: one.restarts,
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(pid === undefined ? {} : { pid }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(cpuMs === undefined ? {} : { cpuMs }),
  }
}

function servingVersion(world: SiteWorld): number {
  const ready = world.instances.filter(one => one.state === 'ready')
  const good = world.good === undefined ? undefined : revisionOf(world.good)
  return (ready.find(one => one.revision === good) ?? ready[0])?.version ?? 0
}

function phaseOf(desired: DesiredSite, world: SiteWorld): ObservedSite['phase'] {
  if (world.failure?.generation === desired.generation) return 'failed'
  const target = targetOf(desired, world) ?? desired
  const serves = world.instances.some(one => one.state === 'ready')
  if (isComplete(target, world) || (serves && world.good?.generation === desired.generation)) return 'live'
  if (world.releasing === releaseKeyOf(target)) return 'releasing'
  const digests = [target.package, ...target.cloudware.map(cloudware => cloudware.package)].map(ref => ref.digest)
  if (digests.some(digest => world.packages[digest]?.state !== 'ready')) return 'fetching'
  return world.instances.length === 0 ? 'pending' : 'rolling'
}
