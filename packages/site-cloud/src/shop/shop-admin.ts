import { checkShopInvariants } from '@aaas/business-cloud/order'
import { checkPaymentInvariants } from '@aaas/business-cloud/payment'
import type { HookHost } from '@aaas/core-cloud/cloudware'
import type { Handlers } from '@aaas/core-cloud/contract'
import type { ApiKeys } from '@aaas/site-cloud/open-api'
import type { Database } from '@aaas/support-cloud/rdbms'
import type { shopAdminContract } from './admin-contract.js'
import { consoleHook } from './shop-hooks.js'

const defaultRequestsPerSecond = 100

export function shopAdmin(deps: {
  readonly keys: ApiKeys
  readonly hooks: HookHost
  readonly database: Database
}): Handlers<typeof shopAdminContract> {
  return {
    createApiKey: input =>
      deps.keys.create({ ...input, requestsPerSecond: input.requestsPerSecond ?? defaultRequestsPerSecond }),
    listApiKeys: async () => ({ keys: (await deps.keys.list()).map(key => ({ ...key, scopes: [...key.scopes] })) }),
    revokeApiKey: async input => {
      await deps.keys.revoke(input.keyId)
      return {}
    },
    consoleViews: async input => ({ views: [...(await deps.hooks.views(consoleHook, input))] }),
    checkInvariants: async () => {
      const breaches = [...(await checkShopInvariants(deps.database)), ...(await checkPaymentInvariants(deps.database))]
      return {
        ok: breaches.length === 0,
        problems: breaches.slice(0, 100).map(one => `${one.invariant}: ${one.subject} ${one.fact}`),
      }
    },
  }
}
