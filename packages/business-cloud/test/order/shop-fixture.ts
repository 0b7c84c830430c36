import { inventoryMigrations, setInitialStock } from '@aaas/business-cloud/inventory'
import { createChart } from '@aaas/business-cloud/ledger'
import { type OrderDeps, OrderService, orderMigrations } from '@aaas/business-cloud/order'
import { paymentMigrations, paymentParticipant } from '@aaas/business-cloud/payment'
import type { Actor, CallContext } from '@aaas/core-cloud/kernel'
import { type Database, migrate, pgDatabase } from '@aaas/support-cloud/rdbms'
import { transactionMigrations } from '@aaas/support-cloud/transaction'
import { ManualClock, openTestDatabase, seededIds } from '@aaas/testing'

/** A shop's money and stock path on a fresh database; prices are 1000 a unit unless `prices` says otherwise. */
export interface Shop extends AsyncDisposable {
  readonly database: Database
  readonly clock: ManualClock
  readonly orders: OrderService
  readonly prices: Map<string, number>
  readonly deps: OrderDeps
  wakes: number
}

export interface ShopOptions {
  readonly stock: Readonly<Record<string, number>>
  readonly connections?: number
  readonly deps?: Partial<OrderDeps>
}

export async function openShop(options: ShopOptions): Promise<Shop> {
  const test = await openTestDatabase()
  const database = pgDatabase({ url: test.url, maxConnections: options.connections ?? 8 })
  await migrate(database, [transactionMigrations, inventoryMigrations, orderMigrations, paymentMigrations])
  await createChart(database, { currency: 'CNY' })
  await setInitialStock(
    database,
    Object.entries(options.stock).map(([sku, quantity]) => ({ sku, quantity })),
  )
  const prices = new Map<string, number>()
  const deps: OrderDeps = {
    database,
    pricing: flatPricing(prices),
    skus: everySku(),
    hooks: { has: () => false, validate: async () => undefined },
    clock: new ManualClock(),
    ids: seededIds(7),
    participants: [paymentParticipant],
    wake: () => {
      shop.wakes += 1
    },
    ...options.deps,
  }
  const shop: Shop = {
    ...{ database, deps, prices, wakes: 0 },
    clock: deps.clock as ManualClock,
    orders: new OrderService(deps),
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]()
      await test[Symbol.asyncDispose]()
    },
  }
  return shop
}

function flatPricing(prices: ReadonlyMap<string, number>): OrderDeps['pricing'] {
  return {
    async quote({ lines }) {
      const priced = lines.map(({ sku, quantity }) => {
        const unitAmount = prices.get(sku) ?? 1000
        return { sku, quantity, unitAmount, adjustments: [], amount: unitAmount * quantity }
      })
      const subtotal = priced.reduce((sum, line) => sum + line.amount, 0)
      return { currency: 'CNY', lines: priced, subtotal, freight: 0, total: subtotal }
    },
  }
}

function everySku(): OrderDeps['skus'] {
  return {
    async loadSkus(skus) {
      const known = skus.filter(sku => !sku.startsWith('unknown'))
      return new Map(
        known.map(sku => [
          sku,
          { name: { 'zh-CN': `品 ${sku}`, en: `Item ${sku}` }, image: 'art/x.svg', slug: `item-${sku}` },
        ]),
      )
    },
  }
}

/** A call with an idempotency key; without one when `key` is undefined. */
export function callContext(key?: string, actor?: Actor): CallContext {
  return {
    traceId: 'trace',
    deadline: Number.MAX_SAFE_INTEGER,
    signal: new AbortController().signal,
    ...(key === undefined ? {} : { idempotencyKey: key }),
    ...(actor === undefined ? {} : { actor }),
  }
}

const address = { name: '王小明', phone: '13800000000', region: '上海', line: '1 Road' }

export type Line = readonly [sku: string, quantity: number]

export function placeInput(...lines: readonly Line[]) {
  return { lines: lines.map(([sku, quantity]) => ({ sku, quantity })), address, language: 'zh-CN' as const }
}
