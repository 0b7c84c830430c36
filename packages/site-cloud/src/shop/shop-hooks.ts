import { orderEventHook, placeHook } from '@aaas/business-cloud/order'
import { quoteHook } from '@aaas/business-cloud/pricing'
import type { Hook } from '@aaas/core-cloud/cloudware'
import { Type } from 'typebox'

const language = Type.Union([Type.Literal('zh-CN'), Type.Literal('en')])

/** Places on pages where packages may show blocks. */
export const pageHooks = {
  home: pageHook('home', Type.Object({ language })),
  product: pageHook('product', Type.Object({ language, slug: Type.String() })),
  cart: pageHook('cart', Type.Object({ language, lines: Type.Array(Type.Object({ sku: Type.String(), quantity: Type.Integer() })) })),
} as const

/** A section of the shop's page in the console. */
export const consoleHook: Hook = {
  name: 'console.section@1',
  kind: 'view',
  summary: 'A section on the site’s page in the console.',
  input: Type.Object({ language }),
}

export const orderEvents = ['placed', 'paid', 'closed', 'shipped', 'completed', 'refunded'] as const

/** Everything a package may hook into, as `aaas package ls` and the console list it. */
export const shopHooks: readonly Hook[] = [
  quoteHook,
  placeHook,
  ...orderEvents.map(orderEventHook),
  ...Object.values(pageHooks),
  consoleHook,
]

function pageHook(page: string, input: Hook['input']): Hook {
  return { name: `page.${page}@1`, kind: 'view', summary: `Blocks on the ${page} page.`, input }
}
