import type { Category, Language } from '@aaas/business-cloud/catalogue'
import { type HtmlValue, html, type Markup, nothing, trusted } from '../html.js'
import { holes } from '../page-cache.js'
import { type PageContext, queryText } from '../page-context.js'
import { textsOf } from '../texts/texts.js'
import { icons } from './icons.js'

/** What a page says about itself, and what it shows between header and footer. */
export interface PageContent {
  /** For the browser's tab; the shop's name is added. */
  readonly title: string
  readonly description?: string
  /** Below the language prefix, starting with `/`; the same in every language. */
  readonly path: string
  /** Part of the address that belongs to the page, such as `{ page: 2 }`. */
  readonly query?: Readonly<Record<string, string | number | undefined>>
  /** Pages of one buyer and results of a search stay out of search engines. */
  readonly hidden?: boolean
  /** Picture for previews of links, as a path with its base. */
  readonly picture?: string
  readonly kind?: 'website' | 'product'
  /** More of the head: JSON-LD, refresh. */
  readonly head?: HtmlValue
  readonly body: Markup
  /** Text in the search box. */
  readonly searchText?: string
  readonly categories: readonly Category[]
  /** Slug of the category that the page belongs to. */
  readonly category?: string
}

export function layout(context: PageContext, content: PageContent): Markup {
  const { language, t, assets } = context
  return html`<!doctype html>
<html lang="${language}" dir="${t.direction}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
${metadata(context, content)}
<link rel="icon" href="${context.asset('/favicon.svg')}" type="image/svg+xml">
<link rel="manifest" href="${context.asset('/manifest.webmanifest')}">
<meta name="theme-color" content="${context.site.theme.paper}">
<link rel="stylesheet" href="${context.asset(assets.style)}">
<script type="module" src="${context.asset(assets.script)}"></script>
${content.head}
</head>
<body>
<a class="skip" href="#main">${t.skip}</a>
${header(context, content)}
<main id="main" tabindex="-1">
${content.body}
</main>
${footer(context, content)}
</body>
</html>
`
}

function metadata(context: PageContext, content: PageContent): Markup {
  const { site, language } = context
  const name = context.say(site.name)
  const title = content.title === name ? `${name} · ${context.say(site.tagline)}` : `${content.title} · ${name}`
  const description = content.description ?? context.say(site.about)
  const tail = content.path + queryText(content.query ?? {})
  const address = (of: Language): Markup => html`${holes.origin}${context.base}/${of}${tail}`
  return html`<title>${title}</title>
<meta name="description" content="${description}">
${
  content.hidden
    ? html`<meta name="robots" content="noindex">`
    : html`<link rel="canonical" href="${address(language)}">
${site.languages.map(of => html`<link rel="alternate" hreflang="${of}" href="${address(of)}">`)}
<link rel="alternate" hreflang="x-default" href="${address(site.defaultLanguage)}">
<meta property="og:type" content="${content.kind ?? 'website'}">
<meta property="og:site_name" content="${name}">
<meta property="og:title" content="${content.title}">
<meta property="og:description" content="${description}">
<meta property="og:url" content="${address(language)}">
<meta property="og:locale" content="${language === 'zh-CN' ? 'zh_CN' : 'en_US'}">
${content.picture === undefined ? nothing : html`<meta property="og:image" content="${holes.origin}${content.picture}">`}`
}`
}

function header(context: PageContext, content: PageContent): Markup {
  const { t } = context
  return html`<header class="top" data-testid="header">
<div class="bar wrap">
<a class="brand" href="${context.link('/')}">${logo}<span>${context.say(context.site.name)}</span></a>
<form class="find" role="search" action="${context.link('/search')}" method="get" data-testid="search-form">
<label class="hidden" for="q">${t.search}</label>
<input id="q" name="q" type="search" maxlength="200" value="${content.searchText ?? ''}" placeholder="${t.searchPlaceholder}" autocomplete="off" enterkeyhint="search">
<button type="submit" aria-label="${t.search}">${icons.search}</button>
</form>
<nav class="tools" aria-label="${t.account}">
${languageLinks(context, content)}
<a href="${context.link('/account')}" data-testid="account-link">${icons.account}<span>${t.account}</span></a>
<a class="to-cart" href="${context.link('/cart')}" data-testid="cart-link">${icons.cart}<span>${t.cart}</span><b class="badge" data-cart-units aria-live="polite">${holes.cartUnits}</b></a>
</nav>
</div>
<nav class="shelves" aria-label="${t.menu}" data-testid="category-nav"><ul class="wrap">
<li><a href="${context.link('/products')}"${content.path === '/products' ? trusted(' aria-current="page"') : ''}>${t.allProducts}</a></li>
${content.categories.map(
  category =>
    html`<li><a href="${context.link(`/category/${category.slug}`)}"${category.slug === content.category ? trusted(' aria-current="page"') : ''}>${context.say(category.name)}</a></li>`,
)}
</ul></nav>
</header>`
}

function languageLinks(context: PageContext, content: PageContent): HtmlValue {
  return context.site.languages
    .filter(language => language !== context.language)
    .map(language => {
      const name = textsOf(language).languageName
      const href = `${context.base}/${language}${content.path}${queryText(content.query ?? {})}`
      const short = language === 'en' ? 'EN' : '中文'
      return html`<a class="language" lang="${language}" hreflang="${language}" href="${href}" aria-label="${name}" data-testid="language-link">${icons.globe}<span>${short}</span></a>`
    })
}

function footer(context: PageContext, content: PageContent): Markup {
  const { t, site } = context
  const { contact } = site
  return html`<footer class="foot" data-testid="footer">
<div class="wrap foot-grid">
<section><p class="brand">${logo}<span>${context.say(site.name)}</span></p><p class="quiet">${context.say(site.about)}</p></section>
<nav aria-label="${t.footer.shop}"><h2>${t.footer.shop}</h2><ul>
<li><a href="${context.link('/products')}">${t.allProducts}</a></li>
${content.categories.slice(0, 5).map(category => html`<li><a href="${context.link(`/category/${category.slug}`)}">${context.say(category.name)}</a></li>`)}
</ul></nav>
<nav aria-label="${t.footer.service}"><h2>${t.footer.service}</h2><ul>
${(['delivery', 'returns', 'payment', 'privacy'] as const).map(topic => html`<li><a href="${context.link('/help')}#${topic}">${t.help[topic]}</a></li>`)}
<li><a href="${context.link('/account')}">${t.accountPages.orders}</a></li>
</ul></nav>
<section><h2>${t.help.contact}</h2><ul>
${contact.phone === undefined ? nothing : html`<li>${contact.phone}</li>`}
${contact.email === undefined ? nothing : html`<li><a href="mailto:${contact.email}">${contact.email}</a></li>`}
${contact.hours === undefined ? nothing : html`<li>${context.say(contact.hours)}</li>`}
${contact.address === undefined ? nothing : html`<li>${context.say(contact.address)}</li>`}
</ul></section>
</div>
<p class="wrap legal">${t.footer.rights(contact.company === undefined ? context.say(site.name) : context.say(contact.company))}</p>
</footer>`
}

/** The mark: a bag with a leaf; it takes the accent colour. */
const logo = trusted(
  '<svg class="logo" viewBox="0 0 32 32" width="32" height="32" aria-hidden="true"><rect width="32" height="32" rx="9" fill="currentColor"/><path d="M16 25c-5.6 0-8.6-3.2-8.6-8.4 5.6-.4 8.6 2.6 8.6 8.4zm0 0c0-7.6 2.9-13.2 8.9-16.2C26.3 17 23.4 25 16 25z" fill="var(--on-accent)"/></svg>',
)
