import type { Queryable } from '../rdbms/database.js'
import type { SagaRetry } from './saga.js'

/** Something to be done later. */
export interface JobRequest {
  /** Which handler, 1 to 100 characters. */
  readonly kind: string
  readonly payload?: unknown
  /** At most one job of a kind and key waits or runs, 1 to 200 characters. */
  readonly key?: string
  /** Epoch milliseconds before which it is not done; at most ten years away. Default: at once. */
  readonly at?: number
}

/** A job as its handler gets it. */
export interface Job {
  readonly id: string
  readonly kind: string
  readonly payload: unknown
  readonly key?: string
  /** From 1; tries that a crash cut short count. */
  readonly attempt: number
  /** Grows with every taking; for resources that check it. */
  readonly fence: number
  /** Aborts at the handler's timeout, and when another worker may have the job. */
  readonly signal: AbortSignal
  /**
   * Ends the job in the handler's own transaction, so that its effect and its end are there together or not at all.
   * @throws CloudError `support.transaction.fenced` when another worker has the job: the transaction must roll back.
   */
  finish(tx: Queryable): Promise<void>
}

export interface JobHandler {
  readonly kind: string
  /** The job is over when this resolves; a rejection brings it again later. */
  run(job: Job): Promise<void>
  /** Default 10 tries, the second after a second; then the job is parked. */
  readonly retry?: SagaRetry
  /** Milliseconds of one try, default 60_000. */
  readonly timeoutMs?: number
}

/** A job that was given up, until someone replays or drops it. */
export interface ParkedJob {
  readonly id: string
  readonly kind: string
  readonly payload: unknown
  readonly key?: string
  readonly attempts: number
  readonly reason: string
  /** Epoch milliseconds. */
  readonly parkedAt: number
}

/** Makes a job regularly. Times are UTC: there is no hour that comes twice or never. */
export interface JobSchedule {
  /** 1 to 100 characters; setting it again replaces it. */
  readonly name: string
  /**
   * Five fields: minute, hour, day of the month, month, day of the week (0 or 7 is Sunday); `*`, numbers, lists `1,2`,
   * ranges `1-5`, steps `0-30/10`. When both days are restricted, either is enough, as in cron.
   */
  readonly cron: string
  readonly kind: string
  readonly payload?: unknown
}

export interface JobWorker extends AsyncDisposable {
  /** Looks for jobs now. */
  wake(): void
  /** Resolves when there was a moment with nothing under way and nothing due. For tests and demonstrations. */
  idle(): Promise<void>
}

/**
 * Scheduled and delayed jobs on PostgreSQL. Any node may do any job that it has a handler for; a lease and a fence say
 * who does. A job is done at least once, and exactly once where its handler ends it in its own transaction.
 */
export interface Jobs {
  /**
   * Adds a job; part of `tx` when given.
   * @returns its id, or undefined when one with this kind and key waits or runs already.
   * @throws CloudError `core.contract.invalid-input`, `support.transaction.too-large` (payload of 64 KiB as JSON).
   */
  add(request: JobRequest, tx?: Queryable): Promise<string | undefined>
  /** Drops a job that nobody works on, parked ones too. @returns whether there was one. */
  drop(id: string): Promise<boolean>
  /**
   * Sets a schedule. Its next time is remembered: nodes that start together make one job, and times that passed while
   * no worker ran make one together.
   */
  schedule(schedule: JobSchedule): Promise<void>
  unschedule(name: string): Promise<boolean>
  schedules(): Promise<readonly (JobSchedule & { readonly nextAt: number })[]>
  /** Oldest first. @param options.after - id of the last one seen. @param options.limit - 1 to 1000, default 100. */
  parked(options?: { readonly after?: string; readonly limit?: number }): Promise<readonly ParkedJob[]>
  /** Gives a parked job its tries again. @returns whether there was one. */
  replay(id: string): Promise<boolean>
  /** Starts to work on the kinds of the handlers. */
  work(handlers: readonly JobHandler[]): JobWorker
}
