import type { ProductSort } from '@aaas/business-cloud/catalogue'
import { CloudError } from '@aaas/core-cloud/kernel'
import { nothing } from '../html.js'
import type { PageRecipe } from '../page-cache.js'
import { homePage } from '../pages/home-page.js'
import { listPage, maxPage, pageSize, searchPage } from '../pages/list-page.js'
import { helpPage } from '../pages/message-pages.js'
import { namedNotice } from '../pages/parts.js'
import { chooseSku, type ProductContent, productPage } from '../pages/product-page.js'
import { type Reply, redirect } from '../reply.js'
import { fewUnits, looksSame, mostUnits } from '../shown.js'
import { type Route, show, showShared, type Visit } from './shop.js'

const slugPattern = /^[a-z0-9]+(-[a-z0-9]+)*$/
const skuPattern = /^[A-Za-z0-9._-]{1,64}$/
const sorts = new Set<string>(['relevance', 'newest', 'price-ascending', 'price-descending'])

export const home: Route = visit => {
  const { shop, context, language } = visit
  return showShared(visit, '/', '', {
    async load() {
      const [categories, tiles, featured, newest, views] = await Promise.all([
        shop.categories(),
        shop.tiles(),
        shop.featured(),
        shop.services.catalogue.listProducts({ sort: 'newest', limit: 8 }),
        shop.viewsOf('home', { language }),
      ])
      return { categories, tiles, featured, newest: newest.products, views }
    },
    same: sameList,
    steady: ({ views }) => views.length === 0,
    render: content => homePage(context, content),
  })
}

export const help: Route = visit =>
  showShared(visit, '/help', '', {
    load: () => visit.shop.categories(),
    same: sameList,
    render: categories => helpPage(visit.context, categories),
  })

/** Lists and cards tell units apart up to the few that they count, and one more. */
const sameList = <T>(a: T, b: T): boolean => looksSame(a, b, fewUnits + 1)

export const allProducts: Route = visit => list(visit, undefined)

export const category: Route = async visit => {
  if (!slugPattern.test(visit.rest)) throw missing()
  return list(visit, visit.rest)
}

function list(visit: Visit, slug: string | undefined): Promise<Reply> {
  const { shop, context } = visit
  const sort = sortOf(visit)
  const page = pageOf(visit)
  const path = slug === undefined ? '/products' : `/category/${slug}`
  return showShared(visit, path, sort === 'relevance' && page === 1 ? '' : `${sort} ${page}`, {
    async load() {
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
      return { categories, ...(found === undefined ? {} : { category: found }), sort, page, total, products }
    },
    same: sameList,
    steady: () => true,
    render: content => listPage(context, content),
  })
}

export const product: Route = async visit => {
  const slug = visit.rest
  if (!slugPattern.test(slug) || slug.length > 100) throw missing()
  const asked = visit.request.query.get('sku')
  const notice = visit.request.query.get('notice')
  if (asked !== null && !skuPattern.test(asked)) throw missing()
  const recipe = productRecipe(visit, slug, asked)
  if (notice !== null) {
    return show(
      visit,
      productPage(visit.context, { ...(await recipe.load()), notice: namedNotice(visit.context, notice) }),
    )
  }
  try {
    return await showShared(visit, `/product/${slug}`, asked ?? '', recipe)
  } catch (error) {
    // A SKU that the product no longer has: its address leads to the product, and is never kept as a page.
    if (error instanceof NoSuchSku) return redirect(visit.context.link(`/product/${slug}`), 302)
    throw error
  }
}

class NoSuchSku extends Error {}

function productRecipe(visit: Visit, slug: string, asked: string | null): PageRecipe<ProductContent> {
  const { shop, context, language } = visit
  return {
    async load() {
      const { catalogue } = shop.services
      const [product, categories] = await Promise.all([catalogue.getProduct({ slug }), shop.categories()])
      const sku = chooseSku(product, asked)
      if (sku === undefined) throw missing()
      if (asked !== null && sku.sku !== asked) throw new NoSuchSku()
      const count = categories.find(entry => entry.slug === product.category)?.products ?? 0
      const [related, views] = await Promise.all([
        catalogue.listProducts({ category: product.category, offset: relatedOffset(slug, count), limit: 5 }),
        shop.viewsOf('product', { language, slug }),
      ])
      const others = related.products.filter(other => other.slug !== slug).slice(0, 4)
      return { product, sku, categories, related: others, views, notice: nothing }
    },
    same: ({ related, ...a }, { related: alsoRelated, ...b }) =>
      sameList(related, alsoRelated) && looksSame(a, b, mostUnits),
    steady: ({ views }) => views.length === 0,
    render: content => productPage(context, content),
  }
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
