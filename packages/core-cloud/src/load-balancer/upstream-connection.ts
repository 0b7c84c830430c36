import { connect, type Socket } from 'node:net'
import { type ResponseHead, ResponseParser, type ResponseSink } from './response-parser.js'

/** What one exchange hears from its connection. After `onDone` or `onFail` it hears nothing more. */
export interface ExchangeEvents {
  onHead(head: ResponseHead): void
  /** `bytes` is only valid during the call. @returns false to be sent no more until `resume`. */
  onBody(bytes: Buffer): boolean
  onDone(): void
  onFail(failure: ConnectionFailure): void
  /** Connected: a body that is streamed may follow the head now. */
  onReady(): void
  /** The instance takes more of the request's body again. */
  onDrain(): void
}

export interface ConnectionFailure {
  /**
   * - `unsent`: not a byte of the request reached the instance, so any request may go elsewhere.
   * - `unanswered`: the instance may have seen it and said nothing back.
   * - `cut`: it ended in the middle of its answer.
   * - `nonsense`: it answered something that is no HTTP.
   */
  readonly kind: 'unsent' | 'unanswered' | 'cut' | 'nonsense'
  readonly error: Error
}

/** All connections read into this buffer: what is read is used or copied before the next read. */
const readBuffer = Buffer.allocUnsafeSlow(65_536)

/** A single write up to this size reaches a unix socket whole or, when the other side is gone, not at all. */
const atomicWrite = 16_384

/** One connection to an instance; carries one request at a time. */
export class UpstreamConnection implements ResponseSink {
  readonly #socket: Socket
  readonly #parser = new ResponseParser()
  readonly #onIdle: (connection: UpstreamConnection) => void
  readonly #onClose: (connection: UpstreamConnection) => void
  #events: ExchangeEvents | undefined
  #connected = false
  #answered = false
  #done = false
  #flowing = true
  #reusable = false
  #bodyOpen = false
  /** True while everything sent for this request went in one write that the system takes whole or not at all. */
  #atomic = true
  #error: Error | undefined
  /** Requests carried before this one. */
  used = 0
  /** Clock milliseconds since when it is idle. */
  idleSince = 0
  /** Milliseconds the instance keeps an idle connection. */
  keepAliveMs = 5_000

  constructor(options: {
    readonly socketPath: string
    readonly onIdle: (connection: UpstreamConnection) => void
    readonly onClose: (connection: UpstreamConnection) => void
  }) {
    this.#onIdle = options.onIdle
    this.#onClose = options.onClose
    this.#socket = connect({
      path: options.socketPath,
      onread: { buffer: readBuffer, callback: count => this.#onRead(count) },
    })
    this.#socket.on('connect', () => {
      this.#connected = true
      this.#events?.onReady()
    })
    this.#socket.on('drain', () => this.#events?.onDrain())
    this.#socket.on('error', (error: Error) => {
      this.#error = error
    })
    // With `onread` nobody reads the stream: this lets its end be seen.
    this.#socket.on('end', () => this.#socket.destroy())
    this.#socket.on('close', () => this.#onSocketClose())
  }

  /** True when a failure says that the instance cannot be reached, and not that it closed an idle connection. */
  get fresh(): boolean {
    return this.used === 0
  }

  /** Sends a request's head, with a small body when there is one; a streamed one follows by `write` and `endBody`. */
  begin(
    events: ExchangeEvents,
    options: { readonly head: string; readonly body?: Buffer; readonly streamed: boolean; readonly bodiless: boolean },
  ): void {
    this.#events = events
    this.#answered = false
    this.#done = false
    this.#reusable = false
    this.#bodyOpen = options.streamed
    this.#parser.begin(this, { bodiless: options.bodiless })
    this.#atomic = options.head.length + (options.body?.length ?? 0) <= atomicWrite
    if (options.body === undefined) this.#socket.write(options.head, 'latin1')
    else this.#socket.write(Buffer.concat([Buffer.from(options.head, 'latin1'), options.body]))
    if (this.#connected) events.onReady()
  }

  /** Sends more of a body. @returns false when the caller should wait for `onDrain`. */
  write(bytes: Buffer | string): boolean {
    this.#atomic = false
    return this.#socket.write(bytes)
  }

  endBody(): void {
    this.#bodyOpen = false
  }

  resume(): void {
    if (this.#flowing) return
    this.#flowing = true
    this.#socket.resume()
  }

  /** Gives the exchange up: it hears nothing more. */
  abort(): void {
    this.#events = undefined
    this.#socket.destroy()
  }

  get destroyed(): boolean {
    return this.#socket.destroyed
  }

  onHead(head: ResponseHead): void {
    this.#answered = true
    this.#reusable = head.reusable
    if (head.keepAliveMs !== undefined) this.keepAliveMs = head.keepAliveMs
    this.#events?.onHead(head)
  }

  onBody(bytes: Buffer): void {
    if (this.#events !== undefined && !this.#events.onBody(bytes)) this.#flowing = false
  }

  onEnd(): void {
    this.#done = true
  }

  #onRead(count: number): boolean {
    try {
      this.#parser.push(count === readBuffer.length ? readBuffer : readBuffer.subarray(0, count))
    } catch (error) {
      const failed = error instanceof Error ? error : new Error(String(error))
      // Bytes behind a complete answer spoil the connection and not the answer.
      this.#reusable = false
      if (!this.#done) this.#fail('nonsense', failed)
      this.#socket.destroy()
    }
    if (this.#done) this.#finish()
    return this.#flowing
  }

  #finish(): void {
    const events = this.#events
    this.#events = undefined
    this.#done = false
    this.used += 1
    // A request whose body is still being sent cannot be followed by another one.
    const reusable = this.#reusable && !this.#bodyOpen && !this.#socket.destroyed && this.#socket.writableLength === 0
    this.#reusable = false
    if (reusable) {
      this.resume()
      this.#onIdle(this)
    } else this.#socket.destroy()
    events?.onDone()
  }

  #fail(kind: ConnectionFailure['kind'], error: Error): void {
    const events = this.#events
    this.#events = undefined
    events?.onFail({ kind, error })
  }

  #onSocketClose(): void {
    this.#onClose(this)
    if (this.#events === undefined) return
    if (this.#answered && this.#parser.finish()) {
      this.#reusable = false
      this.#finish()
      return
    }
    const error = this.#error ?? new Error('the instance closed the connection')
    this.#fail(this.#failureKind(error), error)
  }

  #failureKind(error: Error): ConnectionFailure['kind'] {
    if (!this.#connected) return 'unsent'
    if (this.#answered) return 'cut'
    // Writing to a unix socket whose other side is closed fails before anything is taken.
    const refused = 'code' in error && error.code === 'EPIPE' && 'syscall' in error && error.syscall === 'write'
    return refused && this.#atomic ? 'unsent' : 'unanswered'
  }
}
