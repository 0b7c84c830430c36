import { join } from 'node:path'
import type { paymentContract } from '@aaas/access-cloud/payment'
import { CartService } from '@aaas/business-cloud/cart'
import { CatalogueService, productIndexFields } from '@aaas/business-cloud/catalogue'
import { InventoryService, setInitialStock } from '@aaas/business-cloud/inventory'
import { LedgerService } from '@aaas/business-cloud/ledger'
import { OrderService } from '@aaas/business-cloud/order'
import { PartyService } from '@aaas/business-cloud/party'
import { OrderPaymentService, paymentParticipant } from '@aaas/business-cloud/payment'
import { listPrices, PricingService } from '@aaas/business-cloud/pricing'
import type { HookHost } from '@aaas/core-cloud/cloudware'
import type { Client } from '@aaas/core-cloud/contract'
import type { Clock, Ids, Logger } from '@aaas/core-cloud/kernel'
import { type Cache, memoryCache } from '@aaas/support-cloud/cache'
import type { Database } from '@aaas/support-cloud/rdbms'
import { type SearchIndex, sqliteSearchIndex } from '@aaas/support-cloud/search'
import type { SiteView } from './site-view.js'

/** The service centres of one shop, in one process, on one database. */
export interface ShopServices {
  readonly catalogue: CatalogueService
  readonly pricing: PricingService
  readonly inventory: InventoryService
  readonly carts: CartService
  readonly parties: PartyService
  readonly orders: OrderService
  readonly payments: OrderPaymentService
  readonly ledger: LedgerService
}

export interface CatalogueParts {
  readonly database: Database
  readonly cache: Cache
  readonly search: SearchIndex
  readonly clock: Clock
  readonly logger: Logger
  readonly currency: string
}

/** Milliseconds a party's groups are believed; a buyer made a VIP sees it at once elsewhere, here within this time. */
const groupsTtlMs = 2_000

export function openSearch(options: {
  readonly dataDir: string
  readonly clock: Clock
  readonly logger: Logger
}): SearchIndex {
  return sqliteSearchIndex({
    file: join(options.dataDir, 'search.db'),
    fields: productIndexFields,
    clock: options.clock,
    logger: options.logger,
  })
}

export function openCache(clock: Clock): Cache {
  return memoryCache({ clock, maxBytes: 16 * 1024 * 1024 })
}

export function catalogueService(parts: CatalogueParts): CatalogueService {
  return new CatalogueService({
    db: parts.database,
    cache: parts.cache,
    search: parts.search,
    stock: { setInitial: setInitialStock },
    prices: listPrices,
    clock: parts.clock,
    logger: parts.logger,
    currency: parts.currency,
  })
}

export function shopServices(
  options: CatalogueParts & {
    readonly ids: Ids
    readonly hooks: HookHost
    readonly gateway: Client<typeof paymentContract>
    readonly site: SiteView
    readonly wake: () => void
  },
): ShopServices {
  const { database, clock, ids, logger, hooks, site, wake, cache } = options
  const catalogue = catalogueService(options)
  const pricing = new PricingService({
    skus: catalogue,
    hooks,
    config: { currency: site.currency, freight: { amount: site.freight.amount, freeFrom: site.freight.freeFrom } },
  })
  const parties = new PartyService({ db: database, clock, ids })
  const orders = new OrderService({
    database,
    pricing: { quote: input => pricing.quote(input) },
    skus: catalogue,
    hooks,
    clock,
    ids,
    participants: [paymentParticipant],
    groupsOf: partyId => cache.wrap(`groups:${partyId}`, () => parties.groupsOf(partyId), { ttlMs: groupsTtlMs }),
    wake,
  })
  const payments = new OrderPaymentService({ database, gateway: options.gateway, orders, clock, logger, wake })
  return {
    catalogue,
    pricing,
    inventory: new InventoryService({ database }),
    carts: new CartService({ db: database, skus: catalogue, clock }),
    parties,
    orders,
    payments,
    ledger: new LedgerService({ database }),
  }
}
