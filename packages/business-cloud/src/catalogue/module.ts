import { ClockToken, LoggerToken } from '@aaas/core-cloud/kernel/module'
import { CacheToken } from '@aaas/support-cloud/cache/module'
import { DatabaseToken } from '@aaas/support-cloud/rdbms/module'
import { SearchIndexToken } from '@aaas/support-cloud/search/module'
import { ContainerModule, type ServiceIdentifier } from 'inversify'
import { CatalogueService } from './catalogue-service.js'
import type { InitialStock, ListPriceWriter, SkuSource } from './sku-facts.js'

const named = '@aaas/business-cloud'
export const CatalogueServiceToken = Symbol.for(`${named}/CatalogueService`) as ServiceIdentifier<CatalogueService>
/** What pricing, cart and order ask for; bound to the catalogue service. */
export const SkuSourceToken = Symbol.for(`${named}/SkuSource`) as ServiceIdentifier<SkuSource>

export interface CatalogueModuleOptions {
  /** `{ setInitial: setInitialStock }` of the inventory. */
  readonly stock: InitialStock
  /** `listPrices` of pricing. */
  readonly prices: ListPriceWriter
  /** ISO 4217 code of the site. */
  readonly currency: string
}

/** Binds CatalogueService and SkuSource. Needs Database, Cache, SearchIndex (of `productIndexFields`), Clock, Logger. */
export function catalogueModule(options: CatalogueModuleOptions): ContainerModule {
  return new ContainerModule(({ bind }) => {
    bind(CatalogueServiceToken)
      .toResolvedValue(
        (db, cache, search, clock, logger) => new CatalogueService({ ...options, db, cache, search, clock, logger }),
        [DatabaseToken, CacheToken, SearchIndexToken, ClockToken, LoggerToken],
      )
      .inSingletonScope()
    bind(SkuSourceToken).toService(CatalogueServiceToken)
  })
}
