import type { Queryable } from '../rdbms/database.js'

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
  | { readonly kind: 'failed'; readonly afterMs: number; readonly taken: readonly string[] }
  | { readonly kind: 'dead'; readonly reason: string; readonly taken: readonly string[] }

/**
 * Takes rows that are due, oldest first, leaving out those that another relay holds and those whose key has an earlier
 * event that another relay holds or that is not due. The rows stay locked until the transaction ends: a relay that dies
 * gives them back untouched. There is no cursor by id on purpose: ids are drawn before the commit, so a reader that had
 * seen id 2 would never see an id 1 that was committed later.
 */
export async function claim(tx: Queryable, limit: number): Promise<readonly ClaimedRow[]> {
  const rows = await tx.query<Omit<ClaimedRow, 'taken'> & { readonly taken: readonly string[] | null }>({
    name: 'aaas_outbox_claim',
    text: `select id, event_id as "eventId", topic, key, payload, attempts,
                  (extract(epoch from created_at) * 1000)::bigint as "createdAt",
                  case when attempts > 0 then
                    (select array_agg(d.subscriber) from aaas_outbox_delivery d where d.event_id = o.event_id) end as taken
             from aaas_outbox o where available_at <= now() order by id limit $1 for update skip locked`,
    values: [limit],
  })
  if (rows.length === 0) return []
  const gaps = await holdBack(tx, rows)
  return rows
    .filter(({ key, id }) => id < (gaps.get(key) ?? Number.POSITIVE_INFINITY))
    .map(row => ({ ...row, taken: new Set(row.taken ?? []) }))
}

/**
 * For each key of the batch that has an earlier event outside it, the id of the earliest such event: one that another
 * relay holds, or that waits for its next attempt (then the later ones wait as long, so that they do not fill the next
 * batch). It may lie between two events of the batch: what comes before it may go. Asked when the batch is held, in a
 * statement of its own that sees what other relays did meanwhile: from then on nothing earlier can appear, because the
 * events of a key are written one after the other.
 */
async function holdBack(
  tx: Queryable,
  rows: readonly { readonly id: number; readonly key: string }[],
): Promise<ReadonlyMap<string, number>> {
  const last = new Map<string, number>()
  for (const { key, id } of rows) if (key !== '') last.set(key, id)
  if (last.size === 0) return new Map()
  const gaps = await tx.query<{ key: string; gap: number }>({
    name: 'aaas_outbox_hold_back',
    text: `with missing as (
             select c.key, min(e.id) as gap, max(e.available_at) as until
               from unnest($1::text[], $2::bigint[]) as c(key, last)
               join aaas_outbox e on e.key = c.key and e.id < c.last and e.id <> all($3::bigint[]) group by c.key),
           moved as (
             update aaas_outbox o set available_at = greatest(o.available_at, m.until)
               from missing m where o.key = m.key and o.id > m.gap and o.id = any($3::bigint[]) and m.until > now())
           select key, gap from missing`,
    values: [[...last.keys()], [...last.values()], rows.map(row => row.id)],
  })
  return new Map(gaps.map(({ key, gap }) => [key, gap]))
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

/** Records what became of the rows, in the transaction that holds them. */
export async function settle(tx: Queryable, outcomes: ReadonlyMap<ClaimedRow, Outcome>): Promise<void> {
  const done: ClaimedRow[] = []
  const later: { id: number; afterMs: number; tries: number }[] = []
  const taken: { eventId: string; subscriber: string }[] = []
  for (const [row, outcome] of outcomes) {
    if (outcome.kind === 'done') done.push(row)
    else if (outcome.kind === 'behind') later.push({ id: row.id, afterMs: outcome.afterMs, tries: 0 })
    else {
      taken.push(...outcome.taken.map(subscriber => ({ eventId: row.eventId, subscriber })))
      if (outcome.kind === 'failed') later.push({ id: row.id, afterMs: outcome.afterMs, tries: 1 })
      else await bury(tx, row, outcome.reason)
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
      text: `update aaas_outbox o set attempts = o.attempts + l.tries, available_at = clock_timestamp() + l.after * interval '1 ms'
             from unnest($1::bigint[], $2::float8[], $3::int[]) as l(id, after, tries) where o.id = l.id`,
      values: [later.map(one => one.id), later.map(one => one.afterMs), later.map(one => one.tries)],
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
async function bury(tx: Queryable, row: ClaimedRow, reason: string): Promise<void> {
  await tx.query({
    name: 'aaas_outbox_bury',
    text: `with gone as (delete from aaas_outbox where id = $1 returning *)
           insert into aaas_outbox_dead (id, event_id, topic, key, payload, created_at, attempts, available_at, reason)
           select id, event_id, topic, key, payload, created_at, attempts + 1, available_at, $2 from gone`,
    values: [row.id, reason],
  })
}
