import type {
  Bus,
  BusHeaders,
  BusMessage,
  BusSubscription,
  RequestManyOptions,
  RequestOptions,
  SubscribeOptions,
} from '../bus.js'
import type { BusQuota } from './quota-limits.js'

/**
 * Puts a tenant's quota in front of a bus, for drivers whose server does not know our limits (NATS limits connections,
 * subscriptions, payloads and stream bytes per account, but no rates; see `natsAccounts`). It binds programs that we
 * wrote or run; a hub enforces the same limits against everybody. Disposing it disposes the bus.
 * @throws CloudError `core.bus.quota-exceeded` from every method, beyond what the bus itself throws.
 */
export function quotaBus({ bus, quota }: { readonly bus: Bus; readonly quota: BusQuota }): Bus {
  return {
    async publish(subject, payload, options) {
      quota.send(sizeOf(payload, options?.headers))
      await bus.publish(subject, payload, options)
    },
    async request(subject: string, payload: Uint8Array, options: RequestOptions) {
      quota.begin(sizeOf(payload, options.headers))
      try {
        const answer = await bus.request(subject, payload, options)
        quota.received(answer.payload.length)
        return answer
      } finally {
        quota.end()
      }
    },
    requestMany(subject, payload, options) {
      quota.begin(sizeOf(payload, options.headers))
      return counted(bus, subject, payload, options, quota)
    },
    subscribe: (subject, handler, options) => subscribe(bus, quota, subject, handler, options),
    drain: () => bus.drain(),
    async [Symbol.asyncDispose]() {
      await bus[Symbol.asyncDispose]()
      quota.close()
    },
  }
}

/** Sent at once, as the port says; the answers are counted as they are read. */
function counted(
  bus: Bus,
  subject: string,
  payload: Uint8Array,
  options: RequestManyOptions,
  quota: BusQuota,
): AsyncIterable<BusMessage> {
  const answers = bus.requestMany(subject, payload, options)
  return {
    async *[Symbol.asyncIterator]() {
      try {
        for await (const answer of answers) {
          quota.received(answer.payload.length)
          yield answer
        }
      } finally {
        quota.end()
      }
    },
  }
}

async function subscribe(
  bus: Bus,
  quota: BusQuota,
  subject: string,
  handler: (message: BusMessage) => void | Promise<void>,
  options?: SubscribeOptions,
): Promise<BusSubscription> {
  quota.subscribe()
  let held = true
  const release = (): void => {
    if (held) quota.unsubscribe()
    held = false
  }
  try {
    const counting = (message: BusMessage): void | Promise<void> => {
      quota.received(message.payload.length)
      return handler(message)
    }
    const subscription = await bus.subscribe(subject, counting, options)
    return { subject: subscription.subject, drain: () => subscription.drain().finally(release) }
  } catch (error) {
    release()
    throw error
  }
}

function sizeOf(payload: Uint8Array, headers: BusHeaders | undefined): number {
  if (headers === undefined) return payload.length
  let bytes = payload.length
  for (const [name, value] of Object.entries(headers)) bytes += name.length + Buffer.byteLength(value)
  return bytes
}
