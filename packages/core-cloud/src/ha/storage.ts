import type { Recovered } from './raft/raft-core.js'
import type { AppendWork, Membership, SnapshotMark } from './raft/types.js'

/** Number of a group in a cluster, 1 to 2^32 - 1: many groups share a node's storage, network and clock. */
export type GroupId = number

/**
 * What one node remembers of all its groups. Implemented by a write-ahead log on a disk, which brings the works of all
 * groups that wait into one write and one sync. Everything handed out is what was durable.
 */
export interface RaftStorage {
  /** Groups that were found. */
  readonly groups: readonly GroupId[]
  /** What a group found; `undefined` for one that was never made here. Its entries are handed out once. */
  recovered(group: GroupId): Recovered | undefined
  /** Makes a group: durable when it resolves. */
  create(group: GroupId, first: Membership): Promise<Recovered>
  /**
   * Stores works of one group in the order of the calls. `done` is called in that order, when the work and all before it
   * are durable (when `work.sync` is false: when all before it are), and never after a failure, never inside this call.
   * @throws CloudError `core.ha.stopped` after a failure or `close`; RangeError for a group that is not here and for
   *   entries that do not follow, which are mistakes of the caller.
   */
  append(group: GroupId, work: AppendWork, done: () => void): void
  /** Keeps the state of the state machine at `mark`, then forgets the log before it; the last two snapshots are kept. */
  saveSnapshot(group: GroupId, mark: SnapshotMark, state: AsyncIterable<Uint8Array>): Promise<void>
  /** The newest whole snapshot. */
  openSnapshot(group: GroupId): Promise<StoredSnapshot | undefined>
  /** Takes a snapshot from another member; a partial one of the same mark is gone on with. */
  receiveSnapshot(group: GroupId, mark: SnapshotMark, bytes: number, sha256: Uint8Array): Promise<SnapshotInlet>
  /** Everything of a group that left this node. */
  remove(group: GroupId): Promise<void>
  /** Resolves when the disk failed: nothing is vouched for any more, the node has to stop. Never rejects. */
  readonly failed: Promise<Error>
  /** Waits for what is under way. */
  close(): Promise<void>
}

export interface StoredSnapshot extends AsyncDisposable {
  readonly mark: SnapshotMark
  readonly bytes: number
  readonly sha256: Uint8Array
  /** Fewer bytes at the end. @throws CloudError `core.ha.corrupt` when a checksum is wrong. */
  read(position: number, length: number): Promise<Uint8Array>
}

export interface SnapshotInlet extends AsyncDisposable {
  /** Bytes that are here already: the sender goes on behind them. */
  readonly received: number
  write(chunk: Uint8Array): Promise<void>
  /** Durable and checked when it resolves. @throws CloudError `core.ha.corrupt`: start again from nothing. */
  finish(): Promise<void>
}
