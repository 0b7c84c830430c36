import { type Clock, CloudError, systemClock } from '@aaas/core-cloud/kernel'
import type pg from 'pg'
import type { ConnectionBudget } from './connection-budget.js'
import { ConnectionPool, type PoolConnection } from './connection-pool.js'
import type { Database, Queryable, Statement } from './database.js'
import { pgTypes } from './pg-types.js'
import { sqlState } from './sql-state.js'

export { sqlState }

export interface PgDatabaseOptions {
  /**
   * `postgres://user:password@host:port/database`, or `...?host=/socket/folder` for a unix socket. With several hosts,
   * parted by commas, the one is taken that has the role in `target_session_attrs` (default `read-write`).
   */
  readonly url: string
  /** Connections at most, 1 to 1_000; default 8. They open on demand and close after ten idle seconds. */
  readonly maxConnections?: number
  /** Connections that this and other databases may have together; default none but their own limits. */
  readonly budget?: ConnectionBudget
  /** Callers that wait for a connection; one more is refused with `support.rdbms.overloaded`. Default 1_000. */
  readonly maxWaiting?: number
  /** Milliseconds that a caller waits for a connection, and one takes to open; default 5_000. */
  readonly connectTimeoutMs?: number
  /** Default the machine's. */
  readonly clock?: Clock
  /** Milliseconds one statement may run on the server; default 15_000. */
  readonly statementTimeoutMs?: number
}

/**
 * Connections to one database, opened on demand in the order of the callers; nothing before the first query.
 * Failures: `support.rdbms.unavailable` when the server cannot be reached, `support.rdbms.overloaded` when no connection
 * came free in time or too many callers wait; both may be tried again.
 */
export function pgDatabase(options: PgDatabaseOptions): Database {
  const max = options.maxConnections ?? 8
  if (!Number.isInteger(max) || max < 1 || max > 1_000) {
    throw new CloudError('core.kernel.invalid-config', 'maxConnections must be a whole number from 1 to 1000', {
      field: 'maxConnections',
    })
  }
  const pool = new ConnectionPool({
    url: options.url,
    max,
    waitMs: options.connectTimeoutMs ?? 5_000,
    maxWaiting: options.maxWaiting ?? 1_000,
    idleMs: 10_000,
    settings: { statement_timeout: options.statementTimeoutMs ?? 15_000, types: pgTypes },
    clock: options.clock ?? systemClock(),
    ...(options.budget === undefined ? {} : { budget: options.budget }),
  })
  const once = async <Row extends object>(statement: Statement): Promise<readonly Row[]> => {
    const { client, release } = await connected(pool)
    try {
      const rows = await run<Row>(client, statement)
      release()
      return rows
    } catch (error) {
      // A statement that the server refused leaves a connection that can be used.
      release(sqlState(error) === undefined ? asError(error) : undefined)
      throw error
    }
  }
  return {
    url: options.url,
    query: once,
    transaction: work => transact(pool, work),
    async script(sql) {
      await once({ text: sql })
    },
    [Symbol.asyncDispose]: () => pool.end(),
  }
}

function connected(pool: ConnectionPool): Promise<PoolConnection> {
  return pool.connect().catch((error: unknown) => {
    // The database takes no connections now, as while it is copied.
    if (sqlState(error) === '55000') {
      throw new CloudError('support.rdbms.unavailable', `database: ${String(error)}`, { cause: error })
    }
    throw translated(error)
  })
}

async function run<Row extends object>(runner: pg.Client, statement: Statement): Promise<readonly Row[]> {
  try {
    const result = await runner.query<Row>({
      text: statement.text,
      ...(statement.values === undefined ? {} : { values: statement.values as unknown[] }),
      ...(statement.name === undefined ? {} : { name: statement.name }),
    })
    return result.rows
  } catch (error) {
    throw translated(error)
  }
}

const retried = new Set(['40001', '40P01'])

async function transact<T>(pool: ConnectionPool, work: (tx: Queryable) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const { client, release } = await connected(pool)
    let broken: Error | undefined
    let open = true
    try {
      await client.query('begin')
      const result = await work({
        query: statement => (open ? run(client, statement) : Promise.reject(new Error('the transaction has ended'))),
      })
      // A failed statement that the work swallowed makes `commit` answer ROLLBACK; that must not look like success.
      const commit = await client.query('commit')
      if (commit.command !== 'COMMIT') throw new Error('the transaction was rolled back by the database')
      return result
    } catch (error) {
      open = false
      await client.query('rollback').catch((failure: unknown) => {
        broken ??= asError(failure)
      })
      const code = sqlState(error)
      if (code !== undefined && retried.has(code) && attempt < 4) continue
      throw translated(error)
    } finally {
      open = false
      release(broken)
    }
  }
}

function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value))
}

/** Connection failures, admin shutdown and start-up of the server; the statement may or may not have run. */
function isUnavailable(error: unknown): boolean {
  const state = sqlState(error)
  if (state !== undefined) {
    return state.startsWith('08') || state.startsWith('57P') || state === '53300'
  }
  if (!(error instanceof Error)) return false
  if ('code' in error && typeof error.code === 'string' && /^E(?!RR_)/.test(error.code)) return true
  return /Connection terminated|timeout expired|not queryable|has been closed|Client was closed/.test(error.message)
}

function translated(error: unknown): unknown {
  if (!isUnavailable(error)) return error
  const text = error instanceof Error ? error.message : String(error)
  return new CloudError('support.rdbms.unavailable', `database: ${text}`, { cause: error })
}
