import type { Contract } from '@aaas/core-cloud/contract'
import type { Clock } from '../kernel/clock.js'
import { diskFiles } from '../kernel/files/disk-files.js'
import type { Ids } from '../kernel/ids.js'
import { type Logger, silentLogger } from '../kernel/logger.js'
import { checkName, invalid } from './coordination/checks.js'
import type { HoldingOptions } from './coordination/leases.js'
import { type CoordinationLimits, CoordinationMachine } from './coordination/raft/coordination-machine.js'
import { raftCoordination } from './coordination/raft/raft-coordination.js'
import type { Coordination } from './coordination.js'
import { MemoryHub } from './memory-network.js'
import { MemoryStorage } from './memory-storage.js'
import type { HaNetwork } from './network.js'
import { type HaNode, openNode } from './node/node.js'
import { initialMembership } from './raft/membership.js'
import type { NodeId } from './raft/types.js'
import type { Replica } from './replica.js'
import type { RaftStorage } from './storage.js'
import { openTcpNetwork } from './tcp/tcp-network.js'
import { openDiskStorage } from './wal/disk-storage.js'
import { ContractMachine, type MachineDefinition } from './wrap/contract-machine.js'

export interface ClusterOptions extends Pick<HoldingOptions, 'driftShare' | 'watchdog'> {
  /** Name of the cluster: a data directory of another one is refused. */
  readonly cluster: string
  /** This node: 1 to 2^32 - 1; never given again to another data directory. Default 1. */
  readonly node?: NodeId
  /** Who decides: one (not highly available: for development), three or five. The same on every node. Default this node. */
  readonly voters?: readonly NodeId[]
  /** Of the voters, those that keep no data. */
  readonly witnesses?: readonly NodeId[]
  /** Where this node keeps what it must not forget; default: in memory, which only a single node may do. */
  readonly dir?: string
  /**
   * How the nodes reach each other: plain TCP with a key, or any other network, such as that of
   * `@aaas/core-cloud/ha/libp2p`. Default: none, for a single node.
   */
  readonly network?: HaNetwork | { readonly clusterKey: string; readonly listen: string }
  /** Addresses of the others. */
  readonly peers?: Readonly<Record<NodeId, string>>
  readonly clock: Clock
  readonly ids: Ids
  readonly logger?: Logger
  /** The same on every node, for ever. */
  readonly limits?: Partial<CoordinationLimits>
}

/** This process as a member of a cluster. Disposing it hands over what it leads and holds. */
export interface Cluster extends AsyncDisposable {
  readonly node: HaNode
  /** Leases, locks, elections, keys and values. */
  readonly coordination: Coordination
  /**
   * Takes part in a replicated service, which is a group of its own.
   * @param group - 2 to 2^32 - 1, the same on every node, for ever.
   * @returns what `ha.wrap(contract, { mode: 'replicated', member })` needs.
   */
  replicate<C extends Contract, S>(
    group: number,
    definition: MachineDefinition<C, S>,
  ): Promise<{ readonly replica: Replica; readonly machine: ContractMachine<C, S> }>
}

/** Group of the coordination. */
const coordinationGroup = 1

/**
 * Opens a node with its storage, its network and the coordination.
 * @throws CloudError `core.ha.invalid-argument` with the field, `core.ha.no-quorum` for two voters, and those of the
 *   storage (`core.ha.corrupt`, `core.ha.wrong-cluster` ...) and of the network.
 */
export async function joinCluster(options: ClusterOptions): Promise<Cluster> {
  const { cluster, node: self = 1, clock, ids, logger = silentLogger, peers = {}, witnesses = [] } = options
  const voters = options.voters ?? [self]
  checkName(cluster, 'cluster')
  if (options.network === undefined && voters.some(voter => voter !== self))
    throw invalid('network', 'nodes reach each other over one')
  if (options.dir === undefined && voters.length > 1)
    throw invalid('dir', 'a node that forgets its votes would break the cluster')
  const first = initialMembership({ voters: voters.filter(voter => !witnesses.includes(voter)), witnesses })
  const storage = await storageOf(options, self)
  const network = await networkOf(options, self).catch(async (error: unknown) => {
    await storage.close()
    throw error
  })
  const machine = new CoordinationMachine(options.limits)
  const node = await openNode({
    node: self,
    storage,
    network,
    clock,
    ids,
    logger,
    groups: [{ group: coordinationGroup, machine, first }],
    peers: new Map(Object.entries(peers).map(([peer, address]) => [Number(peer), address])),
  })
  const { driftShare, watchdog } = options
  const coordination = raftCoordination({
    clock,
    ids,
    logger,
    node: `n${self}`,
    replica: node.group(coordinationGroup),
    machine,
    ...(driftShare === undefined ? {} : { driftShare }),
    ...(watchdog === undefined ? {} : { watchdog }),
  })
  return {
    node,
    coordination,
    async replicate(group, definition) {
      if (group === coordinationGroup) throw invalid('group', `${coordinationGroup} is the coordination's`)
      const own = new ContractMachine(definition)
      return { replica: await node.open({ group, machine: own, first }), machine: own }
    },
    async [Symbol.asyncDispose]() {
      await coordination[Symbol.asyncDispose]()
      await node.close()
    },
  }
}

async function storageOf({ dir, cluster, logger = silentLogger }: ClusterOptions, node: NodeId): Promise<RaftStorage> {
  if (dir === undefined) return new MemoryStorage()
  const files = await diskFiles(dir, process.pid)
  try {
    return await openDiskStorage({ files, cluster, node, logger })
  } catch (error) {
    // A directory that was refused stays free for whoever mends it.
    await files.close()
    throw error
  }
}

async function networkOf(options: ClusterOptions, node: NodeId): Promise<HaNetwork> {
  const { network, clock, ids, logger = silentLogger } = options
  if (network === undefined) return new MemoryHub().join(node)
  if ('send' in network) return network
  return await openTcpNetwork({ ...network, node, clock, ids, logger })
}
