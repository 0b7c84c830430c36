/** Why a handler gave no good answer. */
export type FailureReason =
  | 'threw'
  | 'deadline'
  | 'wrong-result'
  /** The process ended during the call. */
  | 'died'
  /** The process is not running now. */
  | 'down'
  /** Too many calls in flight, or the value is too large to send. */
  | 'refused'
  /** It failed so often that it is not called for a while. */
  | 'circuit-open'

/** A failed call of one handler, before its failure mode decides what that means. Never leaves this system. */
export class HookFailure extends Error {
  constructor(
    readonly reason: FailureReason,
    message: string,
  ) {
    super(message)
  }
}
