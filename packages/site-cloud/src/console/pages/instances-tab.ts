import { actionButton, badge, html, instant, type Markup } from '../layout.js'
import type { Tab } from './site-page.js'

/** Instances, live charts, and what can be done to the site as a whole. */
export async function instancesTab({ view, session, center, context }: Tab): Promise<Markup> {
  const { counters } = await center.usage({ site: view.site }, context)
  return html`<section class="card"><h2>Operate</h2><div class="actions">
  <form method="post" action="/sites/${view.site}/scale" class="inline">
    <input type="hidden" name="csrf" value="${session.csrf}">
    <label>Instances <input name="instances" type="number" min="1" max="64" value="${view.wantedInstances}" class="short"></label>
    <button>Scale</button>
  </form>
  ${actionButton({ session, site: view.site, action: 'restart', label: 'Rolling restart' })}
  ${actionButton({
    session,
    site: view.site,
    action: 'maintenance',
    label: view.maintenance ? 'Maintenance page off' : 'Maintenance page on',
    fields: { on: String(!view.maintenance) },
    ...(view.maintenance ? {} : { tone: 'danger', confirm: `Show the maintenance page instead of ${view.site}?` }),
  })}
</div></section>
<section class="card"><h2>Live</h2>
  <div class="charts" data-charts data-site="${view.site}">
    <figure><figcaption>Requests per second</figcaption><div class="chart" data-chart="requests"></div></figure>
    <figure><figcaption>Latency, ms (p50, p99)</figcaption><div class="chart" data-chart="latency"></div></figure>
  </div>
</section>
<section class="card" data-testid="instances"><h2>Instances</h2><div class="scroll"><table>
<thead><tr><th>Instance</th><th>State</th><th class="number">Version</th><th class="number">Process</th><th class="number">Memory</th><th class="number">CPU used</th><th class="number">Restarts</th><th>Since</th></tr></thead><tbody>
${view.instances.map(
  one => html`<tr><td><a href="?tab=logs&amp;instance=${one.id}"><code>${one.id}</code></a></td><td>${badge(one.state)}</td>
  <td class="number">${one.version}</td><td class="number">${one.pid ?? '–'}</td>
  <td class="number">${one.memoryBytes === undefined ? '–' : `${Math.round(one.memoryBytes / 1_048_576)} MB`}</td>
  <td class="number">${one.cpuMs === undefined ? '–' : `${(one.cpuMs / 1000).toFixed(1)} s`}</td>
  <td class="number">${one.restarts}</td><td>${instant(one.startedAt)}</td></tr>`,
)}
</tbody></table></div></section>
<section class="card"><h2>Used so far</h2><dl class="counters">${Object.entries(counters).map(
    ([name, total]) => html`<div><dt>${name}</dt><dd>${total.toLocaleString('en')}</dd></div>`,
  )}</dl></section>`
}
