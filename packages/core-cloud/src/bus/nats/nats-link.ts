import {
  AuthorizationError,
  connect,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  PermissionViolationError,
  type PublishOptions,
  type ServerInfo,
  type Subscription,
  UserAuthenticationExpiredError,
} from '@nats-io/transport-node'
import { sleep } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Logger } from '../../kernel/logger.js'
import { clientOptions, defaultNatsLimits, type NatsConnectOptions, type NatsLimits } from './nats-options.js'

/** What the owner of a connection hears. */
export interface LinkOwner {
  /** Connected again; the client has repeated the subscriptions. */
  up(): void
  /** What was sent and not answered may or may not have arrived. */
  down(): void
  /** The server did not allow a message to this subject. */
  refused(subject: string): void
}

interface Outgoing {
  readonly subject: string
  readonly bytes: Uint8Array
  readonly options: PublishOptions | undefined
}

/** Bytes between two questions to the server whether it has read everything. */
const markEveryBytes = 1024 * 1024

/**
 * One connection to the servers, which comes back by itself. The official client keeps what is published while it is
 * not connected and forgets it when it connects: nothing may be published then, so `ready` must be asked before.
 */
export class NatsLink {
  readonly limits: NatsLimits
  /** Answers to this connection come to subjects below it, made of it, a dot and an id. */
  readonly inbox: string
  readonly #options: NatsConnectOptions
  readonly #logger: Logger
  #nc!: NatsConnection
  #owner: LinkOwner = { up: () => undefined, down: () => undefined, refused: () => undefined }
  #ready = false
  #closed = false
  #maxPayload = 1_048_576
  #waiting = new Set<() => void>()
  #attempt = 0
  #pause = 0
  #sent = 0
  #marked = 0
  #read = 0
  #barrier: Promise<void> | undefined
  #outgoing: Outgoing[] = []

  private constructor(options: NatsConnectOptions) {
    this.#options = options
    this.#logger = options.logger
    this.limits = { ...defaultNatsLimits, ...options.limits }
    this.inbox = `${options.inboxPrefix ?? '_INBOX'}.${options.ids.token()}`
  }

  /**
   * @throws CloudError `core.bus.refused` when the server does not take the credentials, `core.bus.disconnected` when
   *   none answered in `connectMs`, `core.kernel.invalid-config`.
   */
  static async open(options: NatsConnectOptions): Promise<NatsLink> {
    const link = new NatsLink(options)
    const client = clientOptions(options, () => link.#pause)
    const { clock } = options
    const end = clock.monotonic() + link.limits.connectMs
    for (;;) {
      try {
        link.#nc = await connect(client)
        break
      } catch (error) {
        if (isAuthError(error)) throw new CloudError('core.bus.refused', 'the NATS server refused the credentials')
        link.#next()
        if (clock.monotonic() + link.#pause >= end)
          throw new CloudError('core.bus.disconnected', 'no NATS server answered', { cause: error })
        await sleep(clock, link.#pause)
      }
    }
    link.#attempt = 0
    link.#becomeReady()
    void link.#watch()
    return link
  }

  own(owner: LinkOwner): void {
    this.#owner = owner
  }

  get ready(): boolean {
    return this.#ready
  }

  /** Bytes of a message with its headers that the server takes. */
  get maxPayload(): number {
    return this.#maxPayload
  }

  /** True when the server reads too slowly: nothing more should be sent now. */
  get congested(): boolean {
    return this.#sent - this.#read > this.limits.maxOutgoingBytes
  }

  get info(): ServerInfo | undefined {
    return this.#nc.info
  }

  /**
   * Only while ready. Sent at the end of this tick, all of a tick in one piece: the client would write what each promise
   * reaction publishes by itself. The bytes must not change any more.
   */
  publish(subject: string, bytes: Uint8Array, reply?: string, headers?: MsgHdrs): void {
    this.#sent += bytes.length + subject.length
    if (this.#sent - this.#marked > markEveryBytes) void this.#mark()
    if (this.#outgoing.length === 0) process.nextTick(this.#send)
    this.#outgoing.push({
      subject,
      bytes,
      options:
        reply === undefined
          ? headers === undefined
            ? undefined
            : { headers }
          : headers === undefined
            ? { reply }
            : { headers, reply },
    })
  }

  readonly #send = (): void => {
    const outgoing = this.#outgoing
    if (outgoing.length === 0) return
    this.#outgoing = []
    if (this.#nc.isClosed()) return
    for (const { subject, bytes, options } of outgoing) {
      try {
        this.#nc.publish(subject, bytes, options)
      } catch (error) {
        // Another server of the cluster, with a smaller limit: who waits for an answer learns it at its deadline.
        this.#logger.error('a message could not be sent', { subject, error })
      }
    }
  }

  /** @param failed - told when the server does not allow the subscription. */
  subscribe(
    subject: string,
    take: (message: Msg) => void,
    options: { readonly queue?: string; readonly failed?: () => void } = {},
  ): Subscription {
    const { queue, failed } = options
    return this.#nc.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) take(message)
        else failed?.()
      },
      ...(queue === undefined ? {} : { queue }),
    })
  }

  /**
   * Resolves when the server has handled everything sent before; calls of one tick share one question.
   * @throws CloudError `core.bus.disconnected`.
   */
  settled(): Promise<void> {
    this.#barrier ??= new Promise((resolve, reject) => {
      process.nextTick(() => {
        this.#barrier = undefined
        this.#mark().then(
          // A refusal that came before the answer is told by a longer chain of reactions: let it be first.
          () => process.nextTick(resolve),
          () => reject(lost()),
        )
      })
    })
    return this.#barrier
  }

  #mark(): Promise<void> {
    this.#send()
    const upTo = this.#sent
    this.#marked = upTo
    const answered = this.#closed ? Promise.reject(lost()) : this.#nc.flush()
    answered.then(
      () => (this.#read = Math.max(this.#read, upTo)),
      () => undefined,
    )
    return answered
  }

  /** @throws CloudError `core.bus.disconnected` after `commandWaitMs`. */
  async whenReady(waitMs = this.limits.commandWaitMs): Promise<void> {
    if (this.#ready) return
    await new Promise<void>((resolve, reject) => {
      const ready = (): void => {
        cancel()
        this.#waiting.delete(ready)
        if (this.#ready) resolve()
        else reject(lost())
      }
      const cancel = this.#options.clock.after(waitMs, ready)
      this.#waiting.add(ready)
      if (this.#closed) ready()
    })
  }

  /** Sends what was published and closes. A server that does not answer is waited for one second. */
  async close(): Promise<void> {
    if (this.#closed) return
    const wasReady = this.#ready
    this.#closed = true
    this.#ready = false
    for (const wake of [...this.#waiting]) wake()
    if (wasReady) {
      this.#send()
      const flushed = this.#nc.flush().catch(() => undefined)
      await Promise.race([flushed, sleep(this.#options.clock, 1_000)])
    }
    await this.#nc.close()
    this.#options.onState?.('closed')
  }

  #becomeReady(): void {
    this.#maxPayload = this.#nc.info?.max_payload ?? this.#maxPayload
    // What was under way on the old connection is not any more.
    this.#read = this.#sent
    this.#marked = this.#sent
    this.#ready = true
    for (const wake of [...this.#waiting]) wake()
  }

  /** Half of the pause is left to chance, so that the clients of a server that was restarted do not come back as one. */
  #next(): void {
    const longest = Math.min(this.limits.maxBackoffMs, 25 * 2 ** Math.min(this.#attempt, 12))
    this.#pause = Math.round(longest / 2 + (longest / 2) * this.#options.ids.random())
    this.#attempt += 1
  }

  async #watch(): Promise<void> {
    for await (const status of this.#nc.status()) {
      if (this.#closed) return
      switch (status.type) {
        case 'disconnect':
          if (!this.#ready) break
          this.#ready = false
          this.#owner.down()
          this.#options.onState?.('disconnected')
          break
        case 'reconnecting':
          this.#next()
          break
        case 'reconnect':
          this.#attempt = 0
          this.#becomeReady()
          this.#owner.up()
          this.#options.onState?.('connected')
          break
        case 'error':
          this.#failed(status.error)
          break
      }
    }
  }

  #failed(error: Error): void {
    if (error instanceof PermissionViolationError) {
      this.#logger.warn('the NATS server did not allow a subject', {
        operation: error.operation,
        subject: error.subject,
      })
      if (error.operation === 'publish') this.#owner.refused(error.subject)
    } else
      this.#logger.warn('the NATS server reported an error', {
        reason: isAuthError(error) ? 'credentials' : error.message,
      })
  }
}

function isAuthError(error: unknown): boolean {
  return error instanceof AuthorizationError || error instanceof UserAuthenticationExpiredError
}

export function lost(): CloudError {
  return new CloudError('core.bus.disconnected', 'the connection to the NATS server is down')
}
