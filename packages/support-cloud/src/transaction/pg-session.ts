import { type Clock, CloudError } from '@aaas/core-cloud/kernel'
import {
  type ConnectionBudget,
  ConnectionPool,
  type PoolConnection,
  pgTypes,
  sqlState,
} from '@aaas/support-cloud/rdbms'
import type pg from 'pg'
import type { Statement } from '../rdbms/database.js'

/** Answer of the server to one statement. `tag` is the word of the command tag, such as `COMMIT` or `INSERT`. */
export interface SessionAnswer {
  readonly rows: readonly Record<string, unknown>[]
  readonly tag: string
  /** Rows touched or returned; 0 where the command has none. */
  readonly count: number
}

/** Which server process a session talks to; both together are unique. */
export interface BackendIdentity {
  readonly pid: number
  readonly since: string
}

/** One connection, lent to one transaction. */
export interface Session {
  readonly backend: BackendIdentity
  /** Sends without waiting for earlier answers. Answers come in order. */
  send(statement: Statement): Promise<SessionAnswer>
  /** Gives the connection back; `broken` closes it, so that the server undoes what is open. */
  release(broken: boolean): void
}

export interface SessionPool extends AsyncDisposable {
  /**
   * @param waitMs - milliseconds to wait for a connection.
   * @throws CloudError `support.rdbms.unavailable`.
   */
  lease(waitMs: number): Promise<Session>
}

/**
 * Connections for transactions, in the pipeline mode of `pg`: a statement does not wait for the answer of the last. The
 * pool is that of `pgDatabase`, with its hosts, roles, limits and budget.
 */
export function pgSessions(options: {
  readonly url: string
  readonly clock: Clock
  readonly maxConnections: number
  readonly budget?: ConnectionBudget
}): SessionPool {
  const pool = new ConnectionPool({
    ...{ url: options.url, max: options.maxConnections, clock: options.clock },
    ...{ waitMs: 5_000, maxWaiting: 1_000, idleMs: 10_000 },
    ...(options.budget === undefined ? {} : { budget: options.budget }),
    settings: { pipeline: true, types: pgTypes },
  })
  const backends = new WeakMap<pg.Client, BackendIdentity>()
  return {
    async lease(waitMs) {
      const connection = await within(options.clock, waitMs, pool.connect(), late => late.release())
      const { client } = connection
      try {
        const backend = backends.get(client) ?? (await identify(client, options.clock, waitMs))
        backends.set(client, backend)
        return session(connection, backend)
      } catch (error) {
        giveUp(connection)
        throw error
      }
    },
    [Symbol.asyncDispose]: () => pool.end(),
  }
}

const ignore = (): void => undefined

function session(connection: PoolConnection, backend: BackendIdentity): Session {
  const { client } = connection
  return {
    backend,
    async send(statement) {
      const result = await client.query<Record<string, unknown>>({
        text: statement.text,
        ...(statement.values === undefined ? {} : { values: statement.values as unknown[] }),
        ...(statement.name === undefined ? {} : { name: statement.name }),
      })
      return { rows: result.rows, tag: result.command, count: result.rowCount ?? 0 }
    },
    release(broken) {
      if (broken) giveUp(connection)
      else connection.release()
    },
  }
}

/** `end` of a pipelined connection waits for its answers; one that is given up must not be waited for. */
function giveUp(connection: PoolConnection): void {
  const { connection: wire } = connection.client as unknown as { connection?: { stream?: { destroy(): void } } }
  wire?.stream?.destroy()
  connection.release(new Error('the session was given up'))
}

async function identify(client: pg.Client, clock: Clock, waitMs: number): Promise<BackendIdentity> {
  const asked = client.query<{ pid: number; since: string }>(
    'select pid, backend_start::text as since from pg_stat_activity where pid = pg_backend_pid()',
  )
  // Lets the server notice within a second that the client of a long statement is gone; Windows cannot.
  const watching = client.query('set client_connection_check_interval = 1000').catch(ignore)
  const { rows } = await within(clock, waitMs, asked, ignore)
  await within(clock, waitMs, watching, ignore)
  if (rows[0] === undefined) throw new CloudError('support.rdbms.unavailable', 'the server does not know its session')
  return rows[0]
}

/** Waits at most so long; what comes later goes to `late`. Failures to reach the server get their code. */
function within<T>(clock: Clock, ms: number, work: Promise<T>, late: (value: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    let waiting = true
    const cancel = clock.after(Math.max(0, ms), () => {
      waiting = false
      reject(new CloudError('support.rdbms.unavailable', `no connection within ${Math.round(ms)} ms`))
    })
    work.then(
      value => {
        if (!waiting) return late(value)
        cancel()
        resolve(value)
      },
      (error: unknown) => {
        cancel()
        reject(isConnectionFailure(error) ? unavailable(error) : error)
      },
    )
  })
}

export function unavailable(error: unknown): CloudError {
  if (CloudError.is(error)) return error
  const text = error instanceof Error ? error.message : String(error)
  return new CloudError('support.rdbms.unavailable', `database: ${text}`, { cause: error })
}

/**
 * True when the error says nothing about the statement: the connection or the server went away. An error that the server
 * gave with severity ERROR is its answer; FATAL and PANIC end the connection, whatever became of the statement.
 */
export function isConnectionFailure(error: unknown): boolean {
  if (CloudError.is(error)) return error.code === 'support.rdbms.unavailable'
  if (!(error instanceof Error)) return false
  if ('severity' in error && typeof error.severity === 'string') {
    if (error.severity === 'FATAL' || error.severity === 'PANIC') return !isRefusal(sqlState(error))
    return false
  }
  if (sqlState(error) !== undefined) return false
  if ('code' in error && typeof error.code === 'string' && error.code.startsWith('E')) return true
  return /^Connection terminated|timeout exceeded when trying to connect|not queryable|^Client was closed/.test(
    error.message,
  )
}

/** Wrong password, unknown role or database: asking again gives the same. */
function isRefusal(state: string | undefined): boolean {
  return state !== undefined && (state.startsWith('28') || state.startsWith('3D'))
}
