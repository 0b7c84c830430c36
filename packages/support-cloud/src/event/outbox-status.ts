import type { Queryable } from '../rdbms/database.js'

/** A relay that worked during the last day. */
export interface RelayStatus {
  readonly name: string
  /** Process of the server that held its last batch; see `pg_stat_activity`. */
  readonly backend: number
  readonly startedAt: number
  /** When it last left a note of itself; a relay does so every ten seconds while it has work, and not when idle. */
  readonly seenAt: number
  readonly delivered: number
  readonly failed: number
  readonly dead: number
}

export interface OutboxStatus {
  /** Events not delivered yet, by the server's estimate where there are more than 10_000. */
  readonly waiting: number
  /** Epoch milliseconds of the oldest one's commit; undefined when there is none. */
  readonly oldest: number | undefined
  /** Those that failed and wait for their next attempt, the oldest 100, with who tried last and what it said. */
  readonly retrying: readonly {
    readonly eventId: string
    readonly topic: string
    readonly key: string
    readonly attempts: number
    readonly triedBy: string | null
    readonly lastError: string | null
    readonly nextAt: number
  }[]
  readonly dead: number
  readonly relays: readonly RelayStatus[]
  /** What the table takes on disk with its indexes, and rows that vacuum has yet to clear. */
  readonly bytes: number
  readonly deadRows: number
}

/** How the outbox of a database does; a few quick statements, for consoles and alarms. */
export async function outboxStatus(database: Queryable): Promise<OutboxStatus> {
  const [row] = await database.query<Omit<OutboxStatus, 'retrying' | 'relays' | 'oldest'> & { oldest: number | null }>({
    text: `select case when few.n < 10001 then few.n else greatest(few.n, c.reltuples::bigint) end as waiting,
                  (select (extract(epoch from created_at) * 1000)::bigint from aaas_outbox order by id limit 1) as oldest,
                  (select count(*) from aaas_outbox_dead) as dead,
                  pg_total_relation_size('aaas_outbox') as bytes, coalesce(s.n_dead_tup, 0) as "deadRows"
             from (select count(*) as n from (select from aaas_outbox limit 10001) first) few, pg_class c
             left join pg_stat_user_tables s on s.relid = c.oid where c.oid = 'aaas_outbox'::regclass`,
  })
  const retrying = await database.query<OutboxStatus['retrying'][number]>({
    text: `select event_id as "eventId", topic, key, attempts, tried_by as "triedBy", last_error as "lastError",
                  (extract(epoch from available_at) * 1000)::bigint as "nextAt"
             from aaas_outbox where attempts > 0 and last_error is not null order by id limit 100`,
  })
  const relays = await database.query<RelayStatus>({
    text: `select name, backend, (extract(epoch from started_at) * 1000)::bigint as "startedAt",
                  (extract(epoch from seen_at) * 1000)::bigint as "seenAt", delivered, failed, dead
             from aaas_outbox_relay where seen_at > now() - interval '1 day' order by name limit 1000`,
  })
  const { waiting = 0, dead = 0, bytes = 0, deadRows = 0, oldest } = row ?? {}
  return { waiting, oldest: oldest ?? undefined, retrying, dead, relays, bytes, deadRows }
}
