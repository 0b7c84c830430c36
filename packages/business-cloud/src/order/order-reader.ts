import type { Queryable } from '@aaas/support-cloud/rdbms'
import type { Order, OrderState, OrderSummary } from './order-contract.js'
import { paymentIdOf } from './order-number.js'

/** An order with what only the service may see. */
export interface StoredOrder {
  readonly order: Order
  readonly accessToken: string
  readonly partyId: string | undefined
  readonly bodyHash: string
  readonly idempotencyKey: string
}

interface Row {
  readonly number: string
  readonly order: Omit<Order, 'accessToken' | 'paidAt' | 'paymentId'> & { readonly paidAt: number | null }
  readonly accessToken: string
  readonly partyId: string | null
  readonly bodyHash: string
  readonly idempotencyKey: string
}

const select = `select o.number, o.access_token as "accessToken", o.party_id as "partyId", o.body_hash as "bodyHash",
  o.idempotency_key as "idempotencyKey",
  jsonb_build_object('number', o.number, 'state', o.state, 'currency', o.currency, 'subtotal', o.subtotal,
    'freight', o.freight, 'total', o.total, 'address', o.address, 'placedAt', o.placed_at_ms, 'expiresAt',
      o.expires_at_ms,
    'paidAt', o.paid_at_ms,
    'lines', (select jsonb_agg(jsonb_build_object('sku', l.sku, 'name', l.name, 'image', l.image, 'slug', l.slug,
      'quantity', l.quantity, 'unitAmount', l.unit_amount, 'adjustments', l.adjustments, 'amount', l.amount)
      order by l.position) from order_line l where l.order_number = o.number),
    'supplierOrders', (select jsonb_agg(jsonb_build_object('supplier', s.supplier, 'state', s.state, 'amount', s.amount)
      order by s.supplier) from supplier_order s where s.order_number = o.number)) as "order"
  from trade_order o`

/** @param by - the column that finds the order. */
export async function readOrder(
  on: Queryable,
  by: 'number' | 'idempotency_key',
  value: string,
): Promise<StoredOrder | undefined> {
  const [row] = await on.query<Row>({ name: `order_read_${by}`, text: `${select} where o.${by} = $1`, values: [value] })
  if (row === undefined) return undefined
  const { paidAt, ...order } = row.order
  return {
    order: { ...order, paymentId: paymentIdOf(row.number), ...(paidAt === null ? {} : { paidAt }) },
    accessToken: row.accessToken,
    partyId: row.partyId ?? undefined,
    bodyHash: row.bodyHash,
    idempotencyKey: row.idempotencyKey,
  }
}

export interface OrderFilter {
  readonly state?: OrderState
  readonly partyId?: string
  /** Part of a number or of the buyer's name. */
  readonly text?: string
  readonly offset?: number
  readonly limit?: number
}

/** Counting stops here; a page beyond says so by its total. */
const countLimit = 10_000

export async function listOrders(
  on: Queryable,
  filter: OrderFilter,
): Promise<{ total: number; orders: OrderSummary[] }> {
  const where = `($1::text is null or state = $1) and ($2::text is null or party_id = $2)
    and ($3::text is null or strpos(number, upper($3)) > 0 or strpos(lower(address->>'name'), lower($3)) > 0)`
  const values = [filter.state ?? null, filter.partyId ?? null, filter.text ?? null]
  const orders = await on.query<OrderSummary>({
    text: `select number, state, total, currency, address->>'name' as "buyerName", units, placed_at_ms as "placedAt"
      from trade_order where ${where} order by placed_at_ms desc, number desc offset $4 limit $5`,
    values: [...values, filter.offset ?? 0, filter.limit ?? 20],
  })
  const [count] = await on.query<{ total: number }>({
    text: `select count(*) as total from (select from trade_order where ${where} limit ${countLimit}) counted`,
    values,
  })
  return { total: count?.total ?? 0, orders: [...orders] }
}
