import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import http, { type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { connect, createServer as createNetServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { createEdge, type Edge, type EdgeOptions, type Route, type Upstream } from '@aaas/core-cloud/load-balancer'

export interface EdgeFixture extends AsyncDisposable {
  readonly edge: Edge
  readonly folder: string
  /** Starts an HTTP instance in this process. */
  instance(
    id: string,
    listener: RequestListener,
    options?: Partial<Upstream>,
  ): Promise<Upstream & { readonly server: Server }>
  /** Starts an instance that speaks bytes. */
  rawInstance(id: string, onSocket: (socket: Socket) => void): Promise<Upstream>
  /** Makes site `shop` (host name `shop.localhost`) of these. */
  route(upstreams: readonly Upstream[], options?: Partial<Route>): void
}

export async function openEdge(options: Partial<EdgeOptions> = {}): Promise<EdgeFixture> {
  const folder = await mkdtemp(join(tmpdir(), 'aaas-edge-'))
  const edge = await createEdge({
    port: 0,
    clock: systemClock({ keepAlive: true }),
    ids: systemIds(),
    logger: silentLogger,
    ...options,
  })
  const servers: { close(): unknown }[] = []
  const sockets = new Set<Socket>()
  return {
    edge,
    folder,
    async instance(id, listener, upstream = {}) {
      const server = http.createServer(listener)
      server.on('connection', (socket: Socket) => sockets.add(socket))
      const socketPath = join(folder, `${id}.sock`)
      server.listen(socketPath)
      await once(server, 'listening')
      servers.push(server)
      return { id, socketPath, concurrency: 100, state: 'ready', ...upstream, server }
    },
    async rawInstance(id, onSocket) {
      const server = createNetServer(socket => {
        sockets.add(socket)
        socket.on('error', () => undefined)
        onSocket(socket)
      })
      const socketPath = join(folder, `${id}.sock`)
      server.listen(socketPath)
      await once(server, 'listening')
      servers.push(server)
      return { id, socketPath, concurrency: 100, state: 'ready' }
    },
    route(upstreams, route = {}) {
      edge.setRoutes([{ site: 'shop', hostNames: ['shop.localhost'], upstreams, maintenance: false, ...route }])
    },
    async [Symbol.asyncDispose]() {
      await edge[Symbol.asyncDispose]()
      for (const socket of sockets) socket.destroy()
      for (const server of servers) server.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

export interface Call {
  readonly path?: string
  readonly method?: string
  readonly host?: string
  readonly headers?: http.OutgoingHttpHeaders
  readonly body?: string | Buffer
  readonly agent?: http.Agent
}

/** One request to the edge, without any retry. */
export function call(
  edge: Edge,
  { path = '/', method = 'GET', host = 'shop.localhost', headers = {}, body, agent }: Call = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = {
      port: edge.port,
      host: '127.0.0.1',
      path,
      method,
      headers: { host, ...headers },
      agent: agent ?? false,
    }
    const request = http.request(options, response => {
      readAll(response).then(
        text => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
        reject,
      )
    })
    request.on('error', reject)
    request.end(body)
  })
}

export async function readAll(stream: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(part as Buffer)
  return Buffer.concat(parts).toString()
}

/** Sends bytes to the edge and gives everything that comes back until it closes the connection. */
export async function sendRaw(edge: Edge, text: string): Promise<string> {
  const socket = connect(edge.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(text)
  let answer = ''
  socket.on('data', bytes => {
    answer += bytes.toString('latin1')
  })
  await once(socket, 'close')
  return answer
}

export function deferred(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>(done => {
    resolve = done
  })
  return { promise, resolve: () => resolve() }
}
