import { chart } from '@aaas/business-cloud/ledger'
import { type CallContext, CloudError, inherit } from '@aaas/core-cloud/kernel'
import { sqlState } from '@aaas/support-cloud/rdbms'
import { bodyHash, type LedgerTransfer } from '@aaas/support-cloud/transaction'
import type { Static } from 'typebox'
import type { PriceBuyer, Quote } from '../pricing/pricing-contract.js'
import { BatchLanes } from './batch-lanes.js'
import { type Order, type OrderEvent, type orderContract, placeHook } from './order-contract.js'
import type { OrderDeps, OrderSku } from './order-deps.js'
import { orderNumbers, paymentIdOf } from './order-number.js'
import { readOrder } from './order-reader.js'
import { type OrderRows, type PlaceOutcome, placeOrders } from './place-orders.js'

type PlaceInput = Static<(typeof orderContract)['methods']['place']['input']>
type Placed = { readonly order: Order; readonly accessToken: string }

/** What was asked, by whom; the same for every repeat. */
interface Request {
  readonly input: PlaceInput
  readonly key: string
  readonly hash: string
}

/** An order on its way to the database. */
interface Placement {
  readonly request: Request
  readonly rows: OrderRows
  readonly context: CallContext
}

interface Draft {
  readonly quote: Quote
  readonly buyer: PriceBuyer
  readonly skus: ReadonlyMap<string, OrderSku>
}

/** Orders that wait for a lane at most; at any speed more of them would wait beyond their deadline. */
const mostWaiting = 5_000

const defaults = { unpaidMs: 30 * 60_000, platformFeeBasisPoints: 60, timeZone: 'Asia/Shanghai', supplier: 'merchant' }

/**
 * Checkout: prices the lines and lets rules veto in the instance, then writes everything by one call, which orders that
 * come at the same time share.
 */
export class Checkout {
  readonly #config: typeof defaults
  readonly #lanes: BatchLanes<Placement, PlaceOutcome>
  readonly #number: (atMs: number) => string

  constructor(readonly deps: OrderDeps) {
    this.#config = { ...defaults, ...deps.config }
    this.#number = orderNumbers(deps.ids, this.#config.timeZone)
    this.#lanes = new BatchLanes({
      lanes: 4,
      lateMs: 100,
      now: () => deps.clock.monotonic(),
      most: 32,
      keyOf: placement => placement.request.key,
      refusal: (placement, waitedMs) => this.#refusal(placement, waitedMs),
      run: async placements => {
        const outcomes = await placeOrders(
          deps.database,
          placements.map(one => one.rows),
        )
        if (outcomes.some(one => one.status === 'fulfilled' && one.value === 'placed')) deps.wake?.()
        return outcomes
      },
    })
  }

  async place(input: PlaceInput, context: CallContext): Promise<Placed> {
    const request = requestOf(input, context)
    let draft: Draft
    try {
      draft = await this.#draft(input, context)
    } catch (error) {
      // Prices and rules may have changed since the first try: its answer stands.
      const earlier = await this.#earlier(request)
      if (earlier !== undefined) return earlier
      throw error
    }
    if (this.#lanes.waiting >= mostWaiting) {
      throw new CloudError('business.order.overloaded', `${mostWaiting} orders are waiting already`)
    }
    for (let attempt = 1; ; attempt++) {
      const { order, accessToken, rows } = this.#write(request, draft)
      try {
        const outcome = await this.#lanes.add({ request, rows, context })
        if (outcome === 'placed') return { order, accessToken }
        const earlier = await this.#earlier(request)
        if (earlier === undefined) throw new CloudError('core.kernel.internal', 'the order of a used key is gone')
        return earlier
      } catch (error) {
        if (!isTakenNumber(error) || attempt === 3) throw error
      }
    }
  }

  /** Whoever gave up while the order waited must not get one. */
  #refusal({ context }: Placement, waitedMs: number): Error | undefined {
    // Making a signal is dear; few give up within the time of a batch or two.
    if (waitedMs > 50 && context.signal.aborted) return CloudError.from(context.signal.reason)
    if (context.deadline > this.deps.clock.now()) return undefined
    return new CloudError('core.contract.deadline-exceeded', 'the order waited beyond its deadline')
  }

  async #draft(input: PlaceInput, context: CallContext): Promise<Draft> {
    const groups = input.partyId === undefined ? [] : ((await this.deps.groupsOf?.(input.partyId)) ?? [])
    const buyer: PriceBuyer = {
      groups: [...groups],
      ...(input.partyId === undefined ? {} : { partyId: input.partyId }),
    }
    const [quote, skus] = await Promise.all([
      this.deps.pricing.quote({ lines: input.lines, buyer }, inherit(context)),
      this.deps.skus.loadSkus(input.lines.map(line => line.sku)),
    ])
    for (const [index, line] of input.lines.entries()) {
      if (skus.has(line.sku)) continue
      throw new CloudError('business.catalogue.unknown-product', `no SKU ${line.sku}`, {
        field: `lines/${index}/sku`,
        details: { sku: line.sku },
      })
    }
    if (this.deps.hooks.has(placeHook.name)) {
      const lines = quote.lines.map(({ sku, quantity, amount }) => ({ sku, quantity, amount }))
      await this.deps.hooks.validate(placeHook, { buyer, lines, total: quote.total, language: input.language })
    }
    if (input.expectedTotal !== undefined && input.expectedTotal !== quote.total) {
      throw new CloudError('business.order.price-changed', 'the price changed', {
        field: 'expectedTotal',
        details: { total: quote.total, currency: quote.currency },
      })
    }
    return { quote, buyer, skus }
  }

  async #earlier(request: Request): Promise<Placed | undefined> {
    const stored = await readOrder(this.deps.database, 'idempotency_key', request.key)
    if (stored === undefined) return undefined
    if (stored.bodyHash !== request.hash) {
      throw new CloudError('business.order.conflict', 'the idempotency key was used with another order')
    }
    return { order: stored.order, accessToken: stored.accessToken }
  }

  /** The order as it will be answered and as it is written. */
  #write(request: Request, draft: Draft): Placed & { readonly rows: OrderRows } {
    const { input, key, hash } = request
    const { quote, buyer } = draft
    const at = this.deps.clock.now()
    const number = this.#number(at)
    const accessToken = this.deps.ids.token(20)
    const { supplier } = this.#config
    const lines = quote.lines.map(line => ({ ...line, ...skuOf(draft, line.sku) }))
    const { currency, subtotal, freight, total } = quote
    const { fee, transfers, sale, feeId } = this.#money(quote, number)
    const expires = at + this.#config.unpaidMs
    const order: Order = {
      number,
      state: 'unpaid',
      ...{ currency, subtotal, freight, total, lines, address: input.address },
      supplierOrders: [{ supplier, state: 'unpaid', amount: total }],
      paymentId: paymentIdOf(number),
      placedAt: at,
      expiresAt: expires,
    }
    const event: OrderEvent = {
      ...{ number, state: 'unpaid', total, currency, buyer, at },
      lines: quote.lines.map(({ sku, quantity, amount }) => ({ sku, quantity, amount })),
    }
    const rows: OrderRows = {
      number,
      order: JSON.stringify({
        ...{ number, key, hash, token: accessToken, party: input.partyId, groups: buyer.groups },
        ...{ language: input.language, address: input.address, currency, subtotal, freight, total, at, expires },
        units: quote.lines.reduce((sum, line) => sum + line.quantity, 0),
        ...{ event, eventId: this.deps.ids.uuid() },
      }),
      lines: rowsOf(lines.map((line, index) => ({ ...line, owner: number, position: index + 1, supplier }))),
      supplier: JSON.stringify({ owner: number, supplier, currency, amount: total, fee, sale, fee_id: feeId }),
      transfers: rowsOf(transfers),
    }
    return { order, accessToken, rows }
  }

  #money(
    quote: Quote,
    number: string,
  ): {
    readonly fee: number
    readonly sale: string | undefined
    readonly feeId: string | undefined
    readonly transfers: readonly LedgerTransfer[]
  } {
    const { currency, total } = quote
    const fee = Math.floor((total * this.#config.platformFeeBasisPoints) / 10_000)
    const sale = total > 0 ? this.deps.ids.uuid() : undefined
    const feeId = fee > 0 ? this.deps.ids.uuid() : undefined
    const pending = { kind: 'pending', currency, ref: number } as const
    const transfers: LedgerTransfer[] = []
    if (sale !== undefined) {
      transfers.push({
        ...pending,
        id: sale,
        debit: chart.clearing,
        credit: chart.revenue,
        amount: total,
        code: 'sale',
      })
    }
    if (feeId !== undefined) {
      transfers.push({ ...pending, id: feeId, debit: chart.revenue, credit: chart.fees, amount: fee, code: 'fee' })
    }
    return { fee, sale, feeId, transfers }
  }
}

function skuOf(draft: Draft, sku: string): OrderSku {
  const found = draft.skus.get(sku)
  if (found === undefined)
    throw new CloudError('business.catalogue.unknown-product', `no SKU ${sku}`, { details: { sku } })
  return { name: found.name, image: found.image, slug: found.slug }
}

function requestOf(input: PlaceInput, context: CallContext): Request {
  const key = context.idempotencyKey
  if (key === undefined || key.length === 0 || key.length > 200) {
    throw new CloudError(
      'core.contract.invalid-input',
      'placing an order needs an idempotency key of 1 to 200 characters',
      {
        field: 'idempotencyKey',
      },
    )
  }
  // Keys of different callers never meet.
  return { input, key: `${context.actor?.id ?? 'guest'}:${key}`, hash: bodyHash(input) }
}

function isTakenNumber(error: unknown): boolean {
  return sqlState(error) === '23505' && (error as { constraint?: unknown }).constraint === 'trade_order_pkey'
}

/** The elements of a JSON array without its brackets. */
function rowsOf(rows: readonly object[]): string {
  return JSON.stringify(rows).slice(1, -1)
}
