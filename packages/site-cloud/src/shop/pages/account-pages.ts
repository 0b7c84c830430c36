import type { Category } from '@aaas/business-cloud/catalogue'
import type { OrderSummary } from '@aaas/business-cloud/order'
import { html, type Markup, nothing } from '../html.js'
import { type PageContext, queryText } from '../page-context.js'
import { textField } from './checkout-page.js'
import { layout } from './layout.js'
import { formToken, namedNotice, notice } from './parts.js'

export interface LoginContent {
  readonly categories: readonly Category[]
  readonly kind: 'login' | 'register'
  readonly values: { readonly email: string; readonly name: string }
  readonly errors: Readonly<Partial<Record<'email' | 'name' | 'password', string>>>
  readonly problem: string | undefined
  /** `checkout` when the buyer came from there and wants to go back. */
  readonly to: 'checkout' | undefined
}

export function loginPage(context: PageContext, content: LoginContent): Markup {
  const { accountPages: t } = context.t
  const register = content.kind === 'register'
  const title = register ? t.registerTitle : t.loginTitle
  const other = register ? 'login' : 'register'
  return layout(context, {
    title,
    path: `/${content.kind}`,
    query: { to: content.to },
    hidden: true,
    categories: content.categories,
    body: html`<div class="wrap narrow"><h1>${title}</h1>${content.problem === undefined ? nothing : notice(content.problem, 'warn')}
<form method="post" action="${context.link(`/${content.kind}`)}${queryText({ to: content.to })}" class="panel" novalidate data-testid="${content.kind}-form">${formToken}
${register ? textField({ name: 'name', label: t.name, value: content.values.name, maxLength: 80, autocomplete: 'name', required: true, error: content.errors.name }) : nothing}
${textField({ name: 'email', label: t.email, value: content.values.email, maxLength: 254, autocomplete: 'email', type: 'email', mode: 'email', required: true, error: content.errors.email })}
${textField({
  name: 'password',
  label: t.password,
  value: '',
  maxLength: 128,
  autocomplete: register ? 'new-password' : 'current-password',
  type: 'password',
  required: true,
  error: content.errors.password,
  hint: register ? t.passwordHint : undefined,
})}
<button class="button wide">${register ? t.register : t.login}</button></form>
<p class="center">${register ? t.haveAccount : t.noAccount} <a href="${context.link(`/${other}`)}${queryText({ to: content.to })}">${register ? t.loginTitle : t.registerTitle}</a></p></div>`,
  })
}

export interface ListedOrder {
  readonly number: string
  /** Present for orders this browser placed as a guest. */
  readonly accessToken?: string
  readonly summary: Pick<OrderSummary, 'state' | 'total' | 'units' | 'placedAt'>
}

export interface AccountContent {
  readonly categories: readonly Category[]
  /** Absent: a guest. */
  readonly buyer: { readonly name: string; readonly email?: string } | undefined
  readonly orders: readonly ListedOrder[]
  readonly guestOrders: readonly ListedOrder[]
  readonly notice: string | null
}

export function accountPage(context: PageContext, content: AccountContent): Markup {
  const { accountPages: t } = context.t
  const { buyer } = content
  return layout(context, {
    title: t.title,
    path: '/account',
    hidden: true,
    categories: content.categories,
    body: html`<div class="wrap narrow">${namedNotice(context, content.notice)}
${
  buyer === undefined
    ? html`<h1>${t.title}</h1><p class="actions"><a class="button" href="${context.link('/login')}">${t.login}</a> <a class="button quiet-button" href="${context.link('/register')}">${t.registerTitle}</a></p>`
    : html`<div class="section-head"><h1 data-testid="hello">${t.hello(buyer.name)}</h1><form method="post" action="${context.link('/logout')}">${formToken}<button class="text-button" data-testid="logout">${t.logout}</button></form></div><p class="quiet">${buyer.email}</p>
<h2>${t.orders}</h2>${orderList(context, content.orders)}<p class="quiet">${t.ordersNote}</p>`
}
${content.guestOrders.length === 0 ? nothing : html`<h2>${t.guestOrders}</h2>${orderList(context, content.guestOrders)}`}</div>`,
  })
}

function orderList(context: PageContext, orders: readonly ListedOrder[]): Markup {
  const { t } = context
  if (orders.length === 0) return html`<p class="empty">${t.accountPages.noOrders}</p>`
  return html`<ul class="orders" data-testid="orders">${orders.map(
    ({ number, accessToken, summary }) =>
      html`<li><a href="${context.link(`/order/${number}`)}${queryText({ key: accessToken })}"><b>${number}</b><span class="quiet">${context.time(summary.placedAt)} · ${t.units(summary.units)}</span><span class="state ${summary.state}">${t.order.states[summary.state]}</span><b>${context.money(summary.total)}</b></a></li>`,
  )}</ul>`
}
