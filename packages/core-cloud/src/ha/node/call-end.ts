import type { Clock } from '../../kernel/clock.js'
import { CloudError } from '../../kernel/errors.js'

/** When a call ends that is not answered. */
export interface CallOptions {
  /** Milliseconds since the epoch. */
  readonly deadline?: number
  readonly signal?: AbortSignal
}

/** On the clock that never goes back, so that a changed system time neither ends nor prolongs a call. */
export function deadlineOf(clock: Clock, options: CallOptions, callMs: number): number {
  const left = options.deadline === undefined ? callMs : options.deadline - clock.now()
  return clock.monotonic() + left
}

export function stopped(): CloudError {
  return new CloudError('core.ha.stopped', 'the node is stopping or has stopped')
}

export function overloaded(reason: string): CloudError {
  return new CloudError('core.ha.overloaded', reason)
}

export function unavailable(reason: string): CloudError {
  return new CloudError('core.ha.unavailable', reason)
}

export function outcomeUnknown(reason: string): CloudError {
  return new CloudError('core.ha.outcome-unknown', reason)
}
