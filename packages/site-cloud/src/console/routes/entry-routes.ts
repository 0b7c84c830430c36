import { CloudError } from '@aaas/core-cloud/kernel'
import type { Hono } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { checkToken, formOf, languageCookie, overTls, safeNext, sessionCookie } from '../console-http.js'
import type { ConsoleParts, Env } from '../console-parts.js'
import { loginPage } from '../pages/entry-pages.js'
import { languages } from '../texts/texts.js'

const sessionSeconds = 12 * 3600
const yearSeconds = 365 * 86_400

/** What needs no session: login, logout, language. */
export function entryRoutes(app: Hono<Env>, { users, view, audit, logger }: ConsoleParts): void {
  app.get('/login', async c => {
    const next = safeNext(c.req.query('next'))
    const token = getCookie(c, sessionCookie)
    if (token !== undefined && (await users.session(token)) !== undefined) return c.redirect(next, 303)
    return c.html(loginPage(view(c), { next }))
  })
  app.post('/login', async c => {
    const form = await formOf(c)
    const next = safeNext(form.get('next') ?? undefined)
    const name = form.get('name') ?? ''
    try {
      const { token } = await users.login(name, form.get('password') ?? '')
      setCookie(c, sessionCookie, token, {
        httpOnly: true,
        sameSite: 'Strict',
        path: '/',
        maxAge: sessionSeconds,
        secure: overTls(c),
      })
    } catch (error) {
      if (!CloudError.is(error) || error.status >= 500) throw error
      logger.warn('a login failed', { user: name.slice(0, 64), code: error.code })
      if (error.retryable)
        c.header('retry-after', String(Math.ceil(Number(error.details?.retryAfterMs ?? 1_000) / 1_000)))
      return c.html(loginPage(view(c), { next, problem: error.message, name: name.slice(0, 64) }), error.status as 401)
    }
    await audit({ actor: name, action: 'console.login', site: '', detail: '' })
    return c.redirect(next, 303)
  })
  app.post('/logout', async c => {
    const token = getCookie(c, sessionCookie)
    const session = token === undefined ? undefined : await users.session(token)
    if (token !== undefined && session !== undefined) {
      checkToken(session, await formOf(c))
      await users.logout(token)
    }
    deleteCookie(c, sessionCookie, { path: '/' })
    return c.redirect('/login', 303)
  })
  // A link, not a form: all it changes is which words this browser sees.
  app.get('/language/:language', c => {
    const language = languages.find(one => one === c.req.param('language'))
    if (language !== undefined)
      setCookie(c, languageCookie, language, { httpOnly: true, sameSite: 'Lax', path: '/', maxAge: yearSeconds })
    return c.redirect(safeNext(c.req.query('next')), 303)
  })
}
