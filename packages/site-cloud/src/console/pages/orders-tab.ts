import type { OrderSummary } from '@aaas/business-cloud/order'
import { orderMachine } from '@aaas/business-cloud/order'
import { money } from '../format.js'
import { badge, dataTable, html, instant, type Markup, stateWord } from '../layout.js'
import { ask, nothingFound, offsetOf, pager, pageSize, searchForm, type Tab } from './tab.js'

/** Every state an order can be in, in the order of its life. */
const states = [
  ...new Set([
    orderMachine.initial,
    ...Object.values(orderMachine.transitions).flatMap(edges => edges.map(edge => edge.to)),
  ]),
]

/** The newest orders; each leads to its own page. */
export async function ordersTab(tab: Tab): Promise<Markup> {
  const { site, query, texts, language } = tab
  const state = states.find(one => one === query.state)
  const { total, orders } = await ask<{ total: number; orders: OrderSummary[] }>(tab, 'business.order', 'list', {
    limit: pageSize,
    offset: offsetOf(query),
    ...(query.text ? { text: query.text.slice(0, 64) } : {}),
    ...(state === undefined ? {} : { state }),
  })
  const choice = html`<label>${texts.state} <select name="state"><option value="">${texts.anyState}</option>${states.map(
    one => html`<option value="${one}"${one === state ? html` selected` : ''}>${stateWord(one, texts)}</option>`,
  )}</select></label>`
  return html`<section class="card" data-testid="orders"><h2>${texts.orders} <small>${total}</small></h2>
${searchForm(tab, 'orders', texts.numberOrName, choice)}
${
  orders.length === 0
    ? nothingFound(tab, 'orders', texts.noOrders)
    : dataTable(
        [
          { label: texts.number },
          { label: texts.state },
          { label: texts.buyer },
          { label: texts.units, number: true },
          { label: texts.total, number: true },
          { label: texts.placed },
        ],
        orders.map(order => ({
          cells: [
            html`<a href="/sites/${site.site}/orders/${order.number}"><code>${order.number}</code></a>`,
            badge(order.state, texts),
            order.buyerName,
            order.units,
            money(order.total, order.currency, language),
            instant(order.placedAt),
          ],
        })),
      )
}
${pager(tab, 'orders', total, { text: query.text, state })}</section>`
}
