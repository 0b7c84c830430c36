import type { Language, Localized } from '@aaas/business-cloud/catalogue'
import { formatMoney, formatTime } from './formats.js'
import type { SiteView } from './site-view.js'
import { type Texts, textsOf } from './texts/texts.js'

/** Addresses of the files that pages refer to, below the base. */
export interface AssetPaths {
  readonly style: string
  readonly script: string
  /** Path of a product picture. */
  image(name: string): string
}

/** What every page is drawn with. Nothing in it belongs to one buyer, so it may be used for pages that are kept. */
export interface PageContext {
  readonly site: SiteView
  readonly language: Language
  readonly t: Texts
  readonly base: string
  readonly assets: AssetPaths
  /** A page of the shop in this language; `path` starts with `/`. */
  link(path: string): string
  asset(path: string): string
  image(name: string): string
  say(text: Localized): string
  money(amount: number): string
  time(at: number): string
}

export function pageContext(site: SiteView, language: Language, base: string, assets: AssetPaths): PageContext {
  return {
    site,
    language,
    t: textsOf(language),
    base,
    assets,
    link: path => `${base}/${language}${path}`,
    asset: path => base + path,
    image: name => base + assets.image(name),
    say: text => text[language] || text.en || text['zh-CN'],
    money: amount => formatMoney(amount, site.currency, language),
    time: at => formatTime(at, site.timeZone, language),
  }
}

/** `key=value` pairs as a query with its `?`; undefined and empty values are left out. */
export function queryText(values: Readonly<Record<string, string | number | undefined>>): string {
  const pairs: string[] = []
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined && value !== '') pairs.push(`${key}=${encodeURIComponent(value)}`)
  }
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}
