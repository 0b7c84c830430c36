import type { Category, Localized } from '@aaas/business-cloud/catalogue'
import type { Quote, QuoteLine } from '@aaas/business-cloud/pricing'
import type { View } from '@aaas/core-cloud/cloudware'
import { artInColour } from '../art/names.js'
import { html, type Markup, nothing } from '../html.js'
import type { PageContext } from '../page-context.js'
import { layout } from './layout.js'
import { formToken, namedNotice, notice, trustNotes, views } from './parts.js'

/** What pages show of a SKU in a cart or an order. */
export interface LineProduct {
  readonly slug: string
  readonly name: Localized
  readonly options: Readonly<Record<string, Localized>>
  readonly image: string
}

export interface CartLineView {
  readonly sku: string
  readonly quantity: number
  /** Absent: it left the shop. */
  readonly product: LineProduct | undefined
  readonly available: number
  readonly quoted: QuoteLine | undefined
}

export interface CartContent {
  readonly categories: readonly Category[]
  readonly lines: readonly CartLineView[]
  /** Absent when there is nothing that can be bought. */
  readonly quote: Quote | undefined
  readonly views: readonly View[]
  readonly notice: string | null
}

export function cartPage(context: PageContext, content: CartContent): Markup {
  const { t } = context
  return layout(context, {
    title: t.cartPage.title,
    path: '/cart',
    hidden: true,
    categories: content.categories,
    body: html`<div class="wrap"><h1>${t.cartPage.title}</h1>${namedNotice(context, content.notice)}
${content.lines.length === 0 ? emptyCart(context) : filledCart(context, content)}
${views(content.views, 'cart-views')}</div>`,
  })
}

function emptyCart(context: PageContext): Markup {
  const { cartPage: t } = context.t
  return html`<div class="empty" data-testid="cart-empty"><p class="big">${t.empty}</p><p>${t.emptyText}</p><p><a class="button" href="${context.link('/products')}">${t.start}</a></p></div>
${trustNotes(context)}`
}

function filledCart(context: PageContext, content: CartContent): Markup {
  const { t } = context
  const ready = content.quote !== undefined && content.lines.every(isBuyable)
  return html`<div class="two-columns">
<ul class="lines" data-testid="cart-lines">${content.lines.map(line => cartLine(context, line))}</ul>
<aside class="panel summary" aria-label="${t.cartPage.summary}" data-testid="cart-summary"><h2>${t.cartPage.summary}</h2>
${content.quote === undefined ? nothing : totals(context, content.quote)}
${content.quote === undefined ? nothing : freightHint(context, content.quote)}
${ready ? html`<p><a class="button wide" href="${context.link('/checkout')}" data-testid="to-checkout">${t.cartPage.checkout}</a></p>` : nothing}
<p><a class="button wide quiet-button" href="${context.link('/products')}">${t.cartPage.continue}</a></p></aside>
</div>`
}

export function isBuyable(line: CartLineView): boolean {
  return line.product !== undefined && line.available >= line.quantity
}

function cartLine(context: PageContext, line: CartLineView): Markup {
  const { t } = context
  const name = line.product === undefined ? line.sku : context.say(line.product.name)
  return html`<li class="line" data-testid="cart-line" data-sku="${line.sku}">
${lineArt(context, line.product)}
<div class="line-text"><p>${line.product === undefined ? name : html`<a href="${context.link(`/product/${line.product.slug}`)}?sku=${line.sku}">${name}</a>`}</p>
${line.product === undefined ? nothing : optionText(context, line.product.options)}
${line.quoted === undefined ? nothing : html`<p class="quiet">${t.cartPage.unitPrice(context.money(line.quoted.unitAmount))}</p>`}
${adjustments(context, line.quoted)}
${problem(context, line)}
<div class="line-forms">
<form method="post" action="${context.link('/cart/set')}" class="quantity-form" data-testid="quantity-form">${formToken}<input type="hidden" name="sku" value="${line.sku}">
<div class="stepper" data-stepper data-submit><label class="hidden" for="q-${line.sku}">${t.product.quantity}: ${name}</label>
<button type="button" data-step="-1" aria-label="${t.product.fewer}" hidden>−</button>
<input id="q-${line.sku}" name="quantity" type="number" inputmode="numeric" min="0" max="999" value="${line.quantity}" required>
<button type="button" data-step="1" aria-label="${t.product.more}" hidden>+</button></div>
<button class="text-button" data-without-script>${t.cartPage.update}</button></form>
<form method="post" action="${context.link('/cart/set')}">${formToken}<input type="hidden" name="sku" value="${line.sku}"><input type="hidden" name="quantity" value="0"><button class="text-button" data-testid="remove" aria-label="${t.cartPage.remove}: ${name}">${t.cartPage.remove}</button></form>
</div></div>
<p class="line-amount">${line.quoted === undefined ? nothing : context.money(line.quoted.amount)}</p></li>`
}

function problem(context: PageContext, line: CartLineView): Markup {
  const { cartPage: t, stock } = context.t
  if (line.product === undefined) return notice(t.gone, 'warn')
  if (line.available <= 0) return notice(stock.none, 'warn')
  return line.available < line.quantity ? notice(t.onlyLeft(line.available), 'warn') : nothing
}

export function lineArt(context: PageContext, product: LineProduct | undefined): Markup {
  if (product === undefined) return html`<span class="art small-art"></span>`
  const colour = product.options.color
  const image = colour === undefined ? product.image : artInColour(product.image, colour.en)
  return html`<span class="art small-art"><img src="${context.image(image)}" alt="" width="120" height="120" loading="lazy"></span>`
}

export function optionText(context: PageContext, options: Readonly<Record<string, Localized>>): Markup {
  const values = Object.values(options)
  return values.length === 0
    ? nothing
    : html`<p class="quiet">${values.map(value => context.say(value)).join(' · ')}</p>`
}

export function adjustments(
  context: PageContext,
  line: { readonly adjustments: QuoteLine['adjustments'] } | undefined,
): Markup {
  if (line === undefined || line.adjustments.length === 0) return nothing
  return html`${line.adjustments.map(
    change =>
      html`<p class="adjustment" data-testid="adjustment">${context.say(change.label)} <b>${context.money(change.amount)}</b></p>`,
  )}`
}

/** Subtotal, freight and total of a quote or an order. */
export function totals(
  context: PageContext,
  sums: { readonly subtotal: number; readonly freight: number; readonly total: number },
): Markup {
  const { cartPage: t } = context.t
  return html`<dl class="totals" data-testid="totals">
<div><dt>${t.subtotal}</dt><dd>${context.money(sums.subtotal)}</dd></div>
<div><dt>${t.freight}</dt><dd>${sums.freight === 0 ? t.free : context.money(sums.freight)}</dd></div>
<div class="total"><dt>${t.total}</dt><dd data-testid="total-amount">${context.money(sums.total)}</dd></div></dl>`
}

function freightHint(context: PageContext, quote: Quote): Markup {
  const { cartPage: t } = context.t
  const missing = context.site.freight.freeFrom - quote.subtotal
  if (quote.freight === 0) return html`<p class="hint good">${t.freeReached}</p>`
  return missing > 0 ? html`<p class="hint">${t.more(context.money(missing))}</p>` : nothing
}
