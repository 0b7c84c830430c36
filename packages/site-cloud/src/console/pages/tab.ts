import type { Site } from '../../site-center/site-center-contract.js'
import { emptyState, html, type Markup } from '../layout.js'
import type { Texts } from '../texts/texts.js'
import type { SignedView } from '../view.js'

/** What every tab of a site's page gets. */
export interface Tab extends SignedView {
  readonly site: Site
}

export type TabName = keyof Texts['tabs']

/** Reads from a service centre of the site. */
export async function ask<T>(
  { center, call, site }: Tab,
  contract: string,
  method: string,
  input: unknown,
): Promise<T> {
  return (await center.querySite({ site: site.site, contract, method, input }, call)).output as T
}

export const pageSize = 50

/** Rows to leave out, from the query; nonsense counts as none. */
export function offsetOf(query: Readonly<Record<string, string>>): number {
  const value = Number(query.offset ?? 0)
  return Number.isSafeInteger(value) && value > 0 ? value : 0
}

/** A form that reloads the tab with other words. */
export function searchForm(tab: Tab, name: TabName, label: string, more?: Markup): Markup {
  const { query, texts, site } = tab
  return html`<form class="actions" method="get" action="/sites/${site.site}"><input type="hidden" name="tab" value="${name}">
<label>${label} <input name="text" type="search" value="${query.text ?? ''}" maxlength="64"></label>${more}<button>${texts.search}</button></form>`
}

/** Links to the pages before and after; `kept` goes on in both. */
export function pager(
  tab: Tab,
  name: TabName,
  total: number,
  kept: Readonly<Record<string, string | undefined>>,
): Markup | '' {
  const { texts, query, site } = tab
  const offset = offsetOf(query)
  if (total === 0) return ''
  const link = (to: number, label: string): Markup => {
    const params = new URLSearchParams({ tab: name, offset: String(to) })
    for (const [key, value] of Object.entries(kept)) if (value) params.set(key, value)
    return html`<a href="/sites/${site.site}?${params.toString()}">${label}</a>`
  }
  return html`<p class="pager">${offset > 0 ? link(Math.max(0, offset - pageSize), texts.before) : ''} <span>${texts.range(
    Math.min(total, offset + 1),
    Math.min(total, offset + pageSize),
    total,
  )}</span> ${offset + pageSize < total ? link(offset + pageSize, texts.next) : ''}</p>`
}

/** What to say when a search finds nothing: there is nothing at all, or nothing that fits. */
export function nothingFound({ texts, query, site }: Tab, name: TabName, none: string): Markup {
  if (!query.text && !query.state) return emptyState(none)
  return html`<p class="empty">${texts.nothingFits} <a href="/sites/${site.site}?tab=${name}">${texts.showAll}</a></p>`
}
