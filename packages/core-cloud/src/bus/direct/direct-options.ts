import type { KeyObject } from 'node:crypto'
import type { Clock } from '../../kernel/clock.js'
import type { Ids } from '../../kernel/ids.js'
import type { Logger } from '../../kernel/logger.js'
import type { Bus } from '../bus.js'
import type { QuotaDesk } from '../quota/quota.js'
import type { DirectDiscoveryLimits } from './direct-discovery.js'
import type { DirectListen, DirectPlaces } from './direct-endpoint.js'
import type { DirectInboundLimits } from './direct-inbound.js'
import type { DirectLinkLimits } from './direct-link.js'

/** Bounds of a direct bus. */
export interface DirectLimits extends DirectDiscoveryLimits, DirectLinkLimits, DirectInboundLimits {
  /** Callers connected at a time, default 1_024; further ones are refused and take the bus below. */
  readonly maxInbound: number
}

export const defaultDirectLimits: DirectLimits = {
  maxPeers: 1_024,
  refreshMs: 5_000,
  joinMs: 500,
  settleMs: 1_000,
  maxOutgoingBytes: 32 * 1024 * 1024,
  maxPending: 16_384,
  connectMs: 1_000,
  maxBackoffMs: 30_000,
  maxIncomingAnswerBytes: 64 * 1024 * 1024,
  maxRequests: 16_384,
  helloMs: 5_000,
  maxInbound: 1_024,
}

export interface DirectBusOptions {
  /** Carries everything that cannot go directly, and discovery. The direct bus disposes it. */
  readonly below: Bus
  /** Unique among instances, `A-Z a-z 0-9 _ -`, at most 64; default a new one. Never use one again after a restart. */
  readonly instance?: string
  /** Made by `issueDirectCredential`. Asked for at each announcement and connection: renew it in time. */
  readonly credential: () => string
  /** ed25519 key of the credential. */
  readonly privateKey: KeyObject
  /** Public keys of those who may issue credentials. */
  readonly issuers: readonly KeyObject[]
  /** Name of the cluster in the credentials. */
  readonly cluster: string
  /** Absent: this instance calls directly and is called over the bus below. */
  readonly listen?: DirectListen
  /**
   * Subjects that may be called directly; default `['>']`. Listeners on buses that are not direct are not seen: a
   * subject they have to hear all requests of must be left out.
   */
  readonly subjects?: readonly string[]
  /** Start of the discovery subjects, default `aaas.peers`: the identity needs `<it>.>` for sending and listening. */
  readonly discovery?: string
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** Limits and counts the calls of tenants that arrive here directly, past the hub's own desk. */
  readonly quota?: QuotaDesk
  readonly limits?: Partial<DirectLimits>
}

/** What a direct bus tells of itself. */
export interface DirectInfo {
  readonly instance: string
  readonly places: DirectPlaces
  /** Other instances known now; `connected`: this one has a connection to it. */
  readonly peers: readonly { readonly instance: string; readonly name: string; readonly connected: boolean }[]
  /** Connections of callers. */
  readonly callers: number
  /** Requests given to a peer directly, and of those the ones that took the bus below after all. Sums. */
  readonly direct: number
  readonly otherWay: number
}

/** A {@link Bus} whose requests take the shortest way. */
export interface DirectBus extends Bus {
  info(): DirectInfo
}
