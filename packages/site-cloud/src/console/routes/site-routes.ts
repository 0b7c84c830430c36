import { CloudError } from '@aaas/core-cloud/kernel'
import type { Hono } from 'hono'
import { checkToken, formOf, requireScope } from '../console-http.js'
import type { ConsoleParts, Env } from '../console-parts.js'
import { page } from '../layout.js'
import { overviewPage } from '../pages/overview-page.js'
import { packagesPage } from '../pages/packages-page.js'
import { siteOrderPage, sitePage } from '../pages/site-page.js'
import { siteActions } from '../site-actions.js'

/** Sites and packages: pages to read, forms to change. */
export function siteRoutes(app: Hono<Env>, parts: ConsoleParts): void {
  const { center, flashes, ids, view, signedView, call } = parts
  app.get('/', async c => {
    const view = signedView(c)
    return c.html(page(view, view.texts.overview, await overviewPage(view)))
  })
  app.get('/packages', async c => {
    const view = signedView(c)
    return c.html(page(view, view.texts.packages, await packagesPage(view)))
  })
  app.get('/sites/:site', async c => {
    const view = signedView(c)
    const site = c.req.param('site')
    return c.html(page(view, site, await sitePage(view, site)))
  })
  app.get('/sites/:site/orders/:number', async c => {
    const view = signedView(c)
    const { site, number } = c.req.param()
    return c.html(page(view, `${number} · ${site}`, await siteOrderPage(view, site, number)))
  })
  app.get('/data/metrics.json', async c => {
    const since = Number(c.req.query('since') ?? 0)
    return c.json(await center.metrics(Number.isSafeInteger(since) && since > 0 ? { since } : {}, call(c)))
  })
  app.post('/sites/:site/:action', async c => {
    const session = c.get('session')
    const form = await formOf(c)
    checkToken(session, form)
    const { site, action: name } = c.req.param()
    const action = Object.hasOwn(siteActions, name) ? siteActions[name] : undefined
    if (action === undefined)
      throw new CloudError('core.contract.unknown-method', 'no such action', { field: 'action' })
    requireScope(session, action.scope)
    const done = await action.run({ center, call: call(c), site, form, ids })
    const { texts } = view(c)
    flashes.put(session.csrf, {
      text: texts.done[done.text],
      ...(done.secret === undefined ? {} : { secret: done.secret }),
    })
    return c.redirect(`/sites/${encodeURIComponent(site)}${done.to}`, 303)
  })
}
