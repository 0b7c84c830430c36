import { actionButton, badge, html, instant, type Markup } from '../layout.js'
import type { Tab } from './site-page.js'

/** Immutable versions; any of them can be rolled to. */
export async function versionsTab({ view, session, center, context }: Tab): Promise<Markup> {
  const { versions } = await center.listVersions({ site: view.site }, context)
  return html`<section class="card" data-testid="versions"><h2>Versions</h2>
<div class="actions">${actionButton({ session, site: view.site, action: 'rollback', label: 'Roll back to the one before', confirm: 'Roll back?' })}</div>
<div class="scroll"><table><thead><tr><th class="number">Version</th><th>State</th><th>Package</th><th>Template</th><th class="number">Data level</th><th>Pushed</th><th></th></tr></thead><tbody>
${versions.map(
  one => html`<tr><td class="number"><strong>${one.version}</strong></td>
  <td>${badge(one.state)}${one.version === view.servingVersion ? html` <span class="badge good">serves</span>` : ''}${one.failure === undefined ? '' : html`<br><small>${one.failure}</small>`}</td>
  <td>${one.package.name} ${one.package.version}<br><code title="${one.package.digest}">${one.package.digest.slice(0, 12)}</code></td>
  <td>${one.template === undefined ? '–' : `${one.template.name} ${one.template.version}`}</td>
  <td class="number">${one.dataLevel}</td>
  <td>${instant(one.pushedAt)}<br><small>${one.pushedBy}</small></td>
  <td>${one.version === view.version ? '' : actionButton({ session, site: view.site, action: 'deploy', label: `Roll to ${one.version}`, fields: { version: String(one.version) }, confirm: `Roll ${view.site} to version ${one.version}?` })}</td></tr>`,
)}
</tbody></table></div></section>`
}
