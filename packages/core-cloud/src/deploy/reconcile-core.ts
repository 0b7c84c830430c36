import type { PackageRef } from '../cloudware/manifest.js'
import type { DesiredSite } from './desired-state.js'
import {
  crash,
  type Failure,
  releaseKeyOf,
  revisionOf,
  type SiteWorld,
  settingsOf,
  type WorldInstance,
  withInstance,
  withPackage,
} from './site-world.js'

/** What the agent is to do now. The world that comes with the effects already counts on them. */
export type Effect =
  | { readonly type: 'fetch'; readonly package: PackageRef }
  | { readonly type: 'release'; readonly key: string; readonly site: DesiredSite }
  | { readonly type: 'start'; readonly instance: string; readonly site: DesiredSite }
  /** Hands over the cloudware; no restart. */
  | { readonly type: 'configure'; readonly instance: string; readonly site: DesiredSite }
  /** Wait until the edge has no request there any more, then let it finish and end. */
  | { readonly type: 'stop'; readonly instance: string }
  /** End it now: it serves nobody. */
  | { readonly type: 'kill'; readonly instance: string }
  /** `good`, `failure` or `released` changed: keep them on disk. */
  | { readonly type: 'save' }
  /** Nothing of the site runs any more and nobody wants it. */
  | { readonly type: 'removed' }

export interface Plan {
  readonly world: SiteWorld
  readonly effects: readonly Effect[]
  /** When to plan again if nothing happens before; same clock as `now`. */
  readonly wakeAt?: number
}

export interface PlanContext {
  /** Milliseconds; any clock that does not go back. */
  readonly now: number
  readonly newId: () => string
}

const defaultHealthyDeadlineMs = 30_000
/** Crashes before it was ready after which a new revision is given up. */
const maxStartCrashes = 2
/** Crashes after it was ready after which a new revision is given up while it is being rolled out. */
const maxReadyCrashes = 4
/** How long a new instance must stay ready before it takes the place of an old one, or its revision is accepted. */
const settleMs = 1_000
/** Instances that start side by side when there is nothing to protect. */
const parallelStarts = 4

/**
 * Decides the next steps that bring one site from what is to what is wanted. Called again after every event; it is
 * idempotent: without an event and before `wakeAt` a second call decides nothing new.
 *
 * A roll-out keeps the number of ready instances: one new instance is added, passes its health gate, gets requests for
 * a second, then one old instance is drained. When the new revision fails, the former one is restored at full count and the
 * failed generation is not tried again; only a new generation is.
 */
export function plan(desired: DesiredSite | undefined, world: SiteWorld, context: PlanContext): Plan {
  const draft = new Draft(world, context)
  if (desired === undefined) {
    draft.stopAll(() => true)
    if (draft.world.instances.length === 0 && draft.world.releasing === undefined)
      draft.effects.push({ type: 'removed' })
    return draft.done()
  }
  draft.forgetOldFailure(desired)
  draft.stopLate(desired.healthyDeadlineMs ?? defaultHealthyDeadlineMs)
  const failure = failureOf(desired, draft.world)
  if (failure !== undefined) draft.giveUp(failure, revisionOf(desired))
  const target = targetOf(desired, draft.world)
  if (target === undefined) {
    draft.stopAll(() => true)
    return draft.done()
  }
  draft.prepare(target)
  balance(draft, target)
  draft.configure(target)
  if (target === desired) draft.accept(target)
  return draft.done()
}

/** What to run: the desired site, or after its failure the good one under the desired site's outer settings. */
export function targetOf(desired: DesiredSite, world: SiteWorld): DesiredSite | undefined {
  if (world.failure?.generation !== desired.generation) return desired
  if (world.good === undefined) return undefined
  const { instances, hostNames, concurrency, maintenance } = desired
  return { ...world.good, instances, hostNames, concurrency, maintenance }
}

/** True when exactly the wanted instances are there and ready. */
export function isComplete(target: DesiredSite, world: SiteWorld): boolean {
  const revision = revisionOf(target)
  const live = world.instances.filter(isLive)
  return (
    live.length === target.instances &&
    live.every(one => one.revision === revision && one.state === 'ready' && one.settings === settingsOf(target))
  )
}

export function isLive(instance: WorldInstance): boolean {
  return instance.state === 'starting' || instance.state === 'ready'
}

function packagesOf(site: DesiredSite): readonly PackageRef[] {
  return [site.package, ...site.cloudware.map(cloudware => cloudware.package)]
}

function isFetched(site: DesiredSite, world: SiteWorld): boolean {
  return packagesOf(site).every(ref => world.packages[ref.digest]?.state === 'ready')
}

function isGood(site: DesiredSite, world: SiteWorld): boolean {
  return world.good !== undefined && revisionOf(world.good) === revisionOf(site)
}

/** The good one has been released once, whatever the notes on disk say. */
function isStartable(site: DesiredSite, world: SiteWorld): boolean {
  return isFetched(site, world) && (isGood(site, world) || world.released.includes(releaseKeyOf(site)))
}

/** Says whether the desired site has to be given up now, and why. */
function failureOf(desired: DesiredSite, world: SiteWorld): Failure | undefined {
  const { generation, version } = desired
  if (world.failure?.generation === generation) return undefined
  for (const ref of packagesOf(desired)) {
    const progress = world.packages[ref.digest]
    if (progress?.state !== 'refused') continue
    return { generation, version, step: 'fetch', reason: `${ref.name}@${ref.version}: ${progress.reason}` }
  }
  if (world.releaseFailure?.key === releaseKeyOf(desired)) {
    return { generation, version, step: 'release', reason: world.releaseFailure.reason }
  }
  const trial = world.trial
  if (trial === undefined || trial.revision !== revisionOf(desired) || isGood(desired, world)) return undefined
  if (trial.late) return { generation, version, step: 'health', reason: trial.reason }
  if (trial.whileStarting >= maxStartCrashes || trial.whenReady >= maxReadyCrashes) {
    return { generation, version, step: 'start', reason: trial.reason }
  }
  return undefined
}

/** Starts what is missing and stops what is too many. */
function balance(draft: Draft, target: DesiredSite): void {
  const wanted = target.instances
  const revision = revisionOf(target)
  const { good, failure } = draft.world
  const base = good !== undefined && revisionOf(good) !== revision ? good : undefined
  const baseRevision = base === undefined ? undefined : revisionOf(base)
  const of = (state: WorldInstance['state'], fresh: boolean): WorldInstance[] =>
    draft.world.instances.filter(one => one.state === state && (one.revision === revision) === fresh)

  draft.keepVacancies([revision, ...(baseRevision === undefined ? [] : [baseRevision])])
  // A failed revision leaves at once, unless it is all there is.
  if (failure !== undefined && of('ready', true).length > 0) draft.stopAll(one => one.revision !== revision)
  draft.stopAll(one => one.state === 'starting' && one.revision !== revision && one.revision !== baseRevision)
  // Before anything starts, so that a roll-out has one process more than wanted and not two.
  stopSurplus(draft, target, baseRevision)

  const ready = of('ready', true).length + of('ready', false).length
  if (base !== undefined) {
    const spare = of('starting', false)
    const missing = wanted - ready - spare.length
    if (missing > 0 && isStartable(base, draft.world)) draft.start(base, missing, parallelStarts - spare.length)
    if (ready >= wanted) draft.stopAll(one => spare.includes(one))
  }
  if (isStartable(target, draft.world)) {
    const fresh = of('ready', true).length + of('starting', true).length
    draft.start(target, wanted - fresh, roomFor(draft, of, base !== undefined))
  }
}

/** How many instances of the target may be started now. While others serve, it is one more than wanted in all. */
function roomFor(
  draft: Draft,
  of: (state: WorldInstance['state'], fresh: boolean) => WorldInstance[],
  hasBase: boolean,
): number {
  const starting = of('starting', true).length
  const fresh = of('ready', true)
  if (of('ready', false).length > 0) {
    const ending = draft.world.instances.some(one => !isLive(one))
    return ending ? 0 : 1 - starting - fresh.filter(one => !draft.isSettled(one)).length
  }
  return (hasBase && fresh.length === 0 ? 1 : parallelStarts) - starting
}

function stopSurplus(draft: Draft, target: DesiredSite, baseRevision: string | undefined): void {
  const revision = revisionOf(target)
  const live = draft.world.instances.filter(one => isLive(one) && one.revision === revision)
  const starting = live.filter(one => one.state === 'starting')
  const tooMany = Math.max(0, live.length - target.instances)
  const late = starting.toSorted((a, b) => b.startedAt - a.startedAt).slice(0, tooMany)
  draft.stopAll(one => late.includes(one))

  const ready = draft.world.instances.filter(one => one.state === 'ready')
  const isRoll = ready.some(one => one.revision !== revision)
  const counting = isRoll ? ready.filter(one => one.revision !== revision || draft.isSettled(one)) : ready
  // First what nobody wants, then what is to be replaced; among equals the unhealthy, then the youngest.
  const rank = (one: WorldInstance): number =>
    (one.revision === revision ? 4 : one.revision === baseRevision ? 2 : 0) + (one.healthy ? 1 : 0)
  const order = counting.toSorted((a, b) => rank(a) - rank(b) || b.startedAt - a.startedAt)
  const surplus = order.slice(0, Math.max(0, counting.length - target.instances))
  draft.stopAll(one => surplus.includes(one))
}

/** Collects effects and the world that counts on them. */
class Draft {
  readonly effects: Effect[] = []
  #wakeAt = Number.POSITIVE_INFINITY

  constructor(
    public world: SiteWorld,
    private readonly context: PlanContext,
  ) {}

  done(): Plan {
    const { world, effects } = this
    return this.#wakeAt === Number.POSITIVE_INFINITY ? { world, effects } : { world, effects, wakeAt: this.#wakeAt }
  }

  /** True when an instance has been ready for a while; else planning happens again when it will have been. */
  isSettled({ readyAt }: WorldInstance): boolean {
    if (readyAt === undefined) return false
    if (this.context.now - readyAt >= settleMs) return true
    this.#wake(readyAt + settleMs)
    return false
  }

  forgetOldFailure({ generation }: DesiredSite): void {
    const { failure, ...rest } = this.world
    if (failure !== undefined && failure.generation !== generation) this.world = rest
  }

  stopAll(which: (instance: WorldInstance) => boolean): void {
    for (const instance of this.world.instances) {
      if (!isLive(instance) || !which(instance)) continue
      const serves = instance.state === 'ready'
      this.world = withInstance(this.world, instance.id, one => ({ ...one, state: serves ? 'draining' : 'stopping' }))
      this.effects.push({ type: serves ? 'stop' : 'kill', instance: instance.id })
    }
  }

  /** Gives up instances that did not become healthy in time. */
  stopLate(deadlineMs: number): void {
    for (const instance of this.world.instances) {
      if (instance.state !== 'starting') continue
      const deadline = instance.startedAt + deadlineMs
      if (this.context.now < deadline) {
        this.#wake(deadline)
        continue
      }
      this.world = crash(this.world, instance, `not healthy within ${deadlineMs} ms`, this.context.now, true)
      this.stopAll(one => one.id === instance.id)
    }
  }

  giveUp(failure: Failure, revision: string): void {
    const { trial: _, releaseFailure: __, candidate, ...rest } = this.world
    // A refused package may be accepted when somebody changes what is desired: the trust may have changed with it.
    const packages = Object.fromEntries(
      Object.entries(rest.packages).filter(([, progress]) => progress.state !== 'refused'),
    )
    const vacancies = rest.vacancies.filter(vacancy => vacancy.revision !== revision)
    const fallback = rest.good ?? (candidate?.generation === failure.generation ? undefined : candidate)
    this.world = { ...rest, packages, vacancies, failure, ...(fallback === undefined ? {} : { good: fallback }) }
    this.effects.push({ type: 'save' })
  }

  /** Fetches what is needed, then runs the release step of the target. */
  prepare(target: DesiredSite): void {
    const { good } = this.world
    for (const ref of [...packagesOf(target), ...(good === undefined ? [] : packagesOf(good))]) this.#fetch(ref)
    const key = releaseKeyOf(target)
    const { released, releasing, releaseFailure } = this.world
    if (!isFetched(target, this.world) || isGood(target, this.world) || released.includes(key)) return
    if (releasing !== undefined || releaseFailure?.key === key) return
    this.world = { ...this.world, releasing: key }
    this.effects.push({ type: 'release', key, site: target })
  }

  /** Starts up to `missing` instances, at most `room` of them, filling the places of crashed ones first. */
  start(site: DesiredSite, missing: number, room: number): void {
    const revision = revisionOf(site)
    const vacancies = this.world.vacancies.filter(vacancy => vacancy.revision === revision)
    if (missing <= 0) {
      this.world = { ...this.world, vacancies: this.world.vacancies.filter(vacancy => !vacancies.includes(vacancy)) }
      return
    }
    const due = vacancies.filter(vacancy => vacancy.notBefore <= this.context.now)
    const later = vacancies.filter(vacancy => vacancy.notBefore > this.context.now).slice(0, missing)
    for (const vacancy of later) this.#wake(vacancy.notBefore)
    for (let count = Math.min(room, missing - later.length); count > 0; count--) {
      const vacancy = due.shift()
      const instance: WorldInstance = {
        id: this.context.newId(),
        revision,
        version: site.version,
        state: 'starting',
        startedAt: this.context.now,
        healthy: true,
        restarts: vacancy?.restarts ?? 0,
        streak: vacancy?.streak ?? 0,
        settings: settingsOf(site),
      }
      const left = this.world.vacancies.filter(other => other !== vacancy)
      this.world = { ...this.world, vacancies: left, instances: [...this.world.instances, instance] }
      this.effects.push({ type: 'start', instance: instance.id, site })
      this.#wake(this.context.now + (site.healthyDeadlineMs ?? defaultHealthyDeadlineMs))
    }
  }

  keepVacancies(revisions: readonly string[]): void {
    const vacancies = this.world.vacancies.filter(vacancy => revisions.includes(vacancy.revision))
    if (vacancies.length < this.world.vacancies.length) this.world = { ...this.world, vacancies }
  }

  /** Hands changed settings to the running instances of the target. */
  configure(target: DesiredSite): void {
    if (!isFetched(target, this.world)) return
    const settings = settingsOf(target)
    const revision = revisionOf(target)
    for (const instance of this.world.instances) {
      if (!isLive(instance) || instance.revision !== revision || instance.settings === settings) continue
      this.world = withInstance(this.world, instance.id, one => ({ ...one, settings }))
      this.effects.push({ type: 'configure', instance: instance.id, site: target })
    }
  }

  /** When the roll-out has come to its end, the target is what a later failure goes back to. */
  accept(target: DesiredSite): void {
    const { trial: _, candidate: __, ...rest } = this.world
    const live = rest.instances.filter(isLive)
    // Every one is asked, so that the next wake-up is the earliest of all.
    const settled = live.filter(one => this.isSettled(one)).length === live.length
    if (target.instances > 0 && settled && isComplete(target, rest)) {
      if (rest.good?.generation === target.generation) return
      this.world = { ...rest, good: target }
      this.effects.push({ type: 'save' })
      return
    }
    const [revision, settings] = [revisionOf(target), settingsOf(target)]
    const serves = live.some(one => one.state === 'ready' && one.revision === revision && one.settings === settings)
    if (rest.good === undefined && serves) this.world = { ...this.world, candidate: target }
  }

  #fetch(ref: PackageRef): void {
    const progress = this.world.packages[ref.digest]
    if (progress?.state === 'waiting' && progress.notBefore > this.context.now) this.#wake(progress.notBefore)
    else if (progress === undefined || progress.state === 'waiting') {
      this.world = withPackage(this.world, ref.digest, { state: 'fetching', attempts: progress?.attempts ?? 0 })
      this.effects.push({ type: 'fetch', package: ref })
    }
  }

  #wake(at: number): void {
    this.#wakeAt = Math.min(this.#wakeAt, at)
  }
}
