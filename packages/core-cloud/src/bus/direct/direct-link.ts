import type { Socket } from 'node:net'
import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Ids } from '../../kernel/ids.js'
import type { Logger } from '../../kernel/logger.js'
import { FrameSplitter, FrameType, maxFrameBytes, ProtocolError } from '../frame.js'
import { type Greeting, readHubFrame } from '../frame-reader.js'
import { FrameWriter, hubLinkOver } from '../frame-writer.js'
import type { HeaderBlock } from '../headers.js'
import { IdTable } from '../id-table.js'
import type { HubLink, PeerLink } from '../link.js'
import { failureOf } from '../pending.js'
import { PlainMessage } from '../served-message.js'
import type { DirectCall, DirectTarget } from './direct-call.js'
import type { CredentialCheck } from './direct-credential.js'
import { type DirectPlaces, type DirectSocket, dialSocket, dialTcp } from './direct-endpoint.js'
import { DirectCaller, type DirectSelf, maxHandshakeBytes, writeHandshake } from './direct-handshake.js'

export interface DirectLinkLimits {
  /** Bytes that may wait for a peer that does not read; beyond: `core.bus.overloaded`. Default 32 MiB. */
  readonly maxOutgoingBytes: number
  /** Calls to one peer without an answer; beyond: `core.bus.overloaded`. Default 16_384. */
  readonly maxPending: number
  /** Milliseconds for connecting and the handshake, per place of the peer. Default 1_000. */
  readonly connectMs: number
  /** Longest time a peer that could not be reached is left alone, milliseconds. Default 30_000. */
  readonly maxBackoffMs: number
}

export interface DirectLinkOptions {
  readonly instance: string
  /** Places of the peer, tried in this order: unix socket, TCP. */
  readonly places: DirectPlaces
  /** Its announced key. */
  readonly key: string
  readonly self: () => DirectSelf
  readonly check: CredentialCheck
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly limits: DirectLinkLimits
  /** Sends a call that certainly did not run the other way. */
  readonly otherWay: (call: DirectCall) => void
}

/** The outgoing connection to one peer: opened by the first call, authenticated before the first byte of a call. */
export class DirectLink implements DirectTarget {
  blocked = false
  readonly #options: DirectLinkOptions
  readonly #calls = new IdTable<DirectCall>()
  /** Calls that wait for the handshake. */
  readonly #waiting = new Set<DirectCall>()
  #state: 'idle' | 'opening' | 'ready' | 'leaving' | 'over' = 'idle'
  #socket: Socket | undefined
  #writer: FrameWriter | undefined
  #hub: HubLink | undefined
  #name = ''
  #failures = 0
  #stopTimer: () => void = () => undefined

  constructor(options: DirectLinkOptions) {
    this.#options = options
  }

  get inFlight(): number {
    return this.#calls.size + this.#waiting.size
  }

  get connected(): boolean {
    return this.#state === 'ready'
  }

  send(call: DirectCall): void {
    if (this.#state === 'ready') {
      this.#write(call)
      return
    }
    if (this.#waiting.size >= this.#options.limits.maxPending) throw overloaded(call)
    if (this.#state !== 'idle' && this.#state !== 'opening') {
      this.#options.otherWay(call)
      return
    }
    this.#waiting.add(call)
    if (this.#state === 'idle') this.#open()
  }

  abandon(call: DirectCall, error: CloudError): void {
    if (!this.#waiting.delete(call)) {
      if (this.#calls.get(call.id) !== call) return
      this.#calls.release(call.id)
      this.#hub?.cancel(call.id)
    }
    call.release()
    call.reject(error)
    this.#endWhenIdle()
  }

  /** The peer has left or is not trusted any more: no further calls, those under way may end. */
  retire(): void {
    this.blocked = true
    if (this.#state === 'idle') this.#state = 'over'
    else if (this.#state === 'ready') this.#state = 'leaving'
    this.#endWhenIdle()
  }

  /** Ends everything now. */
  close(error: CloudError): void {
    this.blocked = true
    this.#state = 'over'
    this.#stopTimer()
    for (const call of this.#waiting) fail(call, error)
    this.#waiting.clear()
    this.#failAll(error)
    this.#socket?.destroy()
  }

  // ---- opening

  #open(): void {
    this.#state = 'opening'
    const { places, self, key } = this.#options
    const dials: (() => Socket)[] = []
    const { socketPath, tcp } = places
    if (socketPath !== undefined) dials.push(() => dialSocket(socketPath, ready => this.#greet(ready)))
    if (tcp !== undefined) dials.push(() => dialTcp(tcp, self().privateKey, key, ready => this.#greet(ready)))
    this.#dial(dials)
  }

  #dial(dials: readonly (() => Socket)[]): void {
    const [next, ...others] = dials
    if (next === undefined) {
      this.#unreachable()
      return
    }
    const { clock, limits, logger, instance } = this.#options
    const socket = next()
    this.#socket = socket
    this.#stopTimer = clock.after(limits.connectMs, () => socket.destroy(new Error('no handshake in time')))
    socket.on('error', error => logger.debug('a direct connection failed', { peer: instance, error }))
    socket.once('close', () => {
      this.#stopTimer()
      if (this.#state === 'opening') this.#dial(others)
      else if (this.#state !== 'over') this.#lost()
    })
  }

  #greet({ socket, binding }: DirectSocket): void {
    const { self, check, ids, clock, instance, key } = this.#options
    const caller = new DirectCaller({
      self: self(),
      check,
      nonce: ids.token(32),
      binding,
      now: clock.now(),
      callee: instance,
      calleeKey: key,
    })
    const writer = new FrameWriter(
      bytes => {
        if (!socket.destroyed && socket.writable) socket.write(bytes)
      },
      () => socket.writableLength === 0,
    )
    const splitter = new FrameSplitter(maxHandshakeBytes)
    const listener = this.#listener(() => {
      splitter.limit = maxFrameBytes
      this.#opened(writer)
    })
    let challenged = false
    const onFrame = (frame: Buffer): void => {
      if (challenged || frame[0] === FrameType.rejected) {
        readHubFrame(frame, listener)
        return
      }
      challenged = true
      const { proof, credential } = caller.proof(frame)
      this.#name = credential.identity.name
      writeHandshake(writer, proof)
    }
    socket.on('data', chunk => this.#read(() => splitter.push(chunk, onFrame), socket))
    writeHandshake(writer, caller.hello)
  }

  #read(work: () => void, socket: Socket): void {
    try {
      work()
    } catch (error) {
      if (!(error instanceof ProtocolError) && !CloudError.is(error)) throw error
      this.#options.logger.warn('a direct connection was given up', { peer: this.#options.instance, error })
      socket.destroy()
    }
  }

  #opened(writer: FrameWriter): void {
    if (this.#state !== 'opening') throw new ProtocolError('a second welcome')
    this.#stopTimer()
    this.#state = this.blocked ? 'leaving' : 'ready'
    this.#failures = 0
    this.#writer = writer
    this.#hub = hubLinkOver(writer)
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const call of waiting) {
      try {
        this.#write(call)
      } catch (error) {
        fail(call, CloudError.from(error))
      }
    }
    this.#endWhenIdle()
  }

  /** Nothing was sent: every call goes the other way, and so do later ones for a while. */
  #unreachable(): void {
    const { clock, limits, ids } = this.#options
    this.#socket = undefined
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    if (this.blocked) this.#state = 'over'
    else {
      this.blocked = true
      this.#state = 'idle'
      const pause = Math.min(limits.maxBackoffMs, 250 * 2 ** Math.min(this.#failures++, 10))
      this.#stopTimer = clock.after(pause / 2 + (pause / 2) * ids.random(), () => {
        if (this.#state === 'idle') this.blocked = false
      })
    }
    for (const call of waiting) this.#options.otherWay(call)
  }

  /** The connection broke: what was written has an unknown outcome. */
  #lost(): void {
    this.#writer = undefined
    this.#hub = undefined
    this.#failAll()
    if (this.#state === 'leaving') {
      this.#state = 'over'
      this.#socket = undefined
    } else this.#unreachable()
  }

  #failAll(error?: CloudError): void {
    for (const [id, call] of this.#calls.entries()) {
      this.#calls.release(id)
      fail(call, error ?? broken(call))
    }
  }

  // ---- calls

  #write(call: DirectCall): void {
    const { limits } = this.#options
    const waits = (this.#socket as Socket).writableLength + (this.#writer as FrameWriter).waiting
    const full = waits > limits.maxOutgoingBytes || this.#calls.size >= limits.maxPending
    const id = full ? 0 : this.#calls.add(call)
    if (id === 0) throw overloaded(call)
    call.id = id
    ;(this.#hub as HubLink).request(id, call.options.deadline, call.subject, call.headers, call.payload, false)
    // The only call: nothing is worth waiting for.
    if (this.#calls.size === 1) this.#writer?.flush()
  }

  #listener(onWelcome: () => void): PeerLink & Greeting {
    const unexpected = (): never => {
      throw new ProtocolError('a frame that a direct peer does not send')
    }
    return {
      welcome: onWelcome,
      answered: (id, _sender, headers, payload) => this.#answered(id, headers, payload),
      failed: (id, code, text, retryAfterMs) => this.#failed(id, code, text, retryAfterMs),
      rejected: (code, text) => this.#rejected(code, text),
      accepted: () => undefined,
      deliver: unexpected,
      cancelled: unexpected,
    }
  }

  #answered(id: number, headers: HeaderBlock, payload: Uint8Array): void {
    const call = this.#calls.release(id)
    if (call === undefined) return
    call.release()
    call.resolve(new PlainMessage(call.subject, payload, headers, this.#name))
    if (this.#state === 'leaving') this.#endWhenIdle()
  }

  #failed(id: number, code: string, text: string, retryAfterMs: number | undefined): void {
    const call = this.#calls.release(id)
    if (call === undefined) return
    // Said before any handler ran, and by nobody else.
    if (code === 'core.bus.no-responder') this.#options.otherWay(call)
    else fail(call, failureOf(code, text, retryAfterMs))
    this.#endWhenIdle()
  }

  /** In the handshake: the peer does not want us. Later: it leaves, and waits for our last word. */
  #rejected(code: string, text: string): void {
    if (this.#state === 'opening') {
      this.#options.logger.warn('a peer refused a direct connection', { peer: this.#options.instance, code, text })
      this.#socket?.destroy()
      return
    }
    this.blocked = true
    if (this.#state === 'ready') this.#state = 'leaving'
    this.#hub?.flush(1)
  }

  #endWhenIdle(): void {
    if (this.#state !== 'leaving' || this.inFlight > 0 || this.#socket === undefined) return
    this.#writer?.flush()
    this.#socket.end()
  }
}

function fail(call: DirectCall, error: CloudError): void {
  call.release()
  call.reject(error)
}

function broken(call: DirectCall): CloudError {
  return new CloudError('core.bus.disconnected', `the direct connection broke while ${call.subject} was under way`)
}

function overloaded(call: DirectCall): CloudError {
  return new CloudError('core.bus.overloaded', `too much waits for the peer; ${call.subject} was not sent`)
}
