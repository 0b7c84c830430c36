import type { ProductSummary } from '@aaas/business-cloud/catalogue'
import type { View, ViewBlock } from '@aaas/core-cloud/cloudware'
import { html, type Markup, nothing, OriginUrl, trusted } from '../html.js'
import { holes } from '../page-cache.js'
import type { PageContext } from '../page-context.js'
import { fewUnits } from '../shown.js'
import { icons } from './icons.js'

/** The hidden field that every form carries; see form.ts. */
export const formToken = html`<input type="hidden" name="form" value="${holes.formToken}">`

function productCard(context: PageContext, product: ProductSummary, loading: 'eager' | 'lazy' = 'lazy'): Markup {
  const soldOut = product.available <= 0
  return html`<li class="card${soldOut ? ' gone' : ''}" data-testid="product-card">
<a href="${context.link(`/product/${product.slug}`)}">
<span class="art"><img src="${context.image(product.image)}" alt="" width="400" height="400" loading="${loading}" decoding="async"></span>
<span class="card-brand">${product.brand}</span>
<span class="card-name">${context.say(product.name)}</span>
<span class="card-price">${context.money(product.amount)}</span>
${soldOut ? html`<span class="tag">${context.t.stock.none}</span>` : product.available <= fewUnits ? html`<span class="tag few">${context.t.stock.few(product.available)}</span>` : nothing}
</a></li>`
}

export function productGrid(
  context: PageContext,
  products: readonly ProductSummary[],
  testId: string,
  eager = 0,
): Markup {
  return html`<ul class="grid" data-testid="${testId}">${products.map((product, index) => productCard(context, product, index < eager ? 'eager' : 'lazy'))}</ul>`
}

export function stockState(context: PageContext, available: number): Markup {
  const { stock } = context.t
  if (available <= 0) return html`<p class="stock none" data-testid="stock"><i></i>${stock.none}</p>`
  const text = available <= fewUnits ? stock.few(available) : stock.plenty
  return html`<p class="stock${available <= fewUnits ? ' few' : ''}" data-testid="stock"><i></i>${text} · ${stock.ships}</p>`
}

export interface Crumb {
  readonly name: string
  /** Below the language prefix; absent for the page itself. */
  readonly path?: string
}

export function breadcrumbs(context: PageContext, crumbs: readonly Crumb[]): Markup {
  const all: readonly Crumb[] = [{ name: context.t.home, path: '/' }, ...crumbs]
  return html`<nav class="crumbs" aria-label="breadcrumb" data-testid="breadcrumbs"><ol>${all.map(crumb =>
    crumb.path === undefined
      ? html`<li aria-current="page">${crumb.name}</li>`
      : html`<li><a href="${context.link(crumb.path)}">${crumb.name}</a></li>`,
  )}</ol></nav>`
}

/** schema.org data of a breadcrumb. */
export function breadcrumbList(context: PageContext, crumbs: readonly Crumb[], path: string): unknown {
  const all: readonly Crumb[] = [{ name: context.t.home, path: '/' }, ...crumbs]
  return {
    '@context': 'https://schema.org',
    '@type': 'BreadcrumbList',
    itemListElement: all.map((crumb, index) => ({
      '@type': 'ListItem',
      position: index + 1,
      name: crumb.name,
      item: new OriginUrl(context.link(crumb.path ?? path)),
    })),
  }
}

export function notice(text: string, tone: 'info' | 'good' | 'warn' = 'info'): Markup {
  return html`<p class="notice ${tone}" role="${tone === 'warn' ? 'alert' : 'status'}" data-testid="notice">${text}</p>`
}

/** A notice named in the address; unknown names show nothing, so no link can put words into the shop's mouth. */
export function namedNotice(context: PageContext, name: string | null): Markup {
  const text = name !== null && Object.hasOwn(context.t.notices, name) ? context.t.notices[name] : undefined
  if (text === undefined) return nothing
  return notice(text, name === 'added' || name === 'cancelled' || name === 'signed-out' ? 'good' : 'warn')
}

/** Why buy here: shown on the home page and below the buy button. */
export function trustNotes(context: PageContext): Markup {
  const { trust } = context.t
  const { freight } = context.site
  const notes = [
    {
      icon: icons.truck,
      title: trust.freight(context.money(freight.freeFrom)),
      text: trust.freightText(context.money(freight.amount)),
    },
    { icon: icons.back, title: trust.returns, text: trust.returnsText },
    { icon: icons.shield, title: trust.payment, text: trust.paymentText },
    { icon: icons.box, title: trust.stock, text: trust.stockText },
  ]
  return html`<section class="trust" aria-label="${trust.title}" data-testid="trust"><ul>${notes.map(
    note => html`<li>${note.icon}<span><b>${note.title}</b><span>${note.text}</span></span></li>`,
  )}</ul></section>`
}

/** Views of cloudware packages: data that becomes markup here, so no package can put script into a page. */
export function views(list: readonly View[], testId: string): Markup {
  if (list.length === 0) return nothing
  return html`<div class="views" data-testid="${testId}">${list.map(
    view => html`<section class="panel"><h2>${view.title}</h2>${view.blocks.map(block)}</section>`,
  )}</div>`
}

function block(part: ViewBlock): Markup {
  switch (part.type) {
    case 'heading':
      return html`<h3>${part.text}</h3>`
    case 'text':
      return html`<p>${part.text}</p>`
    case 'metric':
      return html`<p class="metric"><span>${part.label}</span><b>${part.value}</b></p>`
    case 'notice':
      return notice(part.text, part.tone)
    case 'table':
      return html`<div class="scroll"><table><thead><tr>${part.columns.map(name => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${part.rows.map(row => html`<tr>${row.map(cell => html`<td>${cell}</td>`)}</tr>`)}</tbody></table></div>`
    default:
      // A newer platform may send a block this template does not know.
      return nothing
  }
}

export const selected = (value: boolean): Markup => (value ? trusted(' selected') : nothing)
export const current = (value: boolean): Markup => (value ? trusted(' aria-current="true"') : nothing)
