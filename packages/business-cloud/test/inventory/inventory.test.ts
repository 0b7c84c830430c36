import { InventoryService, setInitialStock } from '@aaas/business-cloud/inventory'
import { checkShopInvariants } from '@aaas/business-cloud/order'
import type { Database } from '@aaas/support-cloud/rdbms'
import { type Test, test } from 'tap'
import { openShop } from '../order/shop-fixture.js'

interface Bench {
  readonly database: Database
  readonly inventory: InventoryService
  level(sku: string): Promise<readonly [onHand: number, reserved: number] | undefined>
}

function scenario(name: string, stock: Record<string, number>, run: (t: Test, bench: Bench) => Promise<void>): void {
  test(name, async t => {
    const shop = await openShop({ stock })
    t.teardown(() => shop[Symbol.asyncDispose]())
    const inventory = new InventoryService({ database: shop.database })
    const level: Bench['level'] = async sku => {
      const { levels } = await inventory.levels({ skus: [sku] })
      return levels[0] === undefined ? undefined : [levels[0].onHand, levels[0].reserved]
    }
    await run(t, { database: shop.database, inventory, level })
    t.same(await checkShopInvariants(shop.database), [])
  })
}

scenario('a reservation holds all lines or none', { a: 5, b: 1 }, async (t, { inventory, level }) => {
  await inventory.reserve({
    owner: 'o1',
    lines: [
      { sku: 'b', quantity: 1 },
      { sku: 'a', quantity: 2 },
      { sku: 'a', quantity: 1 },
    ],
  })
  t.same(
    [await level('a'), await level('b')],
    [
      [5, 3],
      [1, 1],
    ],
  )
  const two = {
    owner: 'o2',
    lines: [
      { sku: 'a', quantity: 1 },
      { sku: 'b', quantity: 1 },
    ],
  }
  await t.rejects(inventory.reserve(two), { code: 'business.inventory.sold-out', details: { sku: 'b' } })
  t.same(
    [await level('a'), await level('b')],
    [
      [5, 3],
      [1, 1],
    ],
    'nothing of it is left',
  )
  const unknown = {
    owner: 'o3',
    lines: [
      { sku: 'a', quantity: 1 },
      { sku: 'x', quantity: 1 },
    ],
  }
  await t.rejects(inventory.reserve(unknown), { code: 'business.catalogue.unknown-product', details: { sku: 'x' } })
})

scenario('a reservation goes held, confirmed, shipped', { a: 5 }, async (t, { inventory, level }) => {
  await inventory.reserve({ owner: 'o1', lines: [{ sku: 'a', quantity: 2 }] })
  await t.rejects(inventory.ship('o1'), { code: 'business.inventory.invalid-state' })
  await inventory.confirm('o1')
  t.same(await level('a'), [5, 2])
  await inventory.ship('o1')
  t.same(await level('a'), [3, 0])
  const again = [
    () => inventory.confirm('o1'),
    () => inventory.release('o1'),
    () => inventory.ship('o1'),
    () => inventory.ship('nobody'),
  ]
  for (const call of again) await t.rejects(call(), { code: 'business.inventory.invalid-state' })
})

scenario('held and confirmed stock can be released once', { a: 5 }, async (t, { inventory, level }) => {
  for (const owner of ['o1', 'o2']) await inventory.reserve({ owner, lines: [{ sku: 'a', quantity: 2 }] })
  await inventory.confirm('o2')
  for (const owner of ['o1', 'o2']) await inventory.release(owner)
  t.same(await level('a'), [5, 0])
  await t.rejects(inventory.release('o1'), { code: 'business.inventory.invalid-state' })
})

scenario('what is held too long goes back, what has no time stays', { a: 9 }, async (t, { inventory, level }) => {
  const lines = [{ sku: 'a', quantity: 1 }]
  for (const [owner, expiresAt] of [
    ['o1', 100],
    ['o2', 101],
    ['o3', 100],
  ] as const)
    await inventory.reserve({ owner, lines, expiresAt })
  await inventory.reserve({ owner: 'forever', lines })
  await inventory.confirm('o3')
  t.equal(await inventory.sweepExpired(99), 0)
  t.equal(await inventory.sweepExpired(100), 1)
  t.same(await level('a'), [9, 3])
  const both = await Promise.all([inventory.sweepExpired(500), inventory.sweepExpired(500)])
  t.same(both.toSorted(), [0, 1], 'two sweeps do not release twice')
})

scenario(
  'an adjustment is applied once and never below what is reserved',
  { a: 5 },
  async (t, { inventory, level }) => {
    await inventory.reserve({ owner: 'o1', lines: [{ sku: 'a', quantity: 3 }] })
    const adjust = (movementId: string, delta: number, sku = 'a') =>
      inventory.adjust({ movementId, sku, delta, reason: 'count' })
    t.same(await adjust('movement-1', -2), { sku: 'a', onHand: 3, reserved: 3, available: 0 })
    t.same(
      await adjust('movement-1', -2),
      { sku: 'a', onHand: 3, reserved: 3, available: 0 },
      'a repeat changes nothing',
    )
    await t.rejects(adjust('movement-1', -3), { code: 'business.inventory.conflict' })
    await t.rejects(adjust('movement-2', -1), { code: 'business.inventory.sold-out' })
    await t.rejects(adjust('movement-3', 1, 'x'), { code: 'business.catalogue.unknown-product' })
    t.same(await level('a'), [3, 3])
  },
)

scenario('the first stock is set once', { a: 5 }, async (t, { inventory, database, level }) => {
  await setInitialStock(database, [
    { sku: 'a', quantity: 99 },
    { sku: 'b', quantity: 0 },
    { sku: 'c', quantity: 7 },
  ])
  t.same(
    [await level('a'), await level('b'), await level('c')],
    [
      [5, 0],
      [0, 0],
      [7, 0],
    ],
  )
  t.match(await inventory.levels({ limit: 2 }), { total: 3, levels: [{ sku: 'a' }, { sku: 'b' }] })
  t.match(await inventory.levels({ text: 'C' }), { total: 1, levels: [{ sku: 'c' }] })
})

scenario('the database itself refuses to oversell', { a: 5 }, async (t, { database }) => {
  await t.rejects(database.query({ text: 'update stock_level set reserved = 6' }), { code: '23514' })
  await t.rejects(database.query({ text: 'update stock_level set on_hand = -1' }), { code: '23514' })
  await t.rejects(database.query({ text: 'delete from stock_movement' }), { code: '55000' })
})
