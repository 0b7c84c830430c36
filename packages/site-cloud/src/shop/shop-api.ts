import type { IncomingMessage, ServerResponse } from 'node:http'
import { catalogueContract } from '@aaas/business-cloud/catalogue'
import { orderContract } from '@aaas/business-cloud/order'
import { httpService } from '@aaas/core-cloud/contract'
import type { Clock, Ids, Logger } from '@aaas/core-cloud/kernel'
import { type ApiKeys, createOpenApi } from '@aaas/site-cloud/open-api'
import type { ShopServices } from './shop-services.js'

const base = '/api'

/** The shop's API for third-party systems, below `/api`. */
export function shopApi(options: {
  readonly services: ShopServices
  readonly keys: ApiKeys
  readonly title: string
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
}): { take(request: IncomingMessage, response: ServerResponse): boolean } {
  const { orders, catalogue } = options.services
  const api = createOpenApi({
    ...options,
    title: `${options.title}: open API`,
    version: orderContract.version,
    kept: { contract: catalogueContract, revision: () => catalogue.revision() },
    services: [
      httpService(catalogueContract, catalogue),
      // A third party never speaks for a registered buyer: whose order it is comes from a session, and it has none.
      httpService(orderContract, {
        place: ({ partyId: _, ...input }, context) => orders.place(input, context),
        get: ({ partyId: _, ...input }, context) => orders.get(input, context),
        list: (input, _context) => orders.list(input),
        cancel: ({ partyId: _, ...input }, context) => orders.cancel(input, context),
        ship: (input, context) => orders.ship(input, context),
        complete: (input, context) => orders.complete(input, context),
        refund: (input, context) => orders.refund(input, context),
      }),
    ],
  })
  return {
    take(request, response) {
      const url = request.url ?? '/'
      if (!url.startsWith(`${base}/`)) return false
      void api.handle(request, response, url.slice(base.length))
      return true
    },
  }
}
