import { CloudError } from '../../kernel/errors.js'
import { RateMeter } from './quota-core.js'
import type { BusQuota, TenantLimits } from './quota-limits.js'

interface Sums {
  busMessages: number
  busBytesIn: number
  busBytesOut: number
  busRefused: number
  busRetainedKibSeconds: number
}

/** What one tenant uses, over all its connections at one desk. */
export class TenantAccount {
  readonly epoch: string
  readonly #tenant: string
  readonly #now: () => number
  readonly #sums: Sums = { busMessages: 0, busBytesIn: 0, busBytesOut: 0, busRefused: 0, busRetainedKibSeconds: 0 }
  #limits: TenantLimits
  #messages: RateMeter | undefined
  #bytes: RateMeter | undefined
  #open = 0
  #subscriptions = 0
  #inFlight = 0
  #retained = 0
  /** Bytes times milliseconds not yet in the sum: a product of large numbers that must not lose anything. */
  #byteMs = 0n
  #integratedAt: number
  #seq = 0
  #changed = false

  constructor(options: {
    readonly tenant: string
    readonly epoch: string
    readonly limits: TenantLimits
    /** Whole monotonic milliseconds. */
    readonly now: () => number
  }) {
    this.epoch = options.epoch
    this.#tenant = options.tenant
    this.#now = options.now
    this.#integratedAt = options.now()
    this.#limits = options.limits
    this.change(options.limits)
  }

  /** True when it may be forgotten without anybody gaining or losing by it. */
  get idle(): boolean {
    const now = this.#now()
    return (
      this.#open === 0 &&
      this.#retained === 0 &&
      !this.#changed &&
      (this.#messages?.idle(now) ?? true) &&
      (this.#bytes?.idle(now) ?? true)
    )
  }

  change(limits: TenantLimits): void {
    this.#limits = limits
    const now = this.#now()
    const { messagesPerSecond, bytesPerSecond } = limits
    this.#messages = meterOf(this.#messages, messagesPerSecond, limits.messageBurst, now)
    this.#bytes = meterOf(this.#bytes, bytesPerSecond, limits.byteBurst, now)
  }

  /** Sums since the epoch began, and what is held now; counts as read for nobody. */
  usage(): Readonly<Record<string, number>> {
    this.#integrate()
    const now = { inFlight: this.#inFlight, subscriptions: this.#subscriptions, retainedBytes: this.#retained }
    return { ...this.#sums, ...now }
  }

  /** Sums since the epoch began with the next number; undefined when nothing is new. */
  read(): { readonly seq: number; readonly counters: Record<string, number> } | undefined {
    this.#integrate()
    if (!this.#changed) return undefined
    this.#changed = false
    this.#seq += 1
    return { seq: this.#seq, counters: { ...this.#sums } }
  }

  open(): BusQuota {
    this.#open += 1
    const own = { subscriptions: 0, inFlight: 0, open: true }
    return {
      send: bytes => this.#send(bytes),
      begin: bytes => {
        this.#within('inFlight', this.#inFlight)
        this.#send(bytes)
        this.#inFlight += 1
        own.inFlight += 1
      },
      end: () => {
        if (own.inFlight === 0) return
        own.inFlight -= 1
        this.#inFlight -= 1
      },
      received: bytes => {
        this.#sums.busBytesOut += bytes
        this.#changed = true
      },
      subscribe: () => {
        this.#within('subscriptions', this.#subscriptions)
        this.#subscriptions += 1
        own.subscriptions += 1
      },
      unsubscribe: () => {
        if (own.subscriptions === 0) return
        own.subscriptions -= 1
        this.#subscriptions -= 1
      },
      retain: bytes => this.#retain(bytes),
      kept: bytes => this.#keep(bytes),
      close: () => {
        if (!own.open) return
        own.open = false
        this.#open -= 1
        this.#subscriptions -= own.subscriptions
        this.#inFlight -= own.inFlight
        own.subscriptions = 0
        own.inFlight = 0
      },
    }
  }

  #send(bytes: number): void {
    // Both rates or neither: what is refused costs nothing.
    if (this.#messages !== undefined || this.#bytes !== undefined) {
      const now = this.#now()
      const slower = this.#messages?.waitFor(1, now) ?? 0
      const fatter = this.#bytes?.waitFor(bytes, now) ?? 0
      if (slower > 0 || fatter > 0)
        throw this.#exceeded(slower >= fatter ? 'messagesPerSecond' : 'bytesPerSecond', Math.max(slower, fatter))
      this.#messages?.take(1)
      this.#bytes?.take(bytes)
    }
    this.#sums.busMessages += 1
    this.#sums.busBytesIn += bytes
    this.#changed = true
  }

  #retain(bytes: number): void {
    const most = this.#limits.streamBytes
    if (bytes > 0 && most !== undefined && this.#retained + bytes > most) throw this.#exceeded('streamBytes')
    this.#keep(bytes)
  }

  #keep(bytes: number): void {
    this.#integrate()
    this.#retained = Math.max(0, this.#retained + bytes)
  }

  #integrate(): void {
    const now = this.#now()
    const passed = now - this.#integratedAt
    this.#integratedAt = now
    if (passed <= 0 || this.#retained === 0) return
    const kibSecond = 1_024_000n
    this.#byteMs += BigInt(this.#retained) * BigInt(passed)
    const whole = this.#byteMs / kibSecond
    if (whole === 0n) return
    this.#byteMs -= whole * kibSecond
    this.#sums.busRetainedKibSeconds += Number(whole)
    this.#changed = true
  }

  #within(limit: 'inFlight' | 'subscriptions', used: number): void {
    const most = this.#limits[limit]
    if (most !== undefined && used >= most) throw this.#exceeded(limit)
  }

  #exceeded(limit: keyof TenantLimits, retryAfterMs?: number): CloudError {
    this.#sums.busRefused += 1
    this.#changed = true
    const again = retryAfterMs === undefined ? '' : `; try again in ${retryAfterMs} ms`
    return new CloudError(
      'core.bus.quota-exceeded',
      `${this.#tenant} is over its ${limit} of ${this.#limits[limit]}${again}`,
      { details: { tenant: this.#tenant, limit, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) } },
    )
  }
}

function meterOf(
  known: RateMeter | undefined,
  perSecond: number | undefined,
  burst: number | undefined,
  now: number,
): RateMeter | undefined {
  if (perSecond === undefined) return undefined
  const limit = { perSecond, burst: burst ?? perSecond }
  if (known === undefined) return new RateMeter(limit, now)
  known.change(limit, now)
  return known
}
