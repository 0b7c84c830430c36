import { type HtmlValue, html, type Markup } from '../shop/html.js'
import { assetPath } from './console-assets.js'
import type { Language, Texts } from './texts/texts.js'
import { may, type SignedView, type View } from './view.js'

/** A whole page of the console. */
export function page(view: View | SignedView, title: string, content: Markup): string {
  const { texts, language } = view
  return html`<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · ${texts.console}</title>
<link rel="icon" href="${assetPath('icon.svg')}" type="image/svg+xml">
<link rel="stylesheet" href="${assetPath('uplot.css')}">
<link rel="stylesheet" href="${assetPath('console.css')}">
<script src="${assetPath('uplot.js')}" defer></script>
<script src="${assetPath('console.js')}" defer></script>
</head>
<body>
<a class="skip" href="#content">${texts.skip}</a>
<header class="top"><div class="bar">
  <a class="brand" href="/"><span aria-hidden="true" class="mark"></span>${texts.console}</a>
  ${'session' in view ? navigation(view) : ''}
  ${languageSwitch(view)}
</div></header>
<main id="content">${'session' in view ? flash(view) : ''}${content}</main>
</body>
</html>`.text
}

function navigation(view: SignedView): Markup {
  const { texts, session, path } = view
  const link = (href: string, label: string): Markup => {
    const here = href === '/' ? path === '/' || path.startsWith('/sites') : path.startsWith(href)
    return html`<a href="${href}"${here ? html` aria-current="page"` : ''}>${label}</a>`
  }
  return html`<nav aria-label="${texts.main}">${link('/', texts.overview)}${link('/packages', texts.packages)}${
    may(view, '*') ? link('/users', texts.users) : ''
  }</nav>
  <form method="post" action="/logout" class="who">
    ${token(view)}
    <a href="/account">${session.user} <small>${texts.roles[session.role]}</small></a>
    <button>${texts.logOut}</button>
  </form>`
}

function languageSwitch({ texts, language, path }: View): Markup {
  const other: Language = language === 'en' ? 'zh-CN' : 'en'
  return html`<a class="language" hreflang="${other}" lang="${other}" href="/language/${other}?next=${encodeURIComponent(path)}">${texts.otherLanguage}</a>`
}

function flash({ flash }: SignedView): Markup | '' {
  if (flash === undefined) return ''
  return html`<div class="notice good" role="status">${flash.text}${flash.secret === undefined ? '' : html` <code class="secret" data-testid="secret">${flash.secret}</code>`}</div>`
}

/** The field that every form of a session carries. */
function token({ session }: SignedView): Markup {
  return html`<input type="hidden" name="csrf" value="${session.csrf}">`
}

/** A state with a colour; the word is always there too. */
export function badge(state: string, texts: Texts): Markup {
  const tone = /^(live|ready|deployed|ok|running|completed|paid|shipped)$/.test(state)
    ? 'good'
    : /fail|crash|unknown|backoff|removed|open|stopped/.test(state)
      ? 'bad'
      : /^(closed|pushed|refunded)$/.test(state)
        ? 'quiet'
        : 'busy'
  return html`<span class="badge ${tone}">${stateWord(state, texts)}</span>`
}

export function stateWord(state: string, texts: Texts): string {
  return Object.hasOwn(texts.states, state) ? texts.states[state as keyof Texts['states']] : state
}

export interface ActionForm {
  /** Path of the form, such as `/sites/shop/restart`. */
  readonly action: string
  readonly label: string
  readonly fields?: Readonly<Record<string, string>>
  /** Visible inputs before the button. */
  readonly inputs?: Markup
  readonly tone?: 'main' | 'danger'
  /** Asked by the script before the form is sent. */
  readonly confirm?: string
}

/** A form of hidden fields, perhaps some inputs, and one button. */
export function actionForm(
  view: SignedView,
  { action, label, fields = {}, inputs, tone, confirm }: ActionForm,
): Markup {
  return html`<form method="post" action="${action}" class="inline"${confirm === undefined ? '' : html` data-confirm="${confirm}"`}>
    ${token(view)}${Object.entries(fields).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`)}
    ${inputs}<button class="${tone ?? ''}">${label}</button>
  </form>`
}

export interface Column {
  /** Empty for a column of buttons. */
  readonly label: string
  readonly number?: boolean
}

export interface Row {
  readonly cells: readonly HtmlValue[]
  readonly tone?: string
}

/** A table; on a phone each row becomes a card whose cells carry their column's label. */
export function dataTable(columns: readonly Column[], rows: readonly Row[]): Markup {
  return html`<div class="scroll"><table class="data"><thead><tr>${columns.map(
    one => html`<th${one.number === true ? html` class="number"` : ''}>${one.label}</th>`,
  )}</tr></thead><tbody>${rows.map(
    row =>
      html`<tr${row.tone === undefined ? '' : html` class="${row.tone}"`}>${row.cells.map((cell, index) => {
        const column = columns[index]
        return html`<td data-label="${column?.label ?? ''}"${column?.number === true ? html` class="number"` : ''}><div>${cell}</div></td>`
      })}</tr>`,
  )}</tbody></table></div>`
}

/** Names and values beside each other. */
export function facts(rows: readonly (readonly [string, HtmlValue])[]): Markup {
  return html`<dl class="facts">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`
}

/** A few numbers that count. */
export function figures(
  rows: readonly { readonly label: string; readonly value: HtmlValue; readonly tone?: string }[],
): Markup {
  return html`<dl class="figures">${rows.map(({ label, value, tone }) => html`<div class="${tone ?? ''}"><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>`
}

export function emptyState(text: string): Markup {
  return html`<p class="empty">${text}</p>`
}

/** Charts that the script draws and keeps up to date; `site` empty: all sites together. */
export function charts(site: string, texts: Texts): Markup {
  return html`<section class="card"><h2>${texts.liveTraffic}</h2>
  <div class="charts" data-charts data-site="${site}" data-empty="${texts.noTraffic}" data-failed="${texts.noMetrics}">
    <figure><figcaption>${texts.requestsPerSecond} <output data-now="requests"></output></figcaption><div class="chart" data-chart="requests"></div></figure>
    <figure><figcaption>${texts.latency} <output data-now="latency"></output></figcaption><div class="chart" data-chart="latency"></div></figure>
  </div>
  <p class="hint" data-now="failures" data-label="${texts.failuresPerMinute}"></p>
  <noscript><p class="hint">${texts.chartsNeedScript}</p></noscript>
</section>`
}

/** Epoch milliseconds as a time that the script turns into the reader's zone. */
export function instant(at: number | undefined): Markup {
  if (at === undefined) return html`–`
  const iso = new Date(at).toISOString()
  return html`<time datetime="${iso}">${iso.slice(0, 19).replace('T', ' ')} UTC</time>`
}

export { type HtmlValue, html, type Markup }
