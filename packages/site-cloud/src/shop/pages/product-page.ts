import type { Category, Localized, Product, ProductSummary, Sku } from '@aaas/business-cloud/catalogue'
import type { View } from '@aaas/core-cloud/cloudware'
import { artGallery, artInColour, paletteColour } from '../art/names.js'
import { decimalAmount } from '../formats.js'
import { html, jsonScript, type Markup, nothing, OriginUrl, trusted } from '../html.js'
import { holes } from '../page-cache.js'
import type { PageContext } from '../page-context.js'
import { mostUnits } from '../shown.js'
import { layout } from './layout.js'
import {
  breadcrumbList,
  breadcrumbs,
  type Crumb,
  current,
  formToken,
  productGrid,
  stockState,
  trustNotes,
  views,
} from './parts.js'

export interface ProductContent {
  readonly product: Product
  readonly sku: Sku
  readonly categories: readonly Category[]
  readonly related: readonly ProductSummary[]
  readonly views: readonly View[]
  readonly notice: Markup
}

/** The SKU a page shows first: the asked one, else the first that can be bought, else the first. */
export function chooseSku(product: Product, asked: string | null): Sku | undefined {
  return product.skus.find(sku => sku.sku === asked) ?? product.skus.find(sku => sku.available > 0) ?? product.skus[0]
}

export function productPage(context: PageContext, content: ProductContent): Markup {
  const { product, sku, categories } = content
  const name = context.say(product.name)
  const category = categories.find(entry => entry.slug === product.category)
  const crumbs: Crumb[] = [
    ...(category === undefined ? [] : [{ name: context.say(category.name), path: `/category/${category.slug}` }]),
    { name },
  ]
  const path = `/product/${product.slug}`
  const picture = imageOf(product, sku)
  return layout(context, {
    title: name,
    description: context.say(product.description).slice(0, 160),
    path,
    categories,
    category: product.category,
    kind: 'product',
    picture: context.image(picture),
    head: html`${jsonScript([productData(context, product), breadcrumbList(context, crumbs, path)], holes.originText)}`,
    body: html`<div class="wrap">${breadcrumbs(context, crumbs)}${content.notice}
<article class="product" data-testid="product">
${gallery(context, name, picture)}
<div class="buy">
<p class="card-brand">${product.brand}</p>
<h1>${name}</h1>
<p class="price" data-testid="price">${context.money(sku.amount)}</p>
${stockState(context, sku.available)}
${optionPickers(context, product, sku)}
${buyForm(context, sku)}
${trustNotes(context)}
</div>
<div class="about">
<section><h2>${context.t.product.description}</h2><p class="description">${context.say(product.description)}</p></section>
${facts(context, product, sku)}
${views(content.views, 'product-views')}
</div>
</article>
${content.related.length === 0 ? nothing : html`<section><h2>${context.t.sections.related}</h2>${productGrid(context, content.related, 'related')}</section>`}
</div>`,
  })
}

/** The product's picture in the colour of the SKU, when the picture is one of our drawings. */
function imageOf(product: Product, sku: Sku): string {
  const colour = sku.options.color
  return colour === undefined ? product.image : artInColour(product.image, colour.en)
}

function gallery(context: PageContext, name: string, picture: string): Markup {
  const pictures = artGallery(picture)
  return html`<div class="gallery" role="group" aria-label="${context.t.product.gallery(name)}" data-testid="gallery"${pictures.length > 1 ? trusted(' tabindex="0"') : nothing}>${pictures.map(
    (image, index) =>
      html`<figure class="art"><img src="${context.image(image)}" alt="${context.t.product.view(name, index + 1)}" width="800" height="800"${index === 0 ? trusted(' fetchpriority="high"') : trusted(' loading="lazy"')}></figure>`,
  )}</div>`
}

/**
 * One row of links per option. A link leads to the SKU that has the chosen value and keeps as many of the other
 * choices as exist, so every combination is reachable without script.
 */
function optionPickers(context: PageContext, product: Product, sku: Sku): Markup {
  const keys = Object.keys(product.skus[0]?.options ?? {})
  if (product.skus.length < 2 || keys.length === 0) return nothing
  return html`<div class="options" data-testid="options">${keys.map(key => {
    const chosen = sku.options[key]
    const label = context.t.product.options[key] ?? key
    return html`<div role="group" aria-label="${label}"><p><b>${label}</b> ${chosen === undefined ? '' : context.say(chosen)}</p><ul>${valuesOf(
      product,
      key,
    ).map(value => {
      const target = nearest(product, sku, key, value)
      const here = chosen !== undefined && value.en === chosen.en
      const colour = key === 'color' ? paletteColour(value.en) : undefined
      return html`<li><a class="option${target.available > 0 ? '' : ' gone'}${here ? ' chosen' : ''}" href="${context.link(`/product/${product.slug}`)}?sku=${target.sku}" rel="nofollow"${current(here)}>${
        colour === undefined
          ? nothing
          : html`<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><circle cx="8" cy="8" r="7.5" fill="${colour}" stroke="#0002"/></svg>`
      }${context.say(value)}${target.available > 0 ? nothing : html`<span class="hidden"> (${context.t.stock.none})</span>`}</a></li>`
    })}</ul></div>`
  })}</div>`
}

function valuesOf(product: Product, key: string): Localized[] {
  const values = new Map<string, Localized>()
  for (const { options } of product.skus) {
    const value = options[key]
    if (value !== undefined && !values.has(value.en)) values.set(value.en, value)
  }
  return [...values.values()]
}

function nearest(product: Product, from: Sku, key: string, value: Localized): Sku {
  let best = from
  let bestScore = -1
  for (const candidate of product.skus) {
    if (candidate.options[key]?.en !== value.en) continue
    const kept = Object.entries(from.options).filter(([name, old]) => candidate.options[name]?.en === old.en).length
    const score = kept * 2 + (candidate.available > 0 ? 1 : 0)
    if (score > bestScore) {
      best = candidate
      bestScore = score
    }
  }
  return best
}

function buyForm(context: PageContext, sku: Sku): Markup {
  const { t } = context
  const soldOut = sku.available <= 0
  return html`<form class="buy-form" method="post" action="${context.link('/cart/add')}" data-add-to-cart data-added="${t.product.added}" data-testid="add-form">
${formToken}<input type="hidden" name="sku" value="${sku.sku}">
<div class="stepper" data-stepper>
<label class="hidden" for="quantity">${t.product.quantity}</label>
<button type="button" data-step="-1" aria-label="${t.product.fewer}" hidden>−</button>
<input id="quantity" name="quantity" type="number" inputmode="numeric" min="1" max="${Math.max(1, Math.min(mostUnits, sku.available))}" value="1" required${soldOut ? trusted(' disabled') : nothing}>
<button type="button" data-step="1" aria-label="${t.product.more}" hidden>+</button>
</div>
<p class="bar-price" aria-hidden="true">${context.money(sku.amount)}</p>
<button class="button" data-testid="add-to-cart"${soldOut ? trusted(' disabled') : nothing}>${soldOut ? t.stock.none : t.product.add}</button>
<p class="toast" role="status" data-toast hidden><span data-toast-text></span> <a href="${context.link('/cart')}">${t.product.viewCart}</a></p>
</form>`
}

function facts(context: PageContext, product: Product, sku: Sku): Markup {
  const { t } = context
  const rows = Object.entries(product.attributes)
  return html`<section data-testid="attributes"><h2>${t.product.details}</h2><dl class="facts">
<div><dt>${t.product.brand}</dt><dd>${product.brand}</dd></div>
${rows.map(([key, value]) => html`<div><dt>${t.product.attributes[key] ?? key}</dt><dd>${context.say(value)}</dd></div>`)}
<div><dt>${t.product.sku}</dt><dd>${sku.sku}</dd></div>
</dl></section>`
}

/** schema.org data: one offer per SKU, so that a search engine shows the right range of prices. */
function productData(context: PageContext, product: Product): unknown {
  const url = context.link(`/product/${product.slug}`)
  return {
    '@context': 'https://schema.org',
    '@type': 'Product',
    name: context.say(product.name),
    description: context.say(product.description),
    sku: product.skus[0]?.sku,
    brand: { '@type': 'Brand', name: product.brand },
    image: artGallery(product.image).map(image => new OriginUrl(context.image(image))),
    url: new OriginUrl(url),
    offers: product.skus.map(sku => ({
      '@type': 'Offer',
      sku: sku.sku,
      url: new OriginUrl(`${url}?sku=${sku.sku}`),
      priceCurrency: product.currency,
      price: decimalAmount(sku.amount, product.currency),
      availability: `https://schema.org/${sku.available > 0 ? 'InStock' : 'OutOfStock'}`,
      itemCondition: 'https://schema.org/NewCondition',
    })),
  }
}
