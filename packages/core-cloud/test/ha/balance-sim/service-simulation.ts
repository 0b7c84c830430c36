import { Simulation } from '@aaas/testing'
import { Balancer, type BalancerOptions } from '../../../src/ha/balance/balancer.js'

/** One endpoint: so many calls at a time, the others wait; latencies around `ms`. */
export interface ServerPlan {
  readonly id: string
  readonly ms: number
  readonly workers: number
  readonly zone?: string
  /** From then on every call fails after `ms`; `dead`: without an answer until the caller's patience ends. */
  readonly failsFrom?: number
  readonly failsUntil?: number
  readonly dead?: boolean
  /** Share of the calls that take thirty times as long, as a collection of garbage would make them. */
  readonly hiccups?: number
}

export interface ServicePlan {
  readonly seed: number
  readonly servers: readonly ServerPlan[]
  /** Calls a second, at random times (Poisson). */
  readonly perSecond: number
  readonly seconds: number
  readonly policy: 'balancer' | 'round-robin'
  readonly balancer?: Partial<BalancerOptions>
  /** Attempts of one call at most, default 3. */
  readonly attempts?: number
  /** Milliseconds one attempt may take, default 1_000. */
  readonly patienceMs?: number
  /** Another attempt beside a slow one. */
  readonly hedge?: boolean
}

export interface ServiceRun {
  readonly calls: number
  readonly failed: number
  readonly attempts: number
  readonly p50: number
  readonly p99: number
  /** Calls served, by endpoint. */
  readonly served: Readonly<Record<string, number>>
  /** Most endpoints ejected at a time. */
  readonly mostEjected: number
}

/** A service of several endpoints, its callers, and a policy in between, in virtual time. */
export function simulateService(plan: ServicePlan): ServiceRun {
  const simulation = new Simulation(plan.seed)
  const random = simulation.random('calls')
  const balancer = new Balancer(0, { random: simulation.random('balancer'), ...plan.balancer })
  balancer.update(
    plan.servers.map(({ id, zone }) => ({ id, ...(zone === undefined ? {} : { zone }) })),
    0,
  )
  const servers = new Map(plan.servers.map(server => [server.id, new Server(simulation, server)]))
  const latencies: number[] = []
  const counts = { calls: 0, failed: 0, attempts: 0, mostEjected: 0 }
  let turn = 0
  const { attempts: mostAttempts = 3, patienceMs = 1_000 } = plan

  const pick = (avoid: readonly string[]): { id: string; end(ok: boolean): void } | undefined => {
    if (plan.policy === 'round-robin') {
      const { id } = plan.servers[turn++ % plan.servers.length] as ServerPlan
      return { id, end: () => undefined }
    }
    const attempt = balancer.pick(simulation.now, { avoid })
    if (attempt === undefined) return undefined
    return { id: attempt.endpoint.id, end: ok => attempt.end(ok ? 'success' : 'failure', simulation.now) }
  }

  const call = (): void => {
    const startedAt = simulation.now
    counts.calls += 1
    balancer.begin(startedAt)
    let open = true
    let running = 0
    const tried: string[] = []
    const attempt = (): void => {
      const target = pick(tried)
      if (target === undefined) {
        if (running === 0 && open) finish(false)
        return
      }
      counts.attempts += 1
      running += 1
      tried.push(target.id)
      let waiting = true
      const answer = (ok: boolean): void => {
        if (!waiting) return
        waiting = false
        running -= 1
        target.end(ok)
        counts.mostEjected = Math.max(
          counts.mostEjected,
          balancer.view(simulation.now).filter(({ ejected }) => ejected).length,
        )
        if (!open) return
        if (ok) finish(true)
        else if (running === 0) {
          if (tried.length < mostAttempts && balancer.mayRetry(simulation.now)) attempt()
          else finish(false)
        }
      }
      simulation.after(patienceMs, () => answer(false))
      ;(servers.get(target.id) as Server).serve(answer)
      if (plan.hedge === true && tried.length === 1 && balancer.hedgeAfterMs !== undefined) {
        simulation.after(balancer.hedgeAfterMs, () => {
          if (open && waiting && balancer.mayRetry(simulation.now)) attempt()
        })
      }
    }
    const finish = (ok: boolean): void => {
      open = false
      if (ok) latencies.push(simulation.now - startedAt)
      else counts.failed += 1
    }
    attempt()
  }
  const arrive = (): void => {
    simulation.after((-Math.log(1 - random()) * 1_000) / plan.perSecond, () => {
      if (simulation.now >= plan.seconds * 1_000) return
      call()
      arrive()
    })
  }
  arrive()
  simulation.run(plan.seconds * 1_000 + 10_000)
  latencies.sort((a, b) => a - b)
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? Number.NaN
  const served = Object.fromEntries([...servers].map(([id, server]) => [id, server.served]))
  return { ...counts, p50: at(0.5), p99: at(0.99), served }
}

class Server {
  served = 0
  #busy = 0
  readonly #waiting: ((ok: boolean) => void)[] = []
  readonly #random: () => number

  constructor(
    readonly simulation: Simulation,
    readonly plan: ServerPlan,
  ) {
    this.#random = simulation.random(plan.id)
  }

  serve(answer: (ok: boolean) => void): void {
    if (this.#failing && this.plan.dead === true) return
    if (this.#busy >= this.plan.workers) this.#waiting.push(answer)
    else this.#work(answer)
  }

  get #failing(): boolean {
    const { failsFrom = Number.POSITIVE_INFINITY, failsUntil = Number.POSITIVE_INFINITY } = this.plan
    const { now } = this.simulation
    return now >= failsFrom && now < failsUntil
  }

  #work(answer: (ok: boolean) => void): void {
    this.#busy += 1
    const slow = this.#random() < (this.plan.hiccups ?? 0) ? 30 : 1
    this.simulation.after(this.plan.ms * slow * (0.5 + this.#random()), () => {
      this.#busy -= 1
      const ok = !this.#failing
      if (ok) this.served += 1
      answer(ok)
      const next = this.#waiting.shift()
      if (next !== undefined) this.#work(next)
    })
  }
}
