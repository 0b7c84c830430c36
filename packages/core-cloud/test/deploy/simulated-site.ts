import { seededRandom } from '@aaas/testing'
import type { DesiredSite } from '../../src/deploy/desired-state.js'
import { routeOf } from '../../src/deploy/observe.js'
import { type Effect, plan } from '../../src/deploy/reconcile-core.js'
import { applyEvent, emptyWorld, type SiteEvent, type SiteWorld } from '../../src/deploy/site-world.js'

/** How a version behaves in the simulation. */
export type Behaviour = 'good' | 'never-ready' | 'crashes' | 'release-fails' | 'tampered' | 'dies-when-ready'

export function desiredSite(change: Partial<DesiredSite> & { version: number; generation: number }): DesiredSite {
  return {
    site: 'shop',
    kind: 'site',
    package: { name: 'shop', version: `1.0.${change.version}`, digest: `digest-${change.version}` },
    config: {},
    databaseUrl: 'postgres://x/shop',
    hostNames: ['shop.localhost'],
    instances: 2,
    concurrency: 10,
    maintenance: false,
    restart: 0,
    cloudware: [],
    healthyDeadlineMs: 10_000,
    ...change,
  }
}

/** Runs the planner against processes that exist in numbers only. Same seed, same run. */
export class SimulatedSite {
  world: SiteWorld
  desired: DesiredSite | undefined
  now = 0
  readonly effects: Effect[] = []
  /** Called after each step. */
  check: (site: SimulatedSite) => void = () => undefined
  readonly behaviours = new Map<number, Behaviour>()
  removed = false
  #wakeAt: number | undefined
  #ids = 0
  #pending: { at: number; event: SiteEvent }[] = []
  #random: () => number

  constructor(seed: number, world: SiteWorld = emptyWorld) {
    this.#random = seededRandom(seed)
    this.world = world
  }

  get pending(): number {
    return this.#pending.length
  }

  want(desired: DesiredSite | undefined): void {
    this.desired = desired
    this.#replan()
  }

  /** kill -9 of one live instance, chosen by the seed; false when there is none. */
  kill(): boolean {
    const live = this.world.instances.filter(one => one.state === 'ready' || one.state === 'starting')
    const victim = live[Math.floor(this.#random() * live.length)]
    if (victim === undefined) return false
    this.#happen({ type: 'exited', instance: victim.id, reason: 'killed' })
    return true
  }

  /** Lets the next thing happen; false when nothing is left to happen. */
  step(): boolean {
    this.#pending.sort((a, b) => a.at - b.at)
    const next = this.#pending[0]
    if (next === undefined && this.#wakeAt === undefined) return false
    if (next === undefined || (this.#wakeAt !== undefined && this.#wakeAt < next.at)) {
      this.now = Math.max(this.now, this.#wakeAt ?? 0)
      this.#replan()
      return true
    }
    this.#pending.shift()
    this.now = Math.max(this.now, next.at)
    this.#happen(next.event)
    return true
  }

  run(maxSteps = 500): void {
    for (let count = 0; count < maxSteps; count++) if (!this.step()) return
    throw new Error(`not settled after ${maxSteps} steps at ${this.now}`)
  }

  routed(): { id: string; version: number }[] {
    if (this.desired === undefined) return []
    return routeOf(this.desired, this.world, id => id)
      .upstreams.filter(upstream => upstream.state === 'ready')
      .map(({ id }) => ({ id, version: this.world.instances.find(one => one.id === id)?.version ?? -1 }))
  }

  ready(): number {
    return this.world.instances.filter(one => one.state === 'ready').length
  }

  #happen(event: SiteEvent): void {
    this.world = applyEvent(this.world, event, this.now)
    this.#replan()
  }

  #replan(): void {
    const result = plan(this.desired, this.world, { now: this.now, newId: () => `i${++this.#ids}` })
    this.world = result.world
    this.#wakeAt = result.wakeAt
    for (const effect of result.effects) this.#carryOut(effect)
    this.check(this)
  }

  #later(ms: number, event: SiteEvent): void {
    this.#pending.push({ at: this.now + 1 + Math.floor(this.#random() * ms), event })
  }

  #carryOut(effect: Effect): void {
    this.effects.push(effect)
    const behaviour = (version: number): Behaviour => this.behaviours.get(version) ?? 'good'
    switch (effect.type) {
      case 'fetch': {
        const { digest } = effect.package
        const version = Number(digest.split('-')[1])
        if (behaviour(version) === 'tampered') {
          this.#later(100, { type: 'fetch-failed', digest, retryable: false, reason: 'bad signature' })
        } else if (this.#random() < 0.2) {
          this.#later(100, { type: 'fetch-failed', digest, retryable: true, reason: 'control away' })
        } else this.#later(100, { type: 'fetched', digest })
        break
      }
      case 'release':
        this.#later(
          2_000,
          behaviour(effect.site.version) === 'release-fails'
            ? { type: 'release-failed', key: effect.key, reason: 'migration failed' }
            : { type: 'released', key: effect.key },
        )
        break
      case 'start':
        this.#started(effect.instance, behaviour(effect.site.version))
        break
      case 'stop':
      case 'kill':
        this.#pending = this.#pending.filter(
          ({ event }) => !('instance' in event) || event.instance !== effect.instance,
        )
        this.#later(3_000, { type: 'exited', instance: effect.instance, reason: 'asked to' })
        break
      case 'removed':
        this.removed = true
        break
      default:
        break
    }
  }

  #started(instance: string, behaviour: Behaviour): void {
    if (behaviour === 'crashes') this.#later(500, { type: 'exited', instance, reason: 'threw at start' })
    else if (behaviour !== 'never-ready') {
      const at = this.now + 100 + Math.floor(this.#random() * 1_000)
      this.#pending.push({ at, event: { type: 'ready', instance } })
      if (behaviour === 'dies-when-ready') {
        this.#pending.push({ at: at + 10, event: { type: 'exited', instance, reason: 'died' } })
      }
    }
  }
}
