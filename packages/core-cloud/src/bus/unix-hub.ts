import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '../kernel/clock.js'
import { CloudError } from '../kernel/errors.js'
import type { Logger } from '../kernel/logger.js'
import type { Bus } from './bus.js'
import { HubConnection, type HubConnectionLimits } from './hub-connection.js'
import { type BusIdentity, identityForm } from './link.js'
import { localBus } from './memory-bus.js'
import type { QuotaDesk } from './quota/quota.js'
import { Router, type RouterLimits } from './router.js'

/** A unix socket's name holds at most this many bytes; more are cut silently by some systems. */
const maxSocketPathBytes = 107

/** Bounds of a hub. */
export interface BusHubLimits extends RouterLimits, HubConnectionLimits {
  /** Connections at a time; further ones are refused. Default 1_024. */
  readonly maxConnections: number
}

/** The middle of a star of processes on one machine. Disposing it closes every connection and removes the socket. */
export interface BusHub extends AsyncDisposable {
  /** A bus in the hub's own process with the rights and the name of `identity`. */
  bus(identity: BusIdentity): Bus
  /** Who is connected over the socket; `since` is epoch milliseconds. */
  connections(): readonly { readonly name: string; readonly kind: string; readonly since: number }[]
}

export interface ListenOptions {
  /** Path of the unix socket, at most 107 bytes. Its folder should be closed to other users. */
  readonly socketPath: string
  readonly clock: Clock
  readonly logger: Logger
  /** Finds out who presents a token; undefined refuses the connection. Compare in constant time. */
  readonly authenticate: (token: string) => BusIdentity | undefined
  readonly limits?: Partial<BusHubLimits>
  /** Limits and counts what tenants use. Its owner disposes it, after the hub. */
  readonly quota?: QuotaDesk
}

/**
 * Opens a hub on a unix socket (mode 0600). A socket file that nobody listens on is replaced.
 * @throws CloudError `core.deploy.already-running` when somebody listens there, `core.kernel.invalid-config` for a path
 *   that is too long or is something else than a socket, `core.kernel.not-writable`.
 */
export async function listenBus(options: ListenOptions): Promise<BusHub> {
  const { socketPath, clock, logger, limits, quota } = options
  await clearPath(socketPath)
  const router = new Router({ clock, ...(limits === undefined ? {} : { limits }) })
  const connections = new Set<HubConnection>()
  const buses = new Set<Bus>()
  const maxConnections = limits?.maxConnections ?? 1_024
  const server = createServer(socket => {
    if (connections.size >= maxConnections) {
      logger.warn('a connection to the bus was refused: too many', { limit: maxConnections })
      socket.destroy()
      return
    }
    const connection = new HubConnection({
      socket,
      router,
      clock,
      logger,
      authenticate: options.authenticate,
      limits: limits ?? {},
      quota,
    })
    connections.add(connection)
    void connection.closed.then(() => connections.delete(connection))
  })
  await listening(server, socketPath)
  server.on('error', error => logger.error('the bus socket failed', { error }))
  return {
    bus(identity) {
      checkIdentity(identity)
      const own = quota?.open(identity)
      const bus = localBus({ router, identity, clock, logger, quota: own, onDispose: () => buses.delete(bus) })
      buses.add(bus)
      return bus
    },
    connections: () => [...connections].flatMap(({ info }) => (info === undefined ? [] : [info])),
    async [Symbol.asyncDispose]() {
      const stopped = new Promise<void>(resolve => server.close(() => resolve()))
      for (const connection of connections) connection.close()
      await Promise.all([...buses].map(bus => bus[Symbol.asyncDispose]()))
      await stopped
      router.close()
    },
  }
}

/** @throws CloudError `core.kernel.invalid-config` for a name that cannot be stamped on messages. */
function checkIdentity(identity: BusIdentity): void {
  if (!identityForm.test(identity.name)) {
    throw new CloudError(
      'core.kernel.invalid-config',
      'the name of a bus identity is 1 to 128 printable ASCII characters',
      { field: 'name' },
    )
  }
}

/** @throws CloudError `core.kernel.invalid-config`. */
export function checkSocketPath(socketPath: string): void {
  const bytes = Buffer.byteLength(socketPath)
  if (bytes === 0 || bytes > maxSocketPathBytes) {
    throw new CloudError(
      'core.kernel.invalid-config',
      `a socket path of ${bytes} bytes; 1 to ${maxSocketPathBytes} are possible`,
      {
        field: 'socketPath',
      },
    )
  }
}

/** Makes the path free, unless somebody answers there. @throws CloudError as {@link listenBus}. */
export async function clearPath(socketPath: string): Promise<void> {
  checkSocketPath(socketPath)
  const found = lstatSync(socketPath, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket()) {
    throw new CloudError('core.kernel.invalid-config', `${socketPath} is there and is not a socket`, {
      field: 'socketPath',
    })
  }
  if (await answers(socketPath)) {
    throw new CloudError('core.deploy.already-running', `somebody listens on ${socketPath}`)
  }
  unlinkSync(socketPath)
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise(resolve => {
    const probe: Socket = connect(socketPath)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
}

export function listening(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (cause: Error): void => {
      const code =
        'code' in cause && cause.code === 'EADDRINUSE' ? 'core.deploy.already-running' : 'core.kernel.not-writable'
      reject(new CloudError(code, `cannot listen on ${socketPath}`, { cause }))
    }
    server.once('error', refuse)
    server.listen(socketPath, () => {
      server.off('error', refuse)
      try {
        chmodSync(socketPath, 0o600)
        resolve()
      } catch (error) {
        server.close()
        reject(new CloudError('core.kernel.not-writable', `cannot set the rights of ${socketPath}`, { cause: error }))
      }
    })
  })
}
