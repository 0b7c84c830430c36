import type { Category } from '@aaas/business-cloud/catalogue'
import type { Order } from '@aaas/business-cloud/order'
import { html, type Markup, nothing, trusted } from '../html.js'
import { type PageContext, queryText } from '../page-context.js'
import { adjustments, lineArt, totals } from './cart-page.js'
import { icons } from './icons.js'
import { layout } from './layout.js'
import { formToken, namedNotice, notice } from './parts.js'

export interface OrderContent {
  readonly categories: readonly Category[]
  readonly order: Order
  /** Access token of a guest; links and forms of the page carry it on. */
  readonly accessToken: string | undefined
  /** The buyer comes back from the payment provider. */
  readonly returning: boolean
  readonly notice: string | null
}

/** Seconds between two looks of a page without script at an order that waits for its payment. */
const refreshSeconds = 10

export function orderPage(context: PageContext, content: OrderContent): Markup {
  const { t } = context
  const { order } = content
  const path = `/order/${order.number}`
  const access = queryText({ key: content.accessToken })
  const look = queryText({ key: content.accessToken, return: content.returning ? 1 : undefined })
  const unpaid = order.state === 'unpaid'
  return layout(context, {
    title: t.order.title(order.number),
    path,
    query: { key: content.accessToken },
    hidden: true,
    categories: content.categories,
    head: unpaid
      ? html`<noscript><meta http-equiv="refresh" content="${refreshSeconds};url=${context.link(path)}${look}"></noscript>`
      : nothing,
    body: html`<div class="wrap" ${unpaid ? html` data-poll="${context.link(path)}/status${look}" data-state="${order.state}"` : nothing} data-testid="order">
${namedNotice(context, content.notice)}
<section class="order-head ${order.state}" data-testid="order-state" data-state="${order.state}">
<p class="state">${order.state === 'paid' || order.state === 'shipped' || order.state === 'completed' ? icons.check : nothing}${t.order.states[order.state]}</p>
<h1>${t.order.lead[order.state]}</h1>
<p class="quiet">${t.order.title(order.number)} · ${t.order.placed} ${context.time(order.placedAt)}</p>
${steps(context, order)}
${unpaid ? payment(context, content, path, access) : nothing}
</section>
<div class="two-columns">
<section aria-label="${t.order.items}"><h2>${t.order.items}</h2><ul class="lines" data-testid="order-lines">${order.lines.map(
      line =>
        html`<li class="line">${lineArt(context, { ...line, options: {} })}<div class="line-text"><p><a href="${context.link(`/product/${line.slug}`)}?sku=${line.sku}">${context.say(line.name)}</a></p>${adjustments(context, line)}<p class="quiet">${context.money(line.unitAmount)} × ${line.quantity}</p></div><p class="line-amount">${context.money(line.amount)}</p></li>`,
    )}</ul>${totals(context, order)}</section>
<aside>${addressPanel(context, order)}
${content.accessToken === undefined ? nothing : html`<p class="hint">${t.order.keep}</p>`}
${unpaid ? cancelForm(context, path, access) : nothing}</aside>
</div></div>`,
  })
}

function payment(context: PageContext, content: OrderContent, path: string, access: string): Markup {
  const { t } = context
  const { order } = content
  return html`${content.returning ? notice(t.order.checking) : nothing}
<form method="post" action="${context.link(path)}/pay${access}" data-testid="pay-form">${formToken}<button class="button" data-testid="pay">${content.returning ? t.order.payAgain : t.order.pay(context.money(order.total))}</button></form>
<p class="quiet">${t.order.payBefore(context.time(order.expiresAt))}</p>`
}

function cancelForm(context: PageContext, path: string, access: string): Markup {
  const { t } = context
  return html`<form method="post" action="${context.link(path)}/cancel${access}" data-testid="cancel-form">${formToken}<p class="quiet">${t.order.cancelHint}</p><button class="text-button" data-testid="cancel">${t.order.cancel}</button></form>`
}

/** How far the order is; closed and refunded orders have left this road. */
function steps(context: PageContext, order: Order): Markup {
  const reached = { unpaid: 1, paid: 2, shipped: 3, completed: 4, closed: 0, refunded: 0 }[order.state]
  if (reached === 0) return nothing
  return html`<ol class="steps">${context.t.order.steps.map(
    (name, index) =>
      html`<li class="${index < reached ? 'done' : ''}"${index === reached - 1 ? trusted(' aria-current="step"') : nothing}>${name}</li>`,
  )}</ol>`
}

function addressPanel(context: PageContext, order: Order): Markup {
  const { address } = order
  return html`<section class="panel" data-testid="order-address"><h2>${context.t.order.address}</h2><p><b>${address.name}</b><br>${address.phone}<br>${address.region} ${address.line}</p>
${address.email === undefined ? nothing : html`<p>${address.email}</p>`}${address.note === undefined ? nothing : html`<p class="quiet">${address.note}</p>`}</section>`
}
