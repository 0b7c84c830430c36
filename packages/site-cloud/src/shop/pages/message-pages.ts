import type { Category } from '@aaas/business-cloud/catalogue'
import { html, type Markup, nothing } from '../html.js'
import type { PageContext } from '../page-context.js'
import { layout } from './layout.js'

/** A page that says that something is not as hoped, and where to go from there. */
export function messagePage(
  context: PageContext,
  content: {
    readonly categories: readonly Category[]
    readonly title: string
    readonly text: string
    readonly path: string
    /** Names the entry of the log. */
    readonly reference?: string | undefined
  },
): Markup {
  const { t } = context
  return layout(context, {
    title: content.title,
    path: content.path,
    hidden: true,
    categories: content.categories,
    body: html`<div class="wrap narrow message" data-testid="message"><h1>${content.title}</h1><p>${content.text}</p>
${content.reference === undefined ? nothing : html`<p class="quiet">${t.errors.reference}: <code>${content.reference}</code></p>`}
<p class="actions"><a class="button" href="${context.link('/')}">${t.errors.back}</a> <a class="button quiet-button" href="${context.link('/search')}">${t.search}</a></p></div>`,
  })
}

export function helpPage(context: PageContext, categories: readonly Category[]): Markup {
  const { help } = context.t
  const { freight, contact } = context.site
  const lines: readonly (readonly [string, string | undefined])[] = [
    [help.phone, contact.phone],
    [help.email, contact.email],
    [help.hours, contact.hours === undefined ? undefined : context.say(contact.hours)],
    [help.addressLabel, contact.address === undefined ? undefined : context.say(contact.address)],
  ]
  return layout(context, {
    title: help.title,
    path: '/help',
    categories,
    body: html`<div class="wrap narrow prose"><h1>${help.title}</h1>
<section id="delivery"><h2>${help.delivery}</h2><p>${help.deliveryText(context.money(freight.amount), context.money(freight.freeFrom))}</p></section>
<section id="returns"><h2>${help.returns}</h2><p>${help.returnsText}</p></section>
<section id="payment"><h2>${help.payment}</h2><p>${help.paymentText}</p></section>
<section id="privacy"><h2>${help.privacy}</h2><p>${help.privacyText}</p></section>
${
  lines.every(([, value]) => value === undefined)
    ? nothing
    : html`<section id="contact"><h2>${help.contact}</h2><dl class="facts">${lines.map(([label, value]) => (value === undefined ? nothing : html`<div><dt>${label}</dt><dd>${value}</dd></div>`))}</dl></section>`
}</div>`,
  })
}
