export type { BulkInlet, HaNetwork } from './network.js'
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
