import {
  type Authenticator,
  type ConnectionOptions,
  credsAuthenticator,
  jwtAuthenticator,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node'
import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Ids } from '../../kernel/ids.js'
import type { Logger } from '../../kernel/logger.js'
import type { BusConnectionState } from '../unix-client.js'

/** How a program proves who it is. Nothing of it is ever logged or put into an error. */
export type NatsAuth =
  | { readonly token: string }
  | { readonly user: string; readonly password: string }
  /** Seed of a user's nkey: `SU...`. */
  | { readonly nkeySeed: string }
  | { readonly jwt: string; readonly nkeySeed: string }
  /** Text of a `.creds` file: a JWT and a seed. */
  | { readonly creds: string }

/** PEM text. */
export interface NatsTls {
  /** Authorities that are trusted; default those of the runtime. */
  readonly ca?: string
  /** Certificate and key of this client, when the server asks for them. */
  readonly cert?: string
  readonly key?: string
  /** The server speaks TLS from the first byte; default: after its greeting. */
  readonly handshakeFirst?: boolean
}

export interface NatsLimits {
  /** Milliseconds to wait for the first connection. Default 10_000. */
  readonly connectMs: number
  /** Milliseconds that publish, subscribe and drain wait for the server, a reconnect included. Default 10_000. */
  readonly commandWaitMs: number
  /** Longest pause between two attempts to connect, milliseconds. Default 2_000. */
  readonly maxBackoffMs: number
  /** Bytes the server has not read yet; beyond, calls fail with `core.bus.overloaded`. Default 32 MiB. */
  readonly maxOutgoingBytes: number
  /** Calls without an answer; beyond: `core.bus.overloaded`. Default 16_384. */
  readonly maxPending: number
  /** Subscriptions of one bus; beyond: `core.bus.overloaded`. Default 4_096. */
  readonly maxSubscriptions: number
  /** A server that says nothing is asked every so many milliseconds; unanswered twice, it counts as lost. Default 10_000. */
  readonly pingMs: number
}

export const defaultNatsLimits: NatsLimits = {
  connectMs: 10_000,
  commandWaitMs: 10_000,
  maxBackoffMs: 2_000,
  maxOutgoingBytes: 32 * 1024 * 1024,
  maxPending: 16_384,
  maxSubscriptions: 4_096,
  pingMs: 10_000,
}

/** What every connection to NATS needs. */
export interface NatsConnectOptions {
  /** Such as `nats://10.0.0.1:4222`, `tls://nats.example.org`; 1 to 64, no user or password in them. */
  readonly servers: string | readonly string[]
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** Shown by the server's monitoring; at most 128 characters. */
  readonly name?: string
  readonly auth?: NatsAuth
  readonly tls?: NatsTls
  /** First token of the subjects that answers come to, when the account allows only some. Default `_INBOX`. */
  readonly inboxPrefix?: string
  /** Told of every change after the first connection. */
  readonly onState?: (state: BusConnectionState) => void
  readonly limits?: Partial<NatsLimits>
}

export interface NatsStreamsOptions extends NatsConnectOptions {
  /** Where the API of JetStream is; another one for a domain: `$JS.<domain>.API`. Default `$JS.API`. */
  readonly apiPrefix?: string
  /**
   * The operator says that the servers run with `sync_interval: always`. Without it `synced` is refused: no server tells
   * its clients whether it is so.
   */
  readonly assumeSynced?: boolean
  /** False: this program never puts messages for later into their streams; another one must. Default true. */
  readonly scheduler?: boolean
}

/** The servers, checked. @throws CloudError `core.kernel.invalid-config`. */
function serversOf({ servers }: NatsConnectOptions): string[] {
  const list = typeof servers === 'string' ? [servers] : [...servers]
  if (list.length < 1 || list.length > 64) throw invalid('servers', '1 to 64 servers are possible')
  for (const server of list) {
    const url = URL.canParse(server) ? new URL(server) : undefined
    if (url === undefined || !['nats:', 'tls:'].includes(url.protocol) || url.hostname === '')
      throw invalid('servers', 'a server is nats://host:port or tls://host:port')
    // The address is logged and shown.
    if (url.username !== '' || url.password !== '') throw invalid('servers', 'name and password belong into `auth`')
  }
  return list
}

function authenticatorOf(auth: NatsAuth): Authenticator {
  const bytes = (text: string): Uint8Array => Buffer.from(text)
  if ('token' in auth) return tokenAuthenticator(auth.token)
  if ('password' in auth) return usernamePasswordAuthenticator(auth.user, auth.password)
  if ('jwt' in auth) return jwtAuthenticator(auth.jwt, bytes(auth.nkeySeed))
  if ('nkeySeed' in auth) return nkeyAuthenticator(bytes(auth.nkeySeed))
  return credsAuthenticator(bytes(auth.creds))
}

/**
 * @param pause - milliseconds until the next attempt to connect.
 * @throws CloudError `core.kernel.invalid-config` with the field.
 */
export function clientOptions(options: NatsConnectOptions, pause: () => number): ConnectionOptions {
  const { auth, tls, inboxPrefix } = options
  const limits = { ...defaultNatsLimits, ...options.limits }
  if (inboxPrefix !== undefined && !/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(inboxPrefix))
    throw invalid('inboxPrefix', 'the prefix has the form of a subject')
  for (const [field, value] of Object.entries(limits))
    if (!(value >= 1 && value <= 2 ** 31 - 1)) throw invalid(`limits/${field}`, 'a limit is 1 to 2147483647')
  return {
    servers: serversOf(options),
    // Its stack per call costs a third of the call.
    noAsyncTraces: true,
    maxReconnectAttempts: -1,
    reconnectDelayHandler: pause,
    // A server that was restarted may learn the credentials a moment later.
    ignoreAuthErrorAbort: true,
    timeout: limits.connectMs,
    pingInterval: limits.pingMs,
    maxPingOut: 2,
    ...(options.name === undefined ? {} : { name: options.name.slice(0, 128) }),
    ...(auth === undefined ? {} : { authenticator: authenticatorOf(auth) }),
    ...(tls === undefined ? {} : { tls: { ...tls } }),
  }
}

function invalid(field: string, reason: string): CloudError {
  return new CloudError('core.kernel.invalid-config', `nats: ${reason}`, { field })
}
