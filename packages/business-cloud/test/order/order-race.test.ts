import { checkShopInvariants } from '@aaas/business-cloud/order'
import { CloudError } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import { callContext, openShop, placeInput } from './shop-fixture.js'

test('64 buyers race for 10 units', async t => {
  const shop = await openShop({ stock: { hot: 10, a: 1000, z: 1000 }, connections: 16 })
  t.teardown(() => shop[Symbol.asyncDispose]())
  for (let round = 1; round <= 3; round++) {
    const buyers = Array.from({ length: 64 }, (_, buyer) => {
      // Lines in both orders: buyers must not wait for each other in a circle.
      const lines = [
        ['hot', 1],
        [buyer % 2 ? 'a' : 'z', 1],
      ] as const
      return shop.orders.place(
        placeInput(...(buyer % 4 < 2 ? lines : lines.toReversed())),
        callContext(`r${round}-b${buyer}`),
      )
    })
    const outcomes = await Promise.allSettled(buyers)
    const won = outcomes.flatMap(outcome => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    t.equal(won.length, 10, 'exactly ten orders')
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue
      const error: unknown = outcome.reason
      if (!CloudError.is(error, 'business.inventory.sold-out') || error.status !== 409) t.fail(String(error))
    }
    t.same(await checkShopInvariants(shop.database), [])
    const [level] = await shop.database.query({
      text: `select on_hand - reserved as available from stock_level where sku = 'hot'`,
    })
    t.same(level, { available: 0 })
    await Promise.all(
      won.map(order =>
        shop.orders.cancel({ number: order.number, accessToken: order.accessToken ?? '' }, callContext()),
      ),
    )
  }
  t.same(await checkShopInvariants(shop.database), [])
  const [row] = await shop.database.query({
    text: 'select deadlocks from pg_stat_database where datname = current_database()',
  })
  t.same(row, { deadlocks: 0 })
})

test('pay, cancel and expiry race for one order', async t => {
  const shop = await openShop({ stock: { a: 100 }, connections: 12 })
  t.teardown(() => shop[Symbol.asyncDispose]())
  const ended = new Set<string>()
  for (let round = 0; round < 12; round++) {
    const {
      number,
      accessToken = '',
      expiresAt,
    } = await shop.orders.place(placeInput(['a', 1]), callContext(`k${round}`))
    const [paid] = await Promise.all([
      shop.orders.markPaid({ number, amount: 1000, paidAt: 1 }),
      shop.orders.markPaid({ number, amount: 1000, paidAt: 1 }),
      shop.orders.cancel({ number, accessToken }, callContext()).catch(() => undefined),
      shop.orders.closeExpired(expiresAt),
    ])
    ended.add(paid.applied ? 'paid' : 'not')
  }
  t.ok(ended.size > 0)
  t.same(await checkShopInvariants(shop.database), [])
})
