import type { Category } from '@aaas/business-cloud/catalogue'
import type { Quote } from '@aaas/business-cloud/pricing'
import { html, type Markup, nothing, trusted } from '../html.js'
import type { PageContext } from '../page-context.js'
import { adjustments, type CartLineView, lineArt, optionText, totals } from './cart-page.js'
import { layout } from './layout.js'
import { formToken, notice } from './parts.js'

export const addressFields = ['name', 'phone', 'email', 'region', 'line', 'note'] as const
export type AddressField = (typeof addressFields)[number]

/** What the buyer typed, as text. */
export type AddressValues = Readonly<Record<AddressField, string>>

export const emptyAddress: AddressValues = { name: '', phone: '', email: '', region: '', line: '', note: '' }

/** Characters a field may have; the limits of the order contract. */
export const addressLimits: Readonly<Record<AddressField, number>> = {
  name: 80,
  phone: 32,
  email: 254,
  region: 80,
  line: 200,
  note: 200,
}

export interface CheckoutContent {
  readonly categories: readonly Category[]
  readonly lines: readonly CartLineView[]
  readonly quote: Quote
  readonly values: AddressValues
  readonly errors: Readonly<Partial<Record<AddressField, string>>>
  /** Said above the form. */
  readonly problem: string | undefined
  /** Makes a second submit of this form the same order. */
  readonly key: string
  /** Name of a buyer who is signed in. */
  readonly buyerName: string | undefined
}

export function checkoutPage(context: PageContext, content: CheckoutContent): Markup {
  const { t } = context
  const { checkout } = t
  const invalid = Object.keys(content.errors).length > 0
  return layout(context, {
    title: checkout.title,
    path: '/checkout',
    hidden: true,
    categories: content.categories,
    body: html`<div class="wrap"><h1>${checkout.title}</h1>
${content.problem === undefined ? nothing : notice(content.problem, 'warn')}
${invalid && content.problem === undefined ? notice(checkout.problem, 'warn') : nothing}
<form method="post" action="${context.link('/checkout')}" class="two-columns" novalidate data-once data-testid="checkout-form">
${formToken}<input type="hidden" name="key" value="${content.key}"><input type="hidden" name="total" value="${content.quote.total}">
${content.lines.map(line => html`<input type="hidden" name="item" value="${line.sku}:${line.quantity}">`)}
<div>
<p class="quiet">${content.buyerName === undefined ? html`${checkout.guest} <a href="${context.link('/login')}?to=checkout">${checkout.signIn}</a>` : checkout.signedIn(content.buyerName)}</p>
<fieldset><legend>${checkout.address}</legend>
${field(context, content, 'name', { autocomplete: 'name', required: true })}
${field(context, content, 'phone', { autocomplete: 'tel', required: true, type: 'tel', mode: 'tel' })}
${field(context, content, 'region', { autocomplete: 'address-level1', required: true })}
${field(context, content, 'line', { autocomplete: 'street-address', required: true })}
${field(context, content, 'email', { autocomplete: 'email', type: 'email', mode: 'email', hint: checkout.emailHint })}
${field(context, content, 'note', { autocomplete: 'off' })}
</fieldset></div>
<aside class="panel summary" data-testid="checkout-summary"><div class="section-head"><h2>${checkout.review}</h2><a href="${context.link('/cart')}">${checkout.edit}</a></div>
<ul class="lines small-lines">${content.lines.map(line => reviewLine(context, line))}</ul>
${totals(context, content.quote)}
<button class="button wide" data-testid="place-order">${checkout.place(context.money(content.quote.total))}</button>
<p class="quiet center">${checkout.placeHint}</p></aside>
</form></div>`,
  })
}

function field(
  context: PageContext,
  content: CheckoutContent,
  name: AddressField,
  options: {
    readonly autocomplete: string
    readonly required?: boolean
    readonly type?: string
    readonly mode?: string
    readonly hint?: string
  },
): Markup {
  const error = content.errors[name]
  return textField({
    name,
    label: context.t.checkout[name],
    value: content.values[name],
    maxLength: addressLimits[name],
    error,
    ...options,
  })
}

export interface TextFieldOptions {
  readonly name: string
  readonly label: string
  readonly value: string
  readonly maxLength: number
  readonly autocomplete: string
  readonly error?: string | undefined
  readonly hint?: string | undefined
  readonly required?: boolean
  readonly type?: string
  readonly mode?: string
}

/** A labelled input whose error and hint are tied to it for screen readers. */
export function textField(options: TextFieldOptions): Markup {
  const { name, error, hint } = options
  const described = [error === undefined ? '' : `${name}-error`, hint === undefined ? '' : `${name}-hint`]
    .filter(id => id !== '')
    .join(' ')
  return html`<p class="field${error === undefined ? '' : ' wrong'}"><label for="f-${name}">${options.label}</label>
<input id="f-${name}" name="${name}" type="${options.type ?? 'text'}" value="${options.value}" maxlength="${options.maxLength}" autocomplete="${options.autocomplete}"${
    options.mode === undefined ? nothing : html` inputmode="${options.mode}"`
  }${options.required ? trusted(' required') : nothing}${error === undefined ? nothing : trusted(' aria-invalid="true"')}${described === '' ? nothing : html` aria-describedby="${described}"`}>
${error === undefined ? nothing : html`<span class="error" id="${name}-error" data-testid="error-${name}">${error}</span>`}
${hint === undefined ? nothing : html`<span class="hint" id="${name}-hint">${hint}</span>`}</p>`
}

function reviewLine(context: PageContext, line: CartLineView): Markup {
  return html`<li class="line">${lineArt(context, line.product)}<div class="line-text"><p>${line.product === undefined ? line.sku : context.say(line.product.name)}</p>
${line.product === undefined ? nothing : optionText(context, line.product.options)}${adjustments(context, line.quoted)}<p class="quiet">× ${line.quantity}</p></div>
<p class="line-amount">${line.quoted === undefined ? nothing : context.money(line.quoted.amount)}</p></li>`
}
