import { checkShopInvariants, OrderEvent, OrderService } from '@aaas/business-cloud/order'
import { CloudError } from '@aaas/core-cloud/kernel'
import { seededIds } from '@aaas/testing'
import { type Test, test } from 'tap'
import { Compile } from 'typebox/compile'
import { callContext, type Line, openShop, placeInput, type Shop, type ShopOptions } from './shop-fixture.js'

const staff = { id: 'staff', scopes: ['order.read', 'order.write'] }
type Body = (t: Test, shop: Shop) => Promise<void>

function scenario(name: string, options: ShopOptions, run: Body): void {
  test(name, async t => {
    const shop = await openShop(options)
    t.teardown(() => shop[Symbol.asyncDispose]())
    await run(t, shop)
    t.same(await checkShopInvariants(shop.database), [])
  })
}

const balances = async (shop: Shop): Promise<Record<string, number>> => {
  const rows = await shop.database.query<{ account: string; balance: number }>({
    text: 'select account, sum(credits_posted - debits_posted)::bigint as balance from ledger_balance group by account',
  })
  return Object.fromEntries(rows.map(row => [row.account, row.balance]))
}

scenario('an order is placed, paid, shipped and completed', { stock: { a: 5, b: 5 } }, async (t, shop) => {
  const placed = await shop.orders.place(placeInput(['b', 1], ['a', 2]), callContext('k'))
  t.match(placed, {
    state: 'unpaid',
    total: 3000,
    subtotal: 3000,
    freight: 0,
    currency: 'CNY',
    expiresAt: placed.placedAt + 1_800_000,
  })
  t.match(placed.number, /^20231115-[A-Z2-7]{8}$/, 'the date is the shop’s')
  t.equal(placed.paymentId, `pay-${placed.number}`)
  t.match(placed.lines, [
    { sku: 'b', slug: 'item-b', amount: 1000 },
    { sku: 'a', quantity: 2, unitAmount: 1000, amount: 2000 },
  ])
  const { accessToken, ...rest } = placed
  t.same(
    await shop.orders.get({ number: placed.number, accessToken: accessToken ?? '' }, callContext()),
    rest,
    'it reads back the same',
  )
  t.match(await shop.orders.markPaid({ number: placed.number, amount: 3000, paidAt: 77 }), { applied: true })
  t.same(await balances(shop), {
    'buyers:clearing': -3000,
    'merchant:revenue': 2982,
    'platform:fees': 18,
    'buyers:refunds-due': 0,
  })
  const parcel = { number: placed.number, carrier: 'SF', trackingNumber: '1' }
  t.match(await shop.orders.ship(parcel, callContext('', staff)), {
    state: 'shipped',
    paidAt: 77,
    supplierOrders: [{ state: 'shipped' }],
  })
  t.match(await shop.orders.ship(parcel, callContext('', staff)), { state: 'shipped' }, 'a repeat is fine')
  await t.rejects(shop.orders.ship({ ...parcel, trackingNumber: '2' }, callContext('', staff)), {
    code: 'business.order.invalid-transition',
  })
  t.match(await shop.orders.complete({ number: placed.number }, callContext('', staff)), { state: 'completed' })
  await t.rejects(shop.orders.cancel({ number: placed.number }, callContext('', staff)), {
    code: 'business.order.invalid-transition',
  })
  t.match(await shop.orders.refund({ number: placed.number, reason: 'broken' }, callContext('', staff)), {
    state: 'refunded',
  })
  t.same(await balances(shop), {
    'buyers:clearing': -3000,
    'merchant:revenue': 0,
    'platform:fees': 0,
    'buyers:refunds-due': 3000,
  })
  t.same(
    await shop.database.query({
      text: `select b.kind, count(*) as count, bool_and(substr(b.id::text, 1, 15) = substr(a.id::text, 1, 15)) as timed
        from ledger_transfer a join ledger_transfer b on b.id in (order_transfer_id('post', a.id),
          order_transfer_id('refund', a.id)) group by b.kind order by b.kind`,
    }),
    [
      { kind: 'post', count: 2, timed: true },
      { kind: 'posted', count: 2, timed: true },
    ],
    'what follows from a transfer lies in its month',
  )
  t.same(await checkShopInvariants(shop.database), [])
  const events = await shop.database.query<{ topic: string; key: string; payload: unknown }>({
    text: 'select topic, key, payload from aaas_outbox order by id',
  })
  t.same(
    events.map(event => event.topic),
    ['placed', 'paid', 'shipped', 'completed', 'refunded'].map(name => `order.${name}`),
  )
  const schema = Compile(OrderEvent)
  for (const event of events)
    t.ok(schema.Check(event.payload) && event.key === placed.number, `${event.topic} fits its schema`)
  t.equal(shop.wakes, 5, 'the relay was woken for each')
})

scenario('a repeat of place gets the first answer, whatever changed', { stock: { a: 5 } }, async (t, shop) => {
  const first = await shop.orders.place({ ...placeInput(['a', 1]), expectedTotal: 1000 }, callContext('k'))
  shop.prices.set('a', 2000)
  const again = { ...placeInput(['a', 1]), expectedTotal: 1000 }
  t.same(await shop.orders.place(again, callContext('k')), first)
  const together = await Promise.all([1, 2, 3, 4].map(() => shop.orders.place(placeInput(['a', 1]), callContext('k2'))))
  t.equal(new Set(together.map(order => order.number)).size, 1)
  await t.rejects(shop.orders.place(placeInput(['a', 2]), callContext('k')), { code: 'business.order.conflict' })
  t.not(
    await shop.orders.place(again, callContext('k', staff)).catch((error: unknown) => error),
    first,
    'keys of callers never meet',
  )
  await t.rejects(shop.orders.place(placeInput(['a', 1]), callContext()), {
    code: 'core.contract.invalid-input',
    field: 'idempotencyKey',
  })
})

scenario('what cannot be ordered leaves nothing behind', { stock: { a: 5, b: 0 } }, async (t, shop) => {
  const place = (lines: readonly Line[], extra = {}) =>
    shop.orders.place({ ...placeInput(...lines), ...extra }, callContext('k'))
  await t.rejects(
    place([
      ['a', 1],
      ['b', 1],
    ]),
    { code: 'business.inventory.sold-out', details: { sku: 'b' } },
  )
  await t.rejects(place([['a', 6]]), { code: 'business.inventory.sold-out', details: { sku: 'a' } })
  await t.rejects(
    place([
      ['a', 1],
      ['unknown-1', 1],
    ]),
    { code: 'business.catalogue.unknown-product', field: 'lines/1/sku' },
  )
  await t.rejects(place([['a', 1]], { expectedTotal: 999 }), {
    code: 'business.order.price-changed',
    details: { total: 1000, currency: 'CNY' },
  })
  const rows = await shop.database.query({
    text: `select (select count(*) from trade_order) + (select count(*) from order_line)
      + (select count(*) from supplier_order) + (select count(*) from stock_reservation)
      + (select count(*) from ledger_transfer) + (select count(*) from aaas_outbox) as left_over`,
  })
  t.same(rows, [{ left_over: 0 }])
  t.equal(shop.wakes, 0)
})

test('a package may veto', async t => {
  const veto = new CloudError('core.cloudware.vetoed', 'at most 3 of one')
  const asked: unknown[] = []
  const hooks = {
    has: () => true,
    validate: async (_: unknown, input: unknown) => {
      asked.push(input)
      throw veto
    },
  }
  const shop = await openShop({ stock: { a: 5 }, deps: { hooks, groupsOf: async () => ['vip'] } })
  t.teardown(() => shop[Symbol.asyncDispose]())
  await t.rejects(shop.orders.place({ ...placeInput(['a', 4]), partyId: 'p1' }, callContext('k')), {
    code: 'core.cloudware.vetoed',
    message: 'at most 3 of one',
  })
  t.same(asked, [
    {
      buyer: { groups: ['vip'], partyId: 'p1' },
      lines: [{ sku: 'a', quantity: 4, amount: 4000 }],
      total: 4000,
      language: 'zh-CN',
    },
  ])
  t.same(await shop.database.query({ text: 'select number from trade_order' }), [])
})

scenario('an order is read by its token, its buyer or a scope', { stock: { a: 5 } }, async (t, shop) => {
  const order = await shop.orders.place({ ...placeInput(['a', 1]), partyId: 'p1' }, callContext('k'))
  const { number } = order
  t.match(await shop.orders.get({ number, partyId: 'p1' }, callContext()), { number })
  t.match(await shop.orders.get({ number }, callContext('', { id: 'x', scopes: ['*'] })), { number })
  t.notOk('accessToken' in (await shop.orders.get({ number }, callContext('', staff))), 'the token is told once')
  const strangers = [
    { number },
    { number, partyId: 'p2' },
    { number, accessToken: 'x' },
    { number, accessToken: '' },
    { number: 'NONE-0000' },
  ]
  for (const input of strangers) {
    await t.rejects(shop.orders.get(input, callContext('', { id: 'x', scopes: ['order.place'] })), {
      code: 'business.order.unknown',
    })
    await t.rejects(shop.orders.cancel(input, callContext()), { code: 'business.order.unknown' })
  }
  t.match(await shop.orders.list({ text: number.slice(9, 13) }), {
    total: 1,
    orders: [{ number, units: 1, buyerName: '王小明' }],
  })
  t.match(await shop.orders.list({ text: '小明', state: 'unpaid', partyId: 'p1' }), { total: 1 })
  t.match(await shop.orders.list({ state: 'paid' }), { total: 0, orders: [] })
})

scenario('an unpaid order is closed in time and its stock sold again', { stock: { a: 1 } }, async (t, shop) => {
  const first = await shop.orders.place(placeInput(['a', 1]), callContext('k1'))
  t.equal(await shop.orders.closeExpired(first.expiresAt - 1), 0)
  t.same(
    await Promise.all([shop.orders.closeExpired(first.expiresAt), shop.orders.closeExpired(first.expiresAt)]).then(n =>
      n.toSorted(),
    ),
    [0, 1],
  )
  t.match(await shop.orders.markPaid({ number: first.number, amount: 1000, paidAt: 1 }), {
    applied: false,
    reason: 'state',
    state: 'closed',
  })
  const second = await shop.orders.place(placeInput(['a', 1]), callContext('k2'))
  const input = { number: second.number, accessToken: second.accessToken ?? '' }
  t.match(await shop.orders.cancel(input, callContext()), { state: 'closed' })
  t.match(await shop.orders.cancel(input, callContext()), { state: 'closed' }, 'a repeat is fine')
  await shop.orders.place(placeInput(['a', 1]), callContext('k3'))
  t.same(await balances(shop), {
    'buyers:clearing': 0,
    'merchant:revenue': 0,
    'platform:fees': 0,
    'buyers:refunds-due': 0,
  })
})

scenario('an order that costs nothing is paid at once', { stock: { a: 5 } }, async (t, shop) => {
  shop.prices.set('a', 0)
  t.match(await shop.orders.place(placeInput(['a', 1]), callContext('k')), { state: 'paid', total: 0 })
  t.match(await shop.orders.place(placeInput(['a', 1]), callContext('k')), { state: 'paid', total: 0 })
})

test('a payment of another amount is not taken', async t => {
  const shop = await openShop({ stock: { a: 5 } })
  t.teardown(() => shop[Symbol.asyncDispose]())
  const { number } = await shop.orders.place(placeInput(['a', 1]), callContext('k'))
  for (const amount of [999, 1001, 0]) {
    t.match(await new OrderService(shop.deps).markPaid({ number, amount, paidAt: 1 }), {
      applied: false,
      reason: 'amount',
      state: 'unpaid',
    })
  }
  t.same(await shop.orders.markPaid({ number: 'NONE-0000', amount: 1, paidAt: 1 }), {
    applied: false,
    reason: 'unknown',
  })
})

test('a number that is taken is made again', async t => {
  const ids = seededIds(1)
  let tokens = ['aaaaaaaa', 'aaaaaaaa', 'bbbbbbbb']
  const token = (bytes?: number): string => (bytes === 5 ? (tokens.shift() ?? ids.token(5)) : ids.token(bytes))
  const shop = await openShop({ stock: { a: 9 }, deps: { ids: { ...ids, token } } })
  t.teardown(() => shop[Symbol.asyncDispose]())
  const numbers = []
  for (const key of ['k1', 'k2']) numbers.push((await shop.orders.place(placeInput(['a', 1]), callContext(key))).number)
  t.same(numbers, ['20231115-AAAAAAAA', '20231115-BBBBBBBB'])
  tokens = ['aaaaaaaa', 'aaaaaaaa', 'aaaaaaaa']
  await t.rejects(shop.orders.place(placeInput(['a', 1]), callContext('k3')), { code: '23505' })
  t.same(await checkShopInvariants(shop.database), [])
})

scenario('a refund whose month is archived has an id without a time', { stock: { a: 9 } }, async (t, shop) => {
  const placed = await shop.orders.place(placeInput(['a', 1]), callContext('k'))
  await shop.orders.markPaid({ number: placed.number, amount: 1000, paidAt: 77 })
  const [source] = await shop.database.query<{ id: string }>({ text: 'select sale_transfer as id from supplier_order' })
  const idOf = async (): Promise<string | undefined> => {
    const text = "select order_transfer_id('refund', $1)::text as id"
    return (await shop.database.query<{ id: string }>({ text, values: [source?.id] }))[0]?.id
  }
  t.match(await idOf(), /^[0-9a-f-]{14}7/)
  await shop.database.script(`create or replace function ledger_horizon() returns uuid language sql immutable as
    $h$select 'ffffffff-0000-7000-8000-000000000000'::uuid$h$`)
  t.match(await idOf(), /^[0-9a-f-]{14}8/, 'one of version 7 would be refused')
  t.equal(await idOf(), await idOf(), 'the same for every repeat')
  t.match(await shop.orders.refund({ number: placed.number, reason: 'late' }, callContext('', staff)), {
    state: 'refunded',
  })
})

scenario('an order of before the ids had a time is refunded and in order', { stock: { a: 9 } }, async (t, shop) => {
  const [before, timed] = ['order_transfer_hash(p_purpose, p_transfer)', 'order_transfer_timed(p_purpose, p_transfer)']
  await shop.database.script('alter function order_transfer_id(text, uuid) rename to order_transfer_timed')
  const use = (body: string): Promise<void> =>
    shop.database.script(`create or replace function order_transfer_id(p_purpose text, p_transfer uuid) returns uuid
      language sql stable as 'select ${body}'`)
  await use(before)
  const [paid, refunded] = [
    await shop.orders.place(placeInput(['a', 1]), callContext('k')),
    await shop.orders.place(placeInput(['a', 2]), callContext('l')),
  ]
  await shop.orders.markPaid({ number: paid.number, amount: 1000, paidAt: 77 })
  await shop.orders.markPaid({ number: refunded.number, amount: 2000, paidAt: 77 })
  await shop.orders.refund({ number: refunded.number, reason: 'broken' }, callContext('', staff))
  await use(timed)
  t.same(await checkShopInvariants(shop.database), [], 'what was refunded is found')
  t.match(await shop.orders.refund({ number: paid.number, reason: 'late' }, callContext('', staff)), {
    state: 'refunded',
  })
})
