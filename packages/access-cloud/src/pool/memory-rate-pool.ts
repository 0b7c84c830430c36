import { type Clock, CloudError } from '@aaas/core-cloud/kernel'
import { FairLine, type Waiter } from './fair-line.js'
import type { RatePool, RateRequest } from './pool.js'
import { SlotRing } from './slot-ring.js'

export interface MemoryRatePoolOptions {
  /** Units in any window, 1 to 1_000_000 (eight bytes of memory each). */
  readonly limit: number
  /** Length of the window in milliseconds, 1 to 86_400_000. */
  readonly intervalMs: number
  readonly clock: Clock
  /** Shares of tenants, above 0; default 1 each. */
  readonly weights?: Readonly<Record<string, number>>
  /** Requests that may wait per tenant, default 1_000. */
  readonly maxWaiting?: number
  /** Tenants that may wait at a time, default 1_000. */
  readonly maxTenants?: number
}

interface Waiting extends Waiter {
  readonly settle: (error?: unknown) => void
}

/**
 * A rate pool inside one process: exact, with one timer however many wait. When every call of a provider's account
 * passes through one process this is the whole quota; several processes need the quota divided between them.
 */
export function memoryRatePool(options: MemoryRatePoolOptions): RatePool {
  return new MemoryRatePool(options)
}

class MemoryRatePool implements RatePool {
  readonly #clock: Clock
  readonly #limit: number
  readonly #ring: SlotRing
  readonly #line: FairLine<Waiting>
  #timer: { readonly at: number; readonly cancel: () => void } | undefined
  #granted = 0
  #refused = 0
  #stopped = false

  constructor(options: MemoryRatePoolOptions) {
    const { limit, intervalMs } = options
    if (!(Number.isInteger(limit) && limit >= 1 && limit <= 1_000_000))
      throw new RangeError('limit must be 1 to 1000000')
    if (!(intervalMs >= 1 && intervalMs <= 86_400_000)) throw new RangeError('intervalMs must be 1 to 86400000')
    this.#clock = options.clock
    this.#limit = limit
    this.#ring = new SlotRing(limit, intervalMs)
    this.#line = new FairLine({
      weights: options.weights ?? {},
      maxPerTenant: options.maxWaiting ?? 1_000,
      maxTenants: options.maxTenants ?? 1_000,
    })
  }

  stats(): { waiting: number; granted: number; refused: number } {
    return { waiting: this.#line.size, granted: this.#granted, refused: this.#refused }
  }

  async acquire(request: RateRequest): Promise<void> {
    const cost = request.cost ?? 1
    if (this.#stopped) throw stopped()
    if (!(Number.isInteger(cost) && cost >= 1 && cost <= this.#limit)) {
      throw new CloudError('core.contract.invalid-input', `cost must be an integer from 1 to ${this.#limit}`, {
        field: 'cost',
      })
    }
    if (request.signal?.aborted) throw request.signal.reason
    const now = this.#clock.monotonic()
    // Deadlines are wall time; waiting is measured on the monotonic clock, so that setting the clock frees nobody.
    const deadline = now + (request.deadline - this.#clock.now())
    const ahead = this.#line.unitsAhead({ tenant: request.tenant, cost, deadline })
    const readyAt = this.#ring.readyAt(ahead + cost, now)
    if (deadline < now || readyAt > deadline) throw this.#refusal(request.tenant, readyAt - now)
    if (this.#line.size === 0 && readyAt <= now) {
      this.#ring.take(cost, now)
      this.#granted += cost
      return
    }
    await this.#wait(request, { cost, deadline })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true
    for (const waiting of [...this.#line.all()]) this.#leave(waiting, stopped())
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #wait(request: RateRequest, { cost, deadline }: { cost: number; deadline: number }): Promise<void> {
    return new Promise((resolve, reject) => {
      const { signal, tenant } = request
      const onAbort = (): void => {
        this.#leave(waiting, signal?.reason)
        this.#pump()
      }
      const waiting: Waiting = {
        tenant,
        cost,
        deadline,
        settle: error => {
          signal?.removeEventListener('abort', onAbort)
          if (error === undefined) resolve()
          else reject(error)
        },
      }
      if (!this.#line.add(waiting)) {
        this.#refused += 1
        reject(new CloudError('access.pool.full', `the waiting line of ${tenant} is full`))
        return
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#arm()
    })
  }

  /** Grants what can be granted, refuses what no longer can be, and sets the timer for the next change. */
  #pump(): void {
    const now = this.#clock.monotonic()
    for (let next = this.#line.peek(); next !== undefined; next = this.#line.peek()) {
      if (next.deadline < now) this.#leave(next, this.#refusal(next.tenant, 0))
      else if (this.#ring.readyAt(next.cost, now) <= now) {
        this.#line.take()
        this.#ring.take(next.cost, now)
        this.#granted += next.cost
        next.settle()
      } else break
    }
    for (let late = this.#hopeless(now); late.length > 0; late = this.#hopeless(now)) {
      for (const waiting of late) {
        this.#leave(waiting, this.#refusal(waiting.tenant, this.#ring.readyAt(waiting.cost, now) - now))
      }
    }
    this.#arm()
  }

  #hopeless(now: number): Waiting[] {
    const late: Waiting[] = []
    for (const head of this.#line.heads()) {
      if (head.deadline <= now || this.#ring.readyAt(head.cost, now) > head.deadline) late.push(head)
    }
    return late
  }

  #leave(waiting: Waiting, error: unknown): void {
    this.#line.remove(waiting)
    waiting.settle(error ?? new Error('aborted'))
  }

  #arm(): void {
    const turn = this.#line.peek()
    const now = this.#clock.monotonic()
    let at = turn === undefined ? Number.POSITIVE_INFINITY : this.#ring.readyAt(turn.cost, now)
    for (const head of this.#line.heads()) at = Math.min(at, head.deadline)
    if (this.#timer?.at === at) return
    this.#timer?.cancel()
    this.#timer = undefined
    if (at === Number.POSITIVE_INFINITY) return
    // Rounded up: a timer that fires a fraction of a millisecond early would only have to be set again.
    const ms = Math.min(2 ** 31 - 1, Math.max(0, Math.ceil(at - now)))
    const cancel = this.#clock.after(ms, () => {
      this.#timer = undefined
      this.#pump()
    })
    this.#timer = { at, cancel }
  }

  #refusal(tenant: string, waitMs: number): CloudError {
    this.#refused += 1
    const retryAfterMs = Math.max(0, Math.ceil(waitMs))
    return new CloudError('access.pool.timeout', `no capacity for ${tenant} before its deadline`, {
      details: { retryAfterMs },
    })
  }
}

function stopped(): CloudError {
  return new CloudError('core.kernel.stopped', 'the pool is stopped')
}
