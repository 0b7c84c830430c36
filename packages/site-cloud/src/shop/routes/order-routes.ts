import type { Order } from '@aaas/business-cloud/order'
import { type Clock, CloudError } from '@aaas/core-cloud/kernel'
import { readForm } from '../form.js'
import { queryText } from '../page-context.js'
import { orderPage } from '../pages/order-page.js'
import { json, type Reply, seeOther } from '../reply.js'
import { buyerOf, callOptions, type Route, show, type Visit } from './shop.js'

/** An order this visitor may see, and by what right. */
interface Access {
  readonly order: Order
  /** In the address: links of the page carry it on. */
  readonly accessToken: string | undefined
  readonly right: { readonly accessToken?: string; readonly partyId?: string }
}

/** Milliseconds between two questions to the payment gateway about one order, from this process. */
const askEveryMs = 2_000
const maxAsked = 10_000

/** Routes of one order: the page, its state for the page's script, payment and cancelling. */
export function orderRoutes(clock: Clock): { readonly get: Route; readonly post: Route } {
  const asked = new Map<string, number>()
  const mayAsk = (number: string): boolean => {
    const now = clock.monotonic()
    if (now - (asked.get(number) ?? Number.NEGATIVE_INFINITY) < askEveryMs) return false
    asked.delete(number)
    asked.set(number, now)
    if (asked.size > maxAsked) asked.delete(asked.keys().next().value ?? '')
    return true
  }
  return {
    get: async visit => {
      const [number = '', part, ...more] = visit.rest.split('/')
      if (more.length > 0 || (part !== undefined && part !== 'status')) throw unknownOrder()
      const access = await open(visit, number)
      // The buyer may be back before the provider's notification: the gateway then asks the provider itself.
      const returning = visit.request.query.has('return') && access.order.state === 'unpaid'
      const fresh = returning && mayAsk(number) ? await refresh(visit, number, access) : access
      return part === 'status' ? json({ state: fresh.order.state }) : pageOf(visit, fresh)
    },
    post: async visit => {
      const [number = '', action, ...more] = visit.rest.split('/')
      if (more.length > 0 || (action !== 'pay' && action !== 'cancel')) throw unknownOrder()
      await readForm(visit.request, visit.session)
      const access = await open(visit, number)
      return action === 'pay' ? pay(visit, access) : cancel(visit, access)
    },
  }
}

async function pageOf(visit: Visit, access: Access): Promise<Reply> {
  const { query } = visit.request
  const markup = orderPage(visit.context, {
    categories: await visit.shop.categories(),
    order: access.order,
    accessToken: access.accessToken,
    returning: query.get('return') !== null,
    notice: query.get('notice'),
  })
  return show(visit, markup, access.order.state === 'unpaid' ? 'payment' : 'private')
}

async function open(visit: Visit, number: string): Promise<Access> {
  if (!/^[A-Z0-9-]{8,40}$/.test(number)) throw unknownOrder()
  const key = visit.request.query.get('key')
  const accessToken = key !== null && /^[A-Za-z0-9_-]{8,128}$/.test(key) ? key : undefined
  const remembered = visit.session.guestOrders.find(order => order.number === number)?.accessToken
  const token = accessToken ?? remembered
  const partyId = (await buyerOf(visit))?.partyId
  const right = {
    ...(token === undefined ? {} : { accessToken: token }),
    ...(partyId === undefined ? {} : { partyId }),
  }
  // Without any right there is nothing to ask for.
  if (token === undefined && partyId === undefined) throw unknownOrder()
  return { order: await read(visit, number, right), accessToken, right }
}

function read(visit: Visit, number: string, right: Access['right']): Promise<Order> {
  return visit.shop.services.orders.get({ number, ...right }, callOptions(visit, right.partyId ?? 'guest'))
}

async function refresh(visit: Visit, number: string, access: Access): Promise<Access> {
  try {
    await visit.shop.services.payments.refresh({ number }, callOptions(visit, 'storefront'))
    return { ...access, order: await read(visit, number, access.right) }
  } catch (error) {
    visit.shop.logger.info('the payment gateway did not say how a payment stands', { number, error })
    return access
  }
}

async function pay(visit: Visit, access: Access): Promise<Reply> {
  const { number } = access.order
  const here = visit.context.link(`/order/${number}`)
  const back = (notice: string): Reply => seeOther(here + queryText({ key: access.accessToken, notice }))
  if (access.order.state !== 'unpaid') return back('pay-closed')
  try {
    const returnUrl = visit.request.origin + here + queryText({ key: access.accessToken, return: 1 })
    const { redirectUrl } = await visit.shop.services.payments.start(
      { number, returnUrl },
      callOptions(visit, 'storefront'),
    )
    if (!/^https?:\/\//.test(redirectUrl))
      throw new CloudError('access.payment.provider-unavailable', 'the provider gave no web address')
    return seeOther(redirectUrl)
  } catch (error) {
    if (CloudError.is(error, 'business.order.invalid-transition')) return back('pay-closed')
    if (!CloudError.is(error) || !(error.retryable || error.code.startsWith('access.'))) throw error
    visit.shop.logger.warn('a payment could not be opened', { number, error })
    return back('pay-unavailable')
  }
}

async function cancel(visit: Visit, access: Access): Promise<Reply> {
  const { number } = access.order
  const here = visit.context.link(`/order/${number}`)
  try {
    await visit.shop.services.orders.cancel(
      { number, ...access.right },
      callOptions(visit, access.right.partyId ?? 'guest'),
    )
    return seeOther(here + queryText({ key: access.accessToken, notice: 'cancelled' }))
  } catch (error) {
    if (!CloudError.is(error, 'business.order.invalid-transition')) throw error
    return seeOther(here + queryText({ key: access.accessToken, notice: 'cancel-refused' }))
  }
}

function unknownOrder(): CloudError {
  return new CloudError('business.order.unknown', 'no such order')
}
