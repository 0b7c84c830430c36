import { ClockToken, IdsToken } from '@aaas/core-cloud/kernel/module'
import { DatabaseToken } from '@aaas/support-cloud/rdbms/module'
import { ContainerModule, type ServiceIdentifier } from 'inversify'
import { SkuSourceToken } from '../catalogue/module.js'
import { PricingServiceToken } from '../pricing/module.js'
import type { OrderDeps } from './order-deps.js'
import { OrderService } from './order-service.js'

export const OrderServiceToken = Symbol.for('@aaas/business-cloud/OrderService') as ServiceIdentifier<OrderService>

export type OrderModuleOptions = Omit<OrderDeps, 'database' | 'pricing' | 'skus' | 'clock' | 'ids'>

/** Binds OrderService. Needs Database, PricingService, SkuSource, Clock and Ids. */
export function orderModule(options: OrderModuleOptions): ContainerModule {
  return new ContainerModule(({ bind }) => {
    bind(OrderServiceToken)
      .toResolvedValue(
        (database, pricing, skus, clock, ids) => {
          const quote: OrderDeps['pricing']['quote'] = input => pricing.quote(input)
          return new OrderService({ ...options, database, pricing: { quote }, skus, clock, ids })
        },
        [DatabaseToken, PricingServiceToken, SkuSourceToken, ClockToken, IdsToken],
      )
      .inSingletonScope()
  })
}
