/** One statement. Named statements are prepared once per connection: give hot paths a name. */
export interface Statement {
  readonly text: string
  readonly values?: readonly unknown[]
  readonly name?: string
}

/** Runs SQL (PostgreSQL dialect). 64-bit integers arrive as `number`; beyond the safe range the query fails. */
export interface Queryable {
  /**
   * @returns the rows of one statement.
   * @throws CloudError `support.rdbms.unavailable` (retryable) when the server cannot be reached,
   *   `support.rdbms.overloaded` (retryable) when no connection came free in time; other database errors arrive as they
   *   are, with their SQLSTATE in `code`.
   */
  query<Row extends object = Record<string, unknown>>(statement: Statement): Promise<readonly Row[]>
}

/** A pool of connections to one database. */
export interface Database extends Queryable, AsyncDisposable {
  readonly url: string
  /**
   * Runs `work` in one transaction: commit when it resolves, roll back when it rejects.
   * Serialization failures and deadlocks (SQLSTATE 40001, 40P01) are retried up to three times: `work` must have no
   * other effects than on the database.
   */
  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T>
  /** Runs several statements separated by semicolons, without parameters. For migrations. */
  script(sql: string): Promise<void>
}
