import { checkShopInvariants, OrderService } from '@aaas/business-cloud/order'
import { CloudError } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import { failing } from './failing-database.js'
import { callContext, openShop, placeInput, type Shop } from './shop-fixture.js'

type Step = (orders: OrderService, key: string, number: string) => Promise<unknown>
const steps: Record<string, Step> = {
  place: (orders, key) => orders.place(placeInput(['a', 1], ['b', 2]), callContext(key)),
  markPaid: (orders, _, number) => orders.markPaid({ number, amount: 1000, paidAt: 1 }),
  cancel: (orders, _, number) => orders.cancel({ number }, callContext('', { id: 'staff', scopes: ['*'] })),
  closeExpired: orders => orders.closeExpired(Number.MAX_SAFE_INTEGER),
}

/** Fails call 1, 2, 3 ... until the step passes; repeats each failed step on a healthy database. */
async function faults(
  shop: Shop,
  name: string,
  when: 'before' | 'after',
): Promise<{ failures: number; breaches: unknown[] }> {
  const breaches: unknown[] = []
  const step = steps[name] as Step
  for (let nth = 1; nth < 30; nth++) {
    const key = `${name}-${when}-${nth}`
    const { number } = await shop.orders.place(placeInput(['a', 1]), callContext(`${key}-order`))
    const { database, calls } = failing(shop.database, nth, when)
    const failed = await step(new OrderService({ ...shop.deps, database }), key, number).then(
      () => false,
      (error: unknown) => {
        if (!CloudError.is(error, 'support.rdbms.unavailable')) breaches.push(error)
        return true
      },
    )
    breaches.push(...(await checkShopInvariants(shop.database)))
    if (failed) await step(shop.orders, key, number)
    breaches.push(...(await checkShopInvariants(shop.database)))
    if (!failed && calls() < nth) return { failures: nth - 1, breaches }
  }
  return { failures: Number.POSITIVE_INFINITY, breaches }
}

test('a database that fails at any call leaves a shop that holds, and a repeat ends the step', async t => {
  const shop = await openShop({ stock: { a: 1000, b: 1000 } })
  t.teardown(() => shop[Symbol.asyncDispose]())
  for (const name of Object.keys(steps)) {
    for (const when of ['before', 'after'] as const) {
      const { failures, breaches } = await faults(shop, name, when)
      t.same(breaches, [], `${name}, failing ${when}`)
      t.ok(failures >= 1 && failures < 20, `${failures} calls of ${name} were failed`)
    }
  }
  const counted = await shop.database.query({
    text: `select count(*) as n, count(distinct idempotency_key) as keys from trade_order
      where idempotency_key like 'guest:place-%' and idempotency_key not like '%-order'`,
  })
  t.equal((counted[0] as { n: number }).n, (counted[0] as { keys: number }).keys)
})
