import { type Clock, sleep } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Ids } from '../../kernel/ids.js'
import { type Logger, silentLogger } from '../../kernel/logger.js'
import type {
  Candidacy,
  Coordination,
  ElectOptions,
  Holder,
  Lease,
  LeaseOptions,
  LockOptions,
} from '../coordination.js'
import { elect } from './candidacy.js'
import { checkLease, checkName, checkWhole, invalid, stopped } from './checks.js'
import { HeldLease } from './held-lease.js'
import type { Attempt, LeaseDriver } from './lease-driver.js'
import type { Watchdog } from './watchdog.js'

/** What every driver's coordination can be told. */
export interface HoldingOptions {
  readonly clock: Clock
  readonly ids: Ids
  readonly logger?: Logger
  /** Name of this node, as others see it. */
  readonly node: string
  /** By how much of a lifetime the clocks of two machines may run apart, 0.01 to 0.5; default 0.1. */
  readonly driftShare?: number
  /** Leases, waiting locks and candidacies of this process at a time, default 1_024; beyond: `core.ha.overloaded`. */
  readonly maxHeld?: number
  /** Default: none. */
  readonly watchdog?: Watchdog
}

/** A waiting lock asks again at least so many times in its lifetime. */
const asksPerTtl = 3
/** Milliseconds between two asks at least: a change that does not free the name must not make everybody hurry. */
const shortestAskMs = 20

/** Leases, locks and elections on a driver: everything on the holder's side. */
export class Leases implements Omit<Coordination, 'driver' | 'features' | 'keys'> {
  readonly #driver: LeaseDriver
  readonly #options: HoldingOptions
  readonly #logger: Logger
  readonly #maxHeld: number
  readonly #driftShare: number
  readonly #held = new Set<HeldLease>()
  readonly #candidacies = new Set<Candidacy>()
  readonly #closing = new AbortController()
  #waiting = 0

  /** @throws CloudError `core.ha.invalid-argument`. */
  constructor(driver: LeaseDriver, options: HoldingOptions) {
    this.#driver = driver
    this.#options = options
    this.#logger = (options.logger ?? silentLogger).child({ component: 'coordination' })
    checkName(options.node, 'node')
    this.#maxHeld = options.maxHeld ?? 1_024
    checkWhole(this.#maxHeld, 'maxHeld', { least: 1, most: 100_000 })
    this.#driftShare = options.driftShare ?? 0.1
    if (!(this.#driftShare >= 0.01 && this.#driftShare <= 0.5)) throw invalid('driftShare', 'it is 0.01 to 0.5')
  }

  async lease(name: string, options: LeaseOptions = {}): Promise<Lease | undefined> {
    const attempt = this.#attempt(name, options, false)
    return await this.#counted(() => this.#try(attempt))
  }

  async lock(name: string, options: LockOptions = {}): Promise<Lease> {
    const attempt = this.#attempt(name, options, true)
    return await this.#counted(() => this.#wait(attempt, options))
  }

  elect(name: string, options: ElectOptions, lead: (lease: Lease) => Promise<void>): Candidacy {
    this.#alive()
    checkLease(name, options)
    const { clock, ids } = this.#options
    const candidacy: Candidacy = elect(
      {
        clock,
        random: () => ids.random(),
        logger: this.#logger,
        lock: signal => this.lock(name, { ...options, signal }),
        ended: () => this.#candidacies.delete(candidacy),
      },
      name,
      options.signal,
      lead,
    )
    this.#candidacies.add(candidacy)
    return candidacy
  }

  async holder(name: string): Promise<Holder | undefined> {
    this.#alive()
    checkName(name, 'name')
    return await this.#driver.holder(name, true)
  }

  async *holders(
    name: string,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<Holder | undefined, void> {
    this.#alive()
    checkName(name, 'name')
    let wake: () => void = () => undefined
    let changed = true
    const note = (): void => {
      changed = true
      wake()
    }
    const end = this.#driver.onChange(name, note)
    for (const signal of [options.signal, this.#closing.signal]) signal?.addEventListener('abort', note)
    let told: number | undefined
    try {
      for (;;) {
        this.#alive()
        if (options.signal?.aborted === true) return
        if (changed) {
          changed = false
          const holder = await this.#driver.holder(name, told === undefined)
          if ((holder?.token ?? 0) === told) continue
          told = holder?.token ?? 0
          yield holder
          continue
        }
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    } finally {
      end()
      for (const signal of [options.signal, this.#closing.signal]) signal?.removeEventListener('abort', note)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort(stopped())
    await Promise.all([...this.#candidacies].map(candidacy => candidacy.stop()))
    await Promise.all([...this.#held].map(lease => lease.release()))
  }

  #attempt(name: string, options: LeaseOptions, wait: boolean): Attempt {
    this.#alive()
    const { ttlMs, value } = checkLease(name, options)
    return { name, owner: `${this.#options.node}:${this.#options.ids.token(12)}`, value, ttlMs, wait }
  }

  async #counted<T>(run: () => Promise<T>): Promise<T> {
    if (this.#held.size + this.#waiting >= this.#maxHeld)
      throw new CloudError('core.ha.overloaded', `this process holds or waits for ${this.#maxHeld} leases already`)
    this.#waiting += 1
    try {
      return await run()
    } finally {
      this.#waiting -= 1
    }
  }

  async #try(attempt: Attempt): Promise<Lease | undefined> {
    const { clock } = this.#options
    const { name, owner, ttlMs } = attempt
    let sentAt = clock.monotonic()
    let granted = await this.#acquire(attempt)
    if (granted !== undefined && clock.monotonic() - sentAt > ttlMs / 4) {
      // The answer took long, so that little is left: asked again it is renewed.
      sentAt = clock.monotonic()
      granted = await this.#acquire(attempt)
    }
    if (granted === undefined) return undefined
    const grant = { name, owner, ttlMs, token: granted.token, sentAt, answeredAt: clock.monotonic() }
    const lease = new HeldLease(
      {
        driver: this.#driver,
        clock,
        logger: this.#logger,
        driftShare: this.#driftShare,
        watchdog: this.#options.watchdog,
      },
      grant,
      ended => this.#held.delete(ended),
    )
    if (!lease.signal.aborted) this.#held.add(lease)
    if (!this.#closing.signal.aborted) return lease
    await lease.release()
    throw stopped()
  }

  /** What may have happened must not stay: an attempt whose outcome nobody knows is taken back. */
  async #acquire(attempt: Attempt): Promise<{ readonly token: number } | undefined> {
    try {
      return await this.#driver.acquire(attempt)
    } catch (error) {
      if (CloudError.is(error, 'core.ha.outcome-unknown') && !attempt.wait) this.#giveUp(attempt)
      throw error
    }
  }

  async #wait(attempt: Attempt, { deadline, signal }: LockOptions): Promise<Lease> {
    const { clock } = this.#options
    const bell = new Bell()
    const stop = this.#driver.onChange(attempt.name, () => bell.ring())
    const limit = limitOf(clock, attempt.name, deadline, [signal, this.#closing.signal])
    try {
      for (;;) {
        limit.check()
        const lease = await this.#tryInLine(attempt)
        if (lease !== undefined && !lease.signal.aborted) {
          if (!limit.over) return lease
          await lease.release()
        } else {
          await sleep(clock, shortestAskMs, limit.signal).catch(() => undefined)
          await bell.wait(clock, attempt.ttlMs / asksPerTtl, limit.signal)
        }
      }
    } catch (error) {
      this.#giveUp(attempt)
      throw error
    } finally {
      stop()
      limit.end()
    }
  }

  /** Nobody answers now: that is no reason to leave the line. */
  async #tryInLine(attempt: Attempt): Promise<Lease | undefined> {
    try {
      return await this.#try(attempt)
    } catch (error) {
      const patient: readonly CloudError['code'][] = ['core.ha.unavailable', 'core.ha.outcome-unknown']
      if (CloudError.is(error) && patient.includes(error.code)) return undefined
      throw error
    }
  }

  #giveUp({ name, owner }: Attempt): void {
    this.#driver.release(name, owner).catch((error: unknown) => {
      this.#logger.debug('a place in line was not given up and will run out', { name, error })
    })
  }

  #alive(): void {
    if (this.#closing.signal.aborted) throw stopped()
  }
}

/** Remembers that it rang until somebody waits. */
class Bell {
  #rang = false
  #wake: () => void = () => undefined

  ring(): void {
    this.#rang = true
    this.#wake()
  }

  async wait(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#rang && !signal.aborted) {
      await new Promise<void>(resolve => {
        const done = (): void => {
          cancel()
          signal.removeEventListener('abort', done)
          resolve()
        }
        const cancel = clock.after(ms, done)
        signal.addEventListener('abort', done)
        this.#wake = done
      })
    }
    this.#rang = false
  }
}

/** When a waiting call must end. */
function limitOf(
  clock: Clock,
  name: string,
  deadline: number | undefined,
  signals: readonly (AbortSignal | undefined)[],
) {
  const controller = new AbortController()
  const { signal } = controller
  const late = (): void =>
    controller.abort(new CloudError('core.contract.deadline-exceeded', `${name} was not ours before the deadline`))
  const onAbort = (event: Event): void => cancelled((event.target as AbortSignal).reason)
  const cancelled = (reason: unknown): void =>
    controller.abort(
      CloudError.is(reason)
        ? reason
        : new CloudError('core.contract.cancelled', `waiting for ${name} was cancelled`, { cause: reason }),
    )
  let cancel: () => void = () => undefined
  if (deadline !== undefined) {
    // Timers reach 2^31-1 ms; nobody waits that long.
    const left = Math.min(deadline - clock.now(), 2_000_000_000)
    if (left <= 0) late()
    else cancel = clock.after(left, late)
  }
  for (const one of signals) {
    if (one?.aborted === true) cancelled(one.reason)
    else one?.addEventListener('abort', onAbort)
  }
  return {
    signal,
    get over() {
      return signal.aborted
    },
    check() {
      if (signal.aborted) throw signal.reason
    },
    end() {
      cancel()
      for (const one of signals) one?.removeEventListener('abort', onAbort)
    },
  }
}
