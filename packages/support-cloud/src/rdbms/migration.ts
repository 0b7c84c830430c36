import { CloudError } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from './database.js'

/** One step of a package's schema. Steps are never edited once released; a new step is added. */
export interface Migration {
  /** From 1, without gaps. */
  readonly level: number
  readonly name: string
  /** SQL (one or more statements) or code that runs on the transaction. */
  readonly up: string | ((tx: Queryable) => Promise<void>)
  /**
   * What the step does to the version before, which goes on running beside the new one during an upgrade:
   * - `expand` (default): adds what the old version does not notice;
   * - `migrate`: moves data, in a way both versions can live with;
   * - `contract`: removes what only the old version used; a release later than the `expand` that replaced it.
   * `checkMigrations` holds steps to it.
   */
  readonly phase?: 'expand' | 'migrate' | 'contract'
  /** For `contract`: level of the `expand` step whose old form goes. */
  readonly after?: number
  /** Version of the package that first had the step, such as `1.4.0`. */
  readonly release?: string
  /** Why the step is safe although {@link checkMigrations} finds fault with it. */
  readonly allow?: string
  /** Undoes the step where that loses nothing; absent: this step cannot be undone. */
  readonly down?: string
}

export interface MigrationSet {
  /** Package or system that owns the steps, such as `business-cloud/order`. */
  readonly owner: string
  readonly migrations: readonly Migration[]
}

const journal = `create table if not exists aaas_migration (
  owner text not null, level int not null, name text not null, applied_at timestamptz not null default now(),
  primary key (owner, level))`

/**
 * Brings a database to the newest level of each set, in the order given, each set in one transaction,
 * guarded by an advisory lock so that only one process migrates a database at a time.
 * A database that is ahead is left alone: a newer version migrated it, and steps are backward compatible by rule
 * (expand first, contract in a later release).
 * @returns the steps that ran.
 * @throws CloudError `support.rdbms.migration-failed`; the failing set is rolled back whole.
 */
export async function migrate(database: Database, sets: readonly MigrationSet[]): Promise<readonly string[]> {
  const ran: string[] = []
  for (const set of sets) {
    try {
      const steps = await database.transaction(tx => applySet(tx, set))
      ran.push(...steps)
    } catch (error) {
      if (CloudError.is(error, 'support.rdbms.unavailable')) throw error
      const text = error instanceof Error ? error.message : String(error)
      throw new CloudError('support.rdbms.migration-failed', `${set.owner}: ${text}`, { cause: error })
    }
  }
  return ran
}

async function applySet(tx: Queryable, set: MigrationSet): Promise<string[]> {
  // A step over a big table, and the wait for another process that runs one, take longer than a statement of a request.
  await tx.query({ text: `set local statement_timeout = '10min'` })
  await tx.query({ text: `select pg_advisory_xact_lock(4158, 1)` })
  await tx.query({ text: journal })
  const rows = await tx.query<{ level: number }>({
    text: 'select coalesce(max(level), 0) as level from aaas_migration where owner = $1',
    values: [set.owner],
  })
  const current = rows[0]?.level ?? 0
  const ran: string[] = []
  for (const [index, step] of set.migrations.entries()) {
    if (step.level !== index + 1) throw new Error(`migration ${step.name} must have level ${index + 1}`)
    if (step.level <= current) continue
    if (typeof step.up === 'string') await tx.query({ text: step.up })
    else await step.up(tx)
    await tx.query({
      text: 'insert into aaas_migration(owner, level, name) values ($1, $2, $3)',
      values: [set.owner, step.level, step.name],
    })
    ran.push(`${set.owner} ${step.level} ${step.name}`)
  }
  return ran
}
