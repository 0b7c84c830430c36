import { CloudError } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import { failNth } from '@aaas/testing'

const lost = (): Error => new CloudError('support.rdbms.unavailable', 'the connection died')

/** A database whose nth call fails, statements inside transactions counted too, before or after their effect. */
export function failing(
  database: Database,
  nth: number,
  when: 'before' | 'after',
): { database: Database; calls(): number } {
  const { port, plan } = failNth(database, { nth, error: lost, when })
  let inside = 0
  const broken: Database = {
    url: database.url,
    query: statement => port.query(statement),
    script: sql => port.script(sql),
    transaction: work =>
      port.transaction(tx => {
        const query: Queryable['query'] = async statement => {
          inside += 1
          const fails = plan.calls + inside === nth
          if (fails && when === 'before') throw lost()
          const rows = await tx.query<never>(statement)
          if (fails) throw lost()
          return rows
        }
        return work({ query })
      }),
    [Symbol.asyncDispose]: async () => undefined,
  }
  return { database: broken, calls: () => plan.calls + inside }
}
