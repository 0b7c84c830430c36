import type { Handlers } from '@aaas/core-cloud/contract'
import type { CallContext } from '@aaas/core-cloud/kernel'
import type { Site, siteCenterContract } from '../../site-center/site-center-contract.js'
import { badge, emptyState, html, instant, type Markup } from '../layout.js'

/** Every site with its state, live traffic, and what people did last. */
export async function overviewPage(center: Handlers<typeof siteCenterContract>, context: CallContext): Promise<Markup> {
  const [{ sites }, { entries }] = await Promise.all([center.listSites({}, context), center.auditLog({ limit: 15 }, context)])
  const groups = [
    { title: 'Sites', rows: sites.filter(site => site.kind === 'site') },
    { title: 'Platform services', rows: sites.filter(site => site.kind === 'service') },
  ]
  return html`<h1>Overview</h1>
${groups.map(group => html`<section class="card" data-testid="sites"><h2>${group.title}</h2>${group.rows.length === 0 ? emptyState('None yet. Push one: npx aaas site push FOLDER --deploy') : siteTable(group.rows)}</section>`)}
<section class="card"><h2>Live traffic</h2>
  <div class="charts" data-charts data-site="">
    <figure><figcaption>Requests per second</figcaption><div class="chart" data-chart="requests"></div></figure>
    <figure><figcaption>Latency, ms (p50, p99)</figcaption><div class="chart" data-chart="latency"></div></figure>
  </div>
  <noscript><p class="hint">Charts need JavaScript; everything else works without.</p></noscript>
</section>
<section class="card"><h2>Who did what</h2>
  ${entries.length === 0 ? emptyState('Nothing yet.') : html`<div class="scroll"><table><thead><tr><th>When</th><th>Who</th><th>What</th><th>Site</th><th>Detail</th></tr></thead><tbody>
  ${entries.map(entry => html`<tr><td>${instant(entry.at)}</td><td>${entry.actor}</td><td>${entry.action}</td><td>${entry.site}</td><td>${entry.detail}</td></tr>`)}
  </tbody></table></div>`}
</section>`
}

function siteTable(sites: readonly Site[]): Markup {
  return html`<div class="scroll"><table><thead><tr><th>Site</th><th>State</th><th class="number">Version</th><th class="number">Instances</th><th class="number">Memory</th><th>Address</th></tr></thead><tbody>
${sites.map(site => {
  const ready = site.instances.filter(one => one.state === 'ready')
  const memory = ready.reduce((sum, one) => sum + (one.memoryBytes ?? 0), 0)
  return html`<tr>
  <td><a href="/sites/${site.site}"><strong>${site.site}</strong></a></td>
  <td>${badge(site.phase)}${site.maintenance ? html` <span class="badge busy">maintenance</span>` : ''}</td>
  <td class="number">${site.servingVersion}</td>
  <td class="number">${ready.length} of ${site.wantedInstances}</td>
  <td class="number">${Math.round(memory / 1_048_576)} MB</td>
  <td>${site.kind === 'site' && site.urls[0] !== undefined ? html`<a href="${site.urls[0]}" rel="noreferrer">${site.urls[0]}</a>` : ''}</td>
</tr>`
})}
</tbody></table></div>`
}
