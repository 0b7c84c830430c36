import type { Order } from '@aaas/business-cloud/order'
import { CloudError } from '@aaas/core-cloud/kernel'
import { readForm } from '../form.js'
import { accountPage, type ListedOrder, loginPage } from '../pages/account-pages.js'
import { type Reply, seeOther } from '../reply.js'
import type { GuestOrder } from '../session.js'
import { buyerOf, callOptions, type Route, show, type Visit } from './shop.js'

type Kind = 'login' | 'register'
type Errors = Readonly<Partial<Record<'email' | 'name' | 'password', string>>>

const maxListed = 50

export const showLogin =
  (kind: Kind): Route =>
  visit =>
    loginForm(visit, kind, { email: '', name: '' }, {}, undefined, 200)

export const submitLogin =
  (kind: Kind): Route =>
  async visit => {
    const form = await readForm(visit.request, visit.session)
    const values = { email: form.text('email', 255).toLowerCase(), name: form.text('name', 81) }
    const password = form.secret('password')
    const errors = check(visit, kind, values, password)
    if (Object.keys(errors).length > 0) return loginForm(visit, kind, values, errors, undefined, 422)
    const { parties } = visit.shop.services
    const options = callOptions(visit, 'guest')
    const { accountPages } = visit.context.t
    try {
      const { sessionToken } = await (kind === 'login'
        ? parties.login({ email: values.email, password }, options)
        : parties.register({ email: values.email, password, name: values.name }, options))
      visit.session.open(sessionToken)
    } catch (error) {
      const say = (problem: string, status: number): Promise<Reply> =>
        loginForm(visit, kind, values, {}, problem, status)
      if (CloudError.is(error, 'business.party.bad-credentials')) return say(accountPages.badCredentials, 401)
      if (CloudError.is(error, 'core.contract.rate-limited')) return say(accountPages.locked, 429)
      if (CloudError.is(error, 'business.party.taken')) return say(accountPages.taken, 409)
      throw error
    }
    return seeOther(visit.context.link(destination(visit) === 'checkout' ? '/checkout' : '/account'))
  }

export const logout: Route = async visit => {
  await readForm(visit.request, visit.session)
  const { sessionToken } = visit.session
  if (sessionToken !== undefined)
    await visit.shop.services.parties.logout({ sessionToken }, callOptions(visit, 'guest'))
  visit.session.forget()
  return seeOther(`${visit.context.link('/account')}?notice=signed-out`)
}

export const account: Route = async visit => {
  const buyer = await buyerOf(visit)
  const [orders, guestOrders, categories] = await Promise.all([
    buyer === undefined ? [] : ordersOf(visit, buyer.partyId),
    Promise.all(visit.session.guestOrders.map(order => guestOrder(visit, order))),
    visit.shop.categories(),
  ])
  const markup = accountPage(visit.context, {
    categories,
    buyer,
    orders,
    guestOrders: guestOrders.flatMap(order => order ?? []),
    notice: visit.request.query.get('notice'),
  })
  return show(visit, markup)
}

async function ordersOf(visit: Visit, partyId: string): Promise<ListedOrder[]> {
  const { orders } = await visit.shop.services.orders.list(
    { partyId, limit: maxListed },
    callOptions(visit, partyId, ['order.read']),
  )
  return orders.map(summary => ({ number: summary.number, summary }))
}

async function guestOrder(visit: Visit, { number, accessToken }: GuestOrder): Promise<ListedOrder | undefined> {
  let order: Order
  try {
    order = await visit.shop.services.orders.get({ number, accessToken }, callOptions(visit, 'guest'))
  } catch (error) {
    if (CloudError.is(error, 'business.order.unknown')) return undefined
    throw error
  }
  const units = order.lines.reduce((sum, line) => sum + line.quantity, 0)
  return { number, accessToken, summary: { state: order.state, total: order.total, units, placedAt: order.placedAt } }
}

function check(
  visit: Visit,
  kind: Kind,
  values: { readonly email: string; readonly name: string },
  password: string,
): Errors {
  const { accountPages, checkout } = visit.context.t
  const errors: Partial<Record<'email' | 'name' | 'password', string>> = {}
  if (!/^[^@\s]+@[^@\s]+$/.test(values.email))
    errors.email = values.email === '' ? checkout.required : checkout.badEmail
  else if (values.email.length > 254) errors.email = checkout.tooLong(254)
  if (kind === 'register' && values.name === '') errors.name = checkout.required
  if (kind === 'register' && values.name.length > 80) errors.name = checkout.tooLong(80)
  if (password.length < 8 || password.length > 128)
    errors.password = password === '' ? checkout.required : accountPages.badPassword
  return errors
}

function destination(visit: Visit): 'checkout' | undefined {
  return visit.request.query.get('to') === 'checkout' ? 'checkout' : undefined
}

async function loginForm(
  visit: Visit,
  kind: Kind,
  values: { readonly email: string; readonly name: string },
  errors: Errors,
  problem: string | undefined,
  status: number,
): Promise<Reply> {
  const categories = await visit.shop.categories()
  return show(
    visit,
    loginPage(visit.context, { categories, kind, values, errors, problem, to: destination(visit) }),
    'private',
    status,
  )
}
