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
