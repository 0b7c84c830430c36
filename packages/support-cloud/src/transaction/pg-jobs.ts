import { type Clock, CloudError, type Ids, type Logger } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '../rdbms/database.js'
import type { JobHandler, JobRequest, JobSchedule, Jobs, JobWorker, ParkedJob } from './job.js'
import { nextTime, parseCron } from './job-cron.js'
import { type JobRow, type JobTiming, runJob } from './job-run.js'
import { LeaseWorker } from './lease-worker.js'
import { checkName, storable } from './saga-record.js'

export interface PgJobsOptions {
  /** Needs `transactionMigrations`. */
  readonly database: Database
  readonly clock: Clock
  readonly ids: Pick<Ids, 'token' | 'random'>
  readonly logger: Logger
  /** Jobs under way in a worker at a time, default 16. */
  readonly concurrency?: number
  /** Milliseconds after which another worker takes over from one that died, default 15_000. */
  readonly leaseMs?: number
  /** Milliseconds between looks while nothing happens, default 500. */
  readonly pollMs?: number
  /** Milliseconds that disposing a worker waits for running jobs, default 10_000. */
  readonly drainMs?: number
  /** Bytes of a payload as JSON, default 65_536. */
  readonly maxPayloadBytes?: number
  /** Whose time counts: default that of the database's server. `clock` is for tests with a manual clock. */
  readonly time?: 'database' | 'clock'
}

const tenYearsMs = 3_660 * 86_400_000
const ms = (column: string): string => `(extract(epoch from ${column}) * 1000)::bigint`

/** Scheduled and delayed jobs on PostgreSQL. */
export function pgJobs(options: PgJobsOptions): Jobs {
  const defaults = { concurrency: 16, leaseMs: 15_000, pollMs: 500, drainMs: 10_000, maxPayloadBytes: 65_536 }
  return new PgJobs({ time: 'database', ...defaults, ...options })
}

class PgJobs implements Jobs {
  readonly #options: Required<PgJobsOptions>

  constructor(options: Required<PgJobsOptions>) {
    this.#options = options
  }

  async add(request: JobRequest, tx: Queryable = this.#options.database): Promise<string | undefined> {
    checkName('kind', request.kind, 100)
    if (request.key !== undefined) checkName('key', request.key, 200)
    const { clock } = this.#options
    if (request.at !== undefined && !(request.at <= clock.now() + tenYearsMs)) {
      throw new CloudError('core.contract.invalid-input', 'at is more than ten years away or no number', {
        field: 'at',
      })
    }
    const payload = storable('payload', request.payload, this.#options.maxPayloadBytes)
    const [row] = await tx.query<{ id: number }>({
      name: 'aaas_job_add',
      text: `insert into aaas_job (kind, key, payload, due_at)
        values ($1, $2, $3, coalesce(to_timestamp($4 / 1000.0), aaas_at($5)))
        on conflict (kind, key) where key is not null and parked_at is null do nothing returning id`,
      values: [request.kind, request.key ?? null, JSON.stringify(payload), request.at ?? null, this.#now()],
    })
    return row === undefined ? undefined : String(row.id)
  }

  async drop(id: string): Promise<boolean> {
    const text = `delete from aaas_job where id = $1 and (owner is null or due_at <= aaas_at($2)) returning id`
    return (await this.#options.database.query({ text, values: [jobId(id), this.#now()] })).length > 0
  }

  async schedule(schedule: JobSchedule): Promise<void> {
    checkName('name', schedule.name, 100)
    checkName('kind', schedule.kind, 100)
    const cron = parseCron(schedule.cron)
    const payload = storable('payload', schedule.payload, this.#options.maxPayloadBytes)
    // A schedule that is set again as it was keeps the time it waits for.
    await this.#options.database.query({
      text: `insert into aaas_job_schedule as s (name, cron, kind, payload, next_at)
        values ($1, $2, $3, $4, to_timestamp($5 / 1000.0)) on conflict (name) do update set
        next_at = case when s.cron = excluded.cron then s.next_at else excluded.next_at end,
        cron = excluded.cron, kind = excluded.kind, payload = excluded.payload`,
      values: [
        schedule.name,
        schedule.cron,
        schedule.kind,
        JSON.stringify(payload),
        nextTime(cron, this.#options.clock.now()),
      ],
    })
  }

  async unschedule(name: string): Promise<boolean> {
    const text = 'delete from aaas_job_schedule where name = $1 returning name'
    return (await this.#options.database.query({ text, values: [name] })).length > 0
  }

  schedules(): Promise<readonly (JobSchedule & { readonly nextAt: number })[]> {
    const text = `select name, cron, kind, payload, ${ms('next_at')} as "nextAt" from aaas_job_schedule order by name`
    return this.#options.database.query({ text })
  }

  async parked(options: { readonly after?: string; readonly limit?: number } = {}): Promise<readonly ParkedJob[]> {
    const { after = '0', limit = 100 } = options
    if (!Number.isInteger(limit) || limit < 1 || limit > 1000) {
      throw new CloudError('core.contract.invalid-input', 'limit must be 1 to 1000', { field: 'limit' })
    }
    const rows = await this.#options.database.query<Omit<ParkedJob, 'key' | 'id'> & { id: number; key: string | null }>(
      {
        text: `select id, kind, payload, key, attempts, parked_reason as reason, ${ms('parked_at')} as "parkedAt"
        from aaas_job where parked_at is not null and id > $1 order by id limit $2`,
        values: [jobId(after), limit],
      },
    )
    return rows.map(({ id, key, ...row }) => ({ ...row, id: String(id), ...(key === null ? {} : { key }) }))
  }

  async replay(id: string): Promise<boolean> {
    const rows = await this.#options.database.query({
      text: `update aaas_job j set parked_at = null, parked_reason = null, attempts = 0, owner = null, due_at = aaas_at($2)
        where id = $1 and parked_at is not null and (key is null or not exists (select from aaas_job o
          where o.kind = j.kind and o.key = j.key and o.parked_at is null)) returning id`,
      values: [jobId(id), this.#now()],
    })
    return rows.length > 0
  }

  work(handlers: readonly JobHandler[]): JobWorker {
    const { clock, logger, concurrency, leaseMs, pollMs, drainMs, ids, database } = this.#options
    const byKind = new Map(handlers.map(handler => [checkName('kind', handler.kind, 100), handler]))
    if (byKind.size < handlers.length) {
      throw new CloudError('core.contract.invalid-input', 'handlers must have kinds of their own', {
        field: 'handlers',
      })
    }
    const owner = ids.token(10)
    const timing: JobTiming = { database, clock, ids, logger, now: () => this.#now() }
    return new LeaseWorker<JobRow & { readonly id: string }>({
      ...{ name: 'jobs', clock, logger, concurrency, leaseMs, pollMs, drainMs },
      queue: {
        claim: async limit => {
          await this.#makeScheduled()
          return this.#claim(owner, [...byKind.keys()], limit)
        },
        renew: async items => {
          const rows = await database.query<{ id: number }>({
            name: 'aaas_job_renew',
            text: `update aaas_job j set due_at = aaas_at($4) + $3 * interval '1 ms'
              from unnest($1::bigint[], $2::bigint[]) as held(id, fence)
              where j.id = held.id and j.fence = held.fence and j.owner is not null returning j.id`,
            values: [items.map(item => item.id), items.map(item => item.fence), leaseMs, this.#now()],
          })
          return rows.map(row => String(row.id))
        },
        work: (job, lost) => runJob(timing, byKind.get(job.kind), job, lost),
      },
    })
  }

  /** The try is counted when the job is taken: one that kills its worker runs out of tries like any other. */
  async #claim(owner: string, kinds: readonly string[], limit: number) {
    const rows = await this.#options.database.query<JobRow & { id: number }>({
      name: 'aaas_job_claim',
      text: `with taken as (update aaas_job set owner = $1, fence = fence + 1, attempts = attempts + 1,
          due_at = aaas_at($5) + $4 * interval '1 ms'
        where id in (select id from aaas_job where parked_at is null and due_at <= aaas_at($5) and kind = any($2)
          order by due_at, id limit $3 for update skip locked) returning *)
        select id, kind, key, payload, attempts, fence, error from taken order by id`,
      values: [owner, kinds, limit, this.#options.leaseMs, this.#now()],
    })
    return rows.map(row => ({ ...row, id: String(row.id) }))
  }

  async #makeScheduled(): Promise<void> {
    const { database } = this.#options
    const due = 'from aaas_job_schedule where next_at <= aaas_at($1)'
    const found = await database.query({
      name: 'aaas_job_scheduled',
      text: `select 1 as due ${due} limit 1`,
      values: [this.#now()],
    })
    if (found.length === 0) return
    await database.transaction(async tx => {
      const rows = await tx.query<JobSchedule & { nextAt: number; now: number }>({
        text: `select name, cron, kind, payload, ${ms('next_at')} as "nextAt", ${ms('aaas_at($1)')} as now ${due}
          order by next_at limit 100 for update skip locked`,
        values: [this.#now()],
      })
      for (const row of rows) {
        await this.add(
          { kind: row.kind, payload: row.payload, key: `${row.name} ${new Date(row.nextAt).toISOString()}` },
          tx,
        )
        await tx.query({
          text: 'update aaas_job_schedule set next_at = to_timestamp($2 / 1000.0) where name = $1',
          values: [row.name, nextTime(parseCron(row.cron), row.now)],
        })
      }
    })
  }

  #now(): number | null {
    return this.#options.time === 'clock' ? this.#options.clock.now() : null
  }
}

function jobId(id: string): string {
  if (/^\d{1,18}$/.test(id)) return id
  throw new CloudError('core.contract.invalid-input', 'id is not the id of a job', { field: 'id' })
}
