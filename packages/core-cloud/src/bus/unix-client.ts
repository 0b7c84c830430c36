import { connect, type Socket } from 'node:net'
import type { Clock } from '../kernel/clock.js'
import { CloudError } from '../kernel/errors.js'
import type { Ids } from '../kernel/ids.js'
import type { Logger } from '../kernel/logger.js'
import type { Bus } from './bus.js'
import { FrameSplitter, maxFrameBytes, ProtocolError, wireVersion } from './frame.js'
import { type Greeting, readHubFrame } from './frame-reader.js'
import { FrameWriter, hubLinkOver } from './frame-writer.js'
import type { PeerLink } from './link.js'
import { defaultCommandWaitMs, defaultMaxPending } from './memory-bus.js'
import { PeerBus } from './peer-bus.js'
import { checkSocketPath } from './unix-hub.js'

export type BusConnectionState = 'connected' | 'disconnected' | 'closed'

/** Bounds of a connection to a hub. */
export interface ConnectLimits {
  /** Bytes that may wait for a hub that does not read; beyond, calls fail with `core.bus.overloaded`. Default 32 MiB. */
  readonly maxOutgoingBytes: number
  /** Calls without an answer; beyond: `core.bus.overloaded`. Default 16_384. */
  readonly maxPending: number
  /** Milliseconds to wait for the first connection. Default 10_000. */
  readonly connectMs: number
  /** Milliseconds that publish, subscribe and drain wait for the hub, a reconnect included. Default 10_000. */
  readonly commandWaitMs: number
  /** Longest pause between two attempts, milliseconds. Default 2_000. */
  readonly maxBackoffMs: number
}

export interface ConnectOptions {
  readonly socketPath: string
  readonly token: string
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** Told of every change after the first connection. */
  readonly onState?: (state: BusConnectionState) => void
  readonly limits?: Partial<ConnectLimits>
}

/**
 * Joins the bus of a hub in another process. Resolves when the hub has taken the token. When the connection breaks it is
 * opened again with growing pauses, and subscriptions are repeated: requests that were sent fail with
 * `core.bus.disconnected`, new ones wait for the connection within their deadline.
 * @throws CloudError `core.bus.refused` when the hub does not take the token, `core.bus.disconnected` when no hub
 *   answered in time, `core.kernel.invalid-config`.
 */
export async function connectBus(options: ConnectOptions): Promise<Bus> {
  checkSocketPath(options.socketPath)
  const client = new UnixClient(options)
  await client.opened
  return client.bus
}

class UnixClient {
  readonly bus: PeerBus
  readonly opened: Promise<void>
  readonly #options: ConnectOptions
  readonly #logger: Logger
  #settleOpened: ((error?: CloudError) => void) | undefined
  #socket: Socket | undefined
  #writer: FrameWriter | undefined
  #attempts = 0
  #cancelRetry: (() => void) | undefined
  #closed = false

  constructor(options: ConnectOptions) {
    this.#options = options
    this.#logger = options.logger.child({ component: 'bus' })
    const { limits } = options
    const maxOutgoing = limits?.maxOutgoingBytes ?? 32 * 1024 * 1024
    this.bus = new PeerBus({
      clock: options.clock,
      logger: this.#logger,
      maxPending: limits?.maxPending ?? defaultMaxPending,
      commandWaitMs: limits?.commandWaitMs ?? defaultCommandWaitMs,
      congested: () => (this.#socket?.writableLength ?? 0) + (this.#writer?.waiting ?? 0) > maxOutgoing,
      onDispose: () => this.#dispose(),
    })
    this.opened = new Promise((resolve, reject) => {
      const cancelTimer = options.clock.after(limits?.connectMs ?? 10_000, () => {
        this.#giveUp(new CloudError('core.bus.disconnected', `no hub answered on ${options.socketPath}`))
      })
      this.#settleOpened = error => {
        this.#settleOpened = undefined
        cancelTimer()
        if (error === undefined) resolve()
        else reject(error)
      }
    })
    this.#open()
  }

  #open(): void {
    const socket = connect(this.#options.socketPath)
    const splitter = new FrameSplitter(maxFrameBytes)
    const writer = new FrameWriter(
      bytes => {
        if (!socket.destroyed && socket.writable) socket.write(bytes)
      },
      () => socket.writableLength === 0,
    )
    const link = hubLinkOver(writer)
    const peer = this.#listener(() => this.bus.connected(link))
    this.#socket = socket
    this.#writer = writer
    socket.once('connect', () => link.hello(wireVersion, this.#options.token))
    socket.on('data', chunk => {
      try {
        splitter.push(chunk, frame => readHubFrame(frame, peer))
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
        this.#logger.error('the hub sent something that cannot be read', { error })
        socket.destroy()
      }
    })
    socket.on('error', error => this.#logger.debug('the connection to the hub failed', { error }))
    socket.once('close', () => this.#lost())
  }

  /** What the hub says on one connection: the bus itself hears it, greetings excepted. */
  #listener(onWelcome: () => Promise<void>): PeerLink & Greeting {
    const { bus } = this
    return {
      accepted: id => bus.accepted(id),
      answered: (id, sender, headers, payload) => bus.answered(id, sender, headers, payload),
      failed: (id, code, text, retryAfterMs) => bus.failed(id, code, text, retryAfterMs),
      deliver: (subscription, delivery, deadline, sender, subject, headers, payload) =>
        bus.deliver(subscription, delivery, deadline, sender, subject, headers, payload),
      cancelled: (delivery, code) => bus.cancelled(delivery, code),
      welcome: () => {
        this.#attempts = 0
        void onWelcome().then(() => {
          if (this.#settleOpened !== undefined) this.#settleOpened()
          else this.#options.onState?.('connected')
        })
      },
      rejected: (_code, text) => {
        this.#logger.warn('the hub refused this connection', { reason: text })
        // The first time it is the caller's to know; later the hub may only have started anew and learn the token soon.
        if (this.#settleOpened !== undefined)
          this.#giveUp(new CloudError('core.bus.refused', `the hub refused the connection: ${text}`))
      },
    }
  }

  #lost(): void {
    this.#socket = undefined
    this.#writer = undefined
    if (this.#closed) return
    const first = this.#settleOpened !== undefined
    this.bus.disconnected()
    if (!first && this.#attempts === 0) this.#options.onState?.('disconnected')
    const longest = this.#options.limits?.maxBackoffMs ?? 2_000
    const pause = Math.min(longest, 25 * 2 ** Math.min(this.#attempts, 12))
    this.#attempts += 1
    // Half of the pause is left to chance, so that the peers of a hub that was restarted do not come back as one.
    this.#cancelRetry = this.#options.clock.after(pause / 2 + (pause / 2) * this.#options.ids.random(), () =>
      this.#open(),
    )
  }

  #giveUp(error: CloudError): void {
    this.#closed = true
    this.#cancelRetry?.()
    this.#socket?.destroy()
    this.bus.close(error)
    this.#settleOpened?.(error)
  }

  async #dispose(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancelRetry?.()
    const socket = this.#socket
    if (socket !== undefined) {
      this.#writer?.flush()
      await new Promise<void>(resolve => {
        socket.once('close', () => resolve())
        socket.end()
        socket.destroySoon()
      })
    }
    this.#options.onState?.('closed')
  }
}
