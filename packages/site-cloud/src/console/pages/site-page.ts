import type { Handlers } from '@aaas/core-cloud/contract'
import type { CallContext } from '@aaas/core-cloud/kernel'
import type { Site, siteCenterContract } from '../../site-center/site-center-contract.js'
import type { ConsoleSession } from '../console-users.js'
import { badge, html, type Markup } from '../layout.js'
import { cloudwareTab } from './cloudware-tab.js'
import { instancesTab } from './instances-tab.js'
import { ledgerTab, ordersTab, stockTab } from './business-tabs.js'
import { logsTab } from './logs-tab.js'
import { versionsTab } from './versions-tab.js'

/** What every tab of a site's page gets. */
export interface SitePage {
  readonly center: Handlers<typeof siteCenterContract>
  readonly context: CallContext
  readonly session: ConsoleSession
  readonly site: string
  readonly query: Readonly<Record<string, string>>
}

export interface Tab extends SitePage {
  readonly view: Site
}

const tabs: Readonly<Record<string, { readonly label: string; readonly sitesOnly: boolean; readonly render: (tab: Tab) => Promise<Markup> }>> = {
  instances: { label: 'Instances', sitesOnly: false, render: instancesTab },
  orders: { label: 'Orders', sitesOnly: true, render: ordersTab },
  stock: { label: 'Stock', sitesOnly: true, render: stockTab },
  ledger: { label: 'Ledger', sitesOnly: true, render: ledgerTab },
  cloudware: { label: 'Cloudware', sitesOnly: true, render: cloudwareTab },
  versions: { label: 'Versions', sitesOnly: false, render: versionsTab },
  logs: { label: 'Logs', sitesOnly: false, render: logsTab },
}

export async function sitePage(options: SitePage): Promise<Markup> {
  const view = await options.center.getSite({ site: options.site }, options.context)
  const name = options.query.tab !== undefined && Object.hasOwn(tabs, options.query.tab) ? options.query.tab : 'instances'
  const shown = Object.entries(tabs).filter(([, tab]) => !tab.sitesOnly || view.kind === 'site')
  const tab = tabs[name]
  return html`<h1>${view.site} ${badge(view.phase)}${view.maintenance ? html` <span class="badge busy">maintenance page on</span>` : ''}</h1>
<p class="facts">Version ${view.servingVersion} serves${view.version === view.servingVersion ? '' : html`, <strong>${view.version} is wanted</strong>`}${
    view.performance === undefined ? '' : html`; asked: ${view.performance.ordersPerMinute} orders a minute at p99 ${view.performance.p99Ms} ms`
  }. ${view.kind === 'site' ? view.urls.map(url => html`<a href="${url}" rel="noreferrer">${url}</a> `) : ''}</p>
${view.failure === undefined ? '' : html`<p class="notice bad" role="alert">Version ${view.failure.version} failed at ${view.failure.step}: ${view.failure.reason}. Version ${view.servingVersion} goes on serving.</p>`}
<nav class="tabs" aria-label="Parts of the site">${shown.map(
    ([key, one]) => html`<a href="?tab=${key}"${key === name ? html` aria-current="page"` : ''}>${one.label}</a>`,
  )}</nav>
${tab === undefined ? '' : await tab.render({ ...options, view })}`
}
