import { CloudError } from '../../kernel/errors.js'

/** What one tenant may use of the bus; what is absent is not limited. Whole numbers. */
export interface TenantLimits {
  /** Messages and calls it sends, 1 to 1_000_000_000 a second. */
  readonly messagesPerSecond?: number
  /** At once, beyond the steady rate; default one second's worth. */
  readonly messageBurst?: number
  /** Payloads and headers it sends, 1 to 1_000_000_000_000 a second. */
  readonly bytesPerSecond?: number
  /** Default one second's worth. A single larger message passes when nothing else went before it. */
  readonly byteBurst?: number
  /** Subscriptions over all its connections. */
  readonly subscriptions?: number
  /** Its calls without an answer, over all its connections. */
  readonly inFlight?: number
  /** Bytes its streams and buckets keep. */
  readonly streamBytes?: number
}

/**
 * The quota of one tenant as one connection uses it. Everything that is refused is refused at once with
 * `core.bus.quota-exceeded` (retryable); `details` are `{ tenant, limit, retryAfterMs? }`, the time only for the rates.
 */
export interface BusQuota {
  /** A message of `bytes` (payload and headers) is to be sent. @throws CloudError `core.bus.quota-exceeded`. */
  send(bytes: number): void
  /** A call is to be sent: a message that is in flight until {@link BusQuota.end}. @throws as `send`. */
  begin(bytes: number): void
  end(): void
  /** A message or answer of `bytes` was handed to the tenant. Never refused, only counted. */
  received(bytes: number): void
  /** @throws as `send`. */
  subscribe(): void
  unsubscribe(): void
  /**
   * For streams: `bytes` more are to be kept (less than 0: fewer are kept). Not tied to the connection.
   * @throws as `send`; never for fewer.
   */
  retain(bytes: number): void
  /** For streams: `bytes` more are kept already, as a server says that was not asked before. Counted, never refused. */
  kept(bytes: number): void
  /** The connection is gone: gives back its subscriptions and calls in flight. Harmless the second time. */
  close(): void
}

/** What a hub of the platform lets one tenant use unless it is told otherwise. */
export const defaultTenantLimits: TenantLimits = {
  messagesPerSecond: 20_000,
  bytesPerSecond: 128 * 1_048_576,
  subscriptions: 4_096,
  inFlight: 8_192,
  streamBytes: 1_073_741_824,
}

const ranges: Readonly<Record<keyof TenantLimits, readonly [number, number]>> = {
  messagesPerSecond: [1, 1e9],
  messageBurst: [1, 1e9],
  bytesPerSecond: [1, 1e12],
  byteBurst: [1, 1e12],
  subscriptions: [0, 1e9],
  inFlight: [0, 1e9],
  streamBytes: [0, 1e15],
}

/** @throws CloudError `core.kernel.invalid-config`. */
export function checkLimits(limits: TenantLimits): TenantLimits {
  for (const [field, [least, most]] of Object.entries(ranges)) {
    const value = limits[field as keyof TenantLimits]
    if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) continue
    throw new CloudError('core.kernel.invalid-config', `${field} is a whole number from ${least} to ${most}`, { field })
  }
  for (const [burst, rate] of [
    ['messageBurst', 'messagesPerSecond'],
    ['byteBurst', 'bytesPerSecond'],
  ] as const) {
    if (limits[burst] !== undefined && limits[rate] === undefined)
      throw new CloudError('core.kernel.invalid-config', `${burst} has no meaning without ${rate}`, { field: burst })
  }
  return limits
}
