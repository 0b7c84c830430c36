import { createHash } from 'node:crypto'
import type { Clock } from '../../kernel/clock.js'
import type { Attempt, LeaseDriver, Owned } from '../coordination/lease-driver.js'
import { Sightings } from '../coordination/sightings.js'
import type { Holder } from '../coordination.js'
import type { LeaseApi } from './lease-api.js'
import { type LeaseObject, microTime } from './lease-object.js'

const valueAnnotation = 'aaas.dev/value'
const nodeAnnotation = 'aaas.dev/node'
const nameAnnotation = 'aaas.dev/name'
const maxTries = 4

/**
 * Leases as objects of a Kubernetes cluster, the way its own components elect their leaders: written with optimistic
 * concurrency, and taken over by whoever saw the same `resourceVersion` for a whole lifetime by its own clock. The token
 * is `leaseTransitions`; so the objects stay when they are released.
 */
export class KubernetesLeases implements LeaseDriver {
  readonly #api: LeaseApi
  readonly #clock: Clock
  readonly #node: string
  readonly #prefix: string
  readonly #pollMs: number
  readonly #sightings: Sightings
  readonly #polls = new Map<string, { readonly listeners: Set<() => void>; cancel: () => void; look: string }>()

  constructor(options: {
    readonly api: LeaseApi
    readonly clock: Clock
    readonly node: string
    readonly prefix: string
    readonly pollMs: number
  }) {
    this.#api = options.api
    this.#clock = options.clock
    this.#node = options.node
    this.#prefix = options.prefix
    this.#pollMs = options.pollMs
    this.#sightings = new Sightings(options.clock)
  }

  async acquire(attempt: Attempt): Promise<{ readonly token: number } | undefined> {
    const { name, owner } = attempt
    const found = await this.#api.read(this.#objectName(name))
    if (found === undefined) {
      const created = await this.#api.create(this.#object(attempt, 1, undefined))
      return created === undefined ? undefined : { token: 1 }
    }
    const { holderIdentity, leaseTransitions } = found.spec
    const token = leaseTransitions ?? 0
    if (holderIdentity === owner) return (await this.#renewed(found, attempt.ttlMs)) ? { token } : undefined
    if (holderIdentity && !this.#isOver(name, found)) return undefined
    const taken = await this.#api.replace(this.#object(attempt, token + 1, found))
    return taken === undefined ? undefined : { token: token + 1 }
  }

  async renew({ name, owner, token }: Owned, ttlMs: number): Promise<boolean> {
    for (let tries = 0; tries < maxTries; tries++) {
      const found = await this.#api.read(this.#objectName(name))
      if (found?.spec.holderIdentity !== owner || found.spec.leaseTransitions !== token) return false
      if (await this.#renewed(found, ttlMs)) return true
    }
    return false
  }

  async release(name: string, owner: string): Promise<void> {
    for (let tries = 0; tries < maxTries; tries++) {
      const found = await this.#api.read(this.#objectName(name))
      if (found?.spec.holderIdentity !== owner) return
      const spec = {
        ...found.spec,
        holderIdentity: '',
        leaseDurationSeconds: 1,
        renewTime: microTime(this.#clock.now()),
      }
      if ((await this.#api.replace({ ...found, spec })) !== undefined) return
    }
  }

  async holder(name: string): Promise<Holder | undefined> {
    const found = await this.#api.read(this.#objectName(name))
    if (found === undefined || !found.spec.holderIdentity || this.#isOver(name, found)) return undefined
    const { annotations = {} } = found.metadata
    return {
      node: annotations[nodeAnnotation] ?? found.spec.holderIdentity,
      token: found.spec.leaseTransitions ?? 0,
      value: annotations[valueAnnotation] ?? '',
    }
  }

  /** Asks every `pollMs` as long as somebody wants to know. */
  onChange(name: string, changed: () => void): () => void {
    let poll = this.#polls.get(name)
    if (poll === undefined) {
      poll = { listeners: new Set(), cancel: () => undefined, look: '' }
      this.#polls.set(name, poll)
      this.#poll(name)
    }
    const { listeners } = poll
    listeners.add(changed)
    return () => {
      listeners.delete(changed)
      if (listeners.size > 0) return
      this.#polls.get(name)?.cancel()
      this.#polls.delete(name)
    }
  }

  #poll(name: string): void {
    const poll = this.#polls.get(name)
    if (poll === undefined) return
    poll.cancel = this.#clock.after(this.#pollMs, () => {
      void this.#look(name)
        .then(look => {
          if (look === poll.look) return
          poll.look = look
          for (const listener of poll.listeners) listener()
        })
        // Nobody answers now: asked again.
        .catch(() => undefined)
        .then(() => {
          if (this.#polls.get(name) === poll) this.#poll(name)
        })
    })
  }

  /** Who holds it, by token; renewals look the same. */
  async #look(name: string): Promise<string> {
    return String((await this.holder(name))?.token ?? 'nobody')
  }

  #isOver(name: string, { metadata, spec }: LeaseObject): boolean {
    const ttlMs = (spec.leaseDurationSeconds ?? 0) * 1_000
    return this.#sightings.lastsFor(name, metadata.resourceVersion ?? '') >= ttlMs
  }

  async #renewed(found: LeaseObject, ttlMs: number): Promise<boolean> {
    const lasts = { leaseDurationSeconds: seconds(ttlMs), renewTime: microTime(this.#clock.now()) }
    return (await this.#api.replace({ ...found, spec: { ...found.spec, ...lasts } })) !== undefined
  }

  #object({ name, owner, value, ttlMs }: Attempt, transitions: number, before: LeaseObject | undefined): LeaseObject {
    const now = microTime(this.#clock.now())
    const own = { [nameAnnotation]: name, [nodeAnnotation]: this.#node, [valueAnnotation]: value }
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        ...(before?.metadata ?? { name: this.#objectName(name), namespace: this.#api.namespace }),
        annotations: { ...before?.metadata.annotations, ...own },
      },
      spec: {
        holderIdentity: owner,
        leaseDurationSeconds: seconds(ttlMs),
        acquireTime: now,
        renewTime: now,
        leaseTransitions: transitions,
      },
    }
  }

  /** Names of objects are lower-case: others are replaced by their hash, and stand in an annotation. */
  #objectName(name: string): string {
    const plain = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(name)
    if (plain && !name.startsWith('sha256-')) return `${this.#prefix}${name}`
    return `${this.#prefix}sha256-${createHash('sha256').update(name).digest('hex')}`
  }
}

function seconds(ttlMs: number): number {
  return Math.ceil(ttlMs / 1_000)
}
