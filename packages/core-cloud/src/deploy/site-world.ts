import type { DesiredSite } from './desired-state.js'

/**
 * A process of the site as the planner sees it.
 * `starting` -> `ready` -> `draining` (out of the routes, finishing) -> gone; `starting` -> `stopping` -> gone.
 */
export interface WorldInstance {
  readonly id: string
  /** What it was started from, see {@link revisionOf}. */
  readonly revision: string
  readonly version: number
  readonly state: 'starting' | 'ready' | 'draining' | 'stopping'
  readonly startedAt: number
  readonly readyAt?: number
  /** False when its last health check failed; it then gets requests only if no other instance is healthy. */
  readonly healthy: boolean
  /** How often this place among the site's instances was filled again after a crash. */
  readonly restarts: number
  /** Crashes in a row of this place. */
  readonly streak: number
  /** What was last sent to it, see {@link settingsOf}. */
  readonly settings: string
}

/** A place that a crashed instance left. */
interface Vacancy {
  readonly revision: string
  readonly notBefore: number
  readonly restarts: number
  readonly streak: number
}

export type PackageProgress =
  | { readonly state: 'fetching'; readonly attempts: number }
  | { readonly state: 'ready' }
  /** Tried in vain; may work later. */
  | { readonly state: 'waiting'; readonly attempts: number; readonly notBefore: number; readonly reason: string }
  /** Will never work: a changed or untrusted package. */
  | { readonly state: 'refused'; readonly reason: string }

/** A desired state that was given up. */
export interface Failure {
  readonly generation: number
  readonly version: number
  readonly step: 'fetch' | 'release' | 'start' | 'health'
  readonly reason: string
}

interface CrashedInstance {
  readonly id: string
  readonly version: number
  readonly startedAt: number
  readonly restarts: number
}

/** Everything the planner knows about one site. Values only; never changed in place. */
export interface SiteWorld {
  readonly instances: readonly WorldInstance[]
  readonly vacancies: readonly Vacancy[]
  /** The last three that crashed, for people. */
  readonly crashed: readonly CrashedInstance[]
  /** By digest. */
  readonly packages: Readonly<Record<string, PackageProgress>>
  /** Keys of release steps that were done, the newest last, see {@link releaseKeyOf}. */
  readonly released: readonly string[]
  /** Key of the release step that runs. At most one per site, whatever is desired meanwhile. */
  readonly releasing?: string
  /** Outcome of the release step that failed last. */
  readonly releaseFailure?: { readonly key: string; readonly reason: string }
  /** The last desired site whose roll-out came to its end: what a failed roll-out goes back to. */
  readonly good?: DesiredSite
  /** While nothing is good yet: what has at least become ready, which is better than nothing to go back to. */
  readonly candidate?: DesiredSite
  readonly failure?: Failure
  readonly trial?: Trial
}

/** Crashes of the revision that is being rolled out. */
interface Trial {
  readonly revision: string
  readonly whileStarting: number
  readonly whenReady: number
  /** True when an instance did not become healthy in time. */
  readonly late: boolean
  readonly reason: string
}

export type SiteEvent =
  | { readonly type: 'fetched'; readonly digest: string }
  | { readonly type: 'fetch-failed'; readonly digest: string; readonly retryable: boolean; readonly reason: string }
  | { readonly type: 'released'; readonly key: string }
  | { readonly type: 'release-failed'; readonly key: string; readonly reason: string }
  | { readonly type: 'ready'; readonly instance: string }
  | { readonly type: 'health'; readonly instance: string; readonly healthy: boolean }
  /** The process is gone. `reason` is what a person should read when it was not asked to go. */
  | { readonly type: 'exited'; readonly instance: string; readonly reason: string }

export const emptyWorld: SiteWorld = { instances: [], vacancies: [], crashed: [], packages: {}, released: [] }

const firstBackoffMs = 250
const maxBackoffMs = 30_000
/** Control may be back any moment, and asking it is cheap. */
const maxFetchBackoffMs = 5_000
/** An instance that was ready this long did not crash "again". */
const stableMs = 5_000
const maxReleased = 50

/** What cannot be changed without a new process. */
export function revisionOf(site: DesiredSite): string {
  const { version, restart, databaseUrl, config, memoryMb } = site
  return JSON.stringify([version, site.package.digest, restart, databaseUrl, config ?? null, memoryMb ?? null])
}

/** What a running process takes over without a restart. */
export function settingsOf(site: Pick<DesiredSite, 'cloudware'>): string {
  return JSON.stringify(site.cloudware)
}

/** The release step is about a version and a database: a restart or other settings need no new one. */
export function releaseKeyOf(site: DesiredSite): string {
  return JSON.stringify([site.version, site.package.digest, site.databaseUrl])
}

/** Milliseconds before try number `attempt` (from 1): 0, 250, 500 ... 30_000. */
function backoffMs(attempt: number): number {
  return attempt <= 1 ? 0 : Math.min(maxBackoffMs, firstBackoffMs * 2 ** (attempt - 2))
}

/** The world after something happened. An event about an instance that is not there changes nothing. */
export function applyEvent(world: SiteWorld, event: SiteEvent, now: number): SiteWorld {
  switch (event.type) {
    case 'fetched':
      return withPackage(world, event.digest, { state: 'ready' })
    case 'fetch-failed':
      return fetchFailed(world, event, now)
    case 'released': {
      const { releasing: _, releaseFailure: __, ...rest } = world
      const released = [...world.released.filter(key => key !== event.key), event.key].slice(-maxReleased)
      return { ...rest, released }
    }
    case 'release-failed': {
      const { releasing: _, ...rest } = world
      return { ...rest, releaseFailure: { key: event.key, reason: event.reason } }
    }
    case 'ready':
      return withInstance(world, event.instance, instance =>
        instance.state === 'starting' ? { ...instance, state: 'ready', readyAt: now, healthy: true } : instance,
      )
    case 'health':
      return withInstance(world, event.instance, instance => ({ ...instance, healthy: event.healthy }))
    case 'exited':
      return exited(world, event, now)
  }
}

export function withPackage(world: SiteWorld, digest: string, progress: PackageProgress): SiteWorld {
  return { ...world, packages: { ...world.packages, [digest]: progress } }
}

export function withInstance(
  world: SiteWorld,
  id: string,
  change: (instance: WorldInstance) => WorldInstance,
): SiteWorld {
  return { ...world, instances: world.instances.map(instance => (instance.id === id ? change(instance) : instance)) }
}

/** Notes the crash of an instance and the place it leaves. `late`: it was given up because it never became healthy. */
export function crash(world: SiteWorld, instance: WorldInstance, reason: string, now: number, late = false): SiteWorld {
  const stable = instance.state === 'ready' && now - (instance.readyAt ?? now) >= stableMs
  const streak = stable ? 1 : instance.streak + 1
  const { id, revision, version, startedAt } = instance
  const vacancy = { revision, notBefore: now + backoffMs(streak), restarts: instance.restarts + 1, streak }
  const noted = {
    ...world,
    vacancies: [...world.vacancies, vacancy].slice(-256),
    crashed: [...world.crashed, { id, version, startedAt, restarts: instance.restarts }].slice(-3),
  }
  // What has proved itself is restarted for ever; only what is on trial is given up.
  if (world.good !== undefined && revisionOf(world.good) === revision) return noted
  const before = world.trial?.revision === revision ? world.trial : { whileStarting: 0, whenReady: 0, late: false }
  const wasReady = instance.state === 'ready'
  return {
    ...noted,
    trial: {
      revision,
      whileStarting: before.whileStarting + (wasReady ? 0 : 1),
      whenReady: before.whenReady + (wasReady ? 1 : 0),
      late: before.late || late,
      reason,
    },
  }
}

function exited(
  world: SiteWorld,
  event: { readonly instance: string; readonly reason: string },
  now: number,
): SiteWorld {
  const instance = world.instances.find(candidate => candidate.id === event.instance)
  if (instance === undefined) return world
  const rest = { ...world, instances: world.instances.filter(candidate => candidate !== instance) }
  return instance.state === 'starting' || instance.state === 'ready' ? crash(rest, instance, event.reason, now) : rest
}

function fetchFailed(
  world: SiteWorld,
  event: { readonly digest: string; readonly retryable: boolean; readonly reason: string },
  now: number,
): SiteWorld {
  const { digest, reason } = event
  if (!event.retryable) return withPackage(world, digest, { state: 'refused', reason })
  const before = world.packages[digest]
  const attempts = (before?.state === 'fetching' ? before.attempts : 0) + 1
  const notBefore = now + Math.min(maxFetchBackoffMs, backoffMs(attempts + 1))
  return withPackage(world, digest, { state: 'waiting', attempts, notBefore, reason })
}
