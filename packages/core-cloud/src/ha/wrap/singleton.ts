import { type Client, type Contract, type Handlers, type Method, serveContract } from '@aaas/core-cloud/contract'
import type { CallOptions } from '@aaas/core-cloud/kernel'
import { sleep } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import { invalid } from '../coordination/checks.js'
import type { Candidacy, Coordination, Holder, Lease } from '../coordination.js'
import { cancelled, deadlineOf, late } from './balanced-client.js'
import { balancedStream } from './balanced-stream.js'
import type { AnyCall } from './endpoints.js'
import type { WrapPlace } from './place.js'
import { clientAt, type ServingOptions } from './stateless.js'
import { mayRepeat, verdictOf } from './verdict.js'

export interface SingletonOptions {
  readonly mode: 'singleton'
  /** Milliseconds after which another one takes over from a dead one, 1_000 to 3_600_000; default 10_000. */
  readonly ttlMs?: number
}

/**
 * Makes the handlers when this instance has become the one that serves. Every effect of theirs on something that others
 * can reach carries `lease.token`; when `lease.signal` fires, they stop.
 */
export type StartSingleton<C extends Contract> = (lease: Lease) => Handlers<C> | Promise<Handlers<C>>

/** A service of which one instance at a time runs. */
export interface SingletonService<C extends Contract> extends AsyncDisposable {
  /** Calls wait, within their deadline, while one instance takes over from another. */
  readonly client: Client<C>
  /** Stands for being the one. Disposing it hands over. */
  provide(start: StartSingleton<C>, options?: Omit<ServingOptions, 'weight'>): Candidacy
}

/** Milliseconds until a call looks again when nothing was said about a new holder. */
const lookAgainMs = 100

/** @throws CloudError `core.ha.invalid-argument`: no coordination, or no bus. */
export function singletonService<C extends Contract>(
  contract: C,
  place: WrapPlace,
  coordination: Coordination | undefined,
  options: SingletonOptions,
): SingletonService<C> {
  if (coordination === undefined) throw invalid('coordination', 'a singleton is elected by one')
  if (place.bus === undefined) throw invalid('bus', 'a singleton is reached over a bus')
  const name = `${place.prefix}.${contract.name}`
  const leader = new Leader(contract, place, coordination, name)
  const client: Record<string, AnyCall> = {}
  for (const [method, what] of Object.entries(contract.methods)) client[method] = leader.callOf(method, what)
  return {
    client: client as Client<C>,
    provide(start, how = {}) {
      const lead = (lease: Lease): Promise<void> => serveOnce(contract, place, name, lease, start, how)
      return coordination.elect(name, options.ttlMs === undefined ? {} : { ttlMs: options.ttlMs }, lead)
    },
    [Symbol.asyncDispose]: () => leader.close(),
  }
}

/** One term: serves until the lease ends. */
async function serveOnce<C extends Contract>(
  contract: C,
  place: WrapPlace,
  name: string,
  lease: Lease,
  start: StartSingleton<C>,
  how: Omit<ServingOptions, 'weight'>,
): Promise<void> {
  const handlers = await start(lease)
  if (lease.signal.aborted) return
  const { bus, clock, ids, logger, observer, verifier } = place
  const served = await serveContract({
    ...how,
    bus: bus as NonNullable<typeof bus>,
    contract,
    handlers: guarded(contract, handlers, lease),
    prefix: termPrefix(name, lease.token),
    clock,
    ids,
    logger,
    ...(observer === undefined ? {} : { observer }),
    ...(how.verifier === undefined && verifier !== undefined ? { verifier } : {}),
  })
  if (!lease.signal.aborted)
    await new Promise<void>(resolve => lease.signal.addEventListener('abort', () => resolve(), { once: true }))
  await served.drain()
}

/** Handlers that refuse, before they begin, when the lease is over: the caller then asks the next one. */
function guarded<C extends Contract>(contract: C, handlers: Handlers<C>, lease: Lease): Handlers<C> {
  const table = handlers as unknown as Readonly<Record<string, AnyCall>>
  const names = Object.keys(contract.methods)
  const entries = names.map(name => {
    if (typeof table[name] !== 'function') throw new Error(`${contract.name}: no handler for ${name}`)
    const handler: AnyCall = (...args) => {
      assertLeads(contract, lease)
      return (table[name] as AnyCall)(...args)
    }
    return [name, handler]
  })
  return Object.fromEntries(entries) as unknown as Handlers<C>
}

function assertLeads(contract: Contract, lease: Lease): void {
  try {
    lease.assertHeld()
  } catch (cause) {
    throw new CloudError('core.ha.lost', `this instance of ${contract.name} is not the one any more`, { cause })
  }
}

/** Each term has a subject of its own: a call for one is never served by another. */
function termPrefix(name: string, token: number): string {
  return `${name}._only.t${token}`
}

/** Knows where the one instance is. */
class Leader {
  readonly #contract: Contract
  readonly #place: WrapPlace
  readonly #coordination: Coordination
  readonly #name: string
  readonly #closing = new AbortController()
  #following: Promise<void> | undefined
  #token = 0
  #client: Readonly<Record<string, AnyCall>> | undefined
  #wakers = new Set<() => void>()

  constructor(contract: Contract, place: WrapPlace, coordination: Coordination, name: string) {
    this.#contract = contract
    this.#place = place
    this.#coordination = coordination
    this.#name = name
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#wake()
    await this.#following
  }

  callOf(name: string, method: Method): AnyCall {
    const label = `${this.#contract.name}.${name}`
    const { clock } = this.#place
    if (method.stream !== undefined)
      return balancedStream(method.stream, async (_, call) => {
        const client = await this.#present(label, deadlineOf(clock, method, call), call.signal)
        return { at: client[name] as AnyCall, ended: () => undefined }
      })
    return (input, call = {}) => this.#call(name, label, method, input, call as CallOptions)
  }

  async #call(name: string, label: string, method: Method, input: unknown, call: CallOptions): Promise<unknown> {
    const { clock } = this.#place
    const deadline = deadlineOf(clock, method, call)
    for (;;) {
      const client = await this.#present(label, deadline, call.signal)
      try {
        return await (client[name] as AnyCall)(input, { ...call, deadline })
      } catch (error) {
        if (!mayRepeat(verdictOf(error), method.idempotent === true)) throw error
        if (clock.now() + lookAgainMs >= deadline) throw error
        await this.#changed(client, deadline, call.signal)
      }
    }
  }

  /** Where it is, as soon as that is known. */
  async #present(
    label: string,
    deadline: number,
    signal: AbortSignal | undefined,
  ): Promise<Readonly<Record<string, AnyCall>>> {
    for (;;) {
      this.#following ??= this.#follow()
      if (this.#closing.signal.aborted) throw new CloudError('core.ha.stopped', `the client of ${label} is closed`)
      if (this.#client !== undefined) return this.#client
      if (signal?.aborted === true) throw cancelled(label, signal)
      if (this.#place.clock.now() >= deadline) throw late(label)
      await this.#changed(undefined, deadline, signal)
    }
  }

  /** Waits for another holder than this one, for a moment. */
  async #changed(
    from: Readonly<Record<string, AnyCall>> | undefined,
    deadline: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { clock } = this.#place
    if (this.#client !== from) return
    const turn = new AbortController()
    const wake = (): void => turn.abort()
    this.#wakers.add(wake)
    const until = signal === undefined ? turn.signal : AbortSignal.any([signal, turn.signal])
    const wait = from === undefined ? deadline - clock.now() : Math.min(lookAgainMs, deadline - clock.now())
    await sleep(clock, Math.max(0, Math.min(wait, 2_000_000_000)), until).catch(() => undefined)
    this.#wakers.delete(wake)
  }

  async #follow(): Promise<void> {
    const { clock, logger } = this.#place
    while (!this.#closing.signal.aborted) {
      try {
        for await (const holder of this.#coordination.holders(this.#name, { signal: this.#closing.signal }))
          this.#take(holder)
      } catch (error) {
        if (CloudError.is(error, 'core.ha.stopped')) {
          this.#closing.abort()
          this.#wake()
          return
        }
        logger.debug('who serves is not known', { name: this.#name, error })
        await sleep(clock, lookAgainMs, this.#closing.signal).catch(() => undefined)
      }
    }
  }

  #take(holder: Holder | undefined): void {
    const token = holder?.token ?? 0
    if (token === this.#token) return
    this.#token = token
    this.#client =
      token === 0
        ? undefined
        : (clientAt(this.#contract, this.#place, termPrefix(this.#name, token)) as unknown as Readonly<
            Record<string, AnyCall>
          >)
    this.#wake()
  }

  #wake(): void {
    for (const wake of [...this.#wakers]) wake()
  }
}
