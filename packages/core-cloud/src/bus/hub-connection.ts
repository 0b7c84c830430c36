import type { Socket } from 'node:net'
import type { Clock } from '../kernel/clock.js'
import { CloudError } from '../kernel/errors.js'
import type { Logger } from '../kernel/logger.js'
import { FrameSplitter, maxFrameBytes, maxHelloBytes, ProtocolError, wireVersion } from './frame.js'
import { readPeerFrame } from './frame-reader.js'
import { FrameWriter, peerLinkOver } from './frame-writer.js'
import { type BusIdentity, identityForm } from './link.js'
import type { QuotaDesk } from './quota/quota.js'
import type { BusQuota } from './quota/quota-limits.js'
import { attachWithQuota } from './quota/quota-port.js'
import type { Router, RouterPort } from './router.js'

export interface HubConnectionLimits {
  /** Bytes that may wait for a peer that does not read; beyond, its connection is closed. Default 64 MiB. */
  readonly maxOutgoingBytes: number
  /** Milliseconds a connection has to show its token. Default 5_000. */
  readonly helloMs: number
}

export interface HubConnectionOptions {
  readonly socket: Socket
  readonly router: Router
  readonly clock: Clock
  readonly logger: Logger
  readonly authenticate: (token: string) => BusIdentity | undefined
  readonly limits: Partial<HubConnectionLimits>
  readonly quota?: QuotaDesk | undefined
}

/** One socket at the hub. Until its first frame has shown a token that is known, it can do nothing and grow nothing. */
export class HubConnection {
  readonly closed: Promise<void>
  readonly #options: HubConnectionOptions
  readonly #splitter = new FrameSplitter(maxHelloBytes)
  readonly #writer: FrameWriter
  readonly #out: ReturnType<typeof peerLinkOver>
  readonly #cancelHello: () => void
  /** Takes the frames: first only a greeting, then everything. */
  #hub: Parameters<typeof readPeerFrame>[1] = this.#greeting()
  #port: RouterPort | undefined
  #info: { readonly name: string; readonly kind: string; readonly since: number } | undefined
  #over = false

  constructor(options: HubConnectionOptions) {
    this.#options = options
    const { socket, limits } = options
    const maxOutgoing = limits.maxOutgoingBytes ?? 64 * 1024 * 1024
    this.#writer = new FrameWriter(
      bytes => {
        if (this.#over) return
        socket.write(bytes)
        if (socket.writableLength > maxOutgoing)
          this.#fail('it does not read what is sent to it', { waiting: socket.writableLength })
      },
      () => socket.writableLength === 0,
    )
    this.#out = peerLinkOver(this.#writer)
    this.#cancelHello = options.clock.after(limits.helloMs ?? 5_000, () => this.#fail('it showed no token in time'))
    socket.on('data', chunk => this.#read(chunk))
    socket.on('error', () => undefined)
    this.closed = new Promise(resolve => {
      socket.once('close', () => {
        this.#end()
        resolve()
      })
    })
    // A peer that ends its side has nothing more to say; what is under way for it has nowhere to go.
    socket.once('end', () => socket.end())
  }

  /** Undefined until the connection showed its token. */
  get info(): { readonly name: string; readonly kind: string; readonly since: number } | undefined {
    return this.#info
  }

  /** Sends what waits and closes. */
  close(): void {
    this.#writer.flush()
    this.#over = true
    this.#options.socket.end()
    this.#options.socket.destroySoon()
  }

  #read(chunk: Buffer): void {
    if (this.#over) return
    try {
      this.#splitter.push(chunk, frame => {
        if (this.#over) return
        readPeerFrame(frame, this.#hub)
      })
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      this.#fail(error.message)
    }
  }

  /** What a connection may say before it is known: hello. */
  #greeting(): Parameters<typeof readPeerFrame>[1] {
    const early = (): never => {
      throw new ProtocolError('a frame before the token')
    }
    return {
      hello: (version, token) => this.#hello(version, token),
      publish: early,
      request: early,
      cancel: early,
      subscribe: early,
      unsubscribe: early,
      reply: early,
      replyError: early,
      flush: early,
    }
  }

  #hello(version: number, token: string): void {
    if (version !== wireVersion) {
      this.#reject(`the hub speaks version ${wireVersion} of the wire, not ${version}`)
      return
    }
    const identity = this.#options.authenticate(token)
    if (identity === undefined || !identityForm.test(identity.name)) {
      this.#reject('the token is not known')
      return
    }
    const { router } = this.#options
    let quota: BusQuota | undefined
    try {
      quota = this.#options.quota?.open(identity)
    } catch (error) {
      this.#reject(CloudError.from(error).message)
      return
    }
    this.#cancelHello()
    this.#splitter.limit = maxFrameBytes
    this.#info = { name: identity.name, kind: identity.kind, since: this.#options.clock.now() }
    this.#port = attachWithQuota(router, { identity, out: this.#out, local: false }, quota)
    this.#hub = { ...noHello, ...this.#port }
    this.#out.welcome(identity)
    this.#options.logger.info('connected to the bus', { peer: identity.name, kind: identity.kind })
  }

  #reject(text: string): void {
    this.#options.logger.warn('a connection to the bus was refused', { reason: text })
    this.#out.rejected('core.bus.refused', text)
    this.close()
  }

  #fail(reason: string, fields: Readonly<Record<string, unknown>> = {}): void {
    if (this.#over) return
    this.#over = true
    this.#options.logger.warn('a connection to the bus was closed', { peer: this.#info?.name, reason, ...fields })
    this.#options.socket.destroy()
  }

  #end(): void {
    this.#over = true
    this.#cancelHello()
    if (this.#port === undefined) return
    this.#port.detach()
    this.#options.logger.info('gone from the bus', { peer: this.#info?.name })
  }
}

const noHello = {
  hello(): never {
    throw new ProtocolError('a second hello')
  },
}
