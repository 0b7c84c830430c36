import type { Client, Contract, Method } from '@aaas/core-cloud/contract'
import type { CallOptions } from '@aaas/core-cloud/kernel'
import { type Clock, sleep } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import { type Attempt, Balancer, type BalancerOptions } from '../balance/balancer.js'
import { invalid } from '../coordination/checks.js'
import { BalancedCall } from './balanced-call.js'
import { balancedStream } from './balanced-stream.js'
import type { AnyCall, EndpointSource } from './endpoints.js'
import { nobodyServes } from './verdict.js'

export interface CallingOptions {
  /** Attempts of one call at most, retries and hedges together: 1 to 10, default 3. */
  readonly maxAttempts?: number
  /**
   * Milliseconds after which an idempotent call is tried beside at a second endpoint, as long as the target's own 95th
   * percentile is not known; default 200. `false`: never.
   */
  readonly hedgeMs?: number | false
  /** Calls that wait for a place at an endpoint, default 1_024; beyond: `core.ha.overloaded`. */
  readonly maxWaiting?: number
  /** Calls with the same key go to the same endpoint as long as it can take them. */
  readonly keyOf?: (method: string, input: unknown) => string | undefined
  /** How endpoints are chosen. */
  readonly balance?: Omit<BalancerOptions, 'random' | 'zone'>
}

export interface BalancedOptions extends CallingOptions {
  readonly contract: Contract
  readonly source: EndpointSource
  readonly clock: Clock
  readonly random: () => number
  readonly zone?: string
  /** Whether a repeat of the method changes nothing more; default what the contract says. */
  readonly isIdempotent?: (method: string) => boolean
}

/** What an attempt needs to find its place. */
interface Wanted {
  readonly label: string
  readonly key: string | undefined
  readonly deadline: number
  readonly signal: AbortSignal | undefined
  readonly avoid?: readonly string[]
}

/** Milliseconds until a hedge, at least: a shorter wait is as likely to be the caller's own, and would be no shorter elsewhere. */
const shortestHedgeMs = 10

/** Calls of one contract, each at the endpoint that should have it. */
export class BalancedCalls {
  readonly #options: BalancedOptions
  readonly #balancer: Balancer
  /** In order. */
  readonly #waiting = new Set<() => void>()
  #clients = new Map<string, Readonly<Record<string, AnyCall>>>()
  #version = -1

  /** @throws CloudError `core.ha.invalid-argument`. */
  constructor(options: BalancedOptions) {
    const { maxAttempts = 3, hedgeMs = 200, maxWaiting = 1_024, zone, random, clock } = options
    if (!(Number.isInteger(maxAttempts) && maxAttempts >= 1 && maxAttempts <= 10))
      throw invalid('maxAttempts', 'it is a whole number of 1 to 10')
    if (hedgeMs !== false && !(hedgeMs >= 1 && hedgeMs <= 60_000)) throw invalid('hedgeMs', 'it is 1 to 60000 or false')
    if (!(Number.isInteger(maxWaiting) && maxWaiting >= 0)) throw invalid('maxWaiting', 'it is a whole number from 0')
    this.#options = { ...options, maxAttempts, hedgeMs, maxWaiting }
    const how = { ...options.balance, random, ...(zone === undefined ? {} : { zone }) }
    this.#balancer = new Balancer(clock.monotonic(), how)
  }

  /** For status pages. */
  view(): ReturnType<Balancer['view']> {
    return this.#balancer.view(this.#options.clock.monotonic())
  }

  client<C extends Contract>(contract: C): Client<C> {
    const client: Record<string, AnyCall> = {}
    for (const [name, method] of Object.entries(contract.methods)) client[name] = this.#callOf(name, method)
    return client as Client<C>
  }

  #callOf(name: string, method: Method): AnyCall {
    const { contract, clock, keyOf } = this.#options
    const label = `${contract.name}.${name}`
    if (method.stream === undefined)
      return (input, call) => this.#unary(name, label, method, input, (call ?? {}) as CallOptions)
    return balancedStream(method.stream, async (input, call) => {
      const deadline = deadlineOf(clock, method, call)
      const attempt = await this.#place({ label, key: keyOf?.(name, input), deadline, signal: call.signal })
      const at = this.#clients.get(attempt.endpoint.id)?.[name]
      if (at === undefined) throw nobodyServes(contract.name)
      return {
        at,
        ended: outcome => {
          attempt.end(outcome, clock.monotonic())
          this.#free()
        },
      }
    })
  }

  async #unary(name: string, label: string, method: Method, input: unknown, call: CallOptions): Promise<unknown> {
    const { clock, source, isIdempotent, hedgeMs, maxAttempts, keyOf } = this.#options
    const { signal } = call
    const deadline = deadlineOf(clock, method, call)
    const key = keyOf?.(name, input)
    const first = await this.#place({ label, key, deadline, signal })
    this.#balancer.begin(clock.monotonic())
    const means = {
      clock,
      balancer: this.#balancer,
      callAt: (id: string) => this.#clients.get(id)?.[name],
      place: (avoid: readonly string[]) => this.#place({ label, key, deadline, signal, avoid }),
      missing: (id: string) => {
        source.missing(id)
        this.#refresh()
      },
      freed: () => this.#free(),
    }
    const known = this.#balancer.hedgeAfterMs
    return await new BalancedCall(means, {
      label,
      input,
      options: { ...call, deadline },
      idempotent: isIdempotent?.(name) ?? method.idempotent === true,
      key,
      maxAttempts: maxAttempts as number,
      hedgeMs: hedgeMs === false ? undefined : Math.max(shortestHedgeMs, known ?? (hedgeMs as number)),
    }).run(first)
  }

  /** An endpoint for an attempt: waits while all have as much as they can take. */
  async #place({ label, key, deadline, signal, avoid = [] }: Wanted): Promise<Attempt> {
    const { clock, source, contract, maxWaiting } = this.#options
    for (;;) {
      this.#refresh()
      if (this.#clients.size === 0) {
        await source.find(deadline)
        this.#refresh()
        if (this.#clients.size === 0) throw nobodyServes(contract.name)
      }
      if (signal?.aborted === true) throw cancelled(label, signal)
      if (clock.now() >= deadline) throw late(label)
      const attempt = this.#balancer.pick(clock.monotonic(), { avoid, ...(key === undefined ? {} : { key }) })
      if (attempt !== undefined) return attempt
      if (this.#waiting.size >= (maxWaiting as number))
        throw new CloudError('core.ha.overloaded', `${label}: every endpoint has as many calls as it can take`)
      await this.#turn(deadline, signal)
    }
  }

  async #turn(deadline: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#options
    const turn = new AbortController()
    const ring = (): void => turn.abort()
    this.#waiting.add(ring)
    const left = Math.max(0, Math.min(deadline - clock.now(), 2_000_000_000))
    const until = signal === undefined ? turn.signal : AbortSignal.any([signal, turn.signal])
    await sleep(clock, left, until).catch(() => undefined)
    this.#waiting.delete(ring)
  }

  #free(): void {
    const [first] = this.#waiting
    if (first === undefined) return
    this.#waiting.delete(first)
    first()
  }

  #refresh(): void {
    const { source, clock } = this.#options
    if (source.version === this.#version) return
    this.#version = source.version
    this.#clients = new Map(source.endpoints.map(({ id, client }) => [id, client]))
    this.#balancer.update(
      source.endpoints.map(({ client: _, ...endpoint }) => endpoint),
      clock.monotonic(),
    )
  }
}

/** Absolute epoch milliseconds when the call must be over. */
export function deadlineOf(clock: Clock, method: Method, call: CallOptions): number {
  return call.deadline ?? clock.now() + (method.deadlineMs ?? (method.stream === undefined ? 10_000 : 300_000))
}

export function late(label: string): CloudError {
  return new CloudError('core.contract.deadline-exceeded', `${label} did not finish before its deadline`)
}

export function cancelled(label: string, signal: AbortSignal): CloudError {
  const reason: unknown = signal.reason
  if (CloudError.is(reason)) return reason
  return new CloudError('core.contract.cancelled', `the call of ${label} was cancelled`, { cause: reason })
}
