import { type Clock, CloudError, type Ids, type Logger } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '../rdbms/database.js'
import type { JobHandler } from './job.js'
import { errorText } from './saga-record.js'

/** A job as it was taken from the queue. */
export interface JobRow {
  readonly id: string
  readonly kind: string
  readonly key: string | null
  readonly payload: unknown
  readonly attempts: number
  readonly fence: number
  readonly error: string | null
}

export interface JobTiming {
  readonly database: Database
  readonly clock: Clock
  readonly ids: Pick<Ids, 'random'>
  readonly logger: Logger
  readonly now: () => number | null
}

const defaults = { attempts: 10, firstPauseMs: 1_000, longestPauseMs: 600_000 }

/** Makes one try. @returns milliseconds until the next one, when there will be one. */
export async function runJob(
  timing: JobTiming,
  handler: JobHandler | undefined,
  job: JobRow,
  lost: AbortSignal,
): Promise<number | undefined> {
  if (handler === undefined) throw new Error(`no handler for ${job.kind}`)
  const rules = { ...defaults, ...handler.retry }
  if (job.attempts > rules.attempts) {
    return park(timing, job, `cut short in its last try: ${job.error ?? 'its worker died'}`)
  }
  try {
    await call(timing, handler, job, lost)
  } catch (error) {
    timing.logger.warn('jobs: a try failed', { job: job.id, kind: job.kind, attempt: job.attempts, error })
    if (lost.aborted) return undefined
    const text = errorText(error)
    if (job.attempts >= rules.attempts) return park(timing, job, text)
    const pause = Math.min(rules.longestPauseMs, rules.firstPauseMs * 2 ** Math.min(job.attempts - 1, 30))
    return later(timing, job, pause * (0.75 + timing.ids.random() / 2), text)
  }
  return undefined
}

async function call(timing: JobTiming, handler: JobHandler, job: JobRow, lost: AbortSignal): Promise<void> {
  const { clock, database } = timing
  const abort = new AbortController()
  const onLost = (): void => abort.abort(lost.reason)
  lost.addEventListener('abort', onLost, { once: true })
  const limit = handler.timeoutMs ?? 60_000
  const cancel = clock.after(limit, () => {
    abort.abort(new CloudError('core.contract.deadline-exceeded', `${job.kind} took more than ${limit} ms`))
  })
  const aborted = new Promise<never>((_, reject) => {
    abort.signal.addEventListener('abort', () => reject(abort.signal.reason), { once: true })
  })
  aborted.catch(() => undefined)
  try {
    const work = handler.run({
      ...{ id: job.id, kind: job.kind, payload: job.payload, attempt: job.attempts, fence: job.fence },
      ...(job.key === null ? {} : { key: job.key }),
      signal: abort.signal,
      async finish(tx) {
        if (await remove(tx, job)) return
        throw new CloudError('support.transaction.fenced', `job ${job.id} is another worker's`)
      },
    })
    await Promise.race([work, aborted])
    // Gone already when the handler ended it in its own transaction.
    await remove(database, job)
  } finally {
    cancel()
    lost.removeEventListener('abort', onLost)
  }
}

async function remove(on: Queryable, job: JobRow): Promise<boolean> {
  const rows = await on.query({
    name: 'aaas_job_finish',
    text: 'delete from aaas_job where id = $1 and fence = $2 and owner is not null returning id',
    values: [job.id, job.fence],
  })
  return rows.length > 0
}

async function later({ database, now }: JobTiming, job: JobRow, pauseMs: number, error: string): Promise<number> {
  await database.query({
    name: 'aaas_job_later',
    text: `update aaas_job set owner = null, error = $3, due_at = aaas_at($5) + $4 * interval '1 ms'
      where id = $1 and fence = $2 and owner is not null`,
    values: [job.id, job.fence, error, pauseMs, now()],
  })
  return pauseMs
}

async function park({ database, logger, now }: JobTiming, job: JobRow, reason: string): Promise<undefined> {
  logger.error('jobs: parked', { job: job.id, kind: job.kind, reason })
  await database.query({
    name: 'aaas_job_park',
    text: `update aaas_job set owner = null, error = $3, parked_reason = $3, parked_at = aaas_at($4)
      where id = $1 and fence = $2 and owner is not null`,
    values: [job.id, job.fence, reason, now()],
  })
}
