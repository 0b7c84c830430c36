import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type Clock, CloudError, type Ids, type Logger, sleep } from '@aaas/core-cloud/kernel'
import { Counters, type EdgeMetrics } from './edge-metrics.js'
import { sendError, sendLanding } from './edge-pages.js'
import { Exchange, type RequestBody } from './exchange.js'
import { readBody } from './request-body.js'
import { requestHead } from './request-head.js'
import type { Route, RouteTable } from './route-table.js'
import { type Destination, Routes } from './routing.js'
import { UpstreamPool } from './upstream-pool.js'

export interface EdgeLimits {
  /** Bytes of a request's body, default 20 MiB; more gets 413. */
  readonly maxBodyBytes?: number
  /** Bytes of a request's head, default 16 KiB; more gets 431. */
  readonly maxHeadBytes?: number
  /** Connections of clients, default 10_000; further ones are closed at once. */
  readonly maxConnections?: number
  /** Milliseconds for a client to send its head, default 10_000; more gets 408. */
  readonly headMs?: number
  /** Milliseconds for a client to send head and body, default 120_000; more gets 408. */
  readonly requestMs?: number
  /** Milliseconds an idle client connection is kept, default 65_000. */
  readonly keepAliveMs?: number
  /** Milliseconds without a sign of life from the instance (or from a client that takes its answer), default 60_000. */
  readonly upstreamMs?: number
  /**
   * Bytes of an answer that are kept until it is complete, default 256 KiB: until then a GET whose instance dies is
   * repeated elsewhere unnoticed, and a slow client holds no place of the instance. Longer ones, and those whose length
   * is not announced, are passed on as they come.
   */
  readonly bufferBytes?: number
  /** Milliseconds that disposing waits for running requests, default 10_000. */
  readonly drainMs?: number
}

export interface EdgeOptions {
  /** 0 takes a free one. */
  readonly port: number
  /** Default `127.0.0.1`. */
  readonly host?: string
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly limits?: EdgeLimits
}

/** The HTTP entrance of a host: sends each request to an instance of the site that it names. */
export interface Edge extends AsyncDisposable {
  readonly port: number
  /**
   * Replaces the table at once: new requests see the new one, running ones finish where they are. Connections of clients
   * are not touched.
   * @throws CloudError `core.kernel.invalid-config` when two routes claim the same name; the old table then stays.
   */
  setRoutes(table: RouteTable): void
  /** Requests that an upstream has now, also after it left the table. */
  inFlight(upstreamId: string): number
  /** Resolves when an upstream has no request; rejects with the signal's reason. Stop sending to it first. */
  drained(upstreamId: string, signal?: AbortSignal): Promise<void>
  metrics(): EdgeMetrics
}

/** Milliseconds between looks for exchanges that hang; nothing ticks while there are none. */
const sweepMs = 1_000
/** Bodies up to this size are read before an instance is chosen: a slow sender holds no place there. */
const wholeBodyBytes = 65_536

/** @throws CloudError `core.deploy.port-in-use` naming the port; `core.kernel.not-writable` when it may not be opened. */
export async function createEdge(options: EdgeOptions): Promise<Edge> {
  const edge = new NodeEdge(options)
  await edge.listen()
  return edge
}

class NodeEdge implements Edge {
  readonly #options: EdgeOptions
  readonly #limits: Required<EdgeLimits>
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #exchanges = new Set<Exchange>()
  readonly #siteCounters = new Map<string, Counters>()
  readonly #idPrefix: string
  #pools = new Map<string, UpstreamPool>()
  /** Pools that left the table with requests still running, by upstream id. */
  readonly #leaving = new Set<UpstreamPool>()
  #poolsBySite = new Map<string, readonly UpstreamPool[]>()
  #routes = new Routes([])
  #turn = 0
  #idCount = 0
  #cancelSweep: (() => void) | undefined
  #stopping: Promise<void> | undefined

  constructor(options: EdgeOptions) {
    this.#options = options
    this.#limits = withDefaults(options.limits ?? {})
    this.#idPrefix = options.ids.token(5)
    this.#server = createServer({
      maxHeaderSize: this.#limits.maxHeadBytes,
      headersTimeout: this.#limits.headMs,
      requestTimeout: this.#limits.requestMs,
      keepAliveTimeout: this.#limits.keepAliveMs,
      connectionsCheckingInterval: 5_000,
      noDelay: true,
      insecureHTTPParser: false,
    })
    this.#server.maxConnections = this.#limits.maxConnections
    this.#server.on('request', (request, response) => this.#serve(request, response))
    this.#server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      if (!this.#tooLarge(request)) response.writeContinue()
      this.#serve(request, response)
    })
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    this.#server.on('clientError', answerBadRequest)
  }

  listen(): Promise<void> {
    const { port, host = '127.0.0.1' } = this.#options
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        const inUse = error.code === 'EADDRINUSE'
        const text = inUse
          ? `port ${port} is in use by another program`
          : `cannot listen on ${host}:${port}: ${error.message}`
        const details = { port, host }
        reject(
          new CloudError(inUse ? 'core.deploy.port-in-use' : 'core.kernel.invalid-config', text, {
            field: 'port',
            details,
            cause: error,
          }),
        )
      })
      this.#server.listen(port, host, () => {
        this.#server.removeAllListeners('error')
        this.#server.on('error', error => this.#options.logger.error('edge', { error }))
        resolve()
      })
    })
  }

  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0
  }

  setRoutes(table: RouteTable): void {
    const routes = new Routes(table)
    const pools = new Map<string, UpstreamPool>()
    const bySite = new Map<string, readonly UpstreamPool[]>()
    for (const route of table) {
      const list = route.upstreams.map(upstream => {
        const known = this.#pools.get(upstream.id)
        const pool = known?.socketPath === upstream.socketPath ? known : new UpstreamPool(upstream, this.#options.clock)
        pool.update(upstream)
        pools.set(upstream.id, pool)
        return pool
      })
      bySite.set(route.site, list)
      if (!this.#siteCounters.has(route.site)) this.#siteCounters.set(route.site, new Counters())
    }
    for (const pool of this.#pools.values()) {
      if (pools.get(pool.id) === pool) continue
      pool.retire()
      this.#leaving.add(pool)
      pool.whenEmpty(() => this.#leaving.delete(pool))
    }
    for (const site of this.#siteCounters.keys()) if (!bySite.has(site)) this.#siteCounters.delete(site)
    this.#pools = pools
    this.#poolsBySite = bySite
    this.#routes = routes
  }

  #poolsOf(upstreamId: string): readonly UpstreamPool[] {
    return [...this.#leaving, ...this.#pools.values()].filter(pool => pool.id === upstreamId)
  }

  inFlight(upstreamId: string): number {
    return this.#poolsOf(upstreamId).reduce((sum, pool) => sum + pool.inFlight, 0)
  }

  async drained(upstreamId: string, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    for (const pool of this.#poolsOf(upstreamId)) {
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => {
          forget()
          reject(signal?.reason)
        }
        const forget = pool.whenEmpty(() => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        })
        signal?.addEventListener('abort', onAbort, { once: true })
      })
    }
  }

  metrics(): EdgeMetrics {
    return {
      sites: Object.fromEntries([...this.#siteCounters].map(([site, counters]) => [site, counters.snapshot()])),
      upstreams: Object.fromEntries(
        [...this.#leaving, ...this.#pools.values()].map(pool => [pool.id, pool.counters.snapshot()]),
      ),
      connections: this.#sockets.size,
    }
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const startedAt = this.#options.clock.monotonic()
    const address = addressOf(request)
    const found = address === undefined ? undefined : this.#routes.find(address.host, address.url)
    if (address === undefined || found === undefined || found.kind === 'bad-request') {
      response.writeHead(400, { 'content-length': 0, connection: 'close' }).end()
    } else if (found.kind === 'landing') sendLanding(request, response)
    else if (found.kind === 'redirect') response.writeHead(308, { location: found.location, 'content-length': 0 }).end()
    else if (found.kind === 'unknown-site') {
      sendError(request, response, new CloudError('core.load-balancer.unknown-site', 'no site answers at this address'))
    } else this.#toSite(request, response, { found, host: address.host, startedAt })
  }

  #toSite(
    request: IncomingMessage,
    response: ServerResponse,
    call: {
      readonly found: Destination & { readonly kind: 'site' }
      readonly host: string
      readonly startedAt: number
    },
  ): void {
    const { found, host, startedAt } = call
    const { route, target, prefix } = found
    const refusal = this.#refusal(request, route)
    if (refusal !== undefined) {
      sendError(request, response, refusal)
      return
    }
    const requestId = `${this.#idPrefix}-${(this.#idCount++).toString(36)}`
    readBody(request, { wholeBytes: wholeBodyBytes, maxBytes: this.#limits.maxBodyBytes }, (body, framing) => {
      if (body === 'too-large') {
        sendError(request, response, this.#bodyError())
        return
      }
      const clientAddress = request.socket.remoteAddress ?? 'unknown'
      const head = requestHead(request, { target, host, clientAddress, requestId, prefix }, framing)
      this.#exchange(request, response, { route, head, body, requestId, startedAt })
    })
  }

  #exchange(
    request: IncomingMessage,
    response: ServerResponse,
    call: {
      readonly route: Route
      readonly head: string
      readonly body: RequestBody
      readonly requestId: string
      readonly startedAt: number
    },
  ): void {
    // Written out, here and above: object rest and spread in the path of every request made V8 keep finished requests
    // until the next full collection, and a request cost nearly twice the time.
    const { route, head, body, requestId, startedAt } = call
    const site = this.#siteCounters.get(route.site) ?? new Counters()
    const exchange: Exchange = new Exchange({
      request,
      response,
      head,
      body,
      requestId,
      startedAt,
      pools: this.#poolsBySite.get(route.site) ?? [],
      turn: this.#turn++,
      site,
      clock: this.#options.clock,
      bufferBytes: this.#limits.bufferBytes,
      maxBodyBytes: this.#limits.maxBodyBytes,
      onError: error => {
        if (error.status !== 413 && error.status !== 503) {
          this.#options.logger.warn('edge: an instance failed', { site: route.site, requestId, error })
        }
        sendError(request, response, error)
      },
      onEnd: () => this.#exchanges.delete(exchange),
    })
    this.#exchanges.add(exchange)
    this.#sweepLater()
    exchange.start()
  }

  #refusal(request: IncomingMessage, route: Route): CloudError | undefined {
    if (this.#tooLarge(request)) return this.#bodyError()
    if (route.maintenance) return new CloudError('core.load-balancer.maintenance', 'the site is being maintained')
    const upgrade = request.headers.upgrade
    if (request.method === 'TRACE' || (upgrade !== undefined && /\bwebsocket\b/i.test(upgrade))) {
      return new CloudError('core.load-balancer.not-supported', 'WebSocket and TRACE are not carried')
    }
    return undefined
  }

  #tooLarge(request: IncomingMessage): boolean {
    return Number(request.headers['content-length'] ?? 0) > this.#limits.maxBodyBytes
  }

  #bodyError(): CloudError {
    return new CloudError('core.contract.payload-too-large', `a body may have ${this.#limits.maxBodyBytes} bytes`)
  }

  #sweepLater(): void {
    this.#cancelSweep ??= this.#options.clock.after(sweepMs, () => {
      this.#cancelSweep = undefined
      const oldest = this.#options.clock.monotonic() - this.#limits.upstreamMs
      for (const exchange of this.#exchanges) if (exchange.lastActivity < oldest) exchange.expire()
      if (this.#exchanges.size > 0) this.#sweepLater()
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  /** Takes no new connections, lets running requests end, closes what is idle, and at the deadline everything. */
  async #stop(): Promise<void> {
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    for (const exchange of this.#exchanges) exchange.closeAfter()
    const abort = new AbortController()
    const late = sleep(this.#options.clock, this.#limits.drainMs, abort.signal).catch(() => undefined)
    await Promise.race([closed, late])
    abort.abort()
    this.#cancelSweep?.()
    this.#server.closeAllConnections()
    for (const pool of [...this.#leaving, ...this.#pools.values()]) pool.destroy()
    await closed
  }
}

function withDefaults(limits: EdgeLimits): Required<EdgeLimits> {
  return {
    maxBodyBytes: 20 * 1024 * 1024,
    maxHeadBytes: 16 * 1024,
    maxConnections: 10_000,
    headMs: 10_000,
    requestMs: 120_000,
    keepAliveMs: 65_000,
    upstreamMs: 60_000,
    bufferBytes: 256 * 1024,
    drainMs: 10_000,
    ...limits,
  }
}

/** Host and path of a request, also of the absolute form; undefined when it names no host or several. */
function addressOf(request: IncomingMessage): { readonly host: string; readonly url: string } | undefined {
  const url = request.url ?? ''
  const absolute = url.startsWith('/') ? null : /^https?:\/\/([^/?#]+)(.*)$/i.exec(url)
  if (absolute !== null) {
    const rest = absolute[2] ?? ''
    return { host: absolute[1] ?? '', url: rest.startsWith('/') ? rest : `/${rest}` }
  }
  const { host } = request.headers
  if (host === undefined || !hasOneHost(request.rawHeaders) || !/^[\w.\-:[\]]{1,255}$/.test(host)) return undefined
  return { host, url }
}

/** Node keeps the first of several; two readers that choose differently are how requests reach the wrong site. */
function hasOneHost(raw: readonly string[]): boolean {
  let count = 0
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index]
    if (name?.length === 4 && name.toLowerCase() === 'host') count += 1
  }
  return count === 1
}

/** What the parser refuses (both framings at once, bad names, too large a head, too slow) ends the connection. */
function answerBadRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request'
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
