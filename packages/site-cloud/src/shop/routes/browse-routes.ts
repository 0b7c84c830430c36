import type { ProductSort } from '@aaas/business-cloud/catalogue'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { Markup } from '../html.js'
import { homePage } from '../pages/home-page.js'
import { listPage, maxPage, pageSize, searchPage } from '../pages/list-page.js'
import { helpPage } from '../pages/message-pages.js'
import { namedNotice } from '../pages/parts.js'
import { chooseSku, productPage } from '../pages/product-page.js'
import { type Reply, redirect } from '../reply.js'
import { type Route, show, showShared, type Visit } from './shop.js'

const slugPattern = /^[a-z0-9]+(-[a-z0-9]+)*$/
const skuPattern = /^[A-Za-z0-9._-]{1,64}$/
const sorts = new Set<string>(['relevance', 'newest', 'price-ascending', 'price-descending'])

export const home: Route = visit =>
  showShared(visit, '/', async () => {
    const { shop, context, language } = visit
    const [categories, tiles, featured, newest, views] = await Promise.all([
      shop.categories(),
      shop.tiles(),
      shop.featured(),
      shop.services.catalogue.listProducts({ sort: 'newest', limit: 8 }),
      shop.viewsOf('home', { language }),
    ])
    return homePage(context, { categories, tiles, featured, newest: newest.products, views })
  })

export const help: Route = visit =>
  showShared(visit, '/help', async () => helpPage(visit.context, await visit.shop.categories()))

export const allProducts: Route = visit => list(visit, undefined)

export const category: Route = async visit => {
  if (!slugPattern.test(visit.rest)) throw missing()
  return list(visit, visit.rest)
}

function list(visit: Visit, slug: string | undefined): Promise<Reply> {
  const sort = sortOf(visit)
  const page = pageOf(visit)
  return showShared(visit, `/category/${slug ?? ''} ${sort} ${page}`, async () => {
    const { shop, context } = visit
    const categories = await shop.categories()
    const found = categories.find(entry => entry.slug === slug)
    if (slug !== undefined && found === undefined) throw missing()
    const { total, products } = await shop.services.catalogue.listProducts({
      ...(slug === undefined ? {} : { category: slug }),
      sort,
      offset: (page - 1) * pageSize,
      limit: pageSize,
    })
    if (products.length === 0 && page > 1) throw missing()
    return listPage(context, {
      categories,
      ...(found === undefined ? {} : { category: found }),
      sort,
      page,
      total,
      products,
    })
  })
}

export const product: Route = async visit => {
  const slug = visit.rest
  if (!slugPattern.test(slug) || slug.length > 100) throw missing()
  const asked = visit.request.query.get('sku')
  const notice = visit.request.query.get('notice')
  if (asked !== null && !skuPattern.test(asked)) throw missing()
  if (notice !== null) return show(visit, await renderProduct(visit, slug, asked))
  try {
    return await showShared(visit, `/product/${slug} ${asked ?? ''}`, () => renderProduct(visit, slug, asked))
  } catch (error) {
    // A SKU that the product no longer has: its address leads to the product, and is never kept as a page.
    if (error instanceof NoSuchSku) return redirect(visit.context.link(`/product/${slug}`), 302)
    throw error
  }
}

class NoSuchSku extends Error {}

async function renderProduct(visit: Visit, slug: string, asked: string | null): Promise<Markup> {
  const { shop, context, language } = visit
  const [product, categories] = await Promise.all([shop.services.catalogue.getProduct({ slug }), shop.categories()])
  const sku = chooseSku(product, asked)
  if (sku === undefined) throw missing()
  if (asked !== null && sku.sku !== asked) throw new NoSuchSku()
  const count = categories.find(entry => entry.slug === product.category)?.products ?? 0
  const [related, views] = await Promise.all([
    shop.services.catalogue.listProducts({ category: product.category, offset: relatedOffset(slug, count), limit: 5 }),
    shop.viewsOf('product', { language, slug }),
  ])
  return productPage(context, {
    product,
    sku,
    categories,
    related: related.products.filter(other => other.slug !== slug).slice(0, 4),
    views,
    notice: namedNotice(context, visit.request.query.get('notice')),
  })
}

/** Spreads products over a few windows of their category: neighbours differ, and the windows stay in the cache. */
function relatedOffset(slug: string, count: number): number {
  const windows = 8
  let hash = 0
  for (let index = 0; index < slug.length; index++) hash = (hash * 31 + slug.charCodeAt(index)) >>> 0
  return Math.min(10_000, (hash % windows) * Math.floor(Math.max(0, count - 5) / windows))
}

export const search: Route = async visit => {
  const { shop, context } = visit
  const { query } = visit.request
  const text = (query.get('q') ?? '').replace(/\s+/g, ' ').trim()
  const brand = (query.get('brand') ?? '').trim().slice(0, 100)
  const state = { sort: sortOf(visit), page: pageOf(visit), ...(brand === '' ? {} : { brand }) }
  const categories = await shop.categories()
  const tooLong = text.length > 200
  if (text === '' || tooLong)
    return show(visit, searchPage(context, await nothingToSearch(visit, tooLong, state, categories)))
  const found = await shop.services.catalogue
    .search({
      text,
      ...(brand === '' ? {} : { brand }),
      sort: state.sort,
      offset: (state.page - 1) * pageSize,
      limit: pageSize,
    })
    .catch((error: unknown) => {
      // Text of which nothing is left to look for is a search without results, not a mistake.
      if (CloudError.is(error, 'support.search.invalid-query')) return { total: 0, products: [], brands: [] }
      throw error
    })
  const suggestions = found.total === 0 ? (await shop.featured()).slice(0, 4) : []
  return show(visit, searchPage(context, { ...state, ...found, categories, text, suggestions }))
}

async function nothingToSearch(
  visit: Visit,
  tooLong: boolean,
  state: { readonly sort: ProductSort; readonly page: number },
  categories: Parameters<typeof searchPage>[1]['categories'],
): Promise<Parameters<typeof searchPage>[1]> {
  return {
    ...state,
    categories,
    text: '',
    total: 0,
    products: [],
    brands: [],
    suggestions: (await visit.shop.featured()).slice(0, 4),
    ...(tooLong ? { problem: visit.context.t.list.tooLong } : {}),
  }
}

function sortOf(visit: Visit): ProductSort {
  const sort = visit.request.query.get('sort')
  return sort !== null && sorts.has(sort) ? (sort as ProductSort) : 'relevance'
}

function pageOf(visit: Visit): number {
  const text = visit.request.query.get('page')
  if (text === null) return 1
  if (!/^[1-9]\d{0,3}$/.test(text) || Number(text) > maxPage) throw missing()
  return Number(text)
}

function missing(): CloudError {
  return new CloudError('business.catalogue.unknown-product', 'no such page')
}
