import { CloudError } from '@aaas/core-cloud/kernel'
import pg from 'pg'
import type { Database, Queryable, Statement } from './database.js'

export interface PgDatabaseOptions {
  /** `postgres://user:password@host:port/database`, or `...?host=/socket/folder` for a unix socket. */
  readonly url: string
  /** Connections at most; default 8. They open on demand and close after ten idle seconds. */
  readonly maxConnections?: number
  /** Milliseconds to wait for a connection; default 5_000. */
  readonly connectTimeoutMs?: number
  /** Milliseconds one statement may run on the server; default 15_000. */
  readonly statementTimeoutMs?: number
}

/** A pool on `pg`. Opens nothing until the first query. */
export function pgDatabase(options: PgDatabaseOptions): Database {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.maxConnections ?? 8,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 5_000,
    statement_timeout: options.statementTimeoutMs ?? 15_000,
    idleTimeoutMillis: 10_000,
    allowExitOnIdle: true,
    types: { getTypeParser },
  })
  // An idle connection that the server closes reports here; the pool replaces it on the next query.
  pool.on('error', () => undefined)
  return {
    url: options.url,
    query: statement => run(pool, statement),
    transaction: work => transact(pool, work),
    async script(sql) {
      await run(pool, { text: sql })
    },
    async [Symbol.asyncDispose]() {
      await pool.end()
    },
  }
}

/** bigint, numeric and arrays of them; the driver would give text. */
const numberParsers: Readonly<Record<number, (text: string) => unknown>> = {
  20: safeInteger,
  // `sum` of bigints is numeric: a whole one must not lose its last digits silently. `infinity` does not occur.
  1700: text => (text.includes('.') || text === 'NaN' ? Number(text) : safeInteger(text)),
  1016: text => numberArray(text, safeInteger),
  1231: text => numberArray(text, Number),
}

function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  const own = format === 'binary' ? undefined : numberParsers[oid]
  return own ?? (pg.types.getTypeParser(oid, (format ?? 'text') as 'text') as (value: string) => unknown)
}

/** The driver's parser of text arrays, which nests and knows NULL; its typings leave array types out. */
const textArray = pg.types.getTypeParser(1009 as Parameters<typeof pg.types.getTypeParser>[0], 'text') as (
  text: string,
) => unknown

function numberArray(text: string, parse: (item: string) => number): unknown {
  const convert = (item: unknown): unknown =>
    Array.isArray(item) ? item.map(convert) : typeof item === 'string' ? parse(item) : item
  return convert(textArray(text))
}

function safeInteger(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new RangeError(`integer ${text} is beyond the safe range`)
  return value
}

type Runner = Pick<pg.Pool, 'query'> | Pick<pg.PoolClient, 'query'>

async function run<Row extends object>(runner: Runner, statement: Statement): Promise<readonly Row[]> {
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

async function transact<T>(pool: pg.Pool, work: (tx: Queryable) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const client = await pool.connect().catch((error: unknown) => {
      throw translated(error)
    })
    let broken: Error | undefined
    let open = true
    // The pool does not listen while a connection is taken: without this, a server that ends it between two
    // statements would end the process. The next statement fails by itself.
    const onError = (error: Error): void => {
      broken = error
    }
    client.on('error', onError)
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
        broken ??= failure instanceof Error ? failure : new Error(String(failure))
      })
      const code = sqlState(error)
      if (code !== undefined && retried.has(code) && attempt < 4) continue
      throw translated(error)
    } finally {
      open = false
      client.off('error', onError)
      client.release(broken)
    }
  }
}

/** SQLSTATE of a database error, five characters. Codes of the system such as `EPIPE` are none. */
export function sqlState(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[0-9A-DF-Z][0-9A-Z]{4}$/.test(code) ? code : undefined
}

/** Connection failures, admin shutdown and start-up of the server; the statement may or may not have run. */
function isUnavailable(error: unknown): boolean {
  const state = sqlState(error)
  if (state !== undefined) {
    return state.startsWith('08') || state.startsWith('57P') || state === '53300'
  }
  if (!(error instanceof Error)) return false
  if ('code' in error && typeof error.code === 'string' && error.code.startsWith('E')) return true
  return /Connection terminated|timeout exceeded when trying to connect|not queryable/.test(error.message)
}

function translated(error: unknown): unknown {
  if (!isUnavailable(error)) return error
  const text = error instanceof Error ? error.message : String(error)
  return new CloudError('support.rdbms.unavailable', `database: ${text}`, { cause: error })
}
