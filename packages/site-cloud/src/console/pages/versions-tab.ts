import { actionForm, badge, dataTable, emptyState, html, instant, type Markup } from '../layout.js'
import { may } from '../view.js'
import type { Tab } from './tab.js'

/** Immutable versions; any of them can be rolled to. */
export async function versionsTab(tab: Tab): Promise<Markup> {
  const { site, texts, center, call } = tab
  const { versions } = await center.listVersions({ site: site.site }, call)
  const changes = may(tab, 'site.operate')
  const earlier = versions.some(one => one.version !== site.version && one.state === 'deployed')
  return html`<section class="card" data-testid="versions"><h2>${texts.versions}</h2>
${
  changes && earlier
    ? html`<div class="actions">${actionForm(tab, { action: `/sites/${site.site}/rollback`, label: texts.rollBack, confirm: texts.askRollBack })}</div>`
    : ''
}
${
  versions.length === 0
    ? emptyState(texts.noVersions)
    : dataTable(
        [
          { label: texts.version, number: true },
          { label: texts.state },
          { label: texts.package },
          { label: texts.template },
          { label: texts.dataLevel, number: true },
          { label: texts.pushed },
          ...(changes ? [{ label: '' }] : []),
        ],
        versions.map(one => ({
          cells: [
            html`<strong>${one.version}</strong>`,
            html`${badge(one.state, texts)}${one.version === site.servingVersion ? html` <span class="badge good">${texts.servesNow}</span>` : ''}${
              one.failure === undefined ? '' : html`<br><small>${one.failure}</small>`
            }`,
            html`${one.package.name} ${one.package.version}<br><code title="${one.package.digest}">${one.package.digest.slice(0, 12)}</code>`,
            one.template === undefined ? '–' : `${one.template.name} ${one.template.version}`,
            one.dataLevel,
            html`${instant(one.pushedAt)}<br><small>${one.pushedBy}</small>`,
            ...(changes ? [one.version === site.version ? '' : rollForm(tab, one.version)] : []),
          ],
        })),
      )
}</section>
${site.lock === undefined ? '' : lockSection(tab, site.lock)}`
}

function rollForm(tab: Tab, version: number): Markup {
  const { site, texts } = tab
  return actionForm(tab, {
    action: `/sites/${site.site}/deploy`,
    label: texts.rollTo(version),
    fields: { version: String(version) },
    confirm: texts.askRollTo(site.site, version),
  })
}

function lockSection({ texts }: Tab, lock: NonNullable<Tab['site']['lock']>): Markup {
  return html`<section class="card" data-testid="lock"><h2>${texts.lock}</h2><p class="hint">${texts.lockIntro}</p>
${dataTable(
  [{ label: texts.package }, { label: texts.version }, { label: texts.kind }, { label: texts.digest }],
  lock.map(one => ({
    cells: [one.name, one.version, one.kind, html`<code title="${one.digest}">${one.digest.slice(0, 12)}</code>`],
  })),
)}</section>`
}
