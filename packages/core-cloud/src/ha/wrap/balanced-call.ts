import type { CallOptions } from '@aaas/core-cloud/kernel'
import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Attempt, Balancer } from '../balance/balancer.js'
import type { AnyCall } from './endpoints.js'
import { mayRepeat, nobodyServes, type Verdict, verdictOf } from './verdict.js'

/** What one call needs of its service. */
export interface CallMeans {
  readonly clock: Clock
  readonly balancer: Balancer
  /** The call of the method at an endpoint. */
  readonly callAt: (id: string) => AnyCall | undefined
  /** Waits for an endpoint that can take an attempt. */
  readonly place: (avoid: readonly string[]) => Promise<Attempt>
  /** Nobody was there. */
  readonly missing: (id: string) => void
  /** An attempt ended: somebody who waits may have its place. */
  readonly freed: () => void
}

export interface CallPlan {
  readonly label: string
  readonly input: unknown
  readonly options: CallOptions & { readonly deadline: number }
  readonly idempotent: boolean
  readonly key: string | undefined
  readonly maxAttempts: number
  /** Milliseconds after which another attempt is made beside a slow one; undefined: never. */
  readonly hedgeMs: number | undefined
}

/** Milliseconds between two tries to hedge a call, at most. */
const longestHedgeMs = 1_000

interface Settle {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

interface Running {
  readonly attempt: Attempt
  readonly controller: AbortController
  readonly number: number
}

/**
 * One call as the attempts that it takes. An attempt follows one that failed when that did nothing, or when the call may
 * be repeated; beside a slow one only when it may. All of them draw on the service's budget.
 */
export class BalancedCall {
  readonly #means: CallMeans
  readonly #plan: CallPlan
  readonly #running = new Set<Running>()
  readonly #tried: string[] = []
  #settle: Settle | undefined
  /** Attempts that wait for a place. */
  #repeating = 0
  #cancelHedge: () => void = () => undefined

  constructor(means: CallMeans, plan: CallPlan) {
    this.#means = means
    this.#plan = plan
  }

  /** @param first - the first attempt, as it was picked. */
  run(first: Attempt): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
      this.#start(first)
    })
  }

  #start(attempt: Attempt): void {
    const { label, input, options } = this.#plan
    const { id } = attempt.endpoint
    const controller = new AbortController()
    const running: Running = { attempt, controller, number: this.#tried.push(id) }
    this.#running.add(running)
    this.#hedgeLater()
    const signal =
      options.signal === undefined ? controller.signal : AbortSignal.any([options.signal, controller.signal])
    const call = this.#means.callAt(id)
    const outcome =
      call === undefined ? Promise.reject(nobodyServes(label)) : promised(call, input, { ...options, signal })
    outcome.then(
      value => this.#succeeded(running, value),
      (error: unknown) => this.#failed(running, error),
    )
  }

  #succeeded(running: Running, value: unknown): void {
    this.#end(running, 'success')
    this.#finish(running.number)?.resolve(value)
  }

  #failed(running: Running, error: unknown): void {
    const verdict = verdictOf(error)
    this.#end(running, outcomeOf(verdict))
    if (this.#settle === undefined) return
    if (verdict === 'nothing-done') this.#means.missing(running.attempt.endpoint.id)
    if (!mayRepeat(verdict, this.#plan.idempotent)) {
      // Another attempt may still have an answer, when this one has none.
      if (verdict === 'unknown' && this.#running.size > 0) return
      this.#finish(running.number)?.reject(error)
      return
    }
    if (this.#hasTime() && this.#means.balancer.mayRetry(this.#means.clock.monotonic()))
      void this.#repeat(running.number, error)
    else if (this.#running.size === 0 && this.#repeating === 0) this.#finish(running.number)?.reject(error)
  }

  /** One more attempt, as soon as somebody can take it. */
  async #repeat(number: number, error: unknown): Promise<void> {
    this.#repeating += 1
    try {
      const next = await this.#means.place(this.#tried)
      if (this.#settle === undefined) this.#drop(next)
      else this.#start(next)
    } catch {
      // Nobody could: what went wrong first says more.
      if (this.#running.size === 0 && this.#repeating === 1) this.#finish(number)?.reject(error)
    } finally {
      this.#repeating -= 1
    }
  }

  /** Whether one more attempt makes sense. */
  #hasTime(): boolean {
    const { maxAttempts, options } = this.#plan
    const over = options.signal?.aborted === true || this.#means.clock.now() >= options.deadline
    return !over && this.#tried.length + this.#repeating < maxAttempts
  }

  #drop(attempt: Attempt): void {
    attempt.end('cancelled', this.#means.clock.monotonic())
    this.#means.freed()
  }

  /** @param waits - how often there was nobody to hedge with, or no budget: each time twice as long. */
  #hedgeLater(waits = 0): void {
    this.#cancelHedge()
    const { hedgeMs, idempotent } = this.#plan
    if (hedgeMs === undefined || !idempotent || !this.#hasTime()) return
    this.#cancelHedge = this.#means.clock.after(Math.min(hedgeMs * 2 ** waits, longestHedgeMs), () => {
      if (this.#settle === undefined || this.#running.size === 0 || !this.#hasTime()) return
      const next = this.#beside()
      if (next === undefined) this.#hedgeLater(waits + 1)
      else this.#start(next)
    })
  }

  /** Somebody else who can take it now: nobody waits for a place with a hedge, it would come too late to help. */
  #beside(): Attempt | undefined {
    const { balancer, clock } = this.#means
    const { key } = this.#plan
    const now = clock.monotonic()
    const next = balancer.pick(now, { avoid: this.#tried, ...(key === undefined ? {} : { key }) })
    if (next === undefined) return undefined
    if (!this.#tried.includes(next.endpoint.id) && balancer.mayHedge(now)) return next
    this.#drop(next)
    return undefined
  }

  #end(running: Running, outcome: Parameters<Attempt['end']>[0]): void {
    this.#running.delete(running)
    running.attempt.end(outcome, this.#means.clock.monotonic())
    this.#means.freed()
  }

  /** The call is over: the attempts that still run are not needed. @returns whom to tell, once. */
  #finish(winner: number): Settle | undefined {
    const settle = this.#settle
    this.#settle = undefined
    this.#cancelHedge()
    for (const running of [...this.#running]) {
      this.#end(running, running.number < winner ? 'abandoned' : 'cancelled')
      running.controller.abort(new CloudError('core.contract.cancelled', 'another attempt has answered'))
    }
    return settle
  }
}

function outcomeOf(verdict: Verdict): Parameters<Attempt['end']>[0] {
  switch (verdict) {
    case 'answered':
      return 'success'
    case 'refused':
    case 'cancelled':
      return verdict
    default:
      return 'failure'
  }
}

/** A client's method may throw at once. */
async function promised(call: AnyCall, input: unknown, options: CallOptions): Promise<unknown> {
  return await call(input, options)
}
