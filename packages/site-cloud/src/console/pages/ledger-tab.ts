import type { AccountBalance, LedgerCheck } from '@aaas/business-cloud/ledger'
import { money } from '../format.js'
import { dataTable, html, type Markup } from '../layout.js'
import { ask, type Tab } from './tab.js'

/** Balances, each recomputed from its entries; on demand, stock and orders against them. */
export async function ledgerTab(tab: Tab): Promise<Markup> {
  const { texts, language, site } = tab
  const [{ accounts }, check] = await Promise.all([
    ask<{ accounts: AccountBalance[] }>(tab, 'business.ledger', 'balances', {}),
    ask<LedgerCheck>(tab, 'business.ledger', 'check', {}),
  ])
  const state = check.balanced
    ? texts.balanced(check.accounts, check.transfers)
    : texts.notBalanced(String(check.difference), check.wrongAccounts.join(', '))
  const amount = (value: number, one: AccountBalance): string => money(value, one.currency, language)
  return html`<section class="card" data-testid="ledger"><h2>${texts.ledger}</h2>
<p class="notice ${check.balanced ? 'good' : 'bad'}" role="status">${state}</p>
${dataTable(
  [
    { label: texts.accountName },
    { label: texts.balance, number: true },
    { label: texts.credits, number: true },
    { label: texts.debits, number: true },
    { label: texts.pendingCredits, number: true },
    { label: texts.pendingDebits, number: true },
  ],
  accounts.map(one => ({
    cells: [
      html`<code>${one.account}</code>`,
      html`<strong>${amount(one.balance, one)}</strong>`,
      amount(one.creditsPosted, one),
      amount(one.debitsPosted, one),
      amount(one.creditsPending, one),
      amount(one.debitsPending, one),
    ],
  })),
)}</section>
<section class="card" data-testid="consistency"><h2>${texts.consistency}</h2>
${tab.query.check === 'all' ? await consistency(tab) : html`<p><a class="button" href="/sites/${site.site}?tab=ledger&amp;check=all">${texts.checkNow}</a></p>`}</section>`
}

async function consistency(tab: Tab): Promise<Markup> {
  const { ok, problems } = await ask<{ ok: boolean; problems: string[] }>(tab, 'site.shop-admin', 'checkInvariants', {})
  if (ok) return html`<p class="notice good" role="status">${tab.texts.consistent}</p>`
  return html`<div class="notice bad" role="alert"><ul>${problems.slice(0, 100).map(one => html`<li>${one}</li>`)}</ul></div>`
}
