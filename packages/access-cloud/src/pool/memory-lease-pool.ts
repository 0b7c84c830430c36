import { type Clock, CloudError } from '@aaas/core-cloud/kernel'
import { FairLine, type Waiter } from './fair-line.js'
import type { Lease, LeasePool, LeaseRequest } from './pool.js'

export interface MemoryLeasePoolOptions {
  /** Names of the access points, unique; at least one. */
  readonly resources: readonly string[]
  readonly clock: Clock
  /** Requests that may wait per tenant, default 1_000. */
  readonly maxWaiting?: number
  /** Tenants that may wait at a time, default 1_000. */
  readonly maxTenants?: number
  /**
   * Milliseconds before its end at which a lease's signal aborts, default 1_000 and never more than a quarter of the
   * lease: the time a holder has to let go of what it is doing.
   */
  readonly marginMs?: number
}

interface Waiting extends Waiter {
  readonly ttlMs: number
  readonly settle: (result: Lease | { readonly error: unknown }) => void
}

/** Leases inside one process. Tokens grow over restarts as long as the machine's clock is not set back. */
export function memoryLeasePool(options: MemoryLeasePoolOptions): LeasePool {
  return new MemoryLeasePool(options)
}

class MemoryLeasePool implements LeasePool {
  readonly #clock: Clock
  readonly #marginMs: number
  readonly #line: FairLine<Waiting>
  /** Idle access points, the longest idle first. */
  readonly #free: string[]
  readonly #held = new Map<string, HeldLease>()
  readonly #tokens = new Map<string, number>()
  #cancelTimer: (() => void) | undefined
  #stopped = false

  constructor(options: MemoryLeasePoolOptions) {
    if (options.resources.length === 0 || new Set(options.resources).size !== options.resources.length) {
      throw new RangeError('resources must be unique names, at least one')
    }
    this.#clock = options.clock
    this.#marginMs = options.marginMs ?? 1_000
    this.#free = [...options.resources]
    this.#line = new FairLine({
      weights: {},
      maxPerTenant: options.maxWaiting ?? 1_000,
      maxTenants: options.maxTenants ?? 1_000,
    })
  }

  stats(): { free: number; leased: number; waiting: number } {
    return { free: this.#free.length, leased: this.#held.size, waiting: this.#line.size }
  }

  async lease(request: LeaseRequest): Promise<Lease> {
    const { tenant, ttlMs, signal } = request
    if (this.#stopped) throw stopped()
    if (!(ttlMs >= 4 && ttlMs <= 86_400_000)) {
      throw new CloudError('core.contract.invalid-input', 'ttlMs must be 4 to 86400000', { field: 'ttlMs' })
    }
    if (signal?.aborted) throw signal.reason
    const now = this.#clock.monotonic()
    const deadline = now + (request.deadline - this.#clock.now())
    if (deadline < now) throw refusal(tenant)
    const result = await new Promise<Lease | { readonly error: unknown }>(resolve => {
      const onAbort = (): void => this.#leave(waiting, signal?.reason)
      const waiting: Waiting = {
        tenant,
        cost: 1,
        deadline,
        ttlMs,
        settle: outcome => {
          signal?.removeEventListener('abort', onAbort)
          resolve(outcome)
        },
      }
      if (!this.#line.add(waiting)) {
        resolve({ error: new CloudError('access.pool.full', `the waiting line of ${tenant} is full`) })
        return
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#pump()
    })
    if ('error' in result) throw result.error
    return result
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true
    for (const waiting of [...this.#line.all()]) this.#leave(waiting, stopped())
    for (const lease of this.#held.values()) lease.end(stopped())
    this.#held.clear()
    this.#cancelTimer?.()
  }

  #leave(waiting: Waiting, error: unknown): void {
    this.#line.remove(waiting)
    waiting.settle({ error: error ?? new Error('aborted') })
  }

  #pump(): void {
    const now = this.#clock.monotonic()
    for (const [resource, lease] of this.#held) {
      if (lease.abortAt <= now) lease.end(new CloudError('access.pool.timeout', `the lease of ${resource} ends`))
      // The holder may have given it back while it was told to stop.
      if (lease.endAt <= now && this.#held.get(resource) === lease) this.#release(resource)
    }
    for (let late = this.#late(now); late.length > 0; late = this.#late(now)) {
      for (const waiting of late) this.#leave(waiting, refusal(waiting.tenant))
    }
    while (this.#free.length > 0 && this.#line.size > 0) {
      const waiting = this.#line.take()
      const resource = this.#free.shift()
      if (waiting !== undefined && resource !== undefined) waiting.settle(this.#grant(resource, waiting.ttlMs))
    }
    this.#arm(now)
  }

  #late(now: number): Waiting[] {
    // At the very deadline a free access point still goes to the one who waits.
    return [...this.#line.heads()].filter(
      head => head.deadline < now || (head.deadline === now && this.#free.length === 0),
    )
  }

  #grant(resource: string, ttlMs: number): HeldLease {
    const fencingToken = Math.max((this.#tokens.get(resource) ?? 0) + 1, this.#clock.now())
    this.#tokens.set(resource, fencingToken)
    const lease = new HeldLease({
      resource,
      fencingToken,
      ttlMs,
      marginMs: Math.max(1, Math.min(this.#marginMs, Math.floor(ttlMs / 4))),
      clock: this.#clock,
      changed: () => this.#pump(),
      release: () => {
        if (this.#held.get(resource) !== lease) return
        this.#release(resource)
        this.#pump()
      },
    })
    this.#held.set(resource, lease)
    return lease
  }

  #release(resource: string): void {
    this.#held.delete(resource)
    this.#free.push(resource)
  }

  #arm(now: number): void {
    let at = Number.POSITIVE_INFINITY
    for (const lease of this.#held.values()) at = Math.min(at, lease.ended ? lease.endAt : lease.abortAt)
    for (const head of this.#line.heads()) at = Math.min(at, head.deadline)
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    if (at === Number.POSITIVE_INFINITY) return
    this.#cancelTimer = this.#clock.after(Math.min(2 ** 31 - 1, Math.max(0, Math.ceil(at - now))), () => this.#pump())
  }
}

interface HeldLeaseOptions {
  readonly resource: string
  readonly fencingToken: number
  readonly ttlMs: number
  readonly marginMs: number
  readonly clock: Clock
  readonly changed: () => void
  readonly release: () => void
}

class HeldLease implements Lease {
  readonly #options: HeldLeaseOptions
  readonly #abort = new AbortController()
  readonly resource: string
  readonly fencingToken: number
  expiresAt: number
  /** Monotonic times. */
  endAt: number
  abortAt: number
  ended = false

  constructor(options: HeldLeaseOptions) {
    this.#options = options
    this.resource = options.resource
    this.fencingToken = options.fencingToken
    this.expiresAt = options.clock.now() + options.ttlMs
    this.endAt = options.clock.monotonic() + options.ttlMs
    this.abortAt = this.endAt - options.marginMs
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  async renew(): Promise<void> {
    const { clock, ttlMs, marginMs, resource, changed } = this.#options
    // The timer may be late: what counts is the time, not whether it has fired.
    if (this.ended || clock.monotonic() >= this.abortAt) {
      throw new CloudError('access.pool.timeout', `the lease of ${resource} has ended`, { retryable: false })
    }
    this.expiresAt = clock.now() + ttlMs
    this.endAt = clock.monotonic() + ttlMs
    this.abortAt = this.endAt - marginMs
    changed()
  }

  end(reason: unknown): void {
    if (this.ended) return
    this.ended = true
    this.#abort.abort(reason)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ended = true
    this.#options.release()
  }
}

function refusal(tenant: string): CloudError {
  return new CloudError('access.pool.timeout', `no access point for ${tenant} before its deadline`)
}

function stopped(): CloudError {
  return new CloudError('core.kernel.stopped', 'the pool is stopped')
}
