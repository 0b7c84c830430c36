import { cartMigrations } from '@aaas/business-cloud/cart'
import { CartServiceToken, cartModule } from '@aaas/business-cloud/cart/module'
import { catalogueMigrations, productIndexFields } from '@aaas/business-cloud/catalogue'
import { CatalogueServiceToken, catalogueModule, SkuSourceToken } from '@aaas/business-cloud/catalogue/module'
import { inventoryMigrations, setInitialStock } from '@aaas/business-cloud/inventory'
import { OrderServiceToken, orderModule } from '@aaas/business-cloud/order/module'
import { paymentParticipant } from '@aaas/business-cloud/payment'
import { listPrices, pricingMigrations } from '@aaas/business-cloud/pricing'
import { PricingServiceToken, pricingModule } from '@aaas/business-cloud/pricing/module'
import { noHooks } from '@aaas/core-cloud/cloudware'
import { kernelModule } from '@aaas/core-cloud/kernel/module'
import { cacheModule } from '@aaas/support-cloud/cache/module'
import { migrate } from '@aaas/support-cloud/rdbms'
import { DatabaseToken, rdbmsModule } from '@aaas/support-cloud/rdbms/module'
import { searchModule } from '@aaas/support-cloud/search/module'
import { transactionMigrations } from '@aaas/support-cloud/transaction'
import { openTestDatabase } from '@aaas/testing'
import { Container } from 'inversify'
import { test } from 'tap'

test('the order path composes from modules', async t => {
  await using server = await openTestDatabase()
  const container = new Container()
  container.load(
    kernelModule(),
    rdbmsModule({ url: server.url }),
    cacheModule(),
    searchModule({ file: ':memory:', fields: productIndexFields }),
    catalogueModule({ stock: { setInitial: setInitialStock }, prices: listPrices, currency: 'CNY' }),
    pricingModule({ hooks: noHooks, config: { currency: 'CNY', freight: { amount: 800, freeFrom: 9_900 } } }),
    cartModule,
    orderModule({ hooks: noHooks, participants: [paymentParticipant] }),
  )
  await migrate(container.get(DatabaseToken), [
    transactionMigrations,
    catalogueMigrations,
    pricingMigrations,
    inventoryMigrations,
    cartMigrations,
  ])
  t.equal(container.get(SkuSourceToken), container.get(CatalogueServiceToken))
  t.same(await container.get(CatalogueServiceToken).listCategories(), { categories: [] })
  await t.rejects(
    container.get(PricingServiceToken).quote({ lines: [{ sku: 'tea-1', quantity: 1 }], buyer: { groups: [] } }),
    { code: 'business.catalogue.unknown-product' },
  )
  t.same(await container.get(CartServiceToken).get({ cartId: 'c'.repeat(26) }), { cartId: 'c'.repeat(26), lines: [] })
  t.equal(container.get(OrderServiceToken).deps.database, container.get(DatabaseToken))
  await container.unbindAllAsync()
})
