import type { NodeId } from './types.js'

export interface RaftOptions {
  readonly id: NodeId
  /** Seed of the election timeouts: different on every node. */
  readonly seed: number
  /** Ticks without a leader until an election, default 10; each time drawn from once to twice this. */
  readonly electionTicks?: number
  /** Ticks between heartbeats, default 1; less than half of `electionTicks`. */
  readonly heartbeatTicks?: number
  /** Ticks added to this node's election timeouts, default 0: nodes of a worse place let others go first. */
  readonly delayTicks?: number
  /** Ask for votes before disturbing anybody with a new term; default true. */
  readonly preVote?: boolean
  /** A leader that hears no majority for `electionTicks` steps down; nobody votes while a leader is alive. Default true. */
  readonly checkQuorum?: boolean
  /**
   * `lease` answers reads while the last confirmed heartbeat is younger than nine tenths of `electionTicks`: right only
   * when ticks follow real time everywhere within a tenth. Default `quorum`: every read is confirmed by a majority.
   */
  readonly reads?: 'quorum' | 'lease'
  /** Bytes of entries in one append message, default 1 MiB. */
  readonly maxAppendBytes?: number
  /** Bytes of committed entries given out at once, default 4 MiB. */
  readonly maxApplyBytes?: number
  /** Append messages without an answer per member, default 256. */
  readonly maxInflight?: number
  /** Default 8 MiB. */
  readonly maxInflightBytes?: number
  /** Bytes proposed and not yet committed, default 64 MiB; one proposal always fits into an empty log. */
  readonly maxUncommittedBytes?: number
  /** Reads that wait for their confirmation, default 10_000. */
  readonly maxReads?: number
  /** A leader that is no voter any more steps down when it applies that; default true. */
  readonly stepDownOnRemoval?: boolean
}

const defaults = {
  electionTicks: 10,
  heartbeatTicks: 1,
  delayTicks: 0,
  preVote: true,
  checkQuorum: true,
  reads: 'quorum',
  maxAppendBytes: 1024 * 1024,
  maxApplyBytes: 4 * 1024 * 1024,
  maxInflight: 256,
  maxInflightBytes: 8 * 1024 * 1024,
  maxUncommittedBytes: 64 * 1024 * 1024,
  maxReads: 10_000,
  stepDownOnRemoval: true,
} as const

/** @throws RangeError for options that cannot work together. */
export function completed(options: RaftOptions): Required<RaftOptions> {
  const all = { ...defaults, ...options }
  if (!Number.isInteger(all.id) || all.id < 1 || all.id > 0xffff_ffff) throw new RangeError(`${all.id} is no node id`)
  if (!(all.heartbeatTicks >= 1) || !(all.electionTicks > 2 * all.heartbeatTicks)) {
    throw new RangeError('electionTicks must be more than twice heartbeatTicks, and that at least 1')
  }
  if (all.reads === 'lease' && !(all.checkQuorum && all.preVote)) {
    throw new RangeError('reads by lease need checkQuorum and preVote')
  }
  return all
}
