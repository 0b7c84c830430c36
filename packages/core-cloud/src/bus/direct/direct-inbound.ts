import type { Clock } from '../../kernel/clock.js'
import type { Deadlines } from '../../kernel/deadlines.js'
import type { ErrorCode } from '../../kernel/error-codes.js'
import { CloudError } from '../../kernel/errors.js'
import type { Ids } from '../../kernel/ids.js'
import type { Logger } from '../../kernel/logger.js'
import type { BusHeaders } from '../bus.js'
import { FrameSplitter, maxFrameBytes, ProtocolError } from '../frame.js'
import { readPeerFrame } from '../frame-reader.js'
import { FrameWriter, peerLinkOver } from '../frame-writer.js'
import { encodeHeaders, type HeaderBlock, noHeaders } from '../headers.js'
import { IdTable } from '../id-table.js'
import { maxWaitMs } from '../link.js'
import { checkPayload } from '../pending.js'
import type { QuotaDesk } from '../quota/quota.js'
import type { BusQuota } from '../quota/quota-limits.js'
import { retryAfterOf } from '../quota/quota-port.js'
import { coveredBy, isSubject } from '../subject.js'
import type { CredentialCheck, DirectCredential } from './direct-credential.js'
import type { DirectDesk } from './direct-desk.js'
import type { DirectSocket } from './direct-endpoint.js'
import { DirectCallee, type DirectSelf, maxHandshakeBytes, writeHandshake } from './direct-handshake.js'
import { DirectRequest } from './direct-subscriber.js'

/** Subjects a caller was found to be allowed, remembered per connection. */
const maxRememberedSubjects = 4_096

export interface DirectInboundLimits {
  /** Bytes that may wait for a caller that does not read; beyond, its connection is closed. Default 64 MiB. */
  readonly maxIncomingAnswerBytes: number
  /** Calls of one connection without an answer; beyond: `core.bus.overloaded`. Default 16_384. */
  readonly maxRequests: number
  /** Milliseconds a connection has for the handshake, and a leaving instance waits for callers. Default 5_000. */
  readonly helloMs: number
}

export interface DirectInboundOptions {
  readonly socket: DirectSocket
  readonly desk: DirectDesk
  readonly self: () => DirectSelf
  readonly check: CredentialCheck
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly limits: DirectInboundLimits
  readonly deadlines: Deadlines
  readonly quota: QuotaDesk | undefined
}

type Frames = Parameters<typeof readPeerFrame>[1]

/**
 * One connection of a caller. Until it proved its key it can do nothing and grow nothing; then it may send calls to
 * subjects its credential allows, and its name is stamped on them.
 */
export class DirectInbound {
  readonly closed: Promise<void>
  readonly #options: DirectInboundOptions
  readonly #callee: DirectCallee
  readonly #splitter = new FrameSplitter(maxHandshakeBytes)
  readonly #writer: FrameWriter
  readonly #out: ReturnType<typeof peerLinkOver>
  readonly #served = new IdTable<DirectRequest>()
  readonly #allowed = new Set<string>()
  readonly #frames: Frames = this.#framesOf()
  #caller: DirectCredential | undefined
  #quota: BusQuota | undefined
  #stopTimer: () => void
  #challenged = false
  #over = false

  constructor(options: DirectInboundOptions) {
    this.#options = options
    const { limits, clock, self, check, ids } = options
    const { socket, binding } = options.socket
    this.#callee = new DirectCallee({ self: self(), check, nonce: ids.token(32), binding, now: clock.now() })
    this.#writer = new FrameWriter(
      bytes => {
        if (this.#over) return
        socket.write(bytes)
        if (socket.writableLength > limits.maxIncomingAnswerBytes) this.#fail('it does not read its answers')
      },
      () => socket.writableLength === 0,
    )
    this.#out = peerLinkOver(this.#writer)
    this.#stopTimer = clock.after(limits.helloMs, () => this.#fail('no handshake in time'))
    socket.on('data', chunk => this.#read(chunk))
    socket.on('error', () => undefined)
    socket.once('end', () => socket.end())
    this.closed = new Promise(resolve => {
      socket.once('close', () => {
        this.#end()
        resolve()
      })
    })
  }

  /** Name of the caller, once it proved it. */
  get caller(): string | undefined {
    return this.#caller?.identity.name
  }

  /** Says that no further call is taken, waits until the caller has understood, and closes. */
  leave(): Promise<void> {
    const { clock, limits, socket } = this.#options
    if (this.#caller === undefined || this.#over) socket.socket.destroy()
    else {
      this.#out.rejected('core.kernel.stopped', 'this instance is leaving')
      this.#stopTimer = clock.after(limits.helloMs, () => socket.socket.destroy())
    }
    return this.closed
  }

  #read(chunk: Buffer): void {
    if (this.#over) return
    try {
      this.#splitter.push(chunk, frame => {
        if (this.#over) return
        if (this.#caller === undefined) this.#handshake(frame)
        else readPeerFrame(frame, this.#frames)
      })
    } catch (error) {
      if (!(error instanceof ProtocolError) && !CloudError.is(error)) throw error
      if (this.#caller === undefined && !this.#over) {
        this.#out.rejected('core.bus.refused', 'the caller is not admitted')
        this.#writer.flush()
      }
      this.#fail(error.message)
    }
  }

  #handshake(frame: Buffer): void {
    if (!this.#challenged) {
      const { challenge, key } = this.#callee.challenge(frame)
      const { tlsKey } = this.#options.socket
      if (tlsKey !== undefined && tlsKey !== key)
        throw new CloudError('core.bus.bad-signature', 'the encrypted connection belongs to another key')
      this.#challenged = true
      writeHandshake(this.#writer, challenge)
      return
    }
    const { credential, instance } = this.#callee.admit(frame)
    this.#quota = this.#options.quota?.open(credential.identity)
    this.#caller = credential
    this.#stopTimer()
    this.#splitter.limit = maxFrameBytes
    this.#out.welcome(credential.identity)
    this.#options.logger.debug('a direct caller was admitted', { peer: credential.identity.name, instance })
  }

  #framesOf(): Frames {
    const unexpected = (): never => {
      throw new ProtocolError('a frame that a direct caller does not send')
    }
    return {
      request: (id, deadline, subject, headers, payload, many) => {
        if (many) unexpected()
        this.#request(id, deadline, subject, headers, payload)
      },
      cancel: id => this.#cancel(id),
      flush: id => this.#flushed(id),
      hello: unexpected,
      publish: unexpected,
      subscribe: unexpected,
      unsubscribe: unexpected,
      reply: unexpected,
      replyError: unexpected,
    }
  }

  #request(id: number, deadline: number, subject: string, block: HeaderBlock, payload: Uint8Array): void {
    const { clock, desk, limits, deadlines } = this.#options
    const caller = this.#caller as DirectCredential
    const now = clock.now()
    if (now >= caller.until) {
      this.#out.failed(id, 'core.bus.no-responder', 'the credential of this connection has expired')
      return
    }
    if (!this.#mayCall(caller, subject)) {
      this.#out.failed(id, 'core.bus.refused', `${caller.identity.name} may not send to ${subject.slice(0, 80)}`)
      return
    }
    const subscriber = desk.find(subject)
    if (subscriber === undefined) {
      this.#out.failed(id, 'core.bus.no-responder', `${subject} is not served here`)
      return
    }
    if (this.#quota !== undefined && !this.#admit(this.#quota, id, block.length + payload.length)) return
    const sender = caller.identity.name
    const fields = { subject, payload, block, sender, delivery: id, deadline }
    const message = new DirectRequest(fields, this.#answer, this.#handlerFailed)
    if (!this.#served.put(id, message, limits.maxRequests)) {
      this.#quota?.end()
      this.#out.failed(id, 'core.bus.overloaded', `at most ${limits.maxRequests} calls may wait for an answer`)
      return
    }
    if (!subscriber.push(message)) {
      this.#take(message)
      this.#out.failed(id, 'core.bus.overloaded', `the queue of ${subscriber.subject} is full`)
      return
    }
    message.timer = deadlines.add(Math.min(deadline - now, maxWaitMs), () => this.#expire(message))
  }

  #admit(quota: BusQuota, id: number, bytes: number): boolean {
    try {
      quota.begin(bytes)
      return true
    } catch (error) {
      const { code, message } = CloudError.from(error)
      this.#out.failed(id, code, message, retryAfterOf(error))
      return false
    }
  }

  #mayCall(caller: DirectCredential, subject: string): boolean {
    if (this.#allowed.has(subject)) return true
    if (!isSubject(subject) || !coveredBy(caller.identity.publish, subject)) return false
    if (this.#allowed.size >= maxRememberedSubjects) this.#allowed.clear()
    this.#allowed.add(subject)
    return true
  }

  readonly #answer = async (message: DirectRequest, payload: Uint8Array, headers?: BusHeaders): Promise<void> => {
    // Answered before, not wanted any more, or the caller is gone.
    if (this.#served.get(message.delivery) !== message) return
    checkPayload(payload)
    const block = headers === undefined ? noHeaders : encodeHeaders(headers)
    this.#take(message)
    this.#quota?.received(block.length + payload.length)
    if (this.#over) return
    this.#out.answered(message.delivery, '', block, payload)
    // The last one that is waited for: what else the handler has to do can be done while the caller reads.
    if (this.#served.size === 0) this.#writer.flush()
  }

  readonly #handlerFailed = (message: DirectRequest): void => {
    this.#refuse(message, 'core.kernel.internal', `the handler of ${message.subject} failed`)
  }

  #expire(message: DirectRequest): void {
    this.#refuse(message, 'core.contract.deadline-exceeded', 'no answer before the deadline')
    message.abandon('core.contract.deadline-exceeded')
  }

  #refuse(message: DirectRequest, code: ErrorCode, text: string): void {
    if (this.#served.get(message.delivery) !== message) return
    this.#take(message)
    if (!this.#over) this.#out.failed(message.delivery, code, text)
  }

  #take(message: DirectRequest): void {
    this.#served.take(message.delivery)
    this.#quota?.end()
    message.settled()
    if (message.timer !== undefined) this.#options.deadlines.remove(message.timer)
    // One that outlives its young years must not keep younger ones.
    message.timer = undefined
  }

  #cancel(id: number): void {
    const message = this.#served.get(id)
    if (message === undefined) return
    this.#take(message)
    // The caller's own timer may be first to end the call; for the handler it is the deadline all the same.
    const late = this.#options.clock.now() >= message.deadline
    message.abandon(late ? 'core.contract.deadline-exceeded' : 'core.contract.cancelled')
  }

  /** The caller's last word after {@link DirectInbound.leave}: nothing of it is under way any more. */
  #flushed(id: number): void {
    this.#out.accepted(id)
    this.#writer.flush()
    this.#over = true
    this.#options.socket.socket.end()
    this.#options.socket.socket.destroySoon()
  }

  #fail(reason: string): void {
    if (this.#over) return
    this.#over = true
    this.#options.logger.warn('a direct connection was closed', { peer: this.caller, reason })
    this.#options.socket.socket.destroySoon()
  }

  #end(): void {
    this.#over = true
    this.#stopTimer()
    for (const [, message] of this.#served.entries()) {
      this.#take(message)
      message.abandon('core.bus.disconnected')
    }
    this.#quota?.close()
  }
}
