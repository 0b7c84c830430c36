import { en, type Texts } from './texts-en.js'
import { zh } from './texts-zh.js'

export type { Texts } from './texts-en.js'

export const languages = ['en', 'zh-CN'] as const
export type Language = (typeof languages)[number]

export const texts: Readonly<Record<Language, Texts>> = { en, 'zh-CN': zh }

/** What a person chose, else the first language of the browser that the console speaks, else English. */
export function languageOf(chosen: string | undefined, acceptLanguage: string | undefined): Language {
  const known = languages.find(one => one === chosen)
  if (known !== undefined) return known
  // Browsers list the best first; weights only repeat the order.
  for (const range of (acceptLanguage ?? '').slice(0, 200).split(',')) {
    const tag = range.trim().toLowerCase()
    if (tag.startsWith('zh')) return 'zh-CN'
    if (tag.startsWith('en')) return 'en'
  }
  return 'en'
}
