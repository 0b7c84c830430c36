import type { GossipSub } from '@libp2p/gossipsub'
import type { Libp2p } from '@libp2p/interface'
import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'
import type { Ids } from '../../kernel/ids.js'
import type { Logger } from '../../kernel/logger.js'
import type { HaNetwork } from '../network.js'
import type { NodeId } from '../raft/types.js'
import { ClusterKey } from './admission.js'
import { clusterNoise } from './cluster-noise.js'
import { gossipTopic } from './gossip-topic.js'
import { loadIdentity } from './identity.js'
import { Libp2pNetwork } from './libp2p-network.js'
import { type Libp2pModules, loadLibp2p } from './load-libp2p.js'
import { PeerBook } from './peer-book.js'
import { type GossipTopic, NodeSeals } from './topic.js'
import { maxTopicMessageBytes } from './topic-codec.js'

export { type GossipPlane, type GossipPlaneOptions, gossipPlane } from './gossip-plane.js'
export type { LeaderHint, LoadDigest, ServiceAdvert } from './gossip-records.js'
export type { GossipMember } from './gossip-table.js'
export type { GossipTopic, NodeSeals } from './topic.js'
export { type TopicNetworkOptions, topicNetwork } from './topic-network.js'

export interface Libp2pOptions {
  readonly self: NodeId
  /** The same on every node of the cluster, at least 16 bytes, random: who has it is a member. */
  readonly clusterKey: string | Uint8Array
  /** Where this node's own key is kept; made when it is not there. Or `seed`, its 32 bytes. */
  readonly keyFile?: string
  readonly seed?: Uint8Array
  /** Multiaddr to listen at, default `/ip4/127.0.0.1/tcp/0`. */
  readonly listen?: string
  /** Multiaddr that others are told, when it is not the one listened at. */
  readonly announce?: string
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  /** Bytes of frames that wait for one peer, default 32 MiB. */
  readonly maxQueuedBytes?: number
  /** Milliseconds after which a connection on which nothing came is cut, default 10_000. */
  readonly maxSilenceMs?: number
  /** Default 5_000. */
  readonly dialTimeoutMs?: number
  /** Nodes known at once, default 256. */
  readonly maxNodes?: number
  /** What this node says its wire version is; for tests of an upgrade. */
  readonly wireVersion?: number
}

/** A node of a cluster on libp2p. */
export interface Libp2pNode extends AsyncDisposable {
  /** Raft frames and snapshots: direct streams. Closing it stops the node. */
  readonly network: HaNetwork
  readonly peerId: string
  /** A topic of gossipsub among all nodes that are connected, over others if need be. Messages up to 160 KiB. */
  topic(name: string): GossipTopic
  readonly seals: NodeSeals
}

/**
 * Starts libp2p (about 45 MB and half a second, once a process) over TCP, noise and yamux.
 * @throws CloudError `core.kernel.invalid-config` with the field, `core.kernel.not-writable`, `core.deploy.port-in-use`.
 */
export async function startLibp2p(options: Libp2pOptions): Promise<Libp2pNode> {
  if (!Number.isInteger(options.self) || options.self < 1 || options.self > 0xffff_ffff) {
    throw new CloudError('core.kernel.invalid-config', `${options.self} is no node id`, { field: 'self' })
  }
  const key = new ClusterKey(options.clusterKey)
  const seed = await seedOf(options)
  const modules = await loadLibp2p()
  const logger = options.logger.child({ component: 'ha-libp2p', node: options.self })
  const { clock, ids, self } = options
  let peerId = ''
  const book = new PeerBook({ self, selfPeer: () => peerId, clock, logger, maxNodes: options.maxNodes ?? 256 })
  const node = await createNode(modules, options, { seed, key, book })
  peerId = node.peerId.toString()
  const network = new Libp2pNetwork({
    modules,
    node,
    self,
    book,
    clock,
    ids,
    logger,
    maxQueuedBytes: options.maxQueuedBytes ?? 32 * 1024 * 1024,
    maxSilenceMs: options.maxSilenceMs ?? 10_000,
    dialTimeoutMs: options.dialTimeoutMs ?? 5_000,
    announce: options.announce,
  })
  try {
    await network.start()
  } catch (cause) {
    await network.close().catch(() => undefined)
    throw new CloudError('core.deploy.port-in-use', `cannot listen at ${listenOf(options)}: ${String(cause)}`, {
      field: 'listen',
      cause,
    })
  }
  return {
    network,
    peerId,
    topic: name => gossipTopic(node, name),
    seals: new NodeSeals({ key, self, peer: peerId }),
    [Symbol.asyncDispose]: () => network.close(),
  }
}

async function seedOf({ seed, keyFile }: Libp2pOptions): Promise<Uint8Array> {
  if (seed?.length === 32) return seed
  if (seed !== undefined) {
    throw new CloudError('core.kernel.invalid-config', 'the seed has to have 32 bytes', { field: 'seed' })
  }
  if (keyFile === undefined) {
    throw new CloudError('core.kernel.invalid-config', 'a key file is needed', { field: 'keyFile' })
  }
  return loadIdentity(keyFile)
}

function listenOf(options: Libp2pOptions): string {
  return options.listen ?? '/ip4/127.0.0.1/tcp/0'
}

async function createNode(
  modules: Libp2pModules,
  options: Libp2pOptions,
  parts: { readonly seed: Uint8Array; readonly key: ClusterKey; readonly book: PeerBook },
): Promise<Libp2p<{ gossip: GossipSub }>> {
  const { clock, self, maxNodes = 256 } = options
  const { key, book, seed } = parts
  const version = options.wireVersion === undefined ? {} : { version: options.wireVersion }
  return await modules.createLibp2p({
    start: false,
    privateKey: await modules.generateKeyPairFromSeed('Ed25519', seed),
    addresses: { listen: [listenOf(options)] },
    transports: [modules.tcp({ dialOpts: { noDelay: true }, listenOpts: { noDelay: true } })],
    connectionEncrypters: [clusterNoise({ modules, self, key, clock, gate: book, ...version })],
    streamMuxers: [
      modules.yamux({
        maxInboundStreams: 64,
        maxOutboundStreams: 128,
        // A stream that nobody reads is reset when more comes than it may hold: so the window is smaller than that.
        streamOptions: { maxStreamWindowSize: 2 * 1024 * 1024, maxReadBufferLength: 4 * 1024 * 1024 },
      }),
    ],
    connectionMonitor: { enabled: false },
    connectionManager: {
      maxConnections: 2 * maxNodes,
      maxIncomingPendingConnections: 32,
      // Several nodes of a test or of a small site share one host.
      inboundConnectionThreshold: 64,
    },
    services: {
      identify: modules.identify(),
      gossip: modules.gossipsub({
        globalSignaturePolicy: 'StrictSign',
        allowPublishToZeroTopicPeers: true,
        emitSelf: false,
        floodPublish: true,
        doPX: false,
        maxInboundDataLength: maxTopicMessageBytes + 16 * 1024,
        maxOutboundBufferSize: 16 * 1024 * 1024,
        maxTopicBytesPerPeer: 64 * 1024,
        decodeRpcLimits: {
          maxSubscriptions: 64,
          maxMessages: 1_024,
          maxIhaveMessageIDs: 1_024,
          maxIwantMessageIDs: 1_024,
          maxIdontwantMessageIDs: 1_024,
          maxControlMessages: 64,
          maxPeerInfos: 0,
        },
      }),
    },
  })
}
