import type { NodeId } from './raft/types.js'

/** Largest frame a driver has to carry, 32 MiB; a larger one is not sent. */
export const maxFrameBytes = 32 * 1024 * 1024

/** Largest header of a bulk transfer, 64 KiB. */
export const maxBulkHeaderBytes = 64 * 1024

/**
 * How the nodes of a cluster reach each other. A frame arrives whole, once or never, and from whom it says; frames of
 * one sender arrive in order as long as one connection lasts. Nothing is promised beyond that, nothing waits.
 */
export interface HaNetwork {
  readonly self: NodeId
  /**
   * @param pieces - together one frame; not changed after the call.
   * @returns false when it is lost for sure: no connection, more than {@link maxFrameBytes}, or `maxQueuedBytes` of that
   *   connection are waiting (a frame always fits into an empty queue).
   */
  send(to: NodeId, pieces: readonly Uint8Array[]): boolean
  /** One handler; a frame is its own after the call. */
  onFrame(handler: (from: NodeId, frame: Uint8Array) => void): void
  /**
   * A connection to a peer came up, or the last one to it ended: a hint that it may be dead. The states of one peer
   * alternate, beginning with `up`; peers that are connected already are told at once.
   */
  onPeer(handler: (node: NodeId, state: 'up' | 'down') => void): void
  /**
   * Sends something large beside the frames, with back-pressure, to a node that was named by `setPeer`: snapshots.
   * Resolves when the other side's handler has resolved; rejects when it has failed, with a connection that ended, and
   * when `signal` fires.
   * @param header - at most {@link maxBulkHeaderBytes}.
   * @throws CloudError `core.ha.unavailable` when there is no connection, when it ended, and when the other side refused.
   */
  sendBulk(
    to: NodeId,
    header: Uint8Array,
    body: (offset: number) => AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void>
  /**
   * `accept` is called with the header and says from which byte on it wants the body (what it has from an earlier try).
   */
  onBulk(accept: (from: NodeId, header: Uint8Array) => Promise<BulkInlet>): void
  /** Tells where a node is: the driver's own kind of address. Given again, it replaces the old one. */
  setPeer(node: NodeId, address: string): void
  /** Ends what there is to this node; it is not let in until `setPeer` names it again. */
  removePeer(node: NodeId): void
  /** Own address for the others. */
  readonly address: string
  close(): Promise<void>
}

export interface BulkInlet {
  readonly offset: number
  /** The body fails when the connection ends or the sender gives up. */
  take(body: AsyncIterable<Uint8Array>): Promise<void>
}
