import type { Language } from '@aaas/business-cloud/catalogue'
import { en, type Texts } from './texts-en.js'
import { zh } from './texts-zh.js'

export type { Texts } from './texts-en.js'

export function textsOf(language: Language): Texts {
  return language === 'zh-CN' ? zh : en
}
