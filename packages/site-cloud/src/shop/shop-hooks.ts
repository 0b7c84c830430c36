import type { Hook } from '@aaas/core-cloud/cloudware'
import { Type } from 'typebox'

const language = Type.Union([Type.Literal('zh-CN'), Type.Literal('en')])

/** Places on pages where packages may show blocks. */
export const pageHooks = {
  home: pageHook('home', Type.Object({ language })),
  product: pageHook('product', Type.Object({ language, slug: Type.String() })),
  cart: pageHook(
    'cart',
    Type.Object({ language, lines: Type.Array(Type.Object({ sku: Type.String(), quantity: Type.Integer() })) }),
  ),
} as const

/** A section of the shop's page in the console. */
export const consoleHook: Hook = {
  name: 'console.section@1',
  kind: 'view',
  summary: 'A section on the site’s page in the console.',
  input: Type.Object({ language }),
}

export const orderEvents = ['placed', 'paid', 'closed', 'shipped', 'completed', 'refunded'] as const

function pageHook(page: string, input: Hook['input']): Hook {
  return { name: `page.${page}@1`, kind: 'view', summary: `Blocks on the ${page} page.`, input }
}
