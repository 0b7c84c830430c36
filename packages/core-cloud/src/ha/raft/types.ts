/**
 * The vocabulary of the Raft core (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", and
 * Ongaro's thesis). Ids, terms and indexes are integers from 1; 0 means none.
 */

/** 1 to 2^32 - 1, unique in a cluster for ever: an id is not given again to another disk. */
export type NodeId = number

type EntryKind = 'command' | 'membership' | 'noop'

export interface Entry {
  readonly index: number
  readonly term: number
  readonly kind: EntryKind
  /** Owned by the log from the moment it is proposed or received: not to be changed. */
  readonly data: Uint8Array
}

/** What a node must remember across a crash. `commit` may lag behind. */
export interface HardState {
  readonly term: number
  readonly vote: NodeId
  readonly commit: number
}

/**
 * Who takes part. Lists are sorted and free of repeats. While `outgoing` is not empty the group is between two
 * configurations (joint consensus): elections and commits need a majority of `voters` and one of `outgoing`.
 */
export interface Membership {
  readonly voters: readonly NodeId[]
  readonly outgoing: readonly NodeId[]
  /** Receive the log, do not vote. */
  readonly learners: readonly NodeId[]
  /** Voters of `outgoing` that become learners when it is left. */
  readonly learnersNext: readonly NodeId[]
  /** Voters that keep terms and indexes without data and never lead. */
  readonly witnesses: readonly NodeId[]
  /** The leader leaves the joint configuration by itself as soon as it is applied. */
  readonly autoLeave: boolean
}

export interface MemberChange {
  readonly kind: 'add-voter' | 'add-witness' | 'add-learner' | 'remove'
  readonly node: NodeId
}

/**
 * One step of membership. `auto`: joint only when more than one voter changes, and left by itself. `implicit`: always
 * joint, left by itself. `explicit`: always joint, left by a second change. No changes: leave the joint configuration.
 */
export interface MembershipChange {
  readonly changes: readonly MemberChange[]
  readonly transition: 'auto' | 'implicit' | 'explicit'
}

/** The place of a snapshot in the log; its data is the driver's. */
export interface SnapshotMark {
  readonly index: number
  readonly term: number
  readonly membership: Membership
}

interface Envelope {
  readonly from: NodeId
  readonly to: NodeId
  /** Of the sender; of a (pre-)vote request the term asked for. 0 for messages outside of terms. */
  readonly term: number
}

/**
 * What the sender knows to be committed. A member that has this very entry may commit it too: without that, members
 * that do not know a change of membership to be committed could need the votes of some that have left (the idea is
 * raft-rs', "commit by vote").
 */
interface CommitNews {
  readonly commit: number
  readonly commitTerm: number
}

export interface VoteRequest extends Envelope, CommitNews {
  readonly type: 'vote' | 'pre-vote'
  readonly lastIndex: number
  readonly lastTerm: number
  /** Asked for by the leader itself (transfer): granted although a leader is alive. */
  readonly force: boolean
}

export interface VoteReply extends Envelope, CommitNews {
  readonly type: 'vote-reply' | 'pre-vote-reply'
  readonly granted: boolean
}

export interface AppendRequest extends Envelope {
  readonly type: 'append'
  readonly prevIndex: number
  readonly prevTerm: number
  readonly entries: readonly Entry[]
  readonly commit: number
}

export interface AppendReply extends Envelope {
  readonly type: 'append-reply'
  /** Accepted: last index known to be equal to the leader's. Rejected: the `prevIndex` of the request. */
  readonly index: number
  readonly rejected: boolean
  /** Of a rejection: where the logs may meet, and the term there. */
  readonly hintIndex: number
  readonly hintTerm: number
}

export interface Heartbeat extends Envelope {
  readonly type: 'heartbeat'
  readonly commit: number
  /** Rises with every round of heartbeats of a leader; comes back in the reply. */
  readonly round: number
}

export interface HeartbeatReply extends Envelope {
  readonly type: 'heartbeat-reply'
  readonly round: number
}

/** Stepped on the receiver when the data has arrived and is on its disk. */
export interface InstallSnapshot extends Envelope {
  readonly type: 'snapshot'
  readonly snapshot: SnapshotMark
}

interface ForwardedProposal extends Envelope {
  readonly type: 'propose'
  readonly entries: readonly Proposal[]
}

interface ReadRequest extends Envelope {
  readonly type: 'read'
  /** Chosen by the asker, unique among its open reads. */
  readonly read: number
}

interface ReadReply extends Envelope {
  readonly type: 'read-reply'
  readonly read: number
  readonly index: number
}

/** The leader tells a follower to campaign at once. */
interface TimeoutNow extends Envelope {
  readonly type: 'timeout-now'
}

interface TransferRequest extends Envelope {
  readonly type: 'transfer'
  readonly target: NodeId
}

export type Message =
  | VoteRequest
  | VoteReply
  | AppendRequest
  | AppendReply
  | Heartbeat
  | HeartbeatReply
  | InstallSnapshot
  | ForwardedProposal
  | ReadRequest
  | ReadReply
  | TimeoutNow
  | TransferRequest

export interface Proposal {
  readonly kind: Exclude<EntryKind, 'noop'>
  readonly data: Uint8Array
}

/** A read may be answered by a state machine that has applied `index`. */
export interface ReadState {
  readonly read: number
  readonly index: number
}

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader'

/** Why a proposal, read or transfer was not taken. */
export type Refusal = 'no-leader' | 'not-member' | 'transferring' | 'overloaded' | 'membership-pending' | 'invalid'

/**
 * Something for the disk. Works are stored in the order they are handed out; when one is durable (all of it and all
 * before it) it goes back to `appended`, and only then its `after` messages may be sent.
 */
export interface AppendWork {
  /** Present when it changed. */
  readonly hardState: HardState | undefined
  /** Received snapshot to be marked as the beginning of the log: everything stored before is obsolete. */
  readonly snapshot: SnapshotMark | undefined
  /** Replace whatever is stored at their indexes and behind. */
  readonly entries: readonly Entry[]
  /** False when nothing in it needs the disk to be asked for durability. */
  readonly sync: boolean
  readonly after: readonly Message[]
  /** For the core: what the storage has vouched for when this is durable. */
  readonly vouches: { readonly term: number; readonly index: number; readonly logTerm: number }
}

/** Something for the state machine: a snapshot to load first, then entries in order. Goes back to `applied`. */
export interface ApplyWork {
  readonly snapshot: SnapshotMark | undefined
  readonly entries: readonly Entry[]
}

/** What the core wants done. `send` at once, the rest each in its own order. */
export interface Ready {
  readonly send: readonly Message[]
  readonly append: AppendWork | undefined
  readonly apply: ApplyWork | undefined
  readonly reads: readonly ReadState[]
}
