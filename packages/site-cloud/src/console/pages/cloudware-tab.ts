import type { View, ViewBlock } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import { actionButton, badge, emptyState, html, type Markup } from '../layout.js'
import type { Tab } from './site-page.js'

/** Packages that extend the site, how they do, and the sections they add. */
export async function cloudwareTab(tab: Tab): Promise<Markup> {
  const { view, session, center, context } = tab
  const [{ packages }, views] = await Promise.all([center.listPackages({}, context), sections(tab)])
  const added = new Set(view.cloudware.map(one => one.digest))
  const more = packages.filter(one => one.kind === 'cloudware' && !added.has(one.digest))
  return html`<section class="card" data-testid="cloudware"><h2>Cloudware</h2>
${
  view.cloudware.length === 0
    ? emptyState('No package extends this site.')
    : html`<div class="scroll"><table><thead><tr><th>Package</th><th>Instance</th><th>State</th><th class="number">Calls</th><th class="number">Failures</th><th class="number">Restarts</th><th>Last error</th><th></th></tr></thead><tbody>${view.cloudware.flatMap(
        one =>
          (one.instances.length === 0 ? [undefined] : one.instances).map(
            (instance, index) => html`<tr><td>${index === 0 ? html`<strong>${one.name}</strong> ${one.version}` : ''}</td><td>${instance === undefined ? '–' : html`<code>${instance.instance}</code>`}</td>
<td>${badge(instance?.state ?? 'starting')}</td><td class="number">${instance?.calls ?? 0}</td><td class="number">${instance?.failures ?? 0}</td><td class="number">${instance?.restarts ?? 0}</td><td><small>${instance?.lastError ?? ''}</small></td>
<td>${index === 0 ? actionButton({ session, site: view.site, action: 'remove-cloudware', label: 'Remove', fields: { name: one.name }, tone: 'danger', confirm: `Remove ${one.name}?` }) : ''}</td></tr>`,
          ),
      )}</tbody></table></div>`
}
${more.length === 0 ? '' : html`<h3>Stored packages that could be added</h3><ul class="plain">${more.map(one => html`<li><strong>${one.name}</strong> ${one.version} <small>${one.hooks.join(' ')}</small> ${actionButton({ session, site: view.site, action: 'add-cloudware', label: 'Add', fields: { digest: one.digest } })}</li>`)}</ul>`}
<h3>Extension points</h3><p>${view.extensionPoints.map(point => html`<code>${point}</code> `)}</p></section>
${views}`
}

async function sections({ center, context, view }: Tab): Promise<Markup> {
  try {
    const { output } = await center.callSite(
      { site: view.site, contract: 'site.shop-admin', method: 'consoleViews', input: { language: 'en' } },
      context,
    )
    const { views } = output as { views: readonly { package: string; view: View }[] }
    return html`${views.map(one => html`<section class="card" data-testid="view-${one.package}"><h2>${one.view.title} <small>${one.package}</small></h2>${one.view.blocks.map(block)}</section>`)}`
  } catch (error) {
    return html`<p class="notice bad">Sections of packages cannot be shown: ${CloudError.from(error).message}</p>`
  }
}

function block(one: ViewBlock): Markup {
  switch (one.type) {
    case 'heading':
      return html`<h3>${one.text}</h3>`
    case 'text':
      return html`<p>${one.text}</p>`
    case 'metric':
      return html`<dl class="counters"><div><dt>${one.label}</dt><dd>${one.value}</dd></div></dl>`
    case 'notice':
      return html`<p class="notice ${one.tone === 'warn' ? 'bad' : one.tone}">${one.text}</p>`
    case 'table':
      return html`<div class="scroll"><table><thead><tr>${one.columns.map(column => html`<th>${column}</th>`)}</tr></thead><tbody>${one.rows.map(row => html`<tr>${row.map(cell => html`<td>${cell}</td>`)}</tr>`)}</tbody></table></div>`
  }
}
