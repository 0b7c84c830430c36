import type { Site } from '../../site-center/site-center-contract.js'
import { badge, html, type Markup } from '../layout.js'
import type { Texts } from '../texts/texts.js'
import type { SignedView } from '../view.js'
import { cloudwareTab } from './cloudware-tab.js'
import { instancesTab } from './instances-tab.js'
import { keysTab } from './keys-tab.js'
import { ledgerTab } from './ledger-tab.js'
import { logsTab } from './logs-tab.js'
import { orderPage } from './order-page.js'
import { ordersTab } from './orders-tab.js'
import { stockTab } from './stock-tab.js'
import type { Tab, TabName } from './tab.js'
import { usageTab } from './usage-tab.js'
import { versionsTab } from './versions-tab.js'

const tabs: Readonly<Record<TabName, { readonly sitesOnly: boolean; readonly render: (tab: Tab) => Promise<Markup> }>> =
  {
    instances: { sitesOnly: false, render: instancesTab },
    orders: { sitesOnly: true, render: ordersTab },
    stock: { sitesOnly: true, render: stockTab },
    ledger: { sitesOnly: true, render: ledgerTab },
    cloudware: { sitesOnly: true, render: cloudwareTab },
    keys: { sitesOnly: true, render: keysTab },
    versions: { sitesOnly: false, render: versionsTab },
    usage: { sitesOnly: false, render: usageTab },
    logs: { sitesOnly: false, render: logsTab },
  }

/** One site with the tab that the query names. */
export async function sitePage(view: SignedView, name: string): Promise<Markup> {
  const site = await view.center.getSite({ site: name }, view.call)
  const chosen = tabNames(site).find(one => one === view.query.tab) ?? 'instances'
  const content = await tabs[chosen].render({ ...view, site })
  return html`${head(view, site, chosen)}${content}`
}

/** One order of a site, below the same head. */
export async function siteOrderPage(view: SignedView, name: string, number: string): Promise<Markup> {
  const site = await view.center.getSite({ site: name }, view.call)
  const content = await orderPage({ ...view, site }, number)
  return html`${head(view, site, 'orders')}${content}`
}

function tabNames(site: Site): readonly TabName[] {
  return (Object.keys(tabs) as TabName[]).filter(name => !tabs[name].sitesOnly || site.kind === 'site')
}

function head({ texts, session }: SignedView, site: Site, chosen: TabName): Markup {
  const serving = site.servingVersion === 0 ? texts.servesNothing : texts.serves(site.servingVersion)
  return html`<div id="site-head" data-live><h1>${site.site} ${badge(site.phase, texts)}${
    site.maintenance ? html` <span class="badge busy">${texts.maintenanceOn}</span>` : ''
  }</h1>
<p class="lead">${serving}${site.version === site.servingVersion ? '' : html`, <strong>${texts.wanted(site.version)}</strong>`}${
    site.performance === undefined ? '' : ` · ${texts.asked(site.performance.ordersPerMinute, site.performance.p99Ms)}`
  }</p>
${site.kind === 'site' ? html`<p class="lead">${site.urls.map(url => html`<a href="${url}" rel="noreferrer">${url}</a> `)}</p>` : ''}
${failure(site, texts)}</div>
${session.role === 'viewer' ? html`<p class="hint">${texts.viewerHint}</p>` : ''}
<nav class="tabs" aria-label="${texts.parts}">${tabNames(site).map(
    key =>
      html`<a href="/sites/${site.site}?tab=${key}"${key === chosen ? html` aria-current="page"` : ''}>${texts.tabs[key]}</a>`,
  )}</nav>`
}

function failure(site: Site, texts: Texts): Markup | '' {
  if (site.failure === undefined) return ''
  const { version, step, reason } = site.failure
  return html`<p class="notice bad" role="alert">${texts.troubleFailed(version, step, reason)}. ${texts.goesOn(site.servingVersion)}</p>`
}
