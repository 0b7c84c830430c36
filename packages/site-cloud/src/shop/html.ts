/** Text that is HTML already. Only {@link html} and {@link trusted} make one. */
export class Markup {
  constructor(readonly text: string) {}
}

/** What a template may hold. Strings are escaped, `undefined`, `null` and `false` are nothing, arrays are joined. */
export type HtmlValue = string | number | Markup | undefined | null | false | readonly HtmlValue[]

/** Marks text as HTML. Never give it anything that came from a person or a catalogue. */
export function trusted(text: string): Markup {
  return new Markup(text)
}

export const nothing = new Markup('')

// U+E000 to U+E00F mark the holes of cached pages (see page-cache.ts): data may never bring one in.
const unsafe = /[&<>"'\uE000-\uE00F]/
const replacements: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Escapes for element content and for attributes in either kind of quotes. */
export function escapeHtml(text: string): string {
  if (!unsafe.test(text)) return text
  return text.replace(/[&<>"'\uE000-\uE00F]/g, character => replacements[character] ?? '')
}

/** Builds HTML; every value is escaped unless it is {@link Markup}. Attributes must be quoted in the template. */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Markup {
  let text = strings[0] ?? ''
  for (let index = 0; index < values.length; index++) text += render(values[index]) + (strings[index + 1] ?? '')
  return new Markup(text)
}

function render(value: HtmlValue): string {
  if (typeof value === 'string') return escapeHtml(value)
  if (typeof value === 'number') return String(value)
  if (value === undefined || value === null || value === false) return ''
  if (value instanceof Markup) return value.text
  let text = ''
  for (const part of value) text += render(part)
  return text
}

/** A string whose place in a JSON document needs the request's origin in front; see {@link jsonScript}. */
export class OriginUrl {
  constructor(readonly path: string) {}
}

/** A JSON-LD block. `<` is escaped, so no text can end the script element. */
export function jsonScript(value: unknown, origin: string): Markup {
  const text = JSON.stringify(value, function (this: unknown, key: string, member: unknown) {
    const original = (this as Record<string, unknown>)[key]
    if (original instanceof OriginUrl) return origin + original.path
    return typeof member === 'string' ? member.replace(/[\uE000-\uE00F]/g, '') : member
  })
  const safe = text
    .replace(/</g, '\\u003c')
    .replace(/\u2028/g, '\\u2028')
    .replace(/\u2029/g, '\\u2029')
  return new Markup(`<script type="application/ld+json">${safe}</script>`)
}
