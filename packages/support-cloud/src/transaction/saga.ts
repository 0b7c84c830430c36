import type { Queryable } from '../rdbms/database.js'

/** Pauses grow from the first to the longest, doubling, plus or minus a quarter. */
export interface SagaRetry {
  /** Tries in all, 1 to 100; default 5. Tries that a crash cut short count. */
  readonly attempts?: number
  /** Milliseconds before the second try; default 200. */
  readonly firstPauseMs?: number
  /** Default 60_000. */
  readonly longestPauseMs?: number
}

/** What a step knows when it runs. */
export interface SagaStepContext {
  readonly sagaId: string
  readonly input: unknown
  /** What the steps before gave, by name. */
  readonly outputs: Readonly<Record<string, unknown>>
  /** Stays the same over tries, crashes and nodes: give it to the other side as the idempotency key. */
  readonly key: string
  /** From 1. */
  readonly attempt: number
  /** Aborts at the step's timeout, and when this node may no longer act for the saga. */
  readonly signal: AbortSignal
}

export interface SagaCompensationContext extends SagaStepContext {
  /** What the step gave; undefined when its outcome is unknown. */
  readonly output: unknown
  /** `unknown`: the step may or may not have happened, or may still happen: the other side needs a barrier (TCC). */
  readonly outcome: 'done' | 'unknown'
}

/** What a resolver found out about a step whose outcome is unknown. */
export type SagaKnowledge =
  | { readonly outcome: 'done'; readonly output?: unknown }
  /** It did not happen and will not. */
  | { readonly outcome: 'not-done' }
  | { readonly outcome: 'unknown' }

/**
 * Does something elsewhere. The intent is on disk before `run` is called, the result before the next step's intent or
 * with it.
 *
 * A rejection with a CloudError that is not retryable and has a status below 500 is a definite refusal: the step is not
 * tried again, and when it was the first try, it did not happen. Every other rejection, a timeout and a crash leave the
 * outcome unknown: the step is tried again with the same key. When its tries are used up, or a later one is refused (an
 * earlier one may still get through), it is asked about (`unknown`), or else taken as possibly done.
 */
export interface SagaAction {
  /** 1 to 100 characters, unique in the saga. */
  readonly name: string
  /** Answers JSON, at most `maxPayloadBytes`. */
  run(context: SagaStepContext): Promise<unknown>
  /**
   * Takes the step back. Called for steps that were done and for those that may have been, last first, with a key of its
   * own that stays the same; must be fine with a step that never happened when `outcome` is `unknown`.
   */
  compensate?(context: SagaCompensationContext): Promise<unknown>
  readonly retry?: SagaRetry
  /** Default 10 tries; then the saga is parked. */
  readonly compensateRetry?: SagaRetry
  /** Milliseconds of one try, default 30_000. */
  readonly timeoutMs?: number
  /** Finds out what became of the step. */
  unknown?(context: SagaStepContext): Promise<SagaKnowledge>
  /** Default 20 tries, the second after a second; then the saga is parked. */
  readonly unknownRetry?: SagaRetry
  /**
   * What a failure leads to: default `compensate`. `park` makes the step a point of no return: once its intent is
   * recorded the saga only goes forward, is neither cancelled nor timed out, and waits for an operator when it cannot.
   */
  readonly onFailure?: 'compensate' | 'park'
}

/** Waits for a signal; its payload is the step's output. */
export interface SagaWait {
  readonly name: string
  readonly waitFor: string
  /** Milliseconds; then the step has failed. Default: as long as the saga may take. */
  readonly timeoutMs?: number
}

export type SagaStep = SagaAction | SagaWait

/** Steps of one version. An instance goes on with the version it was started with. */
export interface SagaDefinition {
  /** 1 to 100 characters. */
  readonly name: string
  /** From 1. Steps of a version that has instances must not change; a new version is added beside it. */
  readonly version: number
  /** 1 to 50. */
  readonly steps: readonly SagaStep[]
  /** Milliseconds from start to the last step's end, default 1 day; then what was done is compensated. */
  readonly timeoutMs?: number
}

export type SagaState =
  | 'running'
  | 'compensating'
  /** All steps done. */
  | 'completed'
  /** All that was or may have been done is taken back. */
  | 'compensated'
  /** Waits for an operator; `parked` says why. */
  | 'parked'

export type SagaStepState =
  /** Recorded before it runs; found by another run, it may have been executed. */
  | 'intended'
  | 'done'
  /** Tries are used up, the outcome is not known; the resolver is asked. */
  | 'unknown'
  /** Certainly not done. */
  | 'refused'
  /** Recorded before its compensation runs. */
  | 'compensating'
  | 'compensated'
  /** Was done and has no compensation. */
  | 'kept'

export interface SagaStepView {
  readonly name: string
  readonly state: SagaStepState
  readonly attempts: number
  readonly compensations: number
  readonly output?: unknown
  /** What the last failing try said. */
  readonly error?: string
}

export interface SagaView {
  readonly id: string
  readonly name: string
  readonly version: number
  readonly state: SagaState
  readonly input: unknown
  /** Epoch milliseconds. */
  readonly startedAt: number
  readonly changedAt: number
  readonly deadlineAt: number
  /** Why it is or was compensated. */
  readonly failure?: string
  readonly parked?: { readonly from: SagaState; readonly code: SagaParkCode; readonly reason: string }
  /** Steps that were begun, in order. */
  readonly steps: readonly SagaStepView[]
}

export type SagaParkCode =
  /** No worker knows the name and version. Goes on by itself when one comes that does. */
  | 'no-definition'
  | 'step-failed'
  | 'outcome-unknown'
  | 'compensation-failed'
  /** Taken up again and again without getting on. */
  | 'poison'

/** One line of the list. */
export type SagaSummary = Omit<SagaView, 'input' | 'steps'> & { readonly position: number }

/** Who did something by hand, and why; kept for ever. */
export interface SagaOperator {
  readonly actor: string
  readonly reason: string
}

export type SagaForce =
  /** The step is declared done. */
  | { readonly act: 'complete-step'; readonly step: string; readonly output?: unknown }
  /** The step is declared not done. */
  | { readonly act: 'fail-step'; readonly step: string }
  /** The step's compensation is declared done. */
  | { readonly act: 'skip-compensation'; readonly step: string }
  /** The saga is compensated, even beyond a point of no return. */
  | { readonly act: 'compensate' }

export interface SagaAudit {
  readonly at: number
  readonly actor: string
  readonly reason: string
  readonly act: string
  readonly step?: string
}

export interface SagaStart {
  /** 1 to 200 characters, the caller's own; starting again with the same content is safe. */
  readonly id: string
  readonly name: string
  /** Default: the newest version that is defined here. */
  readonly version?: number
  readonly input?: unknown
}

/** Executes sagas until it is disposed: then it lets running steps end and gives the rest to other nodes. */
export interface SagaWorker extends AsyncDisposable {
  /** Looks for work now. */
  wake(): void
  /** Resolves when there was a moment with nothing under way and nothing to take up. For tests and demonstrations. */
  idle(): Promise<void>
}

/**
 * Sagas: steps on several systems that all happen, or are taken back. Everything is on PostgreSQL: any node whose worker
 * knows the definition may go on with any saga; a lease says who does, and every write carries the lease's fence number,
 * so that a node which lost its lease cannot record anything. Steps run at least once with a stable key, hence once
 * where the other side honours keys.
 */
export interface Sagas {
  /** Adds a version. @throws CloudError `core.contract.invalid-input` for a malformed or repeated definition. */
  define(definition: SagaDefinition): void
  /**
   * Starts a saga, or finds the one that was started with the same content.
   * @param tx - the caller's transaction: the saga starts when, and only when, it commits.
   * @returns true when it was new.
   * @throws CloudError `support.transaction.conflict` (id used with another content), `.unknown-saga`, `.too-large`,
   *   `core.contract.invalid-input`.
   */
  start(start: SagaStart, tx?: Queryable): Promise<boolean>
  /**
   * Gives a signal. It is kept until a step waits for it, also before that; at most 100 wait at a saga.
   * @param signalId - a repeat with the same one changes nothing.
   * @throws CloudError `support.transaction.unknown-saga`, `.wrong-state` (ended, or too many signals), `.too-large`.
   */
  signal(
    id: string,
    signal: { readonly name: string; readonly payload?: unknown; readonly signalId: string },
    tx?: Queryable,
  ): Promise<void>
  /** Asks for compensation; done at the next safe point. @throws `.unknown-saga`, `.wrong-state`. */
  cancel(id: string, operator: SagaOperator): Promise<void>
  get(id: string): Promise<SagaView | undefined>
  /** Waits for an end: completed, compensated or parked. @throws `core.contract.deadline-exceeded`. */
  ended(id: string, options: { readonly deadline: number; readonly signal?: AbortSignal }): Promise<SagaView>
  /** In order of start. @param options.after - `position` of the last one seen. @param options.limit - 1 to 1000. */
  list(options?: {
    readonly state?: SagaState
    readonly name?: string
    readonly after?: number
    readonly limit?: number
  }): Promise<readonly SagaSummary[]>
  /** Lets a parked saga try again what it stuck at. @throws `.unknown-saga`, `.wrong-state`. */
  retry(id: string, operator: SagaOperator): Promise<void>
  /** Decides for a parked saga. @throws `.unknown-saga`, `.wrong-state`, `core.contract.invalid-input`. */
  force(id: string, force: SagaForce, operator: SagaOperator): Promise<void>
  /** What was done by hand, oldest first. */
  audit(id: string): Promise<readonly SagaAudit[]>
  /** Forgets sagas that ended before a time, at most `limit` (default 1000). @returns how many. */
  forget(options: { readonly before: number; readonly limit?: number }): Promise<number>
  /** Starts to execute. */
  work(): SagaWorker
}
