/** Limits of a node's groups; every one has a default. */
export interface NodeLimits {
  /** Entries in one proposal to the core, default 4096. */
  readonly maxBatchEntries: number
  /** Bytes of them, default 1 MiB; one command always goes. */
  readonly maxBatchBytes: number
  /** Bytes of one command, default 1 MiB. */
  readonly maxCommandBytes: number
  /** Calls of `propose` in one group of which the outcome is not known, default 16_384; at most 65_536. */
  readonly maxProposals: number
  /** Bytes of their commands, default 64 MiB. */
  readonly maxProposalBytes: number
  /** Calls of `read` in one group that wait, default 100_000. */
  readonly maxReads: number
  /** Rounds of reads under way in one group, default 4; later reads gather for the next. */
  readonly maxReadRounds: number
  /** Writes of a group's proposals under way before the next batch gathers, default 1. */
  readonly maxWrites: number
  /** Without a deadline a call has this long, milliseconds, default 10_000. */
  readonly callMs: number
  /** A command of which nothing is heard goes again after this, milliseconds, default 2_000. */
  readonly retryMs: number
  /** A read of which nothing is heard goes again after this, milliseconds, default 250. */
  readonly readRetryMs: number
  /** A snapshot is taken after this many entries, default 50_000, ... */
  readonly snapshotEntries: number
  /** ... or this many bytes of them, default 64 MiB. */
  readonly snapshotBytes: number
  /** Entries before a snapshot that stay in memory for members a little behind, default 5_000. */
  readonly keepEntries: number
  /** Bytes of a snapshot that are sent at once, default 1 MiB. */
  readonly snapshotChunkBytes: number
}

export const nodeDefaults: NodeLimits = {
  maxBatchEntries: 4096,
  maxBatchBytes: 1024 * 1024,
  maxCommandBytes: 1024 * 1024,
  maxProposals: 16_384,
  maxProposalBytes: 64 * 1024 * 1024,
  maxReads: 100_000,
  maxReadRounds: 4,
  maxWrites: 1,
  callMs: 10_000,
  retryMs: 2_000,
  readRetryMs: 250,
  snapshotEntries: 50_000,
  snapshotBytes: 64 * 1024 * 1024,
  keepEntries: 5_000,
  snapshotChunkBytes: 1024 * 1024,
}
