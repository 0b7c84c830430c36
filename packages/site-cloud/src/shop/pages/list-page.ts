import type { Category, ProductSort, ProductSummary } from '@aaas/business-cloud/catalogue'
import { html, jsonScript, type Markup, nothing } from '../html.js'
import { holes } from '../page-cache.js'
import { type PageContext, queryText } from '../page-context.js'
import { layout } from './layout.js'
import { breadcrumbList, breadcrumbs, notice, productGrid, selected } from './parts.js'

export const pageSize = 24
/** The catalogue answers up to offset 10,000. */
export const maxPage = Math.floor(10_000 / pageSize)

interface ListState {
  readonly sort: ProductSort
  /** From 1. */
  readonly page: number
  readonly brand?: string
}

export interface ListContent extends ListState {
  readonly categories: readonly Category[]
  /** Absent: all products. */
  readonly category?: Category
  readonly total: number
  readonly products: readonly ProductSummary[]
}

export function listPage(context: PageContext, content: ListContent): Markup {
  const { t } = context
  const path = content.category === undefined ? '/products' : `/category/${content.category.slug}`
  const name = content.category === undefined ? t.allProducts : context.say(content.category.name)
  const crumbs = [{ name }]
  const query = {
    sort: content.sort === 'relevance' ? undefined : content.sort,
    page: content.page > 1 ? content.page : undefined,
  }
  return layout(context, {
    title: content.page > 1 ? `${name} · ${t.list.page(content.page, pagesOf(content.total))}` : name,
    description: `${name} · ${t.products(content.total)} · ${context.say(context.site.tagline)}`,
    path,
    query,
    categories: content.categories,
    ...(content.category === undefined ? {} : { category: content.category.slug }),
    head: jsonScript(breadcrumbList(context, crumbs, path), holes.originText),
    body: html`<div class="wrap">${breadcrumbs(context, crumbs)}
<div class="list-head"><div><h1>${name}</h1><p class="quiet" data-testid="total">${t.products(content.total)}</p></div>
${sortForm(context, context.link(path), content, ['relevance', 'newest', 'price-ascending', 'price-descending'], [])}</div>
${content.products.length === 0 ? html`<p class="empty">${t.list.empty}</p>` : productGrid(context, content.products, 'products', 4)}
${pager(context, path, { sort: query.sort }, content.page, content.total)}</div>`,
  })
}

export interface SearchContent extends ListState {
  readonly categories: readonly Category[]
  readonly text: string
  readonly total: number
  readonly products: readonly ProductSummary[]
  readonly brands: readonly { readonly brand: string; readonly count: number }[]
  /** Shown when nothing was found. */
  readonly suggestions: readonly ProductSummary[]
  readonly problem?: string
}

export function searchPage(context: PageContext, content: SearchContent): Markup {
  const { t } = context
  const title =
    content.text === ''
      ? t.list.searchTitle
      : content.total === 0
        ? t.list.none(content.text)
        : t.list.results(content.text)
  return layout(context, {
    title,
    path: '/search',
    query: { q: content.text, brand: content.brand },
    hidden: true,
    searchText: content.text,
    categories: content.categories,
    body: html`<div class="wrap">${breadcrumbs(context, [{ name: t.list.searchTitle }])}
<div class="list-head"><div><h1 data-testid="search-title">${title}</h1>${
      content.total === 0 ? nothing : html`<p class="quiet" data-testid="total">${t.products(content.total)}</p>`
    }</div>
${content.total === 0 ? nothing : sortForm(context, context.link('/search'), content, ['relevance', 'price-ascending', 'price-descending', 'newest'], content.brands)}</div>
${content.problem === undefined ? nothing : notice(content.problem, 'warn')}
${content.total === 0 ? nothingFound(context, content) : productGrid(context, content.products, 'products', 4)}
${pager(context, '/search', { q: content.text, brand: content.brand, sort: content.sort === 'relevance' ? undefined : content.sort }, content.page, content.total)}</div>`,
  })
}

function nothingFound(context: PageContext, content: SearchContent): Markup {
  const { t } = context
  return html`<div class="empty" data-testid="search-help">${
    content.text === ''
      ? html`<p>${t.list.searchIntro}</p>`
      : html`<ul>${t.list.help.map(line => html`<li>${line}</li>`)}</ul>`
  }
<p class="chips">${content.categories.map(category => html`<a class="chip" href="${context.link(`/category/${category.slug}`)}">${context.say(category.name)}</a>`)}</p></div>
${content.suggestions.length === 0 ? nothing : html`<h2>${t.sections.featured}</h2>${productGrid(context, content.suggestions, 'suggestions')}`}`
}

function sortForm(
  context: PageContext,
  action: string,
  state: ListState & { readonly text?: string },
  sorts: readonly ProductSort[],
  brands: readonly { readonly brand: string; readonly count: number }[],
): Markup {
  const { t } = context
  return html`<form class="sort" action="${action}" method="get" data-auto-submit data-testid="sort-form">
${state.text === undefined ? nothing : html`<input type="hidden" name="q" value="${state.text}">`}
${
  brands.length < 2 && state.brand === undefined
    ? nothing
    : html`<label><span>${t.list.brand}</span><select name="brand"><option value="">${t.list.anyBrand}</option>${brandOptions(brands, state.brand)}</select></label>`
}
<label><span>${t.list.sort}</span><select name="sort">${sorts.map(
    sort => html`<option value="${sort}"${selected(sort === state.sort)}>${t.list.sorts[sort]}</option>`,
  )}</select></label>
<button class="button small quiet-button">${t.list.apply}</button></form>`
}

function brandOptions(
  brands: readonly { readonly brand: string; readonly count: number }[],
  chosen: string | undefined,
): Markup[] {
  const known = brands.some(entry => entry.brand === chosen)
  const extra = chosen === undefined || known ? [] : [html`<option value="${chosen}" selected>${chosen}</option>`]
  return [
    ...extra,
    ...brands.map(
      ({ brand, count }) => html`<option value="${brand}"${selected(brand === chosen)}>${brand} (${count})</option>`,
    ),
  ]
}

function pagesOf(total: number): number {
  return Math.max(1, Math.min(maxPage, Math.ceil(total / pageSize)))
}

function pager(
  context: PageContext,
  path: string,
  query: Readonly<Record<string, string | undefined>>,
  page: number,
  total: number,
): Markup {
  const pages = pagesOf(total)
  if (pages === 1) return nothing
  const { t } = context
  const to = (target: number): string =>
    context.link(path) + queryText({ ...query, page: target > 1 ? target : undefined })
  const numbers = [...new Set([1, page - 1, page, page + 1, pages])].filter(number => number >= 1 && number <= pages)
  return html`<nav class="pager" aria-label="${t.list.page(page, pages)}" data-testid="pager">
${page > 1 ? html`<a rel="prev" href="${to(page - 1)}">${t.list.previous}</a>` : nothing}
<ol>${numbers.map((number, index) => {
    const gap = index > 0 && number - (numbers[index - 1] ?? 0) > 1 ? html`<li aria-hidden="true">…</li>` : nothing
    return html`${gap}<li>${number === page ? html`<b aria-current="page">${number}</b>` : html`<a href="${to(number)}">${number}</a>`}</li>`
  })}</ol>
${page < pages ? html`<a rel="next" href="${to(page + 1)}">${t.list.next}</a>` : nothing}</nav>`
}
