import type { Queryable } from '../rdbms/database.js'
import type { OutboxRelayStats } from './event.js'

/** A row that this relay's transaction holds. */
export interface ClaimedRow {
  readonly id: number
  readonly eventId: string
  readonly topic: string
  readonly key: string
  readonly payload: unknown
  readonly createdAt: number
  readonly attempts: number
  /** Subscribers that took it in an earlier attempt. */
  readonly taken: ReadonlySet<string>
}

/** What became of a row. */
export type Outcome =
  | { readonly kind: 'done' }
  /** Not tried: an earlier event of its key must go first. It waits as long as that one. */
  | { readonly kind: 'behind'; readonly afterMs: number }
  | { readonly kind: 'failed'; readonly afterMs: number; readonly reason: string; readonly taken: readonly string[] }
  | { readonly kind: 'dead'; readonly reason: string; readonly taken: readonly string[] }

/**
 * Takes rows that are due, oldest first, leaving out those that another relay holds and those whose key has an earlier
 * event that another relay holds or that is not due. The rows stay locked until the transaction ends: a relay that dies
 * gives them back untouched. How and why: see the function, which also keeps its plan when the table grows.
 */
export async function claim(tx: Queryable, limit: number): Promise<readonly ClaimedRow[]> {
  const rows = await tx.query<Omit<ClaimedRow, 'taken'> & { readonly taken: readonly string[] | null }>({
    name: 'aaas_outbox_claim',
    text: `select id, event_id as "eventId", topic, key, payload, attempts, created_ms as "createdAt", taken
             from aaas_outbox_claim($1)`,
    values: [limit],
  })
  return rows.map(row => ({ ...row, taken: new Set(row.taken ?? []) }))
}

/**
 * Ends due events of topics without a subscriber in one statement: nothing is read, held or delivered for them.
 * @returns how many, at most `limit`, and whether other events are due.
 */
export async function dropUnheard(
  on: Queryable,
  topics: readonly string[],
  limit: number,
): Promise<{ readonly dropped: number; readonly due: boolean }> {
  const [row] = await on.query<{ dropped: number; due: boolean }>({
    name: 'aaas_outbox_drop',
    text: 'select dropped, due from aaas_outbox_drop($1, $2)',
    values: [topics, limit],
  })
  return row ?? { dropped: 0, due: false }
}

/** Records what became of the rows, in the transaction that holds them. @param owner - the relay, for who looks. */
export async function settle(tx: Queryable, outcomes: ReadonlyMap<ClaimedRow, Outcome>, owner: string): Promise<void> {
  const done: ClaimedRow[] = []
  const later: { id: number; afterMs: number; reason: string | null }[] = []
  const taken: { eventId: string; subscriber: string }[] = []
  for (const [row, outcome] of outcomes) {
    if (outcome.kind === 'done') done.push(row)
    else if (outcome.kind === 'behind') later.push({ id: row.id, afterMs: outcome.afterMs, reason: null })
    else {
      taken.push(...outcome.taken.map(subscriber => ({ eventId: row.eventId, subscriber })))
      if (outcome.kind === 'failed') later.push({ id: row.id, afterMs: outcome.afterMs, reason: outcome.reason })
      else await bury(tx, row, outcome.reason, owner)
    }
  }
  if (done.length > 0) await remove(tx, done)
  if (taken.length > 0) {
    await tx.query({
      name: 'aaas_outbox_taken',
      text: `insert into aaas_outbox_delivery (event_id, subscriber)
             select * from unnest($1::uuid[], $2::text[]) on conflict do nothing`,
      values: [taken.map(one => one.eventId), taken.map(one => one.subscriber)],
    })
  }
  if (later.length > 0) {
    await tx.query({
      name: 'aaas_outbox_later',
      text: `update aaas_outbox o set available_at = clock_timestamp() + l.after * interval '1 ms',
               attempts = o.attempts + (l.reason is not null)::int, last_error = coalesce(l.reason, o.last_error),
               tried_by = case when l.reason is null then o.tried_by else $4 end
             from unnest($1::bigint[], $2::float8[], $3::text[]) as l(id, after, reason) where o.id = l.id`,
      values: [later.map(one => one.id), later.map(one => one.afterMs), later.map(one => one.reason), owner],
    })
  }
}

async function remove(tx: Queryable, rows: readonly ClaimedRow[]): Promise<void> {
  await tx.query({
    name: 'aaas_outbox_done',
    text: 'delete from aaas_outbox where id = any($1::bigint[])',
    values: [rows.map(row => row.id)],
  })
  const retried = rows.filter(row => row.attempts > 0).map(row => row.eventId)
  if (retried.length === 0) return
  await tx.query({
    name: 'aaas_outbox_forget',
    text: 'delete from aaas_outbox_delivery where event_id = any($1::uuid[])',
    values: [retried],
  })
}

/** Who took it stays known, so that a replay goes to the others only. */
async function bury(tx: Queryable, row: ClaimedRow, reason: string, owner: string): Promise<void> {
  await tx.query({
    name: 'aaas_outbox_bury',
    text: `with gone as (delete from aaas_outbox where id = $1 returning *)
           insert into aaas_outbox_dead
             (id, event_id, topic, key, payload, created_at, attempts, available_at, reason, buried_by)
           select id, event_id, topic, key, payload, created_at, attempts + 1, available_at, $2, $3 from gone`,
    values: [row.id, reason, owner],
  })
}

/** Says that this relay lives and what it did; relays that were silent for a day are forgotten. */
export async function report(
  tx: Queryable,
  relay: { readonly owner: string; readonly startedAt: number } & OutboxRelayStats,
): Promise<void> {
  await tx.query({
    name: 'aaas_outbox_report',
    text: `with silent as (delete from aaas_outbox_relay where name <> $1 and seen_at < now() - interval '1 day')
           insert into aaas_outbox_relay (name, backend, started_at, delivered, failed, dead)
           values ($1, pg_backend_pid(), to_timestamp($2 / 1000.0), $3, $4, $5)
           on conflict (name) do update set backend = excluded.backend, seen_at = now(),
             delivered = excluded.delivered, failed = excluded.failed, dead = excluded.dead`,
    values: [relay.owner, relay.startedAt, relay.delivered, relay.failed, relay.dead],
  })
}
