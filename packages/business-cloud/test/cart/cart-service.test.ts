import { migrate, pgDatabase, type Statement } from '@aaas/support-cloud/rdbms'
import { ManualClock, openTestDatabase } from '@aaas/testing'
import { test } from 'tap'
import { CartService, cartMigrations } from '../../src/cart/index.js'
import type { SkuFacts } from '../../src/catalogue/index.js'

interface CartFixture extends AsyncDisposable {
  readonly cart: CartService
  readonly clock: ManualClock
  readonly statements: Statement[]
  readonly carts: () => Promise<unknown>
}

async function openCart(): Promise<CartFixture> {
  const database = await openTestDatabase()
  const db = pgDatabase({ url: database.url })
  await migrate(db, [cartMigrations])
  const clock = new ManualClock()
  const statements: Statement[] = []
  const skus = {
    loadSkus: async (wanted: readonly string[]): Promise<ReadonlyMap<string, SkuFacts>> =>
      new Map(wanted.filter(sku => !sku.startsWith('GONE')).map(sku => [sku, { sku } as SkuFacts])),
  }
  const recording = {
    ...db,
    query: (statement: Statement) => {
      statements.push(statement)
      return db.query(statement)
    },
  } as typeof db
  return {
    cart: new CartService({ db: recording, skus, clock }),
    clock,
    statements,
    carts: async () => (await db.query({ text: 'select count(*) as carts from cart' }))[0]?.carts,
    async [Symbol.asyncDispose]() {
      await db[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
}

const cartId = 'a-secret-of-the-browser'

test('lines are set, added, removed, in the order they came', async t => {
  await using shop = await openCart()
  const { cart, statements } = shop
  t.same(await cart.get({ cartId }), { cartId, lines: [] })
  await cart.addLine({ cartId, sku: 'B', quantity: 2 })
  await cart.addLine({ cartId, sku: 'A', quantity: 1 })
  statements.length = 0
  t.same(await cart.addLine({ cartId, sku: 'B', quantity: 3 }), {
    cartId,
    lines: [
      { sku: 'B', quantity: 5 },
      { sku: 'A', quantity: 1 },
    ],
  })
  t.equal(statements.length, 1)
  t.same((await cart.setLine({ cartId, sku: 'B', quantity: 1 })).lines, [
    { sku: 'B', quantity: 1 },
    { sku: 'A', quantity: 1 },
  ])
  t.same((await cart.setLine({ cartId, sku: 'B', quantity: 0 })).lines, [{ sku: 'A', quantity: 1 }])
  t.same((await cart.get({ cartId })).lines, [{ sku: 'A', quantity: 1 }])
  t.same((await cart.get({ cartId: 'somebody-elses-cart' })).lines, [])
  t.same((await cart.clear({ cartId })).lines, [])
  t.same((await cart.get({ cartId })).lines, [])
  t.notOk(JSON.stringify(statements).includes(cartId), 'the secret never reaches the database')
})

test('unknown SKUs cannot come in, but go out', async t => {
  await using shop = await openCart()
  const { cart } = shop
  await t.rejects(cart.addLine({ cartId, sku: 'GONE', quantity: 1 }), {
    code: 'business.catalogue.unknown-product',
    field: 'sku',
  })
  await t.rejects(cart.setLine({ cartId, sku: 'GONE', quantity: 1 }), { code: 'business.catalogue.unknown-product' })
  t.same((await cart.setLine({ cartId, sku: 'GONE', quantity: 0 })).lines, [])
})

test('limits hold at their edge, also for callers at once', async t => {
  await using shop = await openCart()
  const { cart } = shop
  const limit = { code: 'business.cart.limit' }
  await cart.setLine({ cartId, sku: 'A', quantity: 999 })
  await t.rejects(cart.addLine({ cartId, sku: 'A', quantity: 1 }), { ...limit, field: 'quantity' })
  await t.rejects(cart.setLine({ cartId, sku: 'A', quantity: 1_000 }), limit)
  await t.rejects(cart.setLine({ cartId, sku: 'A', quantity: -1 }), limit)
  await t.rejects(cart.addLine({ cartId, sku: 'A', quantity: 0 }), limit)
  t.same((await cart.get({ cartId })).lines, [{ sku: 'A', quantity: 999 }])
  const added = await Promise.allSettled(
    Array.from({ length: 110 }, (_, at) => cart.addLine({ cartId, sku: `S-${at}`, quantity: 1 })),
  )
  t.equal(added.filter(outcome => outcome.status === 'fulfilled').length, 99)
  for (const outcome of added) if (outcome.status === 'rejected') t.match(outcome.reason, { ...limit, field: 'sku' })
  t.equal((await cart.get({ cartId })).lines.length, 100)
  const units = await Promise.allSettled(
    Array.from({ length: 20 }, () => cart.addLine({ cartId: 'another-browsers-cart', sku: 'A', quantity: 100 })),
  )
  t.equal(units.filter(outcome => outcome.status === 'fulfilled').length, 9)
})

test('carts merge', async t => {
  await using shop = await openCart()
  const { cart } = shop
  const into = 'the-cart-of-the-buyer'
  await cart.addLine({ cartId: into, sku: 'A', quantity: 998 })
  await cart.addLine({ cartId, sku: 'B', quantity: 1 })
  await cart.addLine({ cartId, sku: 'A', quantity: 5 })
  t.same(await cart.merge({ from: cartId, into }), {
    cartId: into,
    lines: [
      { sku: 'A', quantity: 999 },
      { sku: 'B', quantity: 1 },
    ],
  })
  t.same((await cart.get({ cartId })).lines, [])
  t.equal((await cart.merge({ from: cartId, into })).lines.length, 2)
  t.equal((await cart.merge({ from: into, into })).lines.length, 2)
  for (let at = 0; at < 99; at++) await cart.addLine({ cartId, sku: `S-${at}`, quantity: 1 })
  const full = await cart.merge({ from: cartId, into })
  t.equal(full.lines.length, 100)
  t.same(full.lines[99], { sku: 'S-97', quantity: 1 })
})

test('merges that cross do not wait for each other', async t => {
  await using shop = await openCart()
  const { cart } = shop
  const other = 'the-cart-of-the-buyer'
  for (let round = 0; round < 10; round++) {
    await cart.setLine({ cartId, sku: `A-${round}`, quantity: 1 })
    await cart.setLine({ cartId: other, sku: `B-${round}`, quantity: 1 })
    const crossing = Array.from({ length: 4 }, () => [
      cart.merge({ from: cartId, into: other }),
      cart.merge({ from: other, into: cartId }),
    ])
    await Promise.all(crossing.flat())
    const [one, two] = await Promise.all([cart.get({ cartId }), cart.get({ cartId: other })])
    t.equal(one.lines.length + two.lines.length, 2 * (round + 1))
  }
})

test('unused carts are purged, read ones stay', async t => {
  await using shop = await openCart()
  const { cart, clock } = shop
  const day = 24 * 3_600_000
  await cart.setLine({ cartId, sku: 'A', quantity: 1 })
  await cart.setLine({ cartId: 'never-seen-again-cart', sku: 'A', quantity: 1 })
  await cart.setLine({ cartId: 'changed-after-weeks', sku: 'A', quantity: 1 })
  await clock.pass(20 * day)
  await cart.get({ cartId })
  await cart.setLine({ cartId: 'changed-after-weeks', sku: 'B', quantity: 1 })
  await clock.pass(11 * day)
  t.equal(await cart.purge(clock.now() - 30 * day), 1)
  t.equal(await shop.carts(), 2)
  t.equal((await cart.get({ cartId })).lines.length, 1)
})
