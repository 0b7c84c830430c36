import { type CallOptions, CloudError } from '@aaas/core-cloud/kernel'
import { type Context, Hono } from 'hono'
import { getCookie } from 'hono/cookie'
import { checkedCenter } from './checked-center.js'
import { assetRoutes } from './console-assets.js'
import { languageCookie, pathOf, securityHeaders, sessionCookie } from './console-http.js'
import type { ConsoleOptions, ConsoleParts, Env } from './console-parts.js'
import { ConsoleUsers } from './console-users.js'
import { Flashes } from './flashes.js'
import { errorPage } from './pages/entry-pages.js'
import { entryRoutes } from './routes/entry-routes.js'
import { siteRoutes } from './routes/site-routes.js'
import { userRoutes } from './routes/user-routes.js'
import { languageOf, texts } from './texts/texts.js'
import type { SignedView, View } from './view.js'

const callMs = 15_000

/**
 * The operators' console: server-rendered pages that work without JavaScript, live charts with it, in English and Chinese.
 * Every change is a POST with the session's form token. What a role may not do is left out of the pages and refused by
 * the scopes of the site centre's contract, through which every call goes.
 */
export async function createConsole(options: ConsoleOptions): Promise<{ fetch(request: Request): Promise<Response> }> {
  const parts = await partsOf(options)
  const app = new Hono<Env>()
  app.use('*', async (c, next) => {
    await next()
    for (const [name, value] of Object.entries(securityHeaders)) c.res.headers.set(name, value)
    // Pages hold form tokens and business data; assets say themselves that they may be kept.
    if (!c.res.headers.has('cache-control')) c.res.headers.set('cache-control', 'no-store')
  })
  assetRoutes(app)
  entryRoutes(app, parts)
  app.use('*', async (c, next) => {
    const token = getCookie(c, sessionCookie)
    const session = token === undefined ? undefined : await parts.users.session(token)
    if (session === undefined)
      return c.redirect(`/login?next=${encodeURIComponent(c.req.method === 'GET' ? pathOf(c) : '/')}`, 303)
    c.set('session', session)
    return next()
  })
  siteRoutes(app, parts)
  userRoutes(app, parts)
  app.notFound(c => c.html(errorPage(parts.view(c), { status: 404, text: parts.view(c).texts.noPage }), 404))
  app.onError((error, c) => failed(error, c, parts))
  return { fetch: async request => app.fetch(request) }
}

async function partsOf(options: ConsoleOptions): Promise<ConsoleParts> {
  const { clock, ids, logger } = options
  const users = new ConsoleUsers(options)
  await users.ensureAdmin(options.adminPassword)
  const center = checkedCenter(options)
  const flashes = new Flashes({ clock })
  const view = (c: Context<Env>): View => {
    const language = languageOf(getCookie(c, languageCookie), c.req.header('accept-language'))
    return { texts: texts[language], language, path: c.req.method === 'GET' ? pathOf(c) : '/' }
  }
  const call = (c: Context<Env>): CallOptions => ({
    actor: c.get('session').actor,
    deadline: clock.now() + callMs,
    idempotencyKey: ids.uuid(),
    signal: c.req.raw.signal,
  })
  const signedView = (c: Context<Env>): SignedView => {
    const session = c.get('session')
    // The script reloads parts of a page; that must not take the message of the next page a person opens.
    const flash = c.req.header('x-console-refresh') === undefined ? flashes.take(session.csrf) : undefined
    const query = Object.fromEntries(new URL(c.req.url).searchParams)
    return { ...view(c), session, center, call: call(c), query, ...(flash === undefined ? {} : { flash }) }
  }
  return { users, center, flashes, ids, logger, audit: options.audit, view, signedView, call }
}

function failed(error: unknown, c: Context<Env>, { view, logger }: ConsoleParts): Response | Promise<Response> {
  const cloud = CloudError.from(error)
  if (cloud.status >= 500) logger.error('console request failed', { error, path: c.req.path })
  const page = view(c)
  const text = cloud.code === 'core.kernel.internal' ? page.texts.internal : cloud.message
  const { code, status, field } = cloud
  if (cloud.retryable) c.header('retry-after', String(Math.ceil(Number(cloud.details?.retryAfterMs ?? 1_000) / 1_000)))
  return c.html(errorPage(page, { status, text, code, ...(field === undefined ? {} : { field }) }), status as 500)
}
