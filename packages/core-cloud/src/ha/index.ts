export { type Cluster, type ClusterOptions, joinCluster } from './cluster.js'
export type { HoldingOptions } from './coordination/leases.js'
export { type CoordinationLimits, CoordinationMachine } from './coordination/raft/coordination-machine.js'
export { type RaftCoordinationOptions, raftCoordination } from './coordination/raft/raft-coordination.js'
export { systemWatchdog } from './coordination/system-watchdog.js'
export type { Watchdog } from './coordination/watchdog.js'
export type {
  Candidacy,
  Coordination,
  CoordinationFeatures,
  ElectOptions,
  Holder,
  KeyChange,
  KeyEntry,
  KeyValue,
  Lease,
  LeaseOptions,
  LockOptions,
  PutOptions,
} from './coordination.js'
export { type Fence, type FencingToken, memoryFence } from './fence/fence.js'
export { fencedConsumer, fenceHeaders, tokenIn } from './fence/message-fence.js'
export { type RedisFence, type RedisFenceClient, redisFence, redisFencedSet } from './fence/redis-fence.js'
export { type SqlFenceClient, sqlFence, sqlFenceTable } from './fence/sql-fence.js'
export { type FencedStore, fencedPut, fenceMetadata } from './fence/storage-fence.js'
export { type Ha, type HaOptions, openHa } from './ha.js'
export {
  detectFailures,
  type FailureDetectionOptions,
  type WatchedNetwork,
} from './membership/failure-detection.js'
export { MemoryHub } from './memory-network.js'
export { MemoryHome, MemoryStorage } from './memory-storage.js'
export type { BulkInlet, HaNetwork } from './network.js'
export { type GroupOptions, type HaNode, type NodeOptions, openNode } from './node/node.js'
export type { NodeLimits } from './node/node-limits.js'
export type { SessionLimits } from './node/sessions.js'
export { initialMembership } from './raft/membership.js'
export type { RaftOptions } from './raft/options.js'
export { Raft, type RaftStatus } from './raft/raft.js'
export type { Recovered } from './raft/raft-core.js'
export type {
  AppendWork,
  ApplyWork,
  Entry,
  HardState,
  MemberChange,
  Membership,
  MembershipChange,
  Message,
  NodeId,
  Proposal,
  ReadState,
  Ready,
  Refusal,
  Role,
  SnapshotMark,
} from './raft/types.js'
export type { ReadLevel, Replica, StateMachine } from './replica.js'
export type { GroupId, RaftStorage, SnapshotInlet, StoredSnapshot } from './storage.js'
export { type DiskStorageOptions, openDiskStorage } from './wal/disk-storage.js'
export { type WalReport, walVerify } from './wal/verify.js'
export type { CallingOptions } from './wrap/balanced-client.js'
export { type CommandFacts, ContractMachine, defineMachine, type MachineDefinition } from './wrap/contract-machine.js'
export type { WrapPlace } from './wrap/place.js'
export type { ReplicatedOptions, ReplicatedService } from './wrap/replicated.js'
export type { SingletonOptions, SingletonService, StartSingleton } from './wrap/singleton.js'
export type { ServingOptions, StatelessOptions, StatelessService } from './wrap/stateless.js'
