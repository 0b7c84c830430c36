import type { View, ViewBlock } from '@aaas/core-cloud/cloudware'
import { CloudError } from '@aaas/core-cloud/kernel'
import { actionForm, badge, dataTable, emptyState, html, type Markup } from '../layout.js'
import { may } from '../view.js'
import { ask, type Tab } from './tab.js'

/** Packages that extend the site, how they do, and the sections they add. */
export async function cloudwareTab(tab: Tab): Promise<Markup> {
  const { site, texts, center, call } = tab
  const [{ packages }, views] = await Promise.all([center.listPackages({}, call), sections(tab)])
  const added = new Set(site.cloudware.flatMap(one => (one.wanted ? [one.digest] : [])))
  const more = may(tab, 'site.operate')
    ? packages.filter(one => one.kind === 'cloudware' && !added.has(one.digest))
    : []
  return html`<section class="card" data-testid="cloudware"><h2>${texts.cloudware}</h2><div id="cloudware" data-live>${
    site.cloudware.length === 0 ? emptyState(texts.noCloudware) : cloudwareTable(tab)
  }</div>
${
  more.length === 0
    ? ''
    : html`<h3>${texts.couldAdd}</h3><ul class="plain">${more.map(
        one =>
          html`<li><span><strong>${one.name}</strong> ${one.version} <small>${one.hooks.join(' ')}</small></span> ${actionForm(tab, { action: `/sites/${site.site}/add-cloudware`, label: texts.add, fields: { digest: one.digest } })}</li>`,
      )}</ul>`
}
<h3>${texts.extensionPoints}</h3><p class="codes">${
    site.extensionPoints.length === 0
      ? texts.noExtensionPoints
      : site.extensionPoints.map(point => html`<code>${point}</code> `)
  }</p></section>
${views}`
}

function cloudwareTable(tab: Tab): Markup {
  const { site, texts } = tab
  const changes = may(tab, 'site.operate')
  return dataTable(
    [
      { label: texts.package },
      { label: texts.instance },
      { label: texts.state },
      { label: texts.calls, number: true },
      { label: texts.failures, number: true },
      { label: texts.restarts, number: true },
      { label: texts.lastError },
      ...(changes ? [{ label: '' }] : []),
    ],
    site.cloudware.flatMap(one =>
      (one.instances.length === 0 ? [undefined] : one.instances).map((instance, index) => ({
        cells: [
          html`<strong>${one.name}</strong> ${one.version}`,
          instance === undefined ? '–' : html`<code>${instance.instance}</code>`,
          badge(one.wanted ? (instance?.state ?? 'starting') : 'stopping', texts),
          instance?.calls ?? 0,
          instance?.failures ?? 0,
          instance?.restarts ?? 0,
          html`<small>${instance?.lastError ?? ''}</small>`,
          ...(changes ? [one.wanted && index === 0 ? removeForm(tab, one.name) : ''] : []),
        ],
      })),
    ),
  )
}

function removeForm(tab: Tab, name: string): Markup {
  const { site, texts } = tab
  return actionForm(tab, {
    action: `/sites/${site.site}/remove-cloudware`,
    label: texts.remove,
    fields: { name },
    tone: 'danger',
    confirm: texts.askRemove(name),
  })
}

async function sections(tab: Tab): Promise<Markup> {
  try {
    const { views } = await ask<{ views: readonly { package: string; view: View }[] }>(
      tab,
      'site.shop-admin',
      'consoleViews',
      {
        language: tab.language,
      },
    )
    return html`${views.map(
      one =>
        html`<section class="card" data-testid="view-${one.package}"><h2>${one.view.title} <small>${one.package}</small></h2>${one.view.blocks.map(block)}</section>`,
    )}`
  } catch (error) {
    return html`<p class="notice bad">${tab.texts.sectionsFailed(CloudError.from(error).message)}</p>`
  }
}

function block(one: ViewBlock): Markup {
  switch (one.type) {
    case 'heading':
      return html`<h3>${one.text}</h3>`
    case 'text':
      return html`<p>${one.text}</p>`
    case 'metric':
      return html`<dl class="figures"><div><dt>${one.label}</dt><dd>${one.value}</dd></div></dl>`
    case 'notice':
      return html`<p class="notice ${one.tone === 'warn' ? 'bad' : one.tone}">${one.text}</p>`
    case 'table':
      return dataTable(
        one.columns.map(label => ({ label })),
        one.rows.map(cells => ({ cells })),
      )
  }
}
