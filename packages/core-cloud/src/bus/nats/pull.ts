import type { Msg, Subscription } from '@nats-io/transport-node'
import type { Clock } from '../../kernel/clock.js'
import type { JetApi } from './jet-api.js'
import type { NatsLink } from './nats-link.js'

/** Milliseconds that a question for messages is open. */
const expiresMs = 30_000
/** The server says so often that it is there while it has no message. */
const heartbeatMs = 5_000
const million = 1_000_000

export interface PullOptions {
  readonly link: NatsLink
  readonly api: JetApi
  readonly clock: Clock
  /** Different for every pull of the connection. */
  readonly id: number
  readonly onMessage: (message: Msg) => void
  /** Everything that was asked for came, or will not come: ask again. */
  readonly onIdle: () => void
  /** The consumer is gone, or its server: see to it, then ask again. */
  readonly onLost: (reason: string) => void
}

/**
 * Asks a consumer for messages and notices when nobody answers: clients of JetStream are known to wait for ever after
 * a server was restarted or a consumer's leader changed.
 */
export class Pull {
  readonly #options: PullOptions
  #inbox: string
  #subscription: Subscription
  #cancelled = 0
  #next = ''
  #requested = 0
  #heard = 0
  #cancelWatch: (() => void) | undefined
  #stopped = false

  constructor(options: PullOptions) {
    this.#options = options
    this.#inbox = `${options.link.inbox}.p.${options.id}`
    this.#subscription = options.link.subscribe(this.#inbox, message => this.#take(message))
  }

  /** Messages that were asked for and have not come. */
  get requested(): number {
    return this.#requested
  }

  /** The consumer to ask. What was asked of another one is forgotten. */
  from(stream: string, consumer: string): void {
    this.#next = this.#options.api.subject(`CONSUMER.MSG.NEXT.${stream}.${consumer}`)
    this.#requested = 0
  }

  ask(count: number): void {
    const { link, clock } = this.#options
    if (this.#stopped || count <= 0 || !link.ready) return
    const body = { batch: count, expires: expiresMs * million, idle_heartbeat: heartbeatMs * million }
    link.publish(this.#next, Buffer.from(JSON.stringify(body)), this.#inbox)
    this.#requested += count
    this.#heard = clock.monotonic()
    this.#cancelWatch ??= clock.after(heartbeatMs, this.#watch)
  }

  /** What was asked for before will not come. */
  reset(): void {
    this.#requested = 0
  }

  /** Takes back what was asked for: the server forgets questions whose inbox is gone. */
  cancel(): void {
    if (this.#stopped || this.#requested === 0) return
    const { link, id } = this.#options
    this.#requested = 0
    this.#subscription.unsubscribe()
    this.#cancelled += 1
    this.#inbox = `${link.inbox}.p.${id}.${this.#cancelled}`
    this.#subscription = link.subscribe(this.#inbox, message => this.#take(message))
  }

  /** Takes no more; resolves when nothing can follow. */
  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    this.#cancelWatch?.()
    await this.#subscription.drain().catch(() => undefined)
  }

  /** Takes no more, at once. */
  close(): void {
    this.#stopped = true
    this.#cancelWatch?.()
    if (!this.#subscription.isClosed()) this.#subscription.unsubscribe()
  }

  readonly #watch = (): void => {
    this.#cancelWatch = undefined
    if (this.#stopped || this.#requested === 0) return
    const { clock, link } = this.#options
    if (clock.monotonic() - this.#heard > 2.2 * heartbeatMs && link.ready) this.#lost('no sign of life')
    else this.#cancelWatch = clock.after(heartbeatMs, this.#watch)
  }

  #lost(reason: string): void {
    this.#requested = 0
    this.#options.onLost(reason)
  }

  #take(message: Msg): void {
    this.#heard = this.#options.clock.monotonic()
    if (message.reply?.startsWith('$JS.ACK.') === true) {
      if (this.#requested > 0) this.#requested -= 1
      this.#options.onMessage(message)
      return
    }
    const { headers } = message
    const code = headers?.code ?? 0
    // A sign of life, or the answer to something else.
    if (code === 100 || code === 0) return
    if (code === 408 || code === 404 || (code === 409 && /exceeded|batch/i.test(headers?.description ?? ''))) {
      const left = headers?.get('Nats-Pending-Messages') ?? ''
      this.#requested = left === '' ? 0 : Math.max(0, this.#requested - Number(left))
      if (!this.#stopped) this.#options.onIdle()
      return
    }
    // Deleted, no leader any more, a server that shuts down, nobody there.
    if (!this.#stopped) this.#lost(headers?.status ?? 'refused')
  }
}
