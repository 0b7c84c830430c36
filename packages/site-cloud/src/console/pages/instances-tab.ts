import { bytes, duration } from '../format.js'
import { actionForm, badge, charts, dataTable, emptyState, html, instant, type Markup } from '../layout.js'
import { may } from '../view.js'
import { auditTable } from './overview-page.js'
import type { Tab } from './tab.js'

/** Instances, live charts, and what can be done to the site as a whole. */
export async function instancesTab(tab: Tab): Promise<Markup> {
  const { site, texts, center, call } = tab
  const { entries } = await center.auditLog({ site: site.site, limit: 10 }, call)
  return html`${may(tab, 'site.operate') ? operate(tab) : ''}
<section class="card" data-testid="instances"><h2>${texts.instances}</h2><div id="instances-live" data-live>${
    site.instances.length === 0 ? emptyState(texts.noInstances) : instanceTable(tab)
  }</div></section>
${charts(site.site, texts)}
<section class="card"><h2>${texts.whoDidWhat}</h2>${auditTable(tab, entries)}</section>`
}

function operate(tab: Tab): Markup {
  const { site, texts } = tab
  const base = `/sites/${site.site}`
  return html`<section class="card" data-testid="operate"><h2>${texts.operate}</h2><div class="actions">
${actionForm(tab, {
  action: `${base}/scale`,
  label: texts.scale,
  tone: 'main',
  inputs: html`<label>${texts.instances} <input name="instances" type="number" min="1" max="64" required value="${site.wantedInstances}" class="short"></label>`,
})}
${actionForm(tab, { action: `${base}/restart`, label: texts.restart, confirm: texts.askRestart(site.site) })}
${
  site.maintenance
    ? actionForm(tab, {
        action: `${base}/maintenance`,
        label: texts.hideMaintenance,
        fields: { on: 'false' },
        tone: 'main',
      })
    : actionForm(tab, {
        action: `${base}/maintenance`,
        label: texts.showMaintenance,
        fields: { on: 'true' },
        tone: 'danger',
        confirm: texts.askMaintenance(site.site),
      })
}</div></section>`
}

function instanceTable({ site, texts }: Tab): Markup {
  return dataTable(
    [
      { label: texts.instance },
      { label: texts.state },
      { label: texts.version, number: true },
      { label: texts.process, number: true },
      { label: texts.memory, number: true },
      { label: texts.cpuUsed, number: true },
      { label: texts.restarts, number: true },
      { label: texts.since },
    ],
    site.instances.map(one => ({
      cells: [
        html`<a href="/sites/${site.site}?tab=logs&amp;instance=${one.id}"><code>${one.id}</code></a>`,
        badge(one.state, texts),
        one.version,
        one.pid ?? '–',
        one.memoryBytes === undefined ? '–' : bytes(one.memoryBytes),
        one.cpuMs === undefined ? '–' : duration(one.cpuMs),
        one.restarts,
        instant(one.startedAt),
      ],
    })),
  )
}
