import type { StockLevel } from '@aaas/business-cloud/inventory'
import { actionForm, dataTable, html, type Markup } from '../layout.js'
import { may } from '../view.js'
import { ask, nothingFound, offsetOf, pager, pageSize, searchForm, type Tab } from './tab.js'

/** Stock by SKU, with a correction beside each for those who may. */
export async function stockTab(tab: Tab): Promise<Markup> {
  const { query, texts } = tab
  const { total, levels } = await ask<{ total: number; levels: StockLevel[] }>(tab, 'business.inventory', 'levels', {
    limit: pageSize,
    offset: offsetOf(query),
    ...(query.text ? { text: query.text.slice(0, 64) } : {}),
  })
  const changes = may(tab, 'site.operate')
  return html`<section class="card" data-testid="stock"><h2>${texts.stock} <small>${texts.skus(total)}</small></h2>
${searchForm(tab, 'stock', texts.sku)}
${
  levels.length === 0
    ? nothingFound(tab, 'stock', texts.noStock)
    : dataTable(
        [
          { label: texts.sku },
          { label: texts.onHand, number: true },
          { label: texts.reserved, number: true },
          { label: texts.available, number: true },
          ...(changes ? [{ label: texts.adjust }] : []),
        ],
        levels.map(level => ({
          cells: [
            html`<code>${level.sku}</code>`,
            level.onHand,
            level.reserved,
            html`<strong class="${level.available === 0 ? 'bad' : ''}">${level.available}</strong>`,
            ...(changes ? [adjustForm(tab, level.sku)] : []),
          ],
        })),
      )
}
${pager(tab, 'stock', total, { text: query.text })}</section>`
}

function adjustForm(tab: Tab, sku: string): Markup {
  const { texts, site } = tab
  return actionForm(tab, {
    action: `/sites/${site.site}/adjust-stock`,
    label: texts.adjust,
    fields: { sku },
    inputs: html`<input name="delta" type="number" class="short" required placeholder="+10" aria-label="${texts.changeOf(sku)}">
<input name="reason" required placeholder="${texts.reason}" aria-label="${texts.reason}" maxlength="200">`,
  })
}
