import type { Address, Order } from '@aaas/business-cloud/order'
import type { Party } from '@aaas/business-cloud/party'
import { CloudError } from '@aaas/core-cloud/kernel'
import { type Form, readForm } from '../form.js'
import { queryText } from '../page-context.js'
import { isBuyable } from '../pages/cart-page.js'
import {
  type AddressField,
  type AddressValues,
  addressFields,
  addressLimits,
  checkoutPage,
  emptyAddress,
} from '../pages/checkout-page.js'
import { type Reply, seeOther } from '../reply.js'
import { cartLines, type Line, type PricedLines, priceLines } from './cart-routes.js'
import { buyerOf, callOptions, type Route, show, type Visit } from './shop.js'

type FieldErrors = Readonly<Partial<Record<AddressField, string>>>

/** What the buyer sent: exactly the lines and the total that the page showed, so that a second submit is the same order. */
interface CheckoutForm {
  readonly key: string
  readonly total: number
  readonly lines: readonly Line[]
  readonly values: AddressValues
}

export const showCheckout: Route = async visit => {
  const [priced, buyer] = await Promise.all([cartLines(visit).then(lines => priceLines(visit, lines)), buyerOf(visit)])
  if (priced.lines.length === 0 || !priced.lines.every(isBuyable)) return seeOther(visit.context.link('/cart'))
  const values = buyer === undefined ? emptyAddress : { ...emptyAddress, name: buyer.name, email: buyer.email ?? '' }
  return form(visit, { priced, buyer, values, key: visit.shop.ids.uuid(), errors: {}, status: 200 })
}

export const submitCheckout: Route = async visit => {
  const sent = readCheckout(await readForm(visit.request, visit.session))
  if (sent === undefined) return seeOther(visit.context.link('/cart'))
  const buyer = await buyerOf(visit)
  const errors = checkAddress(visit, sent.values)
  if (Object.keys(errors).length > 0) {
    return form(visit, {
      priced: await priceLines(visit, sent.lines),
      buyer,
      values: sent.values,
      key: sent.key,
      errors,
      status: 422,
    })
  }
  let order: Order
  try {
    order = await place(visit, sent, buyer)
  } catch (error) {
    return refused(visit, sent, buyer, CloudError.from(error))
  }
  await takeFromCart(visit, sent.lines)
  const { number, accessToken } = order
  if (buyer !== undefined || accessToken === undefined) return seeOther(visit.context.link(`/order/${number}`))
  visit.session.rememberOrder({ number, accessToken })
  return seeOther(visit.context.link(`/order/${number}`) + queryText({ key: accessToken }))
}

function place(visit: Visit, sent: CheckoutForm, buyer: Party | undefined): Promise<Order> {
  return visit.shop.services.orders.place(
    {
      lines: sent.lines.map(({ sku, quantity }) => ({ sku, quantity })),
      address: addressOf(sent.values),
      language: visit.language,
      expectedTotal: sent.total,
      ...(buyer === undefined ? {} : { partyId: buyer.partyId }),
    },
    { ...callOptions(visit, buyer?.partyId ?? 'guest', ['order.place']), idempotencyKey: sent.key },
  )
}

/** Shows the form again with what was typed, and says why there is no order. */
async function refused(visit: Visit, sent: CheckoutForm, buyer: Party | undefined, error: CloudError): Promise<Reply> {
  const { t } = visit.context
  const again = async (
    problem: string | undefined,
    status: number,
    more: { key?: string; errors?: FieldErrors } = {},
  ): Promise<Reply> => {
    const priced = await priceLines(visit, sent.lines)
    return form(visit, { priced, buyer, values: sent.values, key: sent.key, errors: {}, problem, status, ...more })
  }
  switch (error.code) {
    case 'business.order.price-changed': {
      const { quote } = await priceLines(visit, sent.lines)
      const { money } = visit.context
      return again(t.checkout.priceChanged(money(sent.total), money(quote?.total ?? sent.total)), 409)
    }
    case 'business.inventory.sold-out':
      return again(t.checkout.soldOut(await nameOf(visit, sent.lines, error)), 409)
    case 'business.catalogue.unknown-product':
      return seeOther(`${visit.context.link('/cart')}?notice=gone`)
    case 'business.order.conflict':
      return again(t.checkout.conflict, 409, { key: visit.shop.ids.uuid() })
    case 'core.cloudware.vetoed':
    case 'business.order.refused':
      // The words are the rule's own, written for buyers.
      return again(error.message.slice(0, 500), 422)
    case 'core.contract.invalid-input': {
      const field = addressFields.find(name => error.field === `address/${name}`)
      if (field === undefined) throw error
      return again(undefined, 422, { errors: { [field]: t.checkout.required } })
    }
    default:
      if (!error.retryable) throw error
      visit.shop.logger.warn('an order could not be confirmed', { code: error.code, traceId: visit.request.traceId })
      return again(t.checkout.uncertain, 503)
  }
}

async function nameOf(visit: Visit, lines: readonly Line[], error: CloudError): Promise<string> {
  const sku = typeof error.details?.sku === 'string' ? error.details.sku : (lines[0]?.sku ?? '')
  const known = await visit.shop.services.skus.loadSkus([sku])
  const found = known.get(sku)
  return found === undefined ? sku : visit.context.say(found.name)
}

interface FormState {
  readonly priced: PricedLines
  readonly buyer: Party | undefined
  readonly values: AddressValues
  readonly key: string
  readonly errors: FieldErrors
  readonly problem?: string | undefined
  readonly status: number
}

async function form(visit: Visit, state: FormState): Promise<Reply> {
  const { quote, lines } = state.priced
  if (quote === undefined) return seeOther(visit.context.link('/cart'))
  const markup = checkoutPage(visit.context, {
    categories: await visit.shop.categories(),
    lines,
    quote,
    values: state.values,
    errors: state.errors,
    problem: state.problem,
    key: state.key,
    buyerName: state.buyer?.name,
  })
  return show(visit, markup, 'private', state.status)
}

function readCheckout(fields: Form): CheckoutForm | undefined {
  const key = fields.text('key', 64)
  const total = fields.integer('total', 0, Number.MAX_SAFE_INTEGER)
  const lines: Line[] = []
  for (const text of fields.all('item', 101)) {
    const match = /^([A-Za-z0-9._-]{1,64}):([1-9]\d{0,2})$/.exec(text)
    if (match === null) return undefined
    lines.push({ sku: match[1] ?? '', quantity: Number(match[2]) })
  }
  if (!/^[0-9a-f-]{36}$/.test(key) || total === undefined || lines.length === 0 || lines.length > 100) return undefined
  // One character past the limit is kept, so that the check can see it.
  const values = Object.fromEntries(addressFields.map(name => [name, fields.text(name, addressLimits[name] + 1)]))
  return { key, total, lines, values: values as AddressValues }
}

function checkAddress(visit: Visit, values: AddressValues): FieldErrors {
  const { checkout } = visit.context.t
  const errors: Partial<Record<AddressField, string>> = {}
  for (const name of ['name', 'phone', 'region', 'line'] as const)
    if (values[name] === '') errors[name] = checkout.required
  if (values.phone !== '' && !/^[0-9+() -]{5,}$/.test(values.phone)) errors.phone = checkout.badPhone
  if (values.email !== '' && !/^[^@\s]+@[^@\s]+$/.test(values.email)) errors.email = checkout.badEmail
  for (const name of addressFields) {
    if (values[name].length > addressLimits[name]) errors[name] = checkout.tooLong(addressLimits[name])
  }
  return errors
}

function addressOf(values: AddressValues): Address {
  const { name, phone, region, line, email, note } = values
  return { name, phone, region, line, ...(email === '' ? {} : { email }), ...(note === '' ? {} : { note }) }
}

/** What was ordered leaves the cart; what another tab added meanwhile stays. A failure here never hides the order. */
async function takeFromCart(visit: Visit, ordered: readonly Line[]): Promise<void> {
  const { cartId } = visit.session
  if (cartId === undefined) return
  const { carts } = visit.shop.services
  const options = callOptions(visit, 'storefront')
  try {
    let { lines } = await carts.get({ cartId }, options)
    for (const { sku, quantity } of ordered) {
      const held = lines.find(line => line.sku === sku)?.quantity ?? 0
      if (held > 0)
        lines = (await carts.setLine({ cartId, sku, quantity: Math.max(0, held - quantity) }, options)).lines
    }
    visit.session.cartUnits = lines.reduce((sum, line) => sum + line.quantity, 0)
  } catch (error) {
    visit.shop.logger.warn('the cart keeps lines that were ordered', { error, traceId: visit.request.traceId })
  }
}
