/** Someone who waits. `deadline` is on the monotonic clock of the pool. */
export interface Waiter {
  readonly tenant: string
  /** Units wanted, at least 1. */
  readonly cost: number
  readonly deadline: number
}

interface Node<W> {
  readonly waiter: W
  previous: Node<W> | undefined
  next: Node<W> | undefined
}

interface Lane<W> {
  readonly weight: number
  /** Virtual time at which the lane's next waiter starts; grows by cost / weight with every grant. */
  pass: number
  first: Node<W> | undefined
  last: Node<W> | undefined
  count: number
  units: number
}

/**
 * A waiting line that is fair by weight among tenants: start-time fair queueing, so that any two tenants that wait
 * get units in the proportion of their weights, within one request each. Inside a tenant the earliest deadline goes
 * first, equal deadlines in order of arrival. Pure: no clock, no timers. Every operation but `add` of an unusually
 * early deadline costs at most the number of waiting tenants.
 */
export class FairLine<W extends Waiter> {
  readonly #lanes = new Map<string, Lane<W>>()
  readonly #nodes = new Map<W, Node<W>>()
  readonly #weights: Readonly<Record<string, number>>
  readonly #maxPerTenant: number
  readonly #maxTenants: number
  #waitingTenants = 0
  /** Start tag of the latest grant. A tenant that joins starts here: idle time earns no credit. */
  #virtualTime = 0

  constructor(options: {
    readonly weights: Readonly<Record<string, number>>
    readonly maxPerTenant: number
    readonly maxTenants: number
  }) {
    for (const [tenant, weight] of Object.entries(options.weights)) {
      if (!(weight > 0 && Number.isFinite(weight))) throw new RangeError(`weight of ${tenant} must be above 0`)
    }
    this.#weights = options.weights
    this.#maxPerTenant = options.maxPerTenant
    this.#maxTenants = options.maxTenants
  }

  get size(): number {
    return this.#nodes.size
  }

  /** @returns false when the tenant's line, or the number of waiting tenants, is at its limit. */
  add(waiter: W): boolean {
    const lane = this.#lane(waiter.tenant)
    if (lane.count >= this.#maxPerTenant) return false
    if (lane.count === 0) {
      if (this.#waitingTenants >= this.#maxTenants) return false
      this.#waitingTenants += 1
      lane.pass = Math.max(lane.pass, this.#virtualTime)
    }
    let after = lane.last
    while (after !== undefined && after.waiter.deadline > waiter.deadline) after = after.previous
    const node: Node<W> = { waiter, previous: after, next: after === undefined ? lane.first : after.next }
    if (node.previous === undefined) lane.first = node
    else node.previous.next = node
    if (node.next === undefined) lane.last = node
    else node.next.previous = node
    lane.count += 1
    lane.units += waiter.cost
    this.#nodes.set(waiter, node)
    return true
  }

  /** Takes somebody out who gave up; costs the tenant nothing. Unknown waiters are ignored. */
  remove(waiter: W): void {
    const node = this.#nodes.get(waiter)
    const lane = this.#lanes.get(waiter.tenant)
    if (node === undefined || lane === undefined) return
    this.#nodes.delete(waiter)
    if (node.previous === undefined) lane.first = node.next
    else node.previous.next = node.next
    if (node.next === undefined) lane.last = node.previous
    else node.next.previous = node.previous
    lane.count -= 1
    lane.units -= waiter.cost
    if (lane.count === 0) {
      this.#waitingTenants -= 1
      this.#forget()
    }
  }

  /** Whose turn it is. */
  peek(): W | undefined {
    return this.#turn()?.first?.waiter
  }

  /** Takes out the one whose turn it is and charges the tenant. */
  take(): W | undefined {
    const lane = this.#turn()
    const waiter = lane?.first?.waiter
    if (lane === undefined || waiter === undefined) return undefined
    this.#virtualTime = Math.max(this.#virtualTime, lane.pass)
    lane.pass += waiter.cost / lane.weight
    this.remove(waiter)
    return waiter
  }

  /** The first of every tenant that waits: the one with the earliest deadline of that tenant. */
  *heads(): Generator<W> {
    for (const lane of this.#lanes.values()) if (lane.first !== undefined) yield lane.first.waiter
  }

  *all(): Generator<W> {
    yield* this.#nodes.keys()
  }

  /** Units that will be granted before this waiter if it joined now and nobody else came or left. Never too many. */
  unitsAhead(waiter: Waiter): number {
    const own = this.#lanes.get(waiter.tenant)
    const weight = own?.weight ?? this.#weight(waiter.tenant)
    let ahead = own?.units ?? 0
    for (let node = own?.last; node !== undefined && node.waiter.deadline > waiter.deadline; node = node.previous) {
      ahead -= node.waiter.cost
    }
    const start = Math.max(own?.pass ?? 0, own === undefined || own.count === 0 ? this.#virtualTime : 0)
    const tag = start + ahead / weight
    for (const lane of this.#lanes.values()) {
      if (lane === own || lane.count === 0) continue
      ahead += Math.max(0, Math.min(lane.units, Math.ceil((tag - lane.pass) * lane.weight - 1e-9)))
    }
    return ahead
  }

  #turn(): Lane<W> | undefined {
    let best: Lane<W> | undefined
    for (const lane of this.#lanes.values()) {
      if (lane.count > 0 && (best === undefined || lane.pass < best.pass)) best = lane
    }
    return best
  }

  #lane(tenant: string): Lane<W> {
    let lane = this.#lanes.get(tenant)
    if (lane === undefined) {
      lane = { weight: this.#weight(tenant), pass: 0, first: undefined, last: undefined, count: 0, units: 0 }
      this.#lanes.set(tenant, lane)
    }
    return lane
  }

  #weight(tenant: string): number {
    return Object.hasOwn(this.#weights, tenant) ? (this.#weights[tenant] ?? 1) : 1
  }

  /**
   * Drops tenants of which nothing needs to be remembered. One that is ahead of virtual time stays: a caller with
   * one request at a time would otherwise be first again after every grant.
   */
  #forget(): void {
    if (this.#nodes.size === 0) {
      this.#lanes.clear()
      this.#virtualTime = 0
      return
    }
    if (this.#lanes.size <= 2 * this.#waitingTenants + 64) return
    for (const [tenant, lane] of this.#lanes) {
      if (lane.count === 0 && lane.pass <= this.#virtualTime) this.#lanes.delete(tenant)
    }
  }
}
