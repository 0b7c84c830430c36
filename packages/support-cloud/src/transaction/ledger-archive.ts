import { CloudError } from '@aaas/core-cloud/kernel'
import type { Database } from '../rdbms/database.js'

/** A month of one table that left the ledger; it is the table `ledger_archived.<name>` until somebody drops it. */
export interface ArchivedPartition {
  readonly name: string
  readonly rows: number
}

/** Upkeep of the tables of a ledger. Run `addPartitions` at least once a month; without it nothing breaks. */
export interface LedgerArchive {
  /**
   * Makes the partitions of this month and of `ahead` (0 to 24, default 3) more.
   * @returns how many were missing.
   */
  addPartitions(ahead?: number): Promise<number>
  /**
   * Takes whole months that ended before `before` (epoch milliseconds) out of the ledger, oldest first: entries with their
   * sums carried forward, then transfers. Each month is one transaction; writers wait while it is detached.
   * A month of transfers stays while one of them is pending.
   * @returns what was archived, and why it stopped early.
   */
  archive(before: number): Promise<{ readonly archived: readonly ArchivedPartition[]; readonly obstacle?: string }>
}

/** Needs the rights of the tables' owner. */
export function openLedgerArchive({ database }: { readonly database: Database }): LedgerArchive {
  return {
    async addPartitions(ahead = 3) {
      if (!Number.isInteger(ahead) || ahead < 0 || ahead > 24) {
        throw new CloudError('support.transaction.invalid-transfer', 'ahead: an integer from 0 to 24', {
          field: 'ahead',
        })
      }
      const [row] = await database.query<{ made: number }>({
        text: 'select ledger_add_partitions($1) as made',
        values: [ahead],
      })
      return row?.made ?? 0
    },
    async archive(before) {
      const archived: ArchivedPartition[] = []
      for (const table of ['ledger_entry', 'ledger_transfer']) {
        for (;;) {
          const step = await archiveOldest(database, table, before)
          if (step.obstacle !== null) return { archived, obstacle: step.obstacle }
          if (step.name === null) break
          archived.push({ name: step.name, rows: step.moved ?? 0 })
        }
      }
      return { archived }
    },
  }
}

interface Step {
  readonly name: string | null
  readonly moved: number | null
  readonly obstacle: string | null
}

function archiveOldest(database: Database, table: string, before: number): Promise<Step> {
  return database.transaction(async tx => {
    // A big month takes longer than a request may.
    await tx.query({ text: 'set local statement_timeout = 0' })
    const [row] = await tx.query<Step>({
      text: 'select * from ledger_archive_oldest($1, to_timestamp($2 / 1000.0))',
      values: [table, before],
    })
    return row ?? { name: null, moved: null, obstacle: null }
  })
}
