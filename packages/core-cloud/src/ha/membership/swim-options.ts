import { CloudError } from '../../kernel/errors.js'
import type { NodeId } from '../raft/types.js'

/** Times are ticks; with ticks of 100 ms the defaults are those of memberlist on a LAN. */
export interface SwimOptions {
  readonly self: NodeId
  /** Higher than any this node has ever had: milliseconds since 1970 at the start will do. */
  readonly incarnation: number
  /** In [0, 1): order of probes, choice of go-betweens. */
  readonly random: () => number
  /** From one probe to the next, default 10. */
  readonly probeTicks?: number
  /** Until others are asked to probe, default 5; less than `probeTicks`. */
  readonly ackTicks?: number
  /** Go-betweens per probe, default 3. */
  readonly indirectProbes?: number
  /** A suspect is dead after this many probe intervals times the logarithm (base 10) of the members, default 5. */
  readonly suspicionFactor?: number
  /** ... and after this many times as long while nobody else suspects it, default 6. */
  readonly loneSuspicionFactor?: number
  /** How often news is told: this many times the logarithm of the members, default 4. */
  readonly gossipFactor?: number
  /** News in one message, default 8, at most 32. */
  readonly maxNews?: number
  /** How many times slower a node that doubts itself becomes, default 8. */
  readonly maxDoubt?: number
  /** Members of the table beside this one, default 255; others are not taken in. */
  readonly maxMembers?: number
  /** Ticks for which a dead member is remembered, default 36_000 (an hour). */
  readonly rememberTicks?: number
  /** A node doubts itself before others (Lifeguard); default true. False is for comparison. */
  readonly selfAware?: boolean
}

const defaults = {
  probeTicks: 10,
  ackTicks: 5,
  indirectProbes: 3,
  suspicionFactor: 5,
  loneSuspicionFactor: 6,
  gossipFactor: 4,
  maxNews: 8,
  maxDoubt: 8,
  maxMembers: 255,
  rememberTicks: 36_000,
  selfAware: true,
} as const

/** @throws CloudError `core.kernel.invalid-config` with the field. */
export function completeSwimOptions(options: SwimOptions): Required<SwimOptions> {
  const complete = { ...defaults, ...options }
  const refuse = (field: keyof SwimOptions, reason: string): never => {
    throw new CloudError('core.kernel.invalid-config', `${field} ${reason}`, { field })
  }
  for (const field of ['probeTicks', 'ackTicks', 'suspicionFactor', 'loneSuspicionFactor', 'maxNews'] as const) {
    if (!Number.isInteger(complete[field]) || complete[field] < 1) refuse(field, 'has to be an integer from 1')
  }
  if (complete.ackTicks >= complete.probeTicks) refuse('ackTicks', 'has to be less than probeTicks')
  if (complete.maxNews > 32) refuse('maxNews', 'is at most 32')
  if (!Number.isSafeInteger(complete.incarnation) || complete.incarnation < 0) {
    refuse('incarnation', 'has to be an integer from 0')
  }
  return complete
}
