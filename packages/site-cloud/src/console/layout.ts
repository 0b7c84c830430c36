import { html, type Markup } from '../shop/html.js'
import { assetPath } from './console-assets.js'
import type { ConsoleSession } from './console-users.js'

/** A whole page of the console. */
export function page(session: ConsoleSession | undefined, title: string, content: Markup): Markup {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · AaaS console</title>
<link rel="icon" href="${assetPath('icon.svg')}" type="image/svg+xml">
<link rel="stylesheet" href="${assetPath('console.css')}">
<link rel="stylesheet" href="${assetPath('uplot.css')}">
<script src="${assetPath('uplot.js')}" defer></script>
<script src="${assetPath('console.js')}" defer></script>
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<header class="top">
  <a class="brand" href="/"><span aria-hidden="true" class="mark"></span>AaaS console</a>
  ${session === undefined ? '' : navigation(session)}
</header>
<main id="content">${content}</main>
</body>
</html>`
}

function navigation(session: ConsoleSession): Markup {
  return html`<nav aria-label="Main">
    <a href="/">Sites</a>
    <a href="/packages">Packages</a>
  </nav>
  <form method="post" action="/logout" class="who">
    <input type="hidden" name="csrf" value="${session.csrf}">
    <span>${session.user} <small>${session.role}</small></span>
    <button class="quiet">Log out</button>
  </form>`
}

/** A state with a colour; the word is always there too. */
export function badge(text: string): Markup {
  const tone = /^(live|ready|deployed|ok)$/.test(text) ? 'good' : /fail|crash|unknown|backoff|removed/.test(text) ? 'bad' : 'busy'
  return html`<span class="badge ${tone}">${text}</span>`
}

/** A form of one button. */
export function actionButton(options: {
  readonly session: ConsoleSession
  readonly site: string
  readonly action: string
  readonly label: string
  readonly fields?: Readonly<Record<string, string>>
  readonly tone?: 'quiet' | 'danger'
  /** Asked by the script before the form is sent. */
  readonly confirm?: string
}): Markup {
  const { session, site, action, label, fields = {}, tone = 'quiet', confirm } = options
  return html`<form method="post" action="/sites/${site}/${action}" class="inline"${confirm === undefined ? '' : html` data-confirm="${confirm}"`}>
    <input type="hidden" name="csrf" value="${session.csrf}">
    ${Object.entries(fields).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`)}
    <button class="${tone}">${label}</button>
  </form>`
}

export function emptyState(text: string): Markup {
  return html`<p class="empty">${text}</p>`
}

/** Epoch milliseconds as a time that the script turns into the reader's zone. */
export function instant(at: number | undefined): Markup {
  if (at === undefined) return html`–`
  const iso = new Date(at).toISOString()
  return html`<time datetime="${iso}">${iso.slice(0, 19).replace('T', ' ')} UTC</time>`
}

/** Minor units as an amount. */
export function money(amount: number, currency: string): string {
  return new Intl.NumberFormat('en', { style: 'currency', currency }).format(amount / 100)
}

export { html, type Markup }
