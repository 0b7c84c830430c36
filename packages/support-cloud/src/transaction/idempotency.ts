import { createHash } from 'node:crypto'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '../rdbms/database.js'

/** SHA-256 (hex) of a JSON value; the order of object keys does not matter and absent equals undefined. */
export function bodyHash(value: unknown): string {
  return createHash('sha256').update(canonical(value)).digest('hex')
}

function canonical(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  fields.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).join(',')}}`
}

/** One request as its caller names it. `scope` tells callers and operations apart; `key` is the caller's own. */
export interface IdempotentRequest {
  readonly scope: string
  /** 1 to 200 characters. */
  readonly key: string
  /** The request's body; a repeat with another one is refused. */
  readonly body: unknown
}

/**
 * Runs `work` once per key, in one transaction with the record of its answer; a repeat gets the first answer.
 * A concurrent repeat waits for the first. When `work` fails, nothing is kept and a repeat runs it again.
 * @param work - may run again after a deadlock: no other effects than on the database; answers JSON.
 * @throws CloudError `support.transaction.conflict` when the key was used with another body.
 */
export async function withIdempotency<T>(
  database: Database,
  request: IdempotentRequest,
  work: (tx: Queryable) => Promise<T>,
): Promise<{ readonly result: T; readonly replayed: boolean }> {
  const hash = bodyHash(request.body)
  const key = [request.scope, request.key]
  return database.transaction(async tx => {
    const made = await tx.query({
      name: 'idempotency_claim',
      text: 'insert into idempotency (scope, key, body_hash) values ($1, $2, $3) on conflict do nothing returning key',
      values: [...key, hash],
    })
    if (made.length === 0) {
      const [row] = await tx.query<{ bodyHash: string; response: T }>({
        name: 'idempotency_read',
        text: 'select body_hash as "bodyHash", response from idempotency where scope = $1 and key = $2',
        values: key,
      })
      if (row?.bodyHash !== hash) {
        throw new CloudError('support.transaction.conflict', 'the idempotency key was used with another body')
      }
      return { result: row.response, replayed: true }
    }
    const result = await work(tx)
    await tx.query({
      name: 'idempotency_answer',
      text: 'update idempotency set response = $3 where scope = $1 and key = $2',
      values: [...key, JSON.stringify(result ?? null)],
    })
    return { result, replayed: false }
  })
}

/**
 * Forgets keys older than `before` (epoch milliseconds), at most `limit` (default 1000) a call.
 * @returns how many; call again while it answers `limit`.
 */
export async function forgetIdempotency(
  database: Queryable,
  options: { readonly before: number; readonly limit?: number },
): Promise<number> {
  const rows = await database.query({
    text: `delete from idempotency where (scope, key) in
      (select scope, key from idempotency where created_at < to_timestamp($1 / 1000.0) order by created_at limit $2
        for update skip locked) returning key`,
    values: [options.before, options.limit ?? 1000],
  })
  return rows.length
}
