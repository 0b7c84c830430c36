import type { Category, ProductSummary } from '@aaas/business-cloud/catalogue'
import type { View } from '@aaas/core-cloud/cloudware'
import { html, jsonScript, type Markup, nothing, OriginUrl } from '../html.js'
import { holes } from '../page-cache.js'
import type { PageContext } from '../page-context.js'
import { icons } from './icons.js'
import { layout } from './layout.js'
import { productGrid, trustNotes, views } from './parts.js'

/** A category with the picture of its first product. */
export interface CategoryTile {
  readonly category: Category
  readonly image: string | undefined
}

export interface HomeContent {
  readonly categories: readonly Category[]
  readonly tiles: readonly CategoryTile[]
  readonly featured: readonly ProductSummary[]
  readonly newest: readonly ProductSummary[]
  readonly views: readonly View[]
}

/** Products in the hero, and on each shelf of the home page. */
const heroProducts = 3
const shelfProducts = 8

export function homePage(context: PageContext, content: HomeContent): Markup {
  const { t, site } = context
  return layout(context, {
    title: context.say(site.name),
    path: '/',
    categories: content.categories,
    head: jsonScript(
      [
        {
          '@context': 'https://schema.org',
          '@type': 'WebSite',
          name: context.say(site.name),
          url: new OriginUrl(context.link('/')),
          potentialAction: {
            '@type': 'SearchAction',
            target: new OriginUrl(`${context.link('/search')}?q={search_term_string}`),
            'query-input': 'required name=search_term_string',
          },
        },
        {
          '@context': 'https://schema.org',
          '@type': 'Organization',
          name: context.say(site.name),
          url: new OriginUrl(context.link('/')),
        },
      ],
      holes.originText,
    ),
    body: html`${hero(context, content.featured.slice(0, heroProducts))}
<div class="wrap">
${trustNotes(context)}
${content.tiles.length === 0 ? nothing : html`<section data-testid="home-categories"><h2>${t.sections.categories}</h2>${tiles(context, content.tiles)}</section>`}
${shelf(context, t.sections.featured, '/products', content.featured.slice(content.featured.length > shelfProducts ? heroProducts : 0).slice(0, shelfProducts), 'home-featured')}
${views(content.views, 'home-views')}
${shelf(context, t.sections.newest, '/products?sort=newest', content.newest.slice(0, shelfProducts), 'home-new')}
</div>`,
  })
}

function hero(context: PageContext, products: readonly ProductSummary[]): Markup {
  const { t, site } = context
  return html`<section class="hero" data-testid="hero"><div class="wrap hero-grid">
<div class="hero-text"><h1>${context.say(site.tagline)}</h1><p>${context.say(site.about)}</p>
<p class="actions"><a class="button" href="${context.link('/products')}">${t.hero.shop}</a> <a class="button quiet-button" href="${context.link('/products')}?sort=newest">${t.hero.newest}</a></p></div>
<div class="hero-art">${products.map(
    product =>
      html`<a href="${context.link(`/product/${product.slug}`)}" class="art" aria-label="${context.say(product.name)}"><img src="${context.image(product.image)}" alt="" width="400" height="400"></a>`,
  )}</div>
</div></section>`
}

function tiles(context: PageContext, list: readonly CategoryTile[]): Markup {
  return html`<ul class="tiles">${list.map(
    ({ category, image }) =>
      html`<li><a href="${context.link(`/category/${category.slug}`)}"><span class="art">${
        image === undefined
          ? nothing
          : html`<img src="${context.image(image)}" alt="" width="400" height="400" loading="lazy" decoding="async">`
      }</span><b>${context.say(category.name)}</b><span class="quiet">${context.t.products(category.products)}</span></a></li>`,
  )}</ul>`
}

function shelf(
  context: PageContext,
  title: string,
  path: string,
  products: readonly ProductSummary[],
  testId: string,
): Markup {
  if (products.length === 0) return nothing
  return html`<section><div class="section-head"><h2>${title}</h2><a href="${context.link(path)}">${context.t.sections.all} ${icons.arrow}</a></div>${productGrid(context, products, testId)}</section>`
}
