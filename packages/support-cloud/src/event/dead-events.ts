import type { Database } from '../rdbms/database.js'
import { type DeadEvent, inboxDays } from './event.js'

const dayMs = 86_400_000

/** Events that were given up, the latest first. @param options.limit - 1 to 1_000, default 100. */
export function deadEvents(
  database: Database,
  options: { readonly limit?: number } = {},
): Promise<readonly DeadEvent[]> {
  return database.query<DeadEvent>({
    text: `select event_id as "eventId", topic, key, payload, attempts, reason, buried_by as "buriedBy",
                  (extract(epoch from created_at) * 1000)::bigint as "createdAt",
                  (extract(epoch from died_at) * 1000)::bigint as "diedAt"
             from aaas_outbox_dead order by died_at desc, id desc limit $1`,
    values: [Math.min(1_000, Math.max(1, options.limit ?? 100))],
  })
}

/**
 * Gives events that were given up another full set of attempts, oldest first; subscribers that took one before do not get
 * it again. Wake a relay afterwards.
 * @param options.eventIds - absent: every one, at most 1_000 a call.
 * @returns how many.
 */
export async function replayDead(
  database: Database,
  options: { readonly eventIds?: readonly string[] } = {},
): Promise<number> {
  const rows = await database.query({
    text: `with chosen as (
             select event_id from aaas_outbox_dead where $1::uuid[] is null or event_id = any($1::uuid[])
             order by id limit 1000 for update skip locked),
           gone as (delete from aaas_outbox_dead d using chosen c where d.event_id = c.event_id returning d.*)
           insert into aaas_outbox (event_id, topic, key, payload, created_at, attempts)
           -- At least 1, which says that somebody may have taken it; one attempt less is a fair price.
           select event_id, topic, key, payload, created_at, 1 from gone order by id returning 1 as replayed`,
    values: [options.eventIds ?? null],
  })
  return rows.length
}

/**
 * Throws events away that were given up more than `olderThanMs` (default 90 days) ago; with `eventIds` just these.
 * @returns how many, at most 10_000 a call.
 */
export async function forgetDead(
  database: Database,
  options: { readonly olderThanMs?: number; readonly eventIds?: readonly string[] } = {},
): Promise<number> {
  const rows = await database.query({
    text: `with gone as (
             delete from aaas_outbox_dead where id in (
               select id from aaas_outbox_dead where case when $2::uuid[] is null
                 then died_at < now() - $1 * interval '1 ms' else event_id = any($2::uuid[]) end
               order by id limit 10000) returning event_id),
           taken as (delete from aaas_outbox_delivery d using gone where d.event_id = gone.event_id)
           select 1 as gone from gone`,
    values: [options.olderThanMs ?? 90 * 86_400_000, options.eventIds ?? null],
  })
  return rows.length
}

/**
 * Drops the days of the inbox that are older than `olderThanMs` (default 30 days, at least one), whole and at once, and
 * makes room for the days to come. Call it every few hours. A message that comes again later counts as new.
 * @returns how many days were dropped.
 */
export async function forgetInbox(
  database: Database,
  options: { readonly olderThanMs?: number } = {},
): Promise<number> {
  const days = Math.max(1, Math.ceil((options.olderThanMs ?? inboxDays * dayMs) / dayMs))
  const [row] = await database.query<{ dropped: number }>({
    text: 'select aaas_inbox_keep($1) as dropped',
    values: [days],
  })
  return row?.dropped ?? 0
}
