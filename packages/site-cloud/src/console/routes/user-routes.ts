import { CloudError } from '@aaas/core-cloud/kernel'
import { type Context, Hono } from 'hono'
import { getCookie } from 'hono/cookie'
import { checkToken, formOf, requireScope, sessionCookie } from '../console-http.js'
import type { ConsoleParts, Env } from '../console-parts.js'
import { page } from '../layout.js'
import { accountPage, usersPage } from '../pages/users-page.js'

/** Users, for administrators; one's own password, for everybody. */
export function userRoutes(app: Hono<Env>, parts: ConsoleParts): void {
  app.route('/users', administration(parts))
  app.get('/account', c => {
    const view = parts.signedView(c)
    return c.html(page(view, view.texts.account, accountPage(view)))
  })
  app.post('/account/password', async c => {
    const { user, csrf } = c.get('session')
    const form = await formOf(c)
    checkToken(c.get('session'), form)
    const [password, repeat] = [form.get('password') ?? '', form.get('repeat') ?? '']
    if (password !== repeat)
      throw new CloudError('core.contract.invalid-input', 'the new passwords differ', { field: 'repeat' })
    await parts.users.changePassword(user, form.get('old') ?? '', password, getCookie(c, sessionCookie) ?? '')
    await parts.audit({ actor: user, action: 'user.password', site: '', detail: user })
    parts.flashes.put(csrf, { text: parts.view(c).texts.done.passwordChanged })
    return c.redirect('/account', 303)
  })
}

function administration(parts: ConsoleParts): Hono<Env> {
  const { users, flashes, audit } = parts
  const app = new Hono<Env>()
  app.use('*', async (c, next) => {
    requireScope(c.get('session'), '*')
    await next()
  })
  app.get('/', async c => {
    const view = parts.signedView(c)
    return c.html(page(view, view.texts.users, usersPage(view, await users.list())))
  })
  const change = (
    path: string,
    work: (
      form: URLSearchParams,
      name: string,
      c: Context<Env>,
    ) => Promise<{ readonly text: string; readonly secret?: string; readonly detail: string }>,
  ): void => {
    app.post(`/${path}`, async c => {
      const { user, csrf } = c.get('session')
      const form = await formOf(c)
      checkToken(c.get('session'), form)
      const { detail, ...flash } = await work(form, form.get('name') ?? '', c)
      await audit({ actor: user, action: `user.${path}`, site: '', detail })
      flashes.put(csrf, flash)
      return c.redirect('/users', 303)
    })
  }
  change('create', async (form, name, c) => {
    const role = form.get('role') ?? ''
    const given = form.get('password') ?? ''
    const made = await users.create(name, role, given)
    const { texts } = parts.view(c)
    const detail = `${name}: ${role}`
    return given === ''
      ? { text: texts.passwordShown(name), secret: made, detail }
      : { text: texts.done.userCreated, detail }
  })
  change('role', async (form, name, c) => {
    const role = form.get('role') ?? ''
    await users.setRole(name, role)
    return { text: parts.view(c).texts.done.roleSet, detail: `${name}: ${role}` }
  })
  change('password', async (form, name, c) => {
    const secret = await users.resetPassword(name, form.get('password') ?? '')
    return { text: parts.view(c).texts.passwordShown(name), secret, detail: name }
  })
  change('remove', async (_form, name, c) => {
    await users.remove(name)
    return { text: parts.view(c).texts.done.userRemoved, detail: name }
  })
  return app
}
