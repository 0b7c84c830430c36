import { stockError, stockShortage } from '@aaas/business-cloud/inventory'
import { type Database, sqlState } from '@aaas/support-cloud/rdbms'
import { ledgerError } from '@aaas/support-cloud/transaction'
import type { Settled } from './batch-lanes.js'
import { retryDeadlock } from './order-transitions.js'

/** One order as `orders_place` takes it: its rows of the four lists, each as JSON text. */
export interface OrderRows {
  readonly number: string
  readonly order: string
  /** Comma-separated, as are the transfers, of which there may be none. */
  readonly lines: string
  readonly supplier: string
  readonly transfers: string
}

/** `earlier`: the key stands for an order that was placed before, of whatever body. */
export type PlaceOutcome = 'placed' | 'earlier'

type Excuse = { readonly number: string } & (
  | { readonly earlier: true }
  | { readonly lacks: string; readonly unknown: boolean }
)

/**
 * Places orders in one transaction, each all or nothing by itself. An error of the whole call that the database
 * reported, and so undid, is looked for order by order: only who causes it has it. When the connection was lost nobody
 * knows: all of them get `support.rdbms.unavailable` and may repeat.
 */
export async function placeOrders(
  database: Database,
  orders: readonly OrderRows[],
): Promise<readonly Settled<PlaceOutcome>[]> {
  try {
    const excuses = await retryDeadlock(() => call(database, orders))
    return orders.map(order => settled(excuses.get(order.number)))
  } catch (error) {
    if (orders.length === 1 || !isRefusal(error)) {
      const reason = stockError(ledgerError(error))
      return orders.map(() => ({ status: 'rejected', reason }))
    }
    const results: Settled<PlaceOutcome>[] = []
    for (const order of orders) results.push(...(await placeOrders(database, [order])))
    return results
  }
}

async function call(database: Database, orders: readonly OrderRows[]): Promise<ReadonlyMap<string, Excuse>> {
  const list = (part: 'order' | 'lines' | 'supplier' | 'transfers'): string => {
    const rows = orders.map(order => order[part]).filter(text => text !== '')
    return `[${rows.join(',')}]`
  }
  const [row] = await database.query<{ excuses: readonly Excuse[] }>({
    name: 'orders_place',
    text: 'select orders_place($1, $2, $3, $4) as excuses',
    values: [list('order'), list('lines'), list('supplier'), list('transfers')],
  })
  return new Map(row?.excuses.map(excuse => [excuse.number, excuse]))
}

function settled(excuse: Excuse | undefined): Settled<PlaceOutcome> {
  if (excuse === undefined) return { status: 'fulfilled', value: 'placed' }
  if ('earlier' in excuse) return { status: 'fulfilled', value: 'earlier' }
  return { status: 'rejected', reason: stockShortage(excuse.lacks, excuse.unknown) }
}

/**
 * The server refused the statement and is well. One that it cancelled after its longest time is not tried again for
 * each order: their callers gave up before.
 */
function isRefusal(error: unknown): boolean {
  const state = sqlState(error)
  return state !== undefined && state !== '57014'
}
