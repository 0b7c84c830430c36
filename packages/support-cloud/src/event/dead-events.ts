import type { Database } from '../rdbms/database.js'
import type { DeadEvent } from './event.js'

/** Events that were given up, the latest first. @param options.limit - 1 to 1_000, default 100. */
export function deadEvents(
  database: Database,
  options: { readonly limit?: number } = {},
): Promise<readonly DeadEvent[]> {
  return database.query<DeadEvent>({
    text: `select event_id as "eventId", topic, key, payload, attempts, reason,
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
 * Forgets inbox entries older than `olderThanMs` (default 30 days): a message that comes again later would count as new.
 * @returns how many, at most 10_000 a call.
 */
export async function forgetInbox(
  database: Database,
  options: { readonly olderThanMs?: number } = {},
): Promise<number> {
  const rows = await database.query({
    text: `delete from aaas_inbox where ctid = any(array(
             select ctid from aaas_inbox where at < now() - $1 * interval '1 ms' order by at limit 10000)) returning 1 as gone`,
    values: [options.olderThanMs ?? 30 * 86_400_000],
  })
  return rows.length
}
