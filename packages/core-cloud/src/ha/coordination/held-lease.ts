import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import type { Lease } from '../coordination.js'
import type { LeaseDriver } from './lease-driver.js'
import type { Watchdog } from './watchdog.js'

export interface HolderOptions {
  readonly driver: LeaseDriver
  readonly clock: Clock
  readonly logger: Logger
  /** By how much of a lifetime the clocks of two machines may run apart. */
  readonly driftShare: number
  readonly watchdog: Watchdog | undefined
}

interface Grant {
  readonly name: string
  readonly owner: string
  readonly token: number
  readonly ttlMs: number
  /** Monotonic milliseconds when the call that got it was made, and when it was answered. */
  readonly sentAt: number
  readonly answeredAt: number
}

/** Renewed this many times within its lifetime. */
const renewals = 3

/** The holder's side of a grant: renews it, and knows when to stop. */
export class HeldLease implements Lease {
  readonly #options: HolderOptions
  readonly #grant: Grant
  readonly #controller = new AbortController()
  readonly #ended: (lease: HeldLease) => void
  readonly #guard: ReturnType<Watchdog['guard']> | undefined
  /** Slowest answer of late, milliseconds. */
  #roundTrip: number
  #safeUntil = 0
  #cancelEnd: () => void = () => undefined
  #cancelRenewal: () => void = () => undefined
  #released: Promise<void> | undefined

  constructor(options: HolderOptions, grant: Grant, ended: (lease: HeldLease) => void) {
    this.#options = options
    this.#grant = grant
    this.#ended = ended
    this.#roundTrip = grant.answeredAt - grant.sentAt
    this.#guard = options.watchdog?.guard(grant.name)
    this.#extend(grant.sentAt)
    this.#renewLater(grant.ttlMs / renewals)
  }

  get name(): string {
    return this.#grant.name
  }

  get token(): number {
    return this.#grant.token
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get safeUntil(): number {
    return this.#safeUntil
  }

  assertHeld(): void {
    if (!this.signal.aborted && this.#options.clock.monotonic() >= this.#safeUntil) this.#lose('it ran out')
    if (this.signal.aborted) throw this.signal.reason
  }

  release(): Promise<void> {
    this.#released ??= this.#release()
    return this.#released
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }

  async #release(): Promise<void> {
    this.#stop(new CloudError('core.ha.stopped', `${this.name} was released`))
    try {
      await this.#options.driver.release(this.name, this.#grant.owner)
    } catch (error) {
      this.#options.logger.debug('a lease was not released and will run out', { name: this.name, error })
    }
  }

  /** @param from - when the call was made that the lease now lasts from. */
  #extend(from: number): void {
    const { clock, driftShare } = this.#options
    const { ttlMs } = this.#grant
    // An answer that took long may have been the exception: more than a quarter would leave nothing to hold.
    const margin = ttlMs * driftShare + Math.min(this.#roundTrip, ttlMs / 4)
    this.#safeUntil = Math.max(this.#safeUntil, from + ttlMs - margin)
    // Later than the signal, also when a timer of a busy process is: who hears it need not die.
    this.#guard?.extend(from + ttlMs * (1 - driftShare / 2))
    this.#cancelEnd()
    const left = this.#safeUntil - clock.monotonic()
    if (left <= 0) this.#lose('it had run out when it was granted')
    else this.#cancelEnd = clock.after(left, () => this.#lose('it was not renewed in time'))
  }

  #renewLater(ms: number): void {
    if (this.signal.aborted) return
    this.#cancelRenewal = this.#options.clock.after(ms, () => void this.#renew())
  }

  async #renew(): Promise<void> {
    const { clock, driver, logger } = this.#options
    const { ttlMs, ...owned } = this.#grant
    const sentAt = clock.monotonic()
    // After a pause this may come before the timer that ends it.
    if (sentAt >= this.#safeUntil) {
      this.#lose('it was not renewed in time')
      return
    }
    try {
      const held = await within(clock, ttlMs / 4, driver.renew(owned, ttlMs))
      if (this.signal.aborted) return
      const took = clock.monotonic() - sentAt
      this.#roundTrip = Math.max(took, this.#roundTrip * 0.9)
      if (!held) this.#lose('somebody else has it')
      else {
        this.#extend(sentAt)
        this.#renewLater(Math.max(0, ttlMs / renewals - took))
      }
    } catch (error) {
      logger.debug('a lease was not renewed', { name: this.name, error })
      this.#renewLater(ttlMs / (renewals * 5))
    }
  }

  #lose(why: string): void {
    if (this.signal.aborted) return
    this.#options.logger.warn('a lease was lost', { name: this.name, token: this.token, why })
    this.#stop(new CloudError('core.ha.lost', `${this.name} is not held any more: ${why}`))
  }

  #stop(reason: CloudError): void {
    this.#cancelEnd()
    this.#cancelRenewal()
    if (this.signal.aborted) return
    this.#controller.abort(reason)
    // The loop runs: whoever listens has been told.
    this.#guard?.end()
    this.#ended(this)
  }
}

/** A call that hangs must not take the time of the next try. What comes of it later does not matter. */
async function within<T>(clock: Clock, ms: number, call: Promise<T>): Promise<T> {
  let cancel: () => void = () => undefined
  const late = new Promise<never>((_, reject) => {
    cancel = clock.after(ms, () => reject(new CloudError('core.ha.outcome-unknown', `no answer within ${ms} ms`)))
  })
  try {
    return await Promise.race([call, late])
  } finally {
    cancel()
  }
}
