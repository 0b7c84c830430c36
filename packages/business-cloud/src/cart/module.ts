import { ClockToken } from '@aaas/core-cloud/kernel/module'
import { DatabaseToken } from '@aaas/support-cloud/rdbms/module'
import { ContainerModule, type ServiceIdentifier } from 'inversify'
import { SkuSourceToken } from '../catalogue/module.js'
import { CartService } from './cart-service.js'

export const CartServiceToken = Symbol.for('@aaas/business-cloud/CartService') as ServiceIdentifier<CartService>

/** Binds CartService. Needs Database, SkuSource and Clock. */
export const cartModule: ContainerModule = new ContainerModule(({ bind }) => {
  bind(CartServiceToken)
    .toResolvedValue(
      (db, skus, clock) => new CartService({ db, skus, clock }),
      [DatabaseToken, SkuSourceToken, ClockToken],
    )
    .inSingletonScope()
})
