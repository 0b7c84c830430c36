import type { Handlers } from '@aaas/core-cloud/contract'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import type { inventoryContract, StockLevel } from './inventory-contract.js'
import { stockError } from './stock-errors.js'

export interface ReservationRequest {
  /** Who reserves, such as an order's number; one reservation per owner, for good. */
  readonly owner: string
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[]
  /** Epoch milliseconds after which {@link InventoryService.sweepExpired} gives it back; absent: the owner ends it. */
  readonly expiresAt?: number
}

const level = 'sku, on_hand as "onHand", reserved, on_hand - reserved as available'

/** Stock of a shop. Needs {@link inventoryMigrations}. */
export class InventoryService implements Handlers<typeof inventoryContract> {
  constructor(readonly deps: { readonly database: Database }) {}

  /** Unknown SKUs are left out. `text` finds SKUs that contain it, whatever the case. */
  async levels(input: {
    skus?: string[]
    text?: string
    offset?: number
    limit?: number
  }): Promise<{ total: number; levels: StockLevel[] }> {
    const where = `($1::text[] is null or sku = any($1)) and ($2::text is null or strpos(lower(sku), lower($2)) > 0)`
    const values = [input.skus ?? null, input.text ?? null]
    const rows = await this.deps.database.query<StockLevel>({
      name: 'stock_levels',
      text: `select ${level} from stock_level where ${where} order by sku offset $3 limit $4`,
      values: [...values, input.offset ?? 0, input.limit ?? 200],
    })
    if (input.skus !== undefined && input.offset === undefined) return { total: rows.length, levels: [...rows] }
    const [count] = await this.deps.database.query<{ total: number }>({
      text: `select count(*) as total from stock_level where ${where}`,
      values,
    })
    return { total: count?.total ?? 0, levels: [...rows] }
  }

  /** @throws CloudError `business.inventory.conflict` when the movement id was used with another content. */
  async adjust(input: { movementId: string; sku: string; delta: number; reason: string }): Promise<StockLevel> {
    return this.#run(async tx => {
      await tx.query({
        text: 'select stock_adjust($1, $2, $3, $4)',
        values: [input.movementId, input.sku, input.delta, input.reason],
      })
      const [row] = await tx.query<StockLevel>({
        text: `select ${level} from stock_level where sku = $1`,
        values: [input.sku],
      })
      if (row === undefined)
        throw new CloudError('business.catalogue.unknown-product', `no stock level of ${input.sku}`)
      return row
    })
  }

  /**
   * Holds all lines or none.
   * @throws CloudError `business.inventory.sold-out` or `business.catalogue.unknown-product` with `details.sku`.
   */
  async reserve(request: ReservationRequest): Promise<void> {
    await this.#call('select stock_reserve($1, $2, $3)', [
      request.owner,
      JSON.stringify(request.lines),
      request.expiresAt ?? null,
    ])
  }

  /** held -> confirmed. @throws CloudError `business.inventory.invalid-state` */
  async confirm(owner: string): Promise<void> {
    await this.#call('select stock_confirm($1)', [owner])
  }

  /** held or confirmed -> released. @throws CloudError `business.inventory.invalid-state` */
  async release(owner: string): Promise<void> {
    await this.#call(`select stock_release($1, 'released')`, [owner])
  }

  /** confirmed -> shipped. @throws CloudError `business.inventory.invalid-state` */
  async ship(owner: string): Promise<void> {
    await this.#call('select stock_ship($1)', [owner])
  }

  /**
   * Gives back what was held beyond its time.
   * @param now - epoch milliseconds.
   * @returns how many owners lost their reservation; at most `limit` (default 100) a call.
   */
  async sweepExpired(now: number, limit = 100): Promise<number> {
    let done = 0
    while (done < limit) {
      const rows = await this.#run(tx =>
        tx.query<{ done: boolean }>({ text: 'select stock_expire($1) as done', values: [now] }),
      )
      if (rows[0]?.done !== true) break
      done += 1
    }
    return done
  }

  async #call(text: string, values: readonly unknown[]): Promise<void> {
    await this.#run(tx => tx.query({ text, values }))
  }

  async #run<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    try {
      return await this.deps.database.transaction(work)
    } catch (error) {
      throw stockError(error)
    }
  }
}

/**
 * Gives SKUs that have no level yet their first one; SKUs that have one keep it. Takes part in the caller's
 * transaction.
 */
export async function setInitialStock(
  tx: Queryable,
  rows: readonly { readonly sku: string; readonly quantity: number }[],
): Promise<void> {
  await tx.query({
    text: `with made as (
        insert into stock_level (sku, on_hand)
        select sku, max(quantity) from unnest($1::text[], $2::bigint[]) as given(sku, quantity) group by sku order
          by sku
        on conflict (sku) do nothing returning sku, on_hand)
      insert into stock_movement (sku, quantity, kind, ref) select sku, on_hand, 'initial', 'initial' from made
        where on_hand > 0`,
    values: [rows.map(row => row.sku), rows.map(row => row.quantity)],
  })
}
