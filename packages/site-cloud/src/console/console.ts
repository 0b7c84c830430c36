import type { Handlers } from '@aaas/core-cloud/contract'
import { type CallContext, type Clock, CloudError, type Ids, type Logger } from '@aaas/core-cloud/kernel'
import type { Database } from '@aaas/support-cloud/rdbms'
import { type Context, Hono } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import type { siteCenterContract } from '../site-center/site-center-contract.js'
import { actions } from './console-actions.js'
import { assetRoutes } from './console-assets.js'
import { type ConsoleSession, ConsoleUsers } from './console-users.js'
import { errorPage, loginPage } from './pages/entry-pages.js'
import { overviewPage } from './pages/overview-page.js'
import { packagesPage } from './pages/packages-page.js'
import { sitePage } from './pages/site-page.js'
import { page } from './layout.js'

/** Cookies of this name never reach a site: the edge takes them out. */
const cookieName = 'aaas_console_session'
const maxFormBytes = 64 * 1024

export interface ConsoleOptions {
  readonly database: Database
  readonly center: Handlers<typeof siteCenterContract>
  /** Password of the user `admin`, made at the first start. */
  readonly adminPassword: string
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
}

type Env = { Variables: { session: ConsoleSession } }

/**
 * The operators' console: server-rendered pages that work without JavaScript, live charts with it.
 * Every change is a POST with the session's form token; what a role may not do is refused by the site centre's scopes.
 */
export async function createConsole(options: ConsoleOptions): Promise<{ fetch(request: Request): Promise<Response> }> {
  const users = new ConsoleUsers(options)
  await users.ensure('admin', 'admin', options.adminPassword)
  const app = new Hono<Env>()
  app.use('*', async (c, next) => {
    await next()
    for (const [name, value] of Object.entries(securityHeaders)) c.res.headers.set(name, value)
  })
  assetRoutes(app)
  entryRoutes(app, users)
  app.use('*', async (c, next) => {
    const token = getCookie(c, cookieName)
    const session = token === undefined ? undefined : await users.session(token)
    if (session === undefined) return c.redirect(`/login?next=${encodeURIComponent(pathOf(c))}`, 303)
    c.set('session', session)
    return next()
  })
  pageRoutes(app, options)
  app.notFound(c => c.html(errorPage(404, 'There is no such page.').text, 404))
  app.onError((error, c) => {
    const cloud = CloudError.from(error)
    if (cloud.status >= 500) options.logger.error('console request failed', { error, path: c.req.path })
    const text = cloud.code === 'core.kernel.internal' ? 'Something failed; the log of control has the cause.' : cloud.message
    return c.html(errorPage(cloud.status, text, cloud.code).text, cloud.status as 500)
  })
  return { fetch: async request => app.fetch(request) }
}

const securityHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin',
  'cache-control': 'no-store',
}

function entryRoutes(app: Hono<Env>, users: ConsoleUsers): void {
  app.get('/login', c => c.html(loginPage({ next: safeNext(c.req.query('next')) }).text))
  app.post('/login', async c => {
    const form = await formOf(c)
    const next = safeNext(form.get('next') ?? undefined)
    try {
      const { token } = await users.login(form.get('name') ?? '', form.get('password') ?? '')
      setCookie(c, cookieName, token, { httpOnly: true, sameSite: 'Strict', path: '/', maxAge: 12 * 3600 })
      return c.redirect(next, 303)
    } catch (error) {
      if (!CloudError.is(error)) throw error
      return c.html(loginPage({ next, problem: error.message, name: form.get('name') ?? '' }).text, error.status as 401)
    }
  })
  app.post('/logout', async c => {
    const token = getCookie(c, cookieName)
    const session = token === undefined ? undefined : await users.session(token)
    if (token !== undefined && session !== undefined) {
      checkToken(session, (await formOf(c)).get('csrf'))
      await users.logout(token)
    }
    deleteCookie(c, cookieName, { path: '/' })
    return c.redirect('/login', 303)
  })
}

function pageRoutes(app: Hono<Env>, options: ConsoleOptions): void {
  const { center } = options
  const call = (c: Context<Env>): CallContext => callContext(options, c.get('session'), c.req.raw.signal)
  app.get('/', async c => {
    requireScope(c.get('session'), 'site.read')
    return c.html(page(c.get('session'), 'Overview', await overviewPage(center, call(c))).text)
  })
  app.get('/packages', async c => c.html(page(c.get('session'), 'Packages', await packagesPage(center, call(c))).text))
  app.get('/sites/:site', async c => {
    const session = c.get('session')
    const query = Object.fromEntries(new URL(c.req.url).searchParams)
    const content = await sitePage({ center, context: call(c), session, site: c.req.param('site'), query })
    return c.html(page(session, c.req.param('site'), content).text)
  })
  app.get('/data/metrics.json', async c => {
    const since = Number(c.req.query('since') ?? 0)
    return c.json(await center.metrics(Number.isSafeInteger(since) ? { since } : {}, call(c)))
  })
  app.post('/sites/:site/:action', async c => {
    const session = c.get('session')
    const form = await formOf(c)
    checkToken(session, form.get('csrf'))
    const action = actions[c.req.param('action')]
    if (action === undefined) throw new CloudError('core.contract.unknown-method', 'no such action')
    requireScope(session, action.scope)
    const site = c.req.param('site')
    await action.run({ center, context: call(c), site, form, ids: options.ids })
    return c.redirect(`/sites/${encodeURIComponent(site)}${action.tab === '' ? '' : `?tab=${action.tab}`}`, 303)
  })
}

function callContext(options: ConsoleOptions, session: ConsoleSession, signal: AbortSignal): CallContext {
  return {
    traceId: options.ids.token(16),
    actor: session.actor,
    deadline: options.clock.now() + 15_000,
    idempotencyKey: options.ids.uuid(),
    signal,
  }
}

function requireScope(session: ConsoleSession, scope: string): void {
  const { scopes } = session.actor
  if (scopes.includes('*') || scopes.includes(scope)) return
  throw new CloudError('core.contract.forbidden', `your role (${session.role}) may not do this`, { details: { scope } })
}

function checkToken(session: ConsoleSession, token: string | null): void {
  if (token !== session.csrf) throw new CloudError('site.console.csrf', 'the form is stale: go back, reload and try again')
}

/** Reads a form; a request from another site's page is refused before anything is read. */
async function formOf(c: Context): Promise<URLSearchParams> {
  const origin = c.req.header('origin')
  if (origin !== undefined && origin !== 'null' && new URL(origin).host !== c.req.header('host')) {
    throw new CloudError('site.console.csrf', 'the form came from another site')
  }
  if (Number(c.req.header('content-length') ?? 0) > maxFormBytes) {
    throw new CloudError('core.contract.payload-too-large', `a form may have ${maxFormBytes} bytes`)
  }
  return new URLSearchParams(await c.req.text())
}

function pathOf(c: Context): string {
  const url = new URL(c.req.url)
  return url.pathname + url.search
}

/** Only a path of this console; anything else goes home. */
function safeNext(next: string | undefined): string {
  return next !== undefined && /^\/(?![/\\])[^\s\\]*$/.test(next) ? next : '/'
}

