import type { RaftStatus } from './raft/raft.js'
import type { MembershipChange, NodeId } from './raft/types.js'

/**
 * What every member of a group computes from the same commands in the same order: no clock, no randomness, no I/O in
 * `apply`. It throws only for a programming error, which stops the node.
 */
export interface StateMachine {
  /** @param index - of the log: rises with every call; the fencing token of what is granted here. */
  apply(command: Uint8Array, index: number): Uint8Array
  /** Everything that a later `restore` needs; the state must not change under it (copy, or persistent structures). */
  snapshot(): AsyncIterable<Uint8Array>
  restore(state: AsyncIterable<Uint8Array>): Promise<void>
}

export type ReadLevel = 'linearizable' | 'lease' | 'stale'

/** One group as its member on this node has it. Calls work on every member: followers pass them to the leader. */
export interface Replica {
  /**
   * Resolves with what `apply` returned on this node, when the command is committed and applied here. Retried with the
   * same session and sequence inside until `deadline`; applied exactly once.
   * @throws CloudError `core.ha.unavailable` (was not applied), `core.ha.outcome-unknown` (may have been),
   *   `core.ha.overloaded` (was not applied, at once), `core.ha.stopped`.
   */
  propose(
    command: Uint8Array,
    options?: { readonly deadline?: number; readonly signal?: AbortSignal },
  ): Promise<{
    readonly index: number
    readonly result: Uint8Array
  }>
  /** Resolves with an applied index from which on the own state machine may answer at the level asked for. */
  read(level?: ReadLevel, options?: { readonly deadline?: number; readonly signal?: AbortSignal }): Promise<number>
  /** Called whenever role, term or leader may have changed; returns a function that ends it. */
  onStatus(handler: (status: RaftStatus) => void): () => void
  readonly status: RaftStatus
  change(change: MembershipChange, options?: { readonly deadline?: number }): Promise<void>
  transfer(target: NodeId, options?: { readonly deadline?: number }): Promise<void>
}
