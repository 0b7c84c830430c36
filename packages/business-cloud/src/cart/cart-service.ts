import { createHash } from 'node:crypto'
import type { Handlers } from '@aaas/core-cloud/contract'
import { type Clock, CloudError } from '@aaas/core-cloud/kernel'
import { type Database, type Statement, sqlState } from '@aaas/support-cloud/rdbms'
import type { SkuSource } from '../catalogue/sku-facts.js'
import type { Cart, cartContract } from './cart-contract.js'
import { limitState, maxLines, maxUnits } from './cart-migrations.js'

export interface CartDeps {
  readonly db: Database
  /** {@link SkuSource}: the catalogue service. */
  readonly skus: SkuSource
  readonly clock: Clock
}

type Line = Cart['lines'][number]

/** A read renews the time of last use when it is older than this; most reads write nothing. */
const touchMs = 24 * 3_600_000
const purgeBatch = 1_000

/** Carts in the database, one round trip a call. */
export class CartService implements Handlers<typeof cartContract> {
  constructor(readonly deps: CartDeps) {}

  /** Lines in the order they were added. SKUs that left the shelf since are still in it. */
  async get({ cartId }: { readonly cartId: string }): Promise<Cart> {
    const lines = await this.deps.db.query<Line>({
      name: 'cart-get',
      text: `with used as (update cart set touched_at = $2 where id = $1 and touched_at < $3)
        select sku, quantity from cart_line where cart = $1 order by ordinal`,
      values: [hashed(cartId), this.#now(), this.#now() - touchMs],
    })
    return { cartId, lines: [...lines] }
  }

  /** @throws CloudError `business.catalogue.unknown-product`, `business.cart.limit` (nothing changed). */
  async setLine(input: { readonly cartId: string; readonly sku: string; readonly quantity: number }): Promise<Cart> {
    // What left the shelf can still be taken out.
    if (input.quantity > 0) await this.#known(input.sku)
    return this.#change(input, false)
  }

  /** @throws CloudError `business.catalogue.unknown-product`, `business.cart.limit` (nothing changed). */
  async addLine(input: { readonly cartId: string; readonly sku: string; readonly quantity: number }): Promise<Cart> {
    if (input.quantity < 1) throw overLimit('quantity', 'at least 1 unit')
    await this.#known(input.sku)
    return this.#change(input, true)
  }

  async clear({ cartId }: { readonly cartId: string }): Promise<Cart> {
    await this.deps.db.query({ name: 'cart-clear', text: 'delete from cart where id = $1', values: [hashed(cartId)] })
    return { cartId, lines: [] }
  }

  /** Never fails for a limit, because it runs at login: a line is cut at 999 units, lines after the hundredth fall off. */
  async merge({ from, into }: { readonly from: string; readonly into: string }): Promise<Cart> {
    if (from === into) return this.get({ cartId: into })
    return this.#run(into, {
      name: 'cart-merge',
      text: 'select sku, quantity from cart_merge($1, $2, $3)',
      values: [hashed(from), hashed(into), this.#now()],
    })
  }

  /**
   * Drops carts unused since then, a thousand at a time.
   * @param olderThan - epoch milliseconds; the contract promises 30 days.
   * @returns how many.
   */
  async purge(olderThan: number, options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    for (let dropped = 0; ; ) {
      options.signal?.throwIfAborted()
      const rows = await this.deps.db.query({
        name: 'cart-purge',
        text: `delete from cart where id in
          (select id from cart where touched_at < $1 limit ${purgeBatch} for update skip locked) returning 1 as dropped`,
        values: [olderThan],
      })
      dropped += rows.length
      if (rows.length < purgeBatch) return dropped
    }
  }

  #change(
    input: { readonly cartId: string; readonly sku: string; readonly quantity: number },
    adds: boolean,
  ): Promise<Cart> {
    const { cartId, sku, quantity } = input
    if (!Number.isInteger(quantity) || quantity < 0 || quantity > maxUnits) {
      throw overLimit('quantity', `at most ${maxUnits} units of one SKU`)
    }
    return this.#run(cartId, {
      name: 'cart-change',
      text: 'select sku, quantity from cart_change($1, $2, $3, $4, $5)',
      values: [hashed(cartId), sku, quantity, adds, this.#now()],
    })
  }

  async #run(cartId: string, statement: Statement): Promise<Cart> {
    try {
      return { cartId, lines: [...(await this.deps.db.query<Line>(statement))] }
    } catch (error) {
      if (sqlState(error) !== limitState) throw error
      if (error instanceof Error && error.message === 'units')
        throw overLimit('quantity', `at most ${maxUnits} units of one SKU`, error)
      throw overLimit('sku', `at most ${maxLines} lines in a cart`, error)
    }
  }

  async #known(sku: string): Promise<void> {
    if ((await this.deps.skus.loadSkus([sku])).has(sku)) return
    throw new CloudError('business.catalogue.unknown-product', `no SKU '${sku}' on the shelf`, {
      field: 'sku',
      details: { sku },
    })
  }

  #now(): number {
    return Math.floor(this.deps.clock.now())
  }
}

function hashed(cartId: string): string {
  return createHash('sha256').update(cartId).digest('base64url')
}

function overLimit(field: string, reason: string, cause?: unknown): CloudError {
  return new CloudError('business.cart.limit', reason, { field, ...(cause === undefined ? {} : { cause }) })
}
