import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Clock, CloudError } from '@aaas/core-cloud/kernel'
import type { Counters } from './edge-metrics.js'
import type { ResponseHead } from './response-parser.js'
import type { ConnectionFailure, ExchangeEvents, UpstreamConnection } from './upstream-connection.js'
import { choose, type UpstreamPool } from './upstream-pool.js'

/** The request's body: all of it, or a stream whose first part is here already. */
export type RequestBody =
  | { readonly kind: 'whole'; readonly bytes: Buffer | undefined }
  | { readonly kind: 'stream'; readonly first: Buffer; readonly chunked: boolean }

export interface ExchangeOptions {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly head: string
  readonly body: RequestBody
  readonly requestId: string
  readonly pools: readonly UpstreamPool[]
  readonly turn: number
  readonly site: Counters
  readonly clock: Clock
  /** Clock milliseconds at which the request's head was here. */
  readonly startedAt: number
  /** Bytes of an answer that are kept until it is complete; longer ones are passed on as they come. */
  readonly bufferBytes: number
  readonly maxBodyBytes: number
  readonly onError: (error: CloudError) => void
  readonly onEnd: () => void
}

/** Attempts of a request that may be repeated after an instance took it and died. */
const repeatLimit = 3
const plainWriteBytes = 65_536
/** Attempts beyond the number of instances, whatever the failures. */
const spareAttempts = 2

/** One request on its way to an instance and its answer on the way back, retries included. */
export class Exchange implements ExchangeEvents {
  readonly #options: ExchangeOptions
  readonly #repeatable: boolean
  #pool: UpstreamPool | undefined
  #connection: UpstreamConnection | undefined
  #tried: UpstreamPool[] = []
  #attempts = 0
  #repeats = 0
  /** Why an attempt failed that the instance may have seen. */
  #lastError: Error | undefined
  #head: ResponseHead | undefined
  /** A body that is short enough for one plain write, one character a byte; longer ones are in `#parts`. */
  #text = ''
  #parts: Buffer[] = []
  #received = 0
  /** True once a byte of the answer went to the client: from then on nothing can be taken back. */
  #passing = false
  #streaming = false
  #ended = false
  /** Clock milliseconds of the last sign of life. */
  lastActivity: number

  constructor(options: ExchangeOptions) {
    this.#options = options
    const { method } = options.request
    this.#repeatable = (method === 'GET' || method === 'HEAD') && options.body.kind === 'whole'
    this.lastActivity = options.startedAt
  }

  start(): void {
    this.#options.site.inFlight += 1
    this.#options.response.once('close', () => this.#onClientClose())
    this.#attempt(false)
  }

  #attempt(fresh: boolean): void {
    const { pools, turn, clock, site, head, body, request } = this.#options
    const pool = choose(pools, { turn, tried: this.#tried })
    if (pool === undefined) {
      this.#reject()
      return
    }
    if (this.#tried.length > 0 || fresh) {
      site.retried += 1
      pool.counters.retried += 1
    }
    this.#pool = pool
    this.#attempts += 1
    pool.enter()
    this.lastActivity = clock.monotonic()
    const bytes = body.kind === 'whole' ? body.bytes : undefined
    const sent = head.length + (bytes?.length ?? 0)
    site.bytesIn += sent
    pool.counters.bytesIn += sent
    const connection = pool.take({ repeatable: this.#repeatable, fresh })
    this.#connection = connection
    connection.begin(this, {
      head,
      ...(bytes === undefined ? {} : { body: bytes }),
      streamed: body.kind === 'stream',
      bodiless: request.method === 'HEAD',
    })
  }

  /** A body is taken from the client only once somebody is there to take it: until then another instance may do. */
  onReady(): void {
    const { body } = this.#options
    if (body.kind === 'stream' && this.#connection !== undefined) this.#stream(this.#connection, body)
  }

  /** Nobody can take it: all full is the client's cue to come back, none reachable as well. */
  #reject(): void {
    const { pools, site } = this.#options
    if (this.#lastError !== undefined) {
      this.#failWith(this.#lastError)
      return
    }
    site.rejected += 1
    const full = this.#tried.length === 0 && pools.some(pool => pool.ready && pool.full)
    const code = full ? 'core.load-balancer.overloaded' : 'core.load-balancer.no-instance'
    this.#finish(new CloudError(code, full ? 'every instance is busy' : 'no instance can be reached'), 'rejected')
  }

  onHead(head: ResponseHead): void {
    this.lastActivity = this.#options.clock.monotonic()
    this.#head = head
    this.#pool?.reached()
    const whole = head.framing === 'none' || (head.framing === 'length' && head.length <= this.#options.bufferBytes)
    if (!whole) this.#pass(head)
  }

  onBody(bytes: Buffer): boolean {
    const { clock, response, bufferBytes } = this.#options
    this.lastActivity = clock.monotonic()
    this.#received += bytes.length
    if (!this.#passing) {
      if (this.#short) this.#text += bytes.toString('latin1')
      else this.#parts.push(Buffer.from(bytes))
      return true
    }
    if (response.write(Buffer.from(bytes)) || response.writableLength <= bufferBytes) return true
    response.once('drain', () => {
      this.lastActivity = clock.monotonic()
      this.#connection?.resume()
    })
    return false
  }

  onDone(): void {
    const { response } = this.#options
    if (this.#passing) response.end()
    else if (this.#head !== undefined && this.#writeHead(this.#head)) {
      this.#sendWhole()
    }
    this.#finish(undefined, (this.#head?.status ?? 500) >= 500 ? 'failed' : 'answered')
  }

  /**
   * A body as text of one byte a character leaves with its head in one plain write; Buffers would take a gathering
   * write, and memory outside the heap for each, which costs more than all the rest of the way back.
   */
  #sendWhole(): void {
    const { response } = this.#options
    const [first, second] = this.#parts
    if (this.#short) response.end(this.#text, 'latin1')
    else response.end(second === undefined ? first : Buffer.concat(this.#parts))
  }

  get #short(): boolean {
    return this.#head !== undefined && this.#head.length <= plainWriteBytes
  }

  onFail(failure: ConnectionFailure): void {
    const pool = this.#pool
    const fresh = this.#connection?.fresh ?? true
    pool?.failed(fresh)
    if (failure.kind !== 'unsent') this.#lastError = failure.error
    if (pool !== undefined && this.#mayRepeat(failure)) {
      const { pools, turn } = this.#options
      this.#leave()
      this.#head = undefined
      this.#text = ''
      this.#parts = []
      this.#received = 0
      this.#tried.push(pool)
      // Where there is no other instance, a fresh connection to the same one may do when the failed one was not.
      const other = choose(pools, { turn, tried: this.#tried })
      if (other === undefined && !fresh) this.#tried = this.#tried.filter(one => one !== pool)
      this.#attempt(true)
      return
    }
    this.#failWith(failure.error)
  }

  #failWith(cause: Error): void {
    this.#finish(new CloudError('core.load-balancer.instance-failed', 'the instance failed', { cause }), 'failed')
  }

  onDrain(): void {
    this.#options.request.resume()
  }

  /** The edge stops: the client's connection ends with this answer. */
  closeAfter(): void {
    const { request, response } = this.#options
    if (response.headersSent) response.once('finish', () => request.socket.destroySoon())
    else response.setHeader('connection', 'close')
  }

  /** Gives up an exchange that showed no sign of life for too long. */
  expire(): void {
    this.#connection?.abort()
    this.#finish(new CloudError('core.load-balancer.instance-timeout', 'the instance did not answer in time'), 'failed')
  }

  #mayRepeat(failure: ConnectionFailure): boolean {
    const { body, pools } = this.#options
    if (this.#passing || this.#attempts >= pools.length + spareAttempts) return false
    if (failure.kind === 'unsent') return body.kind === 'whole' || !this.#streaming
    this.#repeats += 1
    return this.#repeatable && this.#repeats < repeatLimit
  }

  #stream(connection: UpstreamConnection, body: { readonly first: Buffer; readonly chunked: boolean }): void {
    const { request, clock, site, maxBodyBytes } = this.#options
    this.#streaming = true
    let total = 0
    const forward = (bytes: Buffer): void => {
      if (this.#ended || bytes.length === 0) return
      total += bytes.length
      if (total > maxBodyBytes) {
        connection.abort()
        this.#finish(
          new CloudError('core.contract.payload-too-large', `the body is over ${maxBodyBytes} bytes`),
          'answered',
        )
        return
      }
      this.lastActivity = clock.monotonic()
      site.bytesIn += bytes.length
      if (body.chunked) connection.write(`${bytes.length.toString(16)}\r\n`)
      const open = connection.write(bytes)
      if (body.chunked) connection.write('\r\n')
      if (!open) request.pause()
    }
    forward(body.first)
    request.on('data', forward)
    request.on('end', () => {
      if (this.#ended) return
      if (body.chunked) connection.write('0\r\n\r\n')
      connection.endBody()
    })
    request.resume()
  }

  #pass(head: ResponseHead): void {
    this.#passing = true
    const { response } = this.#options
    // The head leaves with the first part of the body when that came along, and alone when it did not.
    if (this.#writeHead(head)) process.nextTick(() => response.destroyed || response.flushHeaders())
  }

  /** @returns false when Node refuses a header of the instance; the client then gets 502. */
  #writeHead(head: ResponseHead): boolean {
    const { response, requestId } = this.#options
    if (response.destroyed) return false
    head.headers.push('x-request-id', requestId)
    try {
      response.writeHead(head.status, head.headers)
      return true
    } catch (error) {
      this.#passing = false
      this.#connection?.abort()
      this.#finish(
        new CloudError('core.load-balancer.instance-failed', 'the instance sent a bad header', { cause: error }),
        'failed',
      )
      return false
    }
  }

  #onClientClose(): void {
    if (this.#ended) return
    this.#connection?.abort()
    this.#finish(undefined, 'answered')
  }

  #leave(): void {
    this.#pool?.leave()
    this.#pool = undefined
    this.#connection = undefined
  }

  #finish(error: CloudError | undefined, outcome: 'answered' | 'failed' | 'rejected'): void {
    if (this.#ended) return
    this.#ended = true
    const { site, clock, startedAt, response, onError, onEnd } = this.#options
    const elapsed = clock.monotonic() - startedAt
    for (const counters of this.#pool === undefined ? [site] : [site, this.#pool.counters]) {
      counters.requests += 1
      counters.bytesOut += this.#received
      if (outcome === 'failed') counters.failures += 1
      if (outcome !== 'rejected') counters.latency.record(elapsed)
    }
    site.inFlight -= 1
    this.#leave()
    onEnd()
    if (error === undefined) return
    // A client must not take half an answer for a whole one.
    if (this.#passing) response.destroy()
    else if (!response.destroyed) onError(error)
  }
}
