import type { LedgerCheck } from '@aaas/business-cloud/ledger'
import type { AccountBalance } from '@aaas/business-cloud/ledger'
import type { StockLevel } from '@aaas/business-cloud/inventory'
import type { OrderSummary } from '@aaas/business-cloud/order'
import { actionButton, badge, emptyState, html, instant, type Markup, money } from '../layout.js'
import type { Tab } from './site-page.js'

const pageSize = 50

/** Asks a service centre of the site. */
async function ask<T>({ center, context, view }: Tab, contract: string, method: string, input: unknown): Promise<T> {
  return (await center.callSite({ site: view.site, contract, method, input }, context)).output as T
}

export async function ordersTab(tab: Tab): Promise<Markup> {
  const { view, session, query } = tab
  const offset = offsetOf(query)
  const { total, orders } = await ask<{ total: number; orders: OrderSummary[] }>(tab, 'business.order', 'list', {
    limit: pageSize,
    offset,
    ...(query.text ? { text: query.text.slice(0, 64) } : {}),
  })
  return html`<section class="card" data-testid="orders"><h2>Orders <small>${total}</small></h2>
${searchForm('orders', query.text, 'Number or name')}
${
  orders.length === 0
    ? emptyState('No order fits.')
    : html`<div class="scroll"><table><thead><tr><th>Number</th><th>State</th><th>Buyer</th><th class="number">Units</th><th class="number">Total</th><th>Placed</th><th></th></tr></thead><tbody>${orders.map(
        order => html`<tr><td><code>${order.number}</code></td><td>${badge(order.state)}</td><td>${order.buyerName}</td><td class="number">${order.units}</td>
<td class="number">${money(order.total, order.currency)}</td><td>${instant(order.placedAt)}</td>
<td>${
          order.state === 'paid'
            ? html`${actionButton({ session, site: view.site, action: 'ship-order', label: 'Ship', fields: { number: order.number } })}
${actionButton({ session, site: view.site, action: 'refund-order', label: 'Refund', fields: { number: order.number }, tone: 'danger', confirm: `Refund ${order.number}?` })}`
            : ''
        }</td></tr>`,
      )}</tbody></table></div>`
}
${pager('orders', offset, total, query.text)}</section>`
}

export async function stockTab(tab: Tab): Promise<Markup> {
  const { view, session, query } = tab
  const offset = offsetOf(query)
  const { total, levels } = await ask<{ total: number; levels: StockLevel[] }>(tab, 'business.inventory', 'levels', {
    limit: pageSize,
    offset,
    ...(query.text ? { text: query.text.slice(0, 64) } : {}),
  })
  return html`<section class="card" data-testid="stock"><h2>Stock <small>${total} SKUs</small></h2>
${searchForm('stock', query.text, 'SKU')}
<div class="scroll"><table><thead><tr><th>SKU</th><th class="number">On hand</th><th class="number">Reserved</th><th class="number">Available</th><th>Adjust</th></tr></thead><tbody>${levels.map(
    level => html`<tr><td><code>${level.sku}</code></td><td class="number">${level.onHand}</td><td class="number">${level.reserved}</td><td class="number"><strong>${level.available}</strong></td>
<td><form method="post" action="/sites/${view.site}/adjust-stock" class="inline"><input type="hidden" name="csrf" value="${session.csrf}"><input type="hidden" name="sku" value="${level.sku}">
<label class="hidden" for="d-${level.sku}">Change of ${level.sku}</label><input id="d-${level.sku}" name="delta" type="number" class="short" required placeholder="+10"><input name="reason" placeholder="reason" maxlength="200"><button class="quiet">Adjust</button></form></td></tr>`,
  )}</tbody></table></div>
${pager('stock', offset, total, query.text)}</section>`
}

export async function ledgerTab(tab: Tab): Promise<Markup> {
  const [{ accounts }, check] = await Promise.all([
    ask<{ accounts: AccountBalance[] }>(tab, 'business.ledger', 'balances', {}),
    ask<LedgerCheck>(tab, 'business.ledger', 'check', {}),
  ])
  return html`<section class="card" data-testid="ledger"><h2>Ledger</h2>
<p class="notice ${check.balanced ? 'good' : 'bad'}" role="status">${
    check.balanced
      ? `Balanced: every balance of ${check.accounts} accounts equals the sum of its entries over ${check.transfers} transfers.`
      : `NOT balanced: difference ${check.difference}, wrong accounts: ${check.wrongAccounts.join(', ')}`
  }</p>
<div class="scroll"><table><thead><tr><th>Account</th><th class="number">Balance</th><th class="number">Credits</th><th class="number">Debits</th><th class="number">Pending credits</th><th class="number">Pending debits</th></tr></thead><tbody>${accounts.map(
    one => html`<tr><td><code>${one.account}</code></td><td class="number"><strong>${money(one.balance, one.currency)}</strong></td><td class="number">${money(one.creditsPosted, one.currency)}</td><td class="number">${money(one.debitsPosted, one.currency)}</td><td class="number">${money(one.creditsPending, one.currency)}</td><td class="number">${money(one.debitsPending, one.currency)}</td></tr>`,
  )}</tbody></table></div></section>`
}

function offsetOf(query: Readonly<Record<string, string>>): number {
  const value = Number(query.offset ?? 0)
  return Number.isSafeInteger(value) && value > 0 ? value : 0
}

function searchForm(tab: string, text: string | undefined, label: string): Markup {
  return html`<form class="actions" method="get"><input type="hidden" name="tab" value="${tab}"><label>${label} <input name="text" value="${text ?? ''}" maxlength="64"></label><button>Search</button></form>`
}

function pager(tab: string, offset: number, total: number, text: string | undefined): Markup {
  const link = (to: number, label: string): Markup =>
    html`<a href="?tab=${tab}&amp;offset=${to}${text ? html`&amp;text=${encodeURIComponent(text)}` : ''}">${label}</a>`
  return html`<p class="pager">${offset > 0 ? link(Math.max(0, offset - pageSize), 'Newer') : ''} <span>${Math.min(total, offset + 1)}–${Math.min(total, offset + pageSize)} of ${total}</span> ${offset + pageSize < total ? link(offset + pageSize, 'More') : ''}</p>`
}
