import { paymentContract, paymentListenerContract } from '@aaas/access-cloud/payment'
import { cartContract } from '@aaas/business-cloud/cart'
import { type CatalogueService, catalogueContract } from '@aaas/business-cloud/catalogue'
import { inventoryContract } from '@aaas/business-cloud/inventory'
import { ledgerContract } from '@aaas/business-cloud/ledger'
import { orderContract } from '@aaas/business-cloud/order'
import { partyContract } from '@aaas/business-cloud/party'
import { orderPaymentContract } from '@aaas/business-cloud/payment'
import { pricingContract } from '@aaas/business-cloud/pricing'
import type { HookHost } from '@aaas/core-cloud/cloudware'
import { busClient, type Contract, type Handlers, localClient, serveContract } from '@aaas/core-cloud/contract'
import { defineProgram, type InstanceContext, type RunningProgram } from '@aaas/core-cloud/deploy'
import { Lifecycle } from '@aaas/core-cloud/kernel'
import { ApiKeys } from '@aaas/site-cloud/open-api'
import { sqlCloudwareState } from '@aaas/site-cloud/template'
import { type Database, pgDatabase } from '@aaas/support-cloud/rdbms'
import { shopAdminContract } from './admin-contract.js'
import { shopAdmin } from './shop-admin.js'
import { shopApi } from './shop-api.js'
import { shopJobs, shopRelay } from './shop-background.js'
import { pageHooks } from './shop-hooks.js'
import { releaseShop } from './shop-release.js'
import { openCache, openSearch, type ShopServices, shopServices } from './shop-services.js'
import { readSiteFile } from './site-file.js'
import type { SiteView } from './site-view.js'
import { createStorefront } from './storefront.js'

/** A shop: one merchant, one database, any number of equal instances. */
export const program = defineProgram({ release: releaseShop, start: startShop })

async function startShop(context: InstanceContext): Promise<RunningProgram> {
  const { clock, ids, logger, bus, hooks } = context
  const lifecycle = new Lifecycle({ clock })
  const { view, databaseConnections } = await readSiteFile(context.packageDir)
  const database = lifecycle.use(
    'database',
    pgDatabase({ url: context.databaseUrl, maxConnections: databaseConnections }),
  )
  const cache = lifecycle.use('cache', openCache(clock))
  const search = lifecycle.use('search', openSearch({ dataDir: context.dataDir, clock, logger }))
  // The first question for health comes when the packages of the start are loaded.
  let loaded = (): void => undefined
  const after = new Promise<void>(resolve => {
    loaded = resolve
  })
  const relay = lifecycle.use('relay', shopRelay({ database, hooks, clock, ids, logger, after }))
  const services = shopServices({
    database,
    cache,
    search,
    clock,
    ids,
    logger,
    hooks,
    site: view,
    currency: view.currency,
    gateway: busClient({ bus, contract: paymentContract, prefix: 'service.payment', clock, ids, ...seenBy(context) }),
    wake: () => relay.wake(),
  })
  await services.catalogue.ensureIndexed()
  const keys = new ApiKeys({ database, clock, ids })
  await serveAll(context, lifecycle, services, keys, database)
  lifecycle.use('background work', shopJobs({ services, database, clock, logger }))
  const api = shopApi({ services, keys, title: view.name.en, clock, ids, logger })
  const client = <C extends Contract>(contract: C, handlers: Handlers<C>) =>
    localClient({ contract, handlers, clock, ids, ...seenBy(context) })
  const storefront = createStorefront({
    services: {
      catalogue: client(catalogueContract, services.catalogue),
      pricing: client(pricingContract, services.pricing),
      carts: client(cartContract, services.carts),
      skus: services.catalogue,
      parties: client(partyContract, services.parties),
      orders: client(orderContract, services.orders),
      payments: client(orderPaymentContract, services.payments),
    },
    site: view,
    slots: async (slot, input) => {
      const hook = pageHooks[slot]
      return hooks.has(hook.name) ? (await hooks.views(hook, input)).map(one => one.view) : []
    },
    revision: () => pageRevision(services.catalogue.revision(), hooks),
    clock,
    ids,
    logger,
    version: String(context.version),
  })
  return {
    handler: (request, response) => {
      if (!api.take(request, response)) storefront(request, response)
    },
    warmUp: await pathsToWarm(view, services.catalogue),
    state: packageName => sqlCloudwareState({ database, packageName }),
    health: async () => {
      loaded()
      await database.query({ text: 'select 1', name: 'health' })
    },
    drain: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => lifecycle.stop(),
  }
}

/** Pages are made of the catalogue, and of packages when there are any that show something. */
function pageRevision(catalogue: number | Promise<number>, hooks: HookHost): number | Promise<number> {
  if (typeof catalogue !== 'number') return catalogue.then(known => pageRevision(known, hooks))
  return catalogue * 4 + (hooks.has(pageHooks.home.name) ? 2 : 0) + (hooks.has(pageHooks.product.name) ? 1 : 0)
}

/** Pages and API reads of every kind: the first of the shelf are asked for most, and stand for the rest. */
async function pathsToWarm(view: SiteView, catalogue: CatalogueService): Promise<readonly string[]> {
  const { products } = await catalogue.listProducts({ limit: 20 })
  const slugs = products.map(product => product.slug)
  const pages = ['/', '/products', ...new Set(products.map(product => `/category/${product.category}`))]
  return [
    ...view.languages.flatMap(language =>
      [...pages, ...slugs.map(slug => `/product/${slug}`), '/search?q=a'].map(path => `/${language}${path}`),
    ),
    '/api/products',
    ...slugs.slice(0, 5).map(slug => `/api/products/${slug}`),
  ]
}

/** Who sees the calls of this instance; nobody where no metrics are collected. */
function seenBy({ observer }: InstanceContext): Pick<InstanceContext, 'observer'> {
  return observer === undefined ? {} : { observer }
}

/** Offers the service centres on the host's bus: to operators through the host, and to the payment gateway. */
async function serveAll(
  context: InstanceContext,
  lifecycle: Lifecycle,
  services: ShopServices,
  keys: ApiKeys,
  database: Database,
): Promise<void> {
  const { bus, busPrefix, clock, logger, hooks } = context
  const serve = async <C extends Contract>(contract: C, handlers: Handlers<C>): Promise<void> => {
    const served = await serveContract({
      bus,
      contract,
      handlers,
      prefix: busPrefix,
      clock,
      logger,
      ...seenBy(context),
    })
    lifecycle.add({
      name: contract.name,
      drain: () => served.drain(),
      dispose: async () => served[Symbol.asyncDispose](),
    })
  }
  await Promise.all([
    serve(catalogueContract, services.catalogue),
    serve(pricingContract, services.pricing),
    serve(inventoryContract, services.inventory),
    serve(orderContract, services.orders),
    serve(partyContract, services.parties),
    serve(ledgerContract, services.ledger),
    serve(orderPaymentContract, services.payments),
    serve(paymentListenerContract, services.payments),
    serve(shopAdminContract, shopAdmin({ keys, hooks, database })),
  ])
}
