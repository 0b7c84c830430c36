/** Bounds of a hook host; all durations in milliseconds. */
export interface HookLimits {
  /** Calls that one package may have unanswered; the next one fails at once. */
  readonly inFlight: number
  /** From launch to `ready`. */
  readonly startMs: number
  /** How long a replaced or removed package may finish its calls. */
  readonly drainMs: number
  /** From the request to stop to the kill. */
  readonly stopMs: number
  /** After a missed deadline the process is asked for a sign of life; without one in this time it is killed. */
  readonly pingMs: number
  /** Between two looks at a process's memory. */
  readonly memoryCheckMs: number
  /** Wait before the first restart; doubles up to `restartMaxMs`; starts over when a process was ready for a minute. */
  readonly restartFirstMs: number
  readonly restartMaxMs: number
  /** Failures in a row after which a handler is not called for `breakerFirstMs`, doubling up to `breakerMaxMs`. */
  readonly breakerFailures: number
  readonly breakerFirstMs: number
  readonly breakerMaxMs: number
  /** Log and output lines of one package a second; more are counted and dropped. */
  readonly linesPerSecond: number
  /** Frames of one package a second that answer no call; a process that sends more is killed. */
  readonly framesPerSecond: number
}

export const defaultHookLimits: HookLimits = {
  inFlight: 64,
  startMs: 10_000,
  drainMs: 10_000,
  stopMs: 2_000,
  pingMs: 2_000,
  memoryCheckMs: 250,
  restartFirstMs: 1_000,
  restartMaxMs: 30_000,
  breakerFailures: 5,
  breakerFirstMs: 1_000,
  breakerMaxMs: 30_000,
  linesPerSecond: 100,
  framesPerSecond: 5_000,
}
