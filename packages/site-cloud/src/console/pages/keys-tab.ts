import { actionForm, dataTable, emptyState, html, instant, type Markup } from '../layout.js'
import type { Texts } from '../texts/texts.js'
import { may } from '../view.js'
import { ask, type Tab } from './tab.js'

interface Key {
  readonly keyId: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly requestsPerSecond: number
  readonly createdAt: number
}

/** Keys with which other systems use the site's open API. The secret is shown once, after it was made. */
export async function keysTab(tab: Tab): Promise<Markup> {
  const { texts, site } = tab
  const { keys } = await ask<{ keys: Key[] }>(tab, 'site.shop-admin', 'listApiKeys', {})
  const changes = may(tab, '*')
  const document = site.urls.at(-1)
  return html`<section class="card" data-testid="keys"><h2>${texts.keys}</h2>
${document === undefined ? '' : html`<p class="hint">${texts.keyIntro} <a href="${document}api/openapi.json" rel="noreferrer">${document}api/openapi.json</a></p>`}
${keys.length === 0 ? emptyState(texts.noKeys) : keyTable(tab, keys, changes)}
${changes ? createForm(tab) : html`<p class="hint">${texts.onlyAdminKeys}</p>`}</section>`
}

function keyTable(tab: Tab, keys: readonly Key[], changes: boolean): Markup {
  const { texts, site } = tab
  return dataTable(
    [
      { label: texts.name },
      { label: texts.number },
      { label: texts.scopes },
      { label: texts.requestsPerSecondLimit, number: true },
      { label: texts.created },
      ...(changes ? [{ label: '' }] : []),
    ],
    keys.map(key => ({
      cells: [
        html`<strong>${key.name}</strong>`,
        html`<code>${key.keyId}</code>`,
        key.scopes.join(', '),
        key.requestsPerSecond,
        instant(key.createdAt),
        ...(changes
          ? [
              actionForm(tab, {
                action: `/sites/${site.site}/revoke-key`,
                label: texts.revoke,
                fields: { keyId: key.keyId },
                tone: 'danger',
                confirm: texts.askRevoke(key.name),
              }),
            ]
          : []),
      ],
    })),
  )
}

function createForm(tab: Tab): Markup {
  const { texts, site } = tab
  const choices = Object.entries(texts.apiScopes) as [keyof Texts['apiScopes'], string][]
  return html`<h3>${texts.createKey}</h3>${actionForm(tab, {
    action: `/sites/${site.site}/create-key`,
    label: texts.createKey,
    tone: 'main',
    inputs: html`<label>${texts.keyName} <input name="name" required maxlength="80"></label>
<label>${texts.requestsPerSecondLimit} <input name="requestsPerSecond" type="number" class="short" min="1" max="1000000" value="100" required></label>
<fieldset><legend>${texts.scopes}</legend>${choices.map(
      ([scope, label]) =>
        html`<label class="choice"><input type="checkbox" name="scopes" value="${scope}"${scope === 'order.place' ? html` checked` : ''}> ${label} <code>${scope}</code></label>`,
    )}</fieldset>`,
  })}`
}
