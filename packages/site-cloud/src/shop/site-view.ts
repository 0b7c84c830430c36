import type { Language, Localized } from '@aaas/business-cloud/catalogue'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { ShopConfig } from './shop-config.js'
import { type ThemeTokens, themeTokens } from './theme.js'

/** What the pages know of the shop: site.json with every gap filled. */
export interface SiteView {
  readonly name: Localized
  readonly tagline: Localized
  readonly about: Localized
  readonly languages: readonly Language[]
  readonly defaultLanguage: Language
  /** ISO 4217. */
  readonly currency: string
  readonly timeZone: string
  readonly theme: ThemeTokens
  /** Minor units. */
  readonly freight: { readonly amount: number; readonly freeFrom: number }
  readonly contact: {
    readonly company?: Localized
    readonly email?: string
    readonly phone?: string
    readonly hours?: Localized
    readonly address?: Localized
  }
}

const tagline: Localized = { 'zh-CN': '日日用得上的好东西', en: 'Good things for every day' }
const about: Localized = {
  'zh-CN': '我们挑选经得起天天使用的器物：材料实在，设计安静，价格清楚。',
  en: 'We choose objects that stand up to daily use: honest materials, quiet design, clear prices.',
}

/**
 * Turns a validated config into what the pages use.
 * @throws CloudError `site.factory.invalid-site` when values that fit the schema contradict each other.
 */
export function siteView(config: ShopConfig): SiteView {
  if (!config.languages.includes(config.defaultLanguage)) {
    throw new CloudError(
      'site.factory.invalid-site',
      `the default language '${config.defaultLanguage}' is not one of the languages`,
      {
        field: 'config/defaultLanguage',
      },
    )
  }
  if (!isTimeZone(config.timeZone)) {
    throw new CloudError('site.factory.invalid-site', `'${config.timeZone}' is not a time zone`, {
      field: 'config/timeZone',
    })
  }
  return {
    name: config.name,
    tagline: config.tagline ?? tagline,
    about: config.about ?? about,
    languages: config.languages,
    defaultLanguage: config.defaultLanguage,
    currency: config.currency,
    timeZone: config.timeZone,
    theme: themeTokens(config.theme),
    freight: config.freight,
    contact: config.contact ?? {},
  }
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}
