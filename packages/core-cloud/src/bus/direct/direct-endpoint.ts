import type { KeyObject } from 'node:crypto'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { CloudError } from '../../kernel/errors.js'
import { clearPath, listening } from '../unix-hub.js'
import type { Announcement } from './direct-announcement.js'
import { certificateOf } from './direct-certificate.js'
import { rawKey } from './direct-credential.js'

const bindingLabel = 'EXPORTER-aaas-direct'
const noBinding = Buffer.alloc(0)

/** A connection that can carry the handshake. */
export interface DirectSocket {
  readonly socket: Socket
  /** What only the two ends of this connection know; empty on a unix socket. */
  readonly binding: Uint8Array
  /** Key the other side proved to the encryption layer, base64url; undefined on a unix socket. */
  readonly tlsKey: string | undefined
}

/** Where an instance takes direct connections. */
export interface DirectListen {
  /** Path of its unix socket (mode 0600), at most 107 bytes, in a folder closed to other users. */
  readonly socketPath?: string
  /** For other machines; always TLS 1.3 with pinned keys. */
  readonly tcp?: {
    /** Address to listen on. */
    readonly host: string
    /** 0: any free one. */
    readonly port: number
    /** Name or address that others reach it by; default `host`. */
    readonly advertise?: string
  }
}

export type DirectPlaces = Pick<Announcement, 'socketPath' | 'tcp'>

/**
 * Opens the sockets.
 * @throws CloudError `core.deploy.already-running`, `core.kernel.invalid-config`, `core.kernel.not-writable`.
 */
export async function listenDirect(
  listen: DirectListen,
  privateKey: KeyObject,
  onSocket: (socket: DirectSocket) => void,
): Promise<{ readonly places: DirectPlaces; close(): void }> {
  const servers: Server[] = []
  const close = (): void => {
    for (const server of servers) server.close()
  }
  const places: { socketPath?: string; tcp?: { host: string; port: number } } = {}
  try {
    if (listen.socketPath !== undefined) {
      await clearPath(listen.socketPath)
      const server = createServer(socket => onSocket({ socket, binding: noBinding, tlsKey: undefined }))
      await listening(server, listen.socketPath)
      servers.push(server)
      places.socketPath = listen.socketPath
    }
    if (listen.tcp !== undefined) {
      const { host, port, advertise } = listen.tcp
      const server = createTlsServer({ ...tlsOf(privateKey), requestCert: true, ALPNProtocols: ['aaas-direct'] })
      server.on('secureConnection', socket => {
        socket.setKeepAlive(true, 10_000)
        onSocket(secured(socket))
      })
      server.on('tlsClientError', (_error, socket) => socket.destroy())
      servers.push(server)
      places.tcp = { host: advertise ?? host, port: await listeningTcp(server, host, port) }
    }
  } catch (error) {
    close()
    throw error
  }
  return { places, close }
}

/**
 * Dials one place of a peer.
 * @param expectedKey - raw key of the peer: with another one the connection is given up before anything is said.
 * @param onReady - once, unless the socket closes before.
 */
export function dialSocket(path: string, onReady: (socket: DirectSocket) => void): Socket {
  const socket = connect(path)
  socket.once('connect', () => onReady({ socket, binding: noBinding, tlsKey: undefined }))
  return socket
}

export function dialTcp(
  place: { readonly host: string; readonly port: number },
  privateKey: KeyObject,
  expectedKey: string,
  onReady: (socket: DirectSocket) => void,
): Socket {
  const socket = connectTls({ ...place, ...tlsOf(privateKey), ALPNProtocols: ['aaas-direct'] }, () => {
    const ready = secured(socket)
    if (ready.tlsKey === expectedKey) onReady(ready)
    else socket.destroy(new Error('the peer holds another key than the announced one'))
  })
  socket.setNoDelay(true)
  socket.setKeepAlive(true, 10_000)
  return socket
}

/** True for a path a peer may be called at: next to one's own socket. Nobody can point others at a socket elsewhere. */
export function isNeighbour(own: string | undefined, path: string): boolean {
  return own !== undefined && dirname(own) === dirname(path) && !path.includes('/../') && !path.includes('/./')
}

/** Keys are compared by us; authorities have no say. */
function tlsOf(privateKey: KeyObject): {
  readonly key: string
  readonly cert: string
  readonly minVersion: 'TLSv1.3'
  readonly rejectUnauthorized: false
} {
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  return { key, cert: certificateOf(privateKey), minVersion: 'TLSv1.3', rejectUnauthorized: false }
}

function secured(socket: TLSSocket): DirectSocket {
  const binding = socket.exportKeyingMaterial(32, bindingLabel, Buffer.alloc(0))
  let tlsKey: string | undefined
  try {
    const key = socket.getPeerX509Certificate()?.publicKey
    tlsKey = key === undefined ? '' : rawKey(key)
  } catch {
    tlsKey = ''
  }
  return { socket, binding, tlsKey }
}

function listeningTcp(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', cause => {
      const taken = 'code' in cause && cause.code === 'EADDRINUSE'
      const code = taken ? 'core.deploy.already-running' : 'core.kernel.invalid-config'
      reject(new CloudError(code, `cannot listen on ${host}:${port}`, { cause, field: 'tcp' }))
    })
    server.listen(port, host, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}
