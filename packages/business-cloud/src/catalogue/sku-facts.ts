import type { Queryable } from '@aaas/support-cloud/rdbms'
import type { Localized } from './catalogue-contract.js'

/** What pricing, cart and order need to know of a SKU that is on the shelf. */
export interface SkuFacts {
  readonly sku: string
  /** Product it belongs to. */
  readonly slug: string
  readonly name: Localized
  /** What tells it from its siblings; empty for a single SKU. */
  readonly options: Readonly<Record<string, Localized>>
  readonly image: string
  readonly brand: string
  readonly category: string
  /** List price in minor units of `currency`; undefined: not sold in this currency. */
  readonly amount: number | undefined
  readonly currency: string
}

/** Where services of the order path learn about SKUs. Answers come from memory, at most a second old. */
export interface SkuSource {
  /** @returns the SKUs that are on the shelf; the others are absent. At most 1_000 a call. */
  loadSkus(skus: readonly string[]): Promise<ReadonlyMap<string, SkuFacts>>
}

/** The part of the inventory that an import uses, inside the import's transaction. */
export interface InitialStock {
  /**
   * Gives SKUs their first stock, in one set-based statement, with its movements. SKUs that have a level keep it:
   * an import never overwrites what was sold or counted since.
   */
  setInitial(tx: Queryable, rows: readonly { readonly sku: string; readonly quantity: number }[]): Promise<void>
}

/** The part of pricing that an import uses, inside the import's transaction. */
export interface ListPriceWriter {
  /** Sets list prices, in one set-based statement. Amounts are minor units. */
  setListPrices(
    tx: Queryable,
    rows: readonly { readonly sku: string; readonly currency: string; readonly amount: number }[],
  ): Promise<void>
}
