import type { Site } from '../../site-center/site-center-contract.js'
import { bytes } from '../format.js'
import { badge, charts, dataTable, emptyState, figures, html, instant, type Markup, stateWord } from '../layout.js'
import type { Texts } from '../texts/texts.js'
import type { SignedView } from '../view.js'

/** Health first, then every site with its state, live traffic, and what people did last. */
export async function overviewPage(view: SignedView): Promise<Markup> {
  const { texts, center, call } = view
  const [{ sites }, { entries }] = await Promise.all([center.listSites({}, call), center.auditLog({ limit: 15 }, call)])
  const own = sites.filter(site => site.kind === 'site')
  const services = sites.filter(site => site.kind === 'service')
  return html`<h1>${texts.overview}</h1>
<section class="card" data-testid="health"><h2>${texts.health}</h2><div id="health" data-live>${health(sites, texts)}</div></section>
<section class="card" data-testid="sites"><h2>${texts.sites}</h2><div id="sites" data-live>${
    own.length === 0
      ? html`<p class="empty">${texts.noSites} <code>npx aaas site new shop</code> <code>npx aaas site push shop --deploy --wait</code></p>`
      : siteTable(own, texts)
  }</div></section>
${charts('', texts)}
${services.length === 0 ? '' : html`<section class="card" data-testid="services"><h2>${texts.services}</h2><div id="services" data-live>${siteTable(services, texts)}</div></section>`}
<section class="card" data-testid="audit"><h2>${texts.whoDidWhat}</h2>${auditTable(view, entries)}</section>`
}

function health(sites: readonly Site[], texts: Texts): Markup {
  const deployed = sites.filter(site => site.version > 0)
  const live = deployed.filter(site => site.phase === 'live').length
  const wanted = deployed.reduce((sum, site) => sum + site.wantedInstances, 0)
  const ready = deployed.reduce((sum, site) => sum + Math.min(readyOf(site), site.wantedInstances), 0)
  const memory = sites.flatMap(site => site.instances).reduce((sum, one) => sum + (one.memoryBytes ?? 0), 0)
  const cloudware = sites.flatMap(site => site.cloudware.filter(one => one.wanted)).length
  const troubles = deployed.flatMap(site => troublesOf(site, texts).map(text => ({ site: site.site, text })))
  const tone = (good: boolean): string => (good ? 'good' : 'bad')
  return html`${figures([
    { label: texts.sitesLive, value: texts.of(live, deployed.length), tone: tone(live === deployed.length) },
    { label: texts.instancesReady, value: texts.of(ready, wanted), tone: tone(ready === wanted) },
    { label: texts.memoryUsed, value: bytes(memory) },
    { label: texts.cloudwareRunning, value: cloudware },
  ])}
${
  troubles.length === 0
    ? html`<p class="notice good" role="status">${texts.allWell}</p>`
    : html`<div class="notice bad" role="status"><strong>${texts.attention}</strong><ul>${troubles.map(
        ({ site, text }) => html`<li><a href="/sites/${site}">${site}</a>: ${text}</li>`,
      )}</ul></div>`
}`
}

/** What an operator should look at; empty when a site is as it should be. */
function troublesOf(site: Site, texts: Texts): string[] {
  const troubles: string[] = []
  const ready = readyOf(site)
  if (site.phase === 'unknown') troubles.push(texts.troubleSilent)
  else if (site.phase !== 'live' && site.phase !== 'failed')
    troubles.push(texts.troublePhase(stateWord(site.phase, texts)))
  if (site.failure !== undefined)
    troubles.push(texts.troubleFailed(site.failure.version, site.failure.step, site.failure.reason))
  else if (ready < site.wantedInstances) troubles.push(texts.troubleInstances(ready, site.wantedInstances))
  if (site.maintenance) troubles.push(texts.troubleMaintenance)
  for (const one of site.cloudware) {
    const sick = one.instances.find(instance => one.wanted && instance.state !== 'ready')
    if (sick !== undefined)
      troubles.push(texts.troubleCloudware(one.name, stateWord(sick.state, texts), sick.lastError ?? ''))
  }
  return troubles
}

function readyOf(site: Site): number {
  return site.instances.filter(one => one.state === 'ready').length
}

function siteTable(sites: readonly Site[], texts: Texts): Markup {
  return dataTable(
    [
      { label: texts.site },
      { label: texts.state },
      { label: texts.version, number: true },
      { label: texts.instances, number: true },
      { label: texts.memory, number: true },
      { label: texts.address },
    ],
    sites.map(site => {
      const [url] = site.kind === 'site' ? site.urls : []
      return {
        cells: [
          html`<a href="/sites/${site.site}"><strong>${site.site}</strong></a>`,
          html`${badge(site.phase, texts)}${site.maintenance ? html` <span class="badge busy">${texts.maintenanceOn}</span>` : ''}`,
          site.servingVersion === 0 ? texts.notDeployed : site.servingVersion,
          texts.of(readyOf(site), site.wantedInstances),
          bytes(site.instances.reduce((sum, one) => sum + (one.memoryBytes ?? 0), 0)),
          url === undefined ? '–' : html`<a href="${url}" rel="noreferrer">${url}</a>`,
        ],
      }
    }),
  )
}

interface AuditEntry {
  readonly at: number
  readonly actor: string
  readonly action: string
  readonly site: string
  readonly detail: string
}

/** Who did what, newest first. */
export function auditTable({ texts }: SignedView, entries: readonly AuditEntry[]): Markup {
  if (entries.length === 0) return emptyState(texts.nothingYet)
  return html`<div class="compact">${dataTable(
    [
      { label: texts.when },
      { label: texts.who },
      { label: texts.what },
      { label: texts.site },
      { label: texts.detail },
    ],
    entries.map(entry => ({
      cells: [instant(entry.at), entry.actor, html`<code>${entry.action}</code>`, entry.site, entry.detail],
    })),
  )}</div>`
}
