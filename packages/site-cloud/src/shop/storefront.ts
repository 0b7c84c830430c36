import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Language } from '@aaas/business-cloud/catalogue'
import { CloudError } from '@aaas/core-cloud/kernel'
import { messagePage } from './pages/message-pages.js'
import { json, type Reply, redirect, send, sendShared } from './reply.js'
import { negotiateLanguage, readRequest, type ShopRequest } from './request.js'
import { account, logout, showLogin, submitLogin } from './routes/account-routes.js'
import { allProducts, category, help, home, product, search } from './routes/browse-routes.js'
import { changeCart, showCart } from './routes/cart-routes.js'
import { showCheckout, submitCheckout } from './routes/checkout-routes.js'
import { shopFiles } from './routes/file-routes.js'
import { orderRoutes } from './routes/order-routes.js'
import { keptPage, openShop, type Route, type Shop, type StorefrontOptions, show, type Visit } from './routes/shop.js'
import { type SiteRoutes, siteRoutes } from './routes/site-routes.js'
import { BrowserSession } from './session.js'

export type { StorefrontOptions, StorefrontServices } from './routes/shop.js'

interface RouteEntry {
  readonly get?: Route
  readonly post?: Route
  /** Whether something follows the first segment: a slug, a number, an action. Default no. */
  readonly rest?: boolean
}

/**
 * The pages of a shop, as a handler for `node:http`. Complete without script; every link is built from the base path
 * that the edge names, every answer has a body and a status, and no error of a service reaches the buyer as it is.
 */
export function createStorefront(
  options: StorefrontOptions,
): (request: IncomingMessage, response: ServerResponse) => void {
  const shop = openShop(options, shopFiles(options))
  const routes = routeTable(shop)
  const extras = siteRoutes(shop)
  return (raw, response) => {
    const request = readRequest(raw)
    const session = new BrowserSession(request, shop.ids)
    const kept = keptPage(shop, request, session)
    if (kept !== undefined) {
      sendShared(response, kept, request.method, session.setCookies())
      return
    }
    answer(shop, routes, extras, request, session)
      .then(reply => send(response, reply, request.method, session.setCookies()))
      .catch((error: unknown) => {
        shop.logger.error('a page could not be sent', { error, traceId: request.traceId })
        response.destroy()
      })
  }
}

function routeTable(shop: Shop): ReadonlyMap<string, RouteEntry> {
  const orders = orderRoutes(shop.clock)
  return new Map<string, RouteEntry>([
    ['', { get: home }],
    ['products', { get: allProducts }],
    ['category', { get: category, rest: true }],
    ['product', { get: product, rest: true }],
    ['search', { get: search }],
    ['cart', { get: showCart }],
    ['cart/', { post: changeCart, rest: true }],
    ['checkout', { get: showCheckout, post: submitCheckout }],
    ['order', { ...orders, rest: true }],
    ['login', { get: showLogin('login'), post: submitLogin('login') }],
    ['register', { get: showLogin('register'), post: submitLogin('register') }],
    ['logout', { post: logout }],
    ['account', { get: account }],
    ['help', { get: help }],
  ])
}

async function answer(
  shop: Shop,
  routes: ReadonlyMap<string, RouteEntry>,
  extras: SiteRoutes,
  request: ShopRequest,
  session: BrowserSession,
): Promise<Reply> {
  const language = languageOf(shop, request)
  const visit: Visit = {
    shop,
    request,
    session,
    language: language.language,
    context: shop.context(language.language, request.base),
    rest: '',
  }
  try {
    if (request.method !== 'GET' && request.method !== 'HEAD' && request.method !== 'POST') {
      return message(visit, 405, visit.context.t.errors.badRequestTitle, visit.context.t.errors.badRequestText)
    }
    const reply =
      language.path === undefined ? await besidePages(shop, extras, request) : await run(visit, routes, language.path)
    return reply ?? (await notFound(visit))
  } catch (error) {
    return failed(visit, error)
  }
}

/** The language of the address, and what follows it; without one, what the browser prefers. */
function languageOf(
  shop: Shop,
  request: ShopRequest,
): { readonly language: Language; readonly path: string | undefined } {
  const end = request.path.indexOf('/', 1)
  const first = end === -1 ? request.path.slice(1) : request.path.slice(1, end)
  const language = shop.site.languages.find(known => known === first)
  if (language !== undefined) return { language, path: end === -1 ? '' : request.path.slice(end) }
  const { languages, defaultLanguage } = shop.site
  return {
    language: negotiateLanguage(request.raw.headers['accept-language'], languages, defaultLanguage),
    path: undefined,
  }
}

async function besidePages(shop: Shop, extras: SiteRoutes, request: ShopRequest): Promise<Reply | undefined> {
  if (request.method === 'POST') return undefined
  if (request.path === '/') {
    const { languages, defaultLanguage } = shop.site
    const language = negotiateLanguage(request.raw.headers['accept-language'], languages, defaultLanguage)
    return redirect(`${request.base}/${language}/`, 302, {
      vary: 'accept-language',
      'cache-control': 'private, no-cache',
    })
  }
  if (request.path.startsWith('/assets/')) {
    const encoding = request.raw.headers['accept-encoding']
    return shop.files.serve(request.path, request.query.has('v'), typeof encoding === 'string' ? encoding : undefined)
  }
  return extras.serve(request)
}

/** @param path - below the language: empty, or starting with `/`. */
async function run(visit: Visit, routes: ReadonlyMap<string, RouteEntry>, path: string): Promise<Reply | undefined> {
  if (path === '') return redirect(visit.context.link('/'), 301)
  const slash = path.indexOf('/', 1)
  const name = slash === -1 ? path.slice(1) : path.slice(1, slash)
  const rest = slash === -1 ? '' : path.slice(slash + 1)
  const post = visit.request.method === 'POST'
  const entry = (rest === '' ? undefined : routes.get(`${name}/`)) ?? routes.get(name)
  const route = post ? entry?.post : entry?.get
  if (route === undefined || (entry?.rest === true) !== (rest !== '')) return undefined
  return route({ ...visit, rest })
}

async function notFound(visit: Visit): Promise<Reply> {
  const { errors } = visit.context.t
  return message(visit, 404, errors.notFoundTitle, errors.notFoundText)
}

/** What a buyer sees of an error: friendly words and a reference to the log, never the error itself. */
async function failed(visit: Visit, cause: unknown): Promise<Reply> {
  const error = CloudError.from(cause)
  const { errors } = visit.context.t
  const { status } = error
  if (visit.request.wantsJson) {
    logFailure(visit, error)
    return json(
      {
        ok: false,
        message: status === 403 ? errors.forgedText : status < 500 ? errors.badRequestText : errors.failedText,
      },
      status,
    )
  }
  if (error.code === 'site.shop.forged-form') return message(visit, 403, errors.forgedTitle, errors.forgedText)
  if (status === 404) return notFound(visit)
  logFailure(visit, error)
  if (status === 413) return message(visit, 413, errors.badRequestTitle, errors.badRequestText, { connection: 'close' })
  if (status === 429 || error.retryable)
    return message(visit, 503, errors.busyTitle, errors.busyText, { 'retry-after': '5' })
  if (status < 500) return message(visit, 400, errors.badRequestTitle, errors.badRequestText)
  return message(visit, 500, errors.failedTitle, errors.failedText)
}

function logFailure(visit: Visit, error: CloudError): void {
  const { method, path, traceId } = visit.request
  const level = error.status >= 500 ? 'error' : 'info'
  visit.shop.logger[level]('a request failed', {
    method,
    path,
    code: error.code,
    error,
    ...(traceId === undefined ? {} : { traceId }),
  })
}

async function message(
  visit: Visit,
  status: number,
  title: string,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  // The page that says that something failed must not fail for the same reason.
  const categories = await visit.shop.categories().catch(() => [])
  const reference = status >= 500 ? visit.request.traceId : undefined
  const reply = show(
    visit,
    messagePage(visit.context, { categories, title, text, path: '/', reference }),
    'private',
    status,
  )
  return { ...reply, headers: { ...reply.headers, ...headers } }
}
