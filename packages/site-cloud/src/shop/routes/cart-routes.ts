import type { Product } from '@aaas/business-cloud/catalogue'
import type { Quote } from '@aaas/business-cloud/pricing'
import { CloudError } from '@aaas/core-cloud/kernel'
import { readForm } from '../form.js'
import { type CartLineView, cartPage } from '../pages/cart-page.js'
import { json, type Reply, seeOther } from '../reply.js'
import { buyerOf, callOptions, type Route, show, type Visit } from './shop.js'

const skuPattern = /^[A-Za-z0-9._-]{1,64}$/

export interface Line {
  readonly sku: string
  readonly quantity: number
}

/** Lines with all that pages show of them, and their price for this buyer. */
export interface PricedLines {
  readonly lines: readonly CartLineView[]
  /** Absent when no line can be bought. */
  readonly quote: Quote | undefined
}

/** Looks up products, stock and price of the lines. Lines that left the shop are shown but not priced. */
export async function priceLines(visit: Visit, lines: readonly Line[]): Promise<PricedLines> {
  const { services } = visit.shop
  if (lines.length === 0) return { lines: [], quote: undefined }
  const [known, buyer] = await Promise.all([services.skus.loadSkus(lines.map(line => line.sku)), buyerOf(visit)])
  const slugs = [...new Set([...known.values()].map(fact => fact.slug))]
  const buyable = lines.filter(line => known.has(line.sku))
  const [products, quote] = await Promise.all([
    Promise.all(slugs.map(slug => productOrNone(visit, slug))),
    buyable.length === 0 ? undefined : quoteOrNone(visit, buyable, buyer),
  ])
  const available = new Map(products.flatMap(product => product?.skus ?? []).map(sku => [sku.sku, sku.available]))
  return {
    quote,
    lines: lines.map(line => ({
      ...line,
      product: available.has(line.sku) ? known.get(line.sku) : undefined,
      available: available.get(line.sku) ?? 0,
      quoted: quote?.lines.find(entry => entry.sku === line.sku),
    })),
  }
}

async function productOrNone(visit: Visit, slug: string): Promise<Product | undefined> {
  try {
    return await visit.shop.services.catalogue.getProduct({ slug }, callOptions(visit, 'storefront'))
  } catch (error) {
    if (CloudError.is(error, 'business.catalogue.unknown-product')) return undefined
    throw error
  }
}

async function quoteOrNone(
  visit: Visit,
  lines: readonly Line[],
  buyer: Awaited<ReturnType<typeof buyerOf>>,
): Promise<Quote | undefined> {
  try {
    return await visit.shop.services.pricing.quote(
      {
        lines: lines.map(({ sku, quantity }) => ({ sku, quantity })),
        buyer: { groups: buyer?.groups ?? [], ...(buyer === undefined ? {} : { partyId: buyer.partyId }) },
      },
      callOptions(visit, buyer?.partyId ?? 'guest'),
    )
  } catch (error) {
    // A line may have left the shelf between the two calls: the cart then says which, instead of failing.
    if (
      CloudError.is(error, 'business.catalogue.unknown-product') ||
      CloudError.is(error, 'business.pricing.unavailable')
    )
      return undefined
    throw error
  }
}

export async function cartLines(visit: Visit): Promise<readonly Line[]> {
  const { cartId } = visit.session
  if (cartId === undefined) return []
  return (await visit.shop.services.carts.get({ cartId }, callOptions(visit, 'storefront'))).lines
}

function unitsOf(lines: readonly Line[]): number {
  return lines.reduce((sum, line) => sum + line.quantity, 0)
}

export const showCart: Route = async visit => {
  const lines = await cartLines(visit)
  visit.session.cartUnits = unitsOf(lines)
  const [priced, categories, views] = await Promise.all([
    priceLines(visit, lines),
    visit.shop.categories(),
    visit.shop.viewsOf('cart', { language: visit.language, lines }),
  ])
  return show(
    visit,
    cartPage(visit.context, { ...priced, categories, views, notice: visit.request.query.get('notice') }),
  )
}

export const changeCart: Route = async visit => {
  const action = visit.rest
  if (action !== 'add' && action !== 'set') throw new CloudError('business.cart.unknown', `no cart action '${action}'`)
  const form = await readForm(visit.request, visit.session)
  const sku = form.text('sku')
  const quantity = form.integer('quantity', action === 'add' ? 1 : 0, 999)
  if (!skuPattern.test(sku)) throw new CloudError('core.contract.invalid-input', 'no SKU', { field: 'sku' })
  if (quantity === undefined) return outcome(visit, 'quantity', 422)
  const { carts } = visit.shop.services
  const cartId = visit.session.ensureCartId()
  const options = callOptions(visit, 'storefront')
  try {
    const cart = await (action === 'add'
      ? carts.addLine({ cartId, sku, quantity }, options)
      : carts.setLine({ cartId, sku, quantity }, options))
    visit.session.cartUnits = unitsOf(cart.lines)
  } catch (error) {
    if (CloudError.is(error, 'business.cart.limit')) return outcome(visit, 'limit', 409)
    if (CloudError.is(error, 'business.catalogue.unknown-product')) return outcome(visit, 'gone', 404)
    throw error
  }
  return outcome(visit, action === 'add' ? 'added' : undefined, 200)
}

/** The page's script gets JSON, a browser without script goes to the cart. */
function outcome(visit: Visit, notice: string | undefined, status: number): Reply {
  if (!visit.request.wantsJson)
    return seeOther(visit.context.link('/cart') + (notice === undefined ? '' : `?notice=${notice}`))
  const message = notice === undefined ? '' : (visit.context.t.notices[notice] ?? '')
  return json({ ok: status < 400, units: visit.session.cartUnits, message }, status)
}
