import type { Bus, BusMessage, BusSubscription } from '@aaas/core-cloud/bus'
import type { Clock } from '../../kernel/clock.js'
import type { Logger } from '../../kernel/logger.js'
import type { EndpointSource, ServiceEndpoint } from './endpoints.js'

/** What an instance tells of itself. */
export interface Advert {
  /** 1 to 64 of `A-Z a-z 0-9 _ -`. */
  readonly id: string
  /** Version of the contract that it serves. */
  readonly version: string
  readonly zone?: string
  readonly weight?: number
}

/** Instances that are known at most; further ones are left out. */
const maxInstances = 1_000
/** Milliseconds that a round of asking waits for answers, and without another one. */
const roundMs = 1_000
const quietMs = 150
/** Rounds in a row without an answer after which an instance is gone. */
const missedRounds = 2
/** Milliseconds between two rounds that were not due, at least. */
const hurryMs = 200

const idForm = /^[A-Za-z0-9_-]{1,64}$/

export interface DiscoveryOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly logger: Logger
  /** Subject that instances answer and announce at. */
  readonly place: string
  /** Milliseconds between two rounds, default 10_000. */
  readonly refreshMs?: number
  /** Of the contract as the caller knows it: others of the same major are used. */
  readonly version: string
  readonly connect: (advert: Advert) => ServiceEndpoint
}

interface Known {
  readonly endpoint: ServiceEndpoint
  readonly text: string
  missed: number
}

/** Makes an instance known at a place on the bus. Disposing tells everybody that it goes, before it does. */
export async function advertise(bus: Bus, place: string, advert: Advert): Promise<AsyncDisposable> {
  const payload = Buffer.from(JSON.stringify(advert))
  const asked = await bus.subscribe(`${place}.who`, message => message.respond?.(payload))
  await bus.publish(`${place}.here`, payload)
  return {
    async [Symbol.asyncDispose]() {
      await asked.drain()
      await bus.publish(`${place}.gone`, payload)
    },
  }
}

/** Who serves, found over a bus: told by them when they come and go, and asked every now and then. */
export class Discovery implements EndpointSource {
  readonly #options: DiscoveryOptions
  readonly #known = new Map<string, Known>()
  #endpoints: readonly ServiceEndpoint[] = []
  #version = 0
  #subscriptions: Promise<readonly BusSubscription[]> | undefined
  #round: Promise<void> | undefined
  #lastRound = Number.NEGATIVE_INFINITY
  #cancel: () => void = () => undefined
  #closed = false

  constructor(options: DiscoveryOptions) {
    this.#options = options
  }

  get endpoints(): readonly ServiceEndpoint[] {
    return this.#endpoints
  }

  get version(): number {
    return this.#version
  }

  async find(): Promise<void> {
    if (this.#endpoints.length > 0 || this.#closed) return
    this.#subscriptions ??= this.#listen()
    await this.#subscriptions
    await this.#ask()
  }

  missing(id: string): void {
    if (this.#known.delete(id)) this.#changed()
    // It may only have been restarted.
    if (this.#options.clock.monotonic() - this.#lastRound >= hurryMs) void this.#ask()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    this.#cancel()
    const subscriptions = (await this.#subscriptions?.catch(() => [])) ?? []
    await Promise.all(subscriptions.map(subscription => subscription.drain()))
  }

  async #listen(): Promise<readonly BusSubscription[]> {
    const { bus, place } = this.#options
    try {
      return await Promise.all([
        bus.subscribe(`${place}.here`, message => {
          this.#take(message)
        }),
        bus.subscribe(`${place}.gone`, message => {
          const advert = advertOf(message.payload)
          if (advert !== undefined && this.#known.delete(advert.id)) this.#changed()
        }),
      ])
    } catch (error) {
      this.#subscriptions = undefined
      throw error
    }
  }

  /** One round at a time; whoever wants one waits for the one under way. */
  #ask(): Promise<void> {
    this.#round ??= this.#askAll().finally(() => {
      this.#round = undefined
      this.#later()
    })
    return this.#round
  }

  async #askAll(): Promise<void> {
    const { bus, clock, place, logger } = this.#options
    this.#lastRound = clock.monotonic()
    const answered = new Set<string>()
    try {
      const how = { deadline: clock.now() + roundMs, quietMs, max: maxInstances }
      for await (const answer of bus.requestMany(`${place}.who`, new Uint8Array(0), how)) {
        const id = this.#take(answer)
        if (id !== undefined) answered.add(id)
      }
    } catch (error) {
      logger.debug('instances were not found', { place, error })
      return
    }
    for (const [id, known] of this.#known) {
      known.missed = answered.has(id) ? 0 : known.missed + 1
      if (known.missed >= missedRounds && this.#known.delete(id)) this.#changed()
    }
  }

  #later(): void {
    this.#cancel()
    if (this.#closed) return
    this.#cancel = this.#options.clock.after(this.#options.refreshMs ?? 10_000, () => void this.#ask())
  }

  #take({ payload }: BusMessage): string | undefined {
    const advert = advertOf(payload)
    const { version, connect, logger, place } = this.#options
    if (advert === undefined || majorOf(advert.version) !== majorOf(version)) return undefined
    const text = Buffer.from(payload).toString()
    const known = this.#known.get(advert.id)
    if (known?.text === text) {
      known.missed = 0
      return advert.id
    }
    if (known === undefined && this.#known.size >= maxInstances) {
      logger.warn('there are more instances than are used', { place, used: maxInstances })
      return undefined
    }
    this.#known.set(advert.id, { endpoint: connect(advert), text, missed: 0 })
    this.#changed()
    return advert.id
  }

  #changed(): void {
    this.#endpoints = [...this.#known.values()].map(({ endpoint }) => endpoint)
    this.#version += 1
  }
}

/** What came over the bus, or undefined when it is no advert. */
function advertOf(payload: Uint8Array): Advert | undefined {
  if (payload.length > 2_048) return undefined
  try {
    const { id, version, zone, weight } = JSON.parse(Buffer.from(payload).toString()) as Partial<Advert>
    if (typeof id !== 'string' || !idForm.test(id) || typeof version !== 'string') return undefined
    return {
      id,
      version,
      ...(typeof zone === 'string' ? { zone } : {}),
      ...(typeof weight === 'number' && weight >= 0.01 && weight <= 100 ? { weight } : {}),
    }
  } catch {
    return undefined
  }
}

function majorOf(version: string): string {
  return version.split('.', 1)[0] as string
}
