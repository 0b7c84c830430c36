/** Somebody who can serve a call. */
export interface Endpoint {
  /** Unique among the endpoints of a service. */
  readonly id: string
  /** Where it is; absent: everywhere. */
  readonly zone?: string
  /** Share of the work relative to the others, 0.01 to 100; default 1. */
  readonly weight?: number
}

/**
 * How an attempt ended. `refused`: the endpoint said that it has too much; it did not do anything. `abandoned`: another
 * attempt that began later was faster; who is abandoned again and again is dead or might as well be.
 */
export type AttemptOutcome = 'success' | 'failure' | 'refused' | 'cancelled' | 'abandoned'

/** Milliseconds from a start that nobody knows; never back. */
export type Millis = number
