import { type Order, type OrderTransition, orderMachine } from '@aaas/business-cloud/order'
import { money } from '../format.js'
import { actionForm, badge, dataTable, emptyState, facts, html, instant, type Markup } from '../layout.js'
import { may } from '../view.js'
import { ask, type Tab } from './tab.js'

/** One order: its lines, where it goes, how it was paid, and what may be done with it now. */
export async function orderPage(tab: Tab, number: string): Promise<Markup> {
  const { texts, site, language } = tab
  const order = await ask<Order>(tab, 'business.order', 'get', { number })
  const amount = (value: number): string => money(value, order.currency, language)
  return html`<p class="crumb"><a href="/sites/${site.site}?tab=orders">${texts.backToOrders}</a></p>
<section class="card" data-testid="order"><h2>${texts.order} <code>${order.number}</code> ${badge(order.state, texts)}</h2>
${dataTable(
  [
    { label: texts.product },
    { label: texts.sku },
    { label: texts.quantity, number: true },
    { label: texts.unitPrice, number: true },
    { label: texts.amount, number: true },
  ],
  order.lines.map(line => ({
    cells: [
      html`${line.name[language]}${line.adjustments.map(one => html`<br><small>${one.label[language]} ${amount(one.amount)}</small>`)}`,
      html`<code>${line.sku}</code>`,
      line.quantity,
      amount(line.unitAmount),
      amount(line.amount),
    ],
  })),
)}
${facts([
  [texts.subtotal, amount(order.subtotal)],
  [texts.freight, amount(order.freight)],
  [texts.total, html`<strong>${amount(order.total)}</strong>`],
])}</section>
${actions(tab, order)}
<div class="columns"><section class="card"><h2>${texts.deliverTo}</h2>${addressOf(tab, order)}</section>
<section class="card"><h2>${texts.payment}</h2>${facts([
    [texts.paymentId, html`<code>${order.paymentId}</code>`],
    [texts.placed, instant(order.placedAt)],
    order.paidAt === undefined ? [texts.expiresAt, instant(order.expiresAt)] : [texts.paidAt, instant(order.paidAt)],
  ])}
<h3>${texts.supplierOrders}</h3>${facts(order.supplierOrders.map(one => [one.supplier, html`${badge(one.state, texts)} ${amount(one.amount)}`] as const))}</section></div>`
}

function addressOf({ texts }: Tab, { address }: Order): Markup {
  return facts([
    [texts.name, address.name],
    [texts.phone, address.phone],
    ...(address.email === undefined ? [] : [[texts.email, address.email] as const]),
    [texts.address, `${address.region}, ${address.line}`],
    ...(address.note === undefined ? [] : [[texts.note, address.note] as const]),
  ])
}

/** One form per transition that the machine allows from here and that is a person's to make. */
function actions(tab: Tab, order: Order): Markup | '' {
  if (!may(tab, 'site.operate')) return ''
  const { texts, site } = tab
  const forms: Partial<Record<OrderTransition, Omit<Parameters<typeof actionForm>[1], 'action' | 'fields'>>> = {
    ship: {
      label: texts.ship,
      tone: 'main',
      inputs: html`<label>${texts.carrier} <input name="carrier" required maxlength="80" value="SF Express"></label>
<label>${texts.trackingNumber} <input name="trackingNumber" required maxlength="80"></label>`,
    },
    complete: { label: texts.complete, tone: 'main' },
    refund: {
      label: texts.refund,
      tone: 'danger',
      confirm: texts.askRefund(order.number),
      inputs: html`<label>${texts.reason} <input name="reason" required maxlength="200"></label>`,
    },
    cancel: { label: texts.cancelOrder, tone: 'danger', confirm: texts.askCancel(order.number) },
  }
  const shown = Object.entries(orderMachine.transitions).flatMap(([transition, edges]) => {
    const form = forms[transition as OrderTransition]
    const possible = form !== undefined && edges.some(edge => edge.from === order.state)
    return possible
      ? [
          actionForm(tab, {
            ...form,
            action: `/sites/${site.site}/${transition}-order`,
            fields: { number: order.number },
          }),
        ]
      : []
  })
  return html`<section class="card" data-testid="order-actions"><h2>${texts.whatNow}</h2>
${shown.length === 0 ? emptyState(texts.finalState) : html`<div class="actions">${shown}</div>`}</section>`
}
