import { ContainerModule, type ServiceIdentifier } from 'inversify'
import { SkuSourceToken } from '../catalogue/module.js'
import { type PricingDeps, PricingService } from './pricing-service.js'

export const PricingServiceToken = Symbol.for(
  '@aaas/business-cloud/PricingService',
) as ServiceIdentifier<PricingService>

/** Binds PricingService. Needs SkuSource, which the catalogue's module binds. */
export function pricingModule(options: Omit<PricingDeps, 'skus'>): ContainerModule {
  return new ContainerModule(({ bind }) => {
    bind(PricingServiceToken)
      .toResolvedValue(skus => new PricingService({ ...options, skus }), [SkuSourceToken])
      .inSingletonScope()
  })
}
