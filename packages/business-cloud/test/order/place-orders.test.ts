import { checkShopInvariants, OrderService } from '@aaas/business-cloud/order'
import { CloudError, systemClock } from '@aaas/core-cloud/kernel'
import { pgDatabase } from '@aaas/support-cloud/rdbms'
import fc from 'fast-check'
import { test } from 'tap'
import { callContext, type Line, openShop, placeInput, type Shop } from './shop-fixture.js'

interface Wish {
  readonly key: number
  readonly lines: readonly Line[]
}

const levels = { a: 6, b: 3, c: 1, d: 100 }
const sku = fc.constantFrom('a', 'b', 'c', 'd', 'nowhere')
const wish: fc.Arbitrary<Wish> = fc.record({
  key: fc.integer({ min: 0, max: 11 }),
  lines: fc.array(fc.tuple(sku, fc.integer({ min: 1, max: 3 })), { minLength: 1, maxLength: 3 }),
})

/** What happens when they are placed one after the other, on a dumb model of the shop. */
function oracle(wishes: readonly Wish[]): { readonly outcomes: string[]; readonly left: Record<string, number> } {
  const left: Record<string, number> = { ...levels }
  const placed = new Map<number, string>()
  const outcomes = wishes.map(({ key, lines }) => {
    const body = JSON.stringify(lines)
    const earlier = placed.get(key)
    if (earlier !== undefined) return earlier === body ? 'placed' : 'business.order.conflict'
    const wanted = new Map<string, number>()
    for (const [name, quantity] of lines) wanted.set(name, (wanted.get(name) ?? 0) + quantity)
    for (const [name, quantity] of [...wanted].sort(([one], [other]) => (one < other ? -1 : 1))) {
      if (left[name] === undefined) return `business.catalogue.unknown-product ${name}`
      if (left[name] < quantity) return `business.inventory.sold-out ${name}`
    }
    for (const [name, quantity] of wanted) left[name] = (left[name] ?? 0) - quantity
    placed.set(key, body)
    return 'placed'
  })
  return { outcomes, left }
}

async function outcomeOf(placing: Promise<unknown>): Promise<string> {
  try {
    await placing
    return 'placed'
  } catch (error) {
    if (!CloudError.is(error)) throw error
    const { sku: named } = (error.details ?? {}) as { sku?: string }
    return named === undefined ? error.code : `${error.code} ${named}`
  }
}

async function availableIn(shop: Shop): Promise<Record<string, number>> {
  const rows = await shop.database.query<{ sku: string; left: number }>({
    text: 'select sku, on_hand - reserved as left from stock_level',
  })
  return Object.fromEntries(rows.map(row => [row.sku, row.left]))
}

test('orders placed together end as if they were placed one after the other', async t => {
  const shop = await openShop({ stock: levels, connections: 2 })
  t.teardown(() => shop[Symbol.asyncDispose]())
  let run = 0
  let shared = 0
  const counting = {
    ...shop.database,
    query: (statement: Parameters<typeof shop.database.query>[0]) => {
      if (statement.name === 'orders_place' && JSON.parse(String(statement.values?.[0])).length > 1) shared += 1
      return shop.database.query<never>(statement)
    },
  }
  await fc.assert(
    fc.asyncProperty(fc.array(wish, { minLength: 1, maxLength: 12 }), async wishes => {
      run += 1
      const firsts = unique(wishes)
      const repeats = unique(wishes.toReversed())
      const orders = new OrderService({ ...shop.deps, database: counting })
      const placeAll = (some: readonly Wish[]): Promise<string[]> =>
        Promise.all(
          some.map(({ key, lines }) => outcomeOf(orders.place(placeInput(...lines), callContext(`run${run}-${key}`)))),
        )
      const model = oracle([...firsts, ...repeats])
      t.same([...(await placeAll(firsts)), ...(await placeAll(repeats))], model.outcomes)
      t.same(await availableIn(shop), model.left)
      t.same(await checkShopInvariants(shop.database), [])
      t.same(await strays(shop), [], 'who got nothing left nothing')
      await orders.closeExpired(Number.MAX_SAFE_INTEGER)
    }),
    { numRuns: 40 },
  )
  t.ok(shared > 40, `${shared} calls placed more than one order`)
})

/** What belongs to no order. */
function strays(shop: Shop): Promise<readonly object[]> {
  return shop.database.query({
    text: `select ref from (select ref from ledger_transfer union select key from aaas_outbox
        union select owner from stock_reservation union select order_number from order_line) rows(ref)
      where not exists (select from trade_order where number = ref)`,
  })
}

/** The first of each key: a second one goes with the next batch, and others pass it by. */
function unique(wishes: readonly Wish[]): Wish[] {
  return wishes.filter((one, index) => wishes.findIndex(other => other.key === one.key) === index)
}

test('two instances race for scarce stock in batches, without a deadlock', async t => {
  const shop = await openShop({ stock: { hot: 15, a: 1000, m: 7, z: 1000 }, connections: 4 })
  t.teardown(() => shop[Symbol.asyncDispose]())
  const otherPool = pgDatabase({ url: shop.database.url, maxConnections: 4 })
  t.teardown(() => otherPool[Symbol.asyncDispose]())
  const instances = [new OrderService(shop.deps), new OrderService({ ...shop.deps, database: otherPool })]
  const place = async (index: number, buyer: number): Promise<string> => {
    const lines: Line[] = [[buyer % 2 ? 'a' : 'z', 1]]
    if (buyer % 3) lines.push(['hot', 1])
    if (buyer % 5 === 0) lines.push(['m', 1])
    if (buyer % 4 < 2) lines.reverse()
    // Every fourth buyer asks both instances, by one key.
    const key = buyer % 4 ? `b${buyer}-${index}` : `b${buyer}`
    return outcomeOf((instances[index] as OrderService).place(placeInput(...lines), callContext(key)))
  }
  const buyers = Array.from({ length: 96 }, (_, buyer) => buyer)
  const asked = [buyers.map(buyer => place(0, buyer)), buyers.toReversed().map(buyer => place(1, buyer))]
  const outcomes = await Promise.all(asked.flat())
  const kinds = new Set(outcomes)
  for (const kind of kinds)
    t.ok(['placed', 'business.inventory.sold-out hot', 'business.inventory.sold-out m'].includes(kind), kind)
  const rows = await shop.database.query({
    text: `select count(*) as orders, count(distinct idempotency_key) as keys from trade_order`,
  })
  t.equal((rows[0] as { orders: number }).orders, (rows[0] as { keys: number }).keys)
  t.ok(outcomes.slice(0, 96).includes('placed') && outcomes.slice(96).includes('placed'), 'both sold')
  const left = await availableIn(shop)
  t.equal(left.hot, 0, 'all that was hot is sold')
  t.same(await checkShopInvariants(shop.database), [])
  const deadlocks = 'select deadlocks from pg_stat_database where datname = current_database()'
  t.same(await shop.database.query({ text: deadlocks }), [{ deadlocks: 0 }])
})

test('two instances that get the same orders at once, each in its own sequence, place each one once', async t => {
  const shop = await openShop({ stock: { a: 1000, b: 1000 }, connections: 4 })
  t.teardown(() => shop[Symbol.asyncDispose]())
  const keys = Array.from({ length: 24 }, (_, index) => index)
  for (let round = 0; round < 10; round++) {
    const place = (orders: OrderService) => async (key: number) => {
      const line: Line = [key % 2 ? 'a' : 'b', 1]
      return (await orders.place(placeInput(line), callContext(`r${round}-${key}`))).number
    }
    const [one, other] = [new OrderService(shop.deps), new OrderService(shop.deps)]
    const [first, second] = await Promise.all([
      Promise.all(keys.map(place(one))),
      Promise.all(keys.toReversed().map(place(other))),
    ])
    t.same(first, second.toReversed())
    t.equal(new Set(first).size, keys.length)
  }
  t.same(await checkShopInvariants(shop.database), [])
  const deadlocks = 'select deadlocks from pg_stat_database where datname = current_database()'
  t.same(await shop.database.query({ text: deadlocks }), [{ deadlocks: 0 }])
})

test('an order that the database refuses does not hurt those that share its call', async t => {
  const shop = await openShop({ stock: { a: 10, odd: 10 } })
  t.teardown(() => shop[Symbol.asyncDispose]())
  const { quote } = shop.deps.pricing
  const pricing: typeof shop.deps.pricing = {
    // A currency that no account of the shop has.
    quote: async input => ({
      ...(await quote(input)),
      currency: input.lines.some(line => line.sku === 'odd') ? 'XXX' : 'CNY',
    }),
  }
  const orders = new OrderService({ ...shop.deps, pricing })
  const outcomes = await Promise.all(
    ['a', 'odd', 'a', 'a'].map((name, index) =>
      outcomeOf(orders.place(placeInput([name, 1]), callContext(`k${index}`))),
    ),
  )
  t.same(outcomes, ['placed', 'support.transaction.invalid-transfer', 'placed', 'placed'])
  t.same(await availableIn(shop), { a: 7, odd: 10 })
  t.same(await checkShopInvariants(shop.database), [])
})

test('a connection that dies in the middle of a batch leaves all of it or nothing, and a repeat ends it', async t => {
  const shop = await openShop({ stock: { a: 10, b: 10, c: 0 }, connections: 4 })
  t.teardown(() => shop[Symbol.asyncDispose]())
  const wishes = ['a', 'b', 'c', 'a', 'b'].map((name, index) => ({ name, key: `k${index}` }))
  const placeAll = (): Promise<string[]> =>
    Promise.all(wishes.map(({ name, key }) => outcomeOf(shop.orders.place(placeInput([name, 1]), callContext(key)))))
  let placing: Promise<string[]> | undefined
  await shop.database.transaction(async tx => {
    // Held here, the batch has claimed its keys and waits for stock.
    await tx.query({ text: `select from stock_level where sku = 'b' for update` })
    placing = placeAll()
    const waiting = await untilOne<{ pid: number }>(
      shop,
      `select pid from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query like '%orders_place%'`,
    )
    await tx.query({ text: 'select pg_terminate_backend($1)', values: [waiting.pid] })
    t.same(
      await placing,
      wishes.map(() => 'support.rdbms.unavailable'),
    )
  })
  t.same(await shop.database.query({ text: 'select number from trade_order' }), [])
  t.same(await placeAll(), ['placed', 'placed', 'business.inventory.sold-out c', 'placed', 'placed'])
  t.same(await availableIn(shop), { a: 8, b: 8, c: 0 })
  t.same(await checkShopInvariants(shop.database), [])
})

test('stock is locked in the order of SKUs, whatever the order of the lines', async t => {
  const shop = await openShop({ stock: { a: 10, b: 10, c: 10 }, connections: 4 })
  t.teardown(() => shop[Symbol.asyncDispose]())
  let placing: Promise<string[]> | undefined
  await shop.database.transaction(async tx => {
    await tx.query({ text: `select from stock_level where sku = 'b' for update` })
    const wishes: Line[][] = [
      [['c', 1]],
      [
        ['b', 1],
        ['c', 1],
      ],
      [['a', 1]],
    ]
    placing = Promise.all(
      wishes.map((lines, index) => outcomeOf(shop.orders.place(placeInput(...lines), callContext(`k${index}`)))),
    )
    await untilOne(
      shop,
      `select pid from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query like '%orders_place%'`,
    )
    const free = await tx.query({ text: 'select sku from stock_level for update skip locked' })
    t.same(free, [{ sku: 'b' }, { sku: 'c' }], 'a is held, and nothing behind b')
  })
  t.same(await placing, ['placed', 'placed', 'placed'])
})

test('whoever gave up while waiting gets no order', async t => {
  const shop = await openShop({ stock: { a: 10 }, connections: 4 })
  t.teardown(() => shop[Symbol.asyncDispose]())
  const abort = new AbortController()
  let late: Promise<string>[] = []
  let first: Promise<string> | undefined
  await shop.database.transaction(async tx => {
    await tx.query({ text: `select from stock_level where sku = 'a' for update` })
    first = outcomeOf(shop.orders.place(placeInput(['a', 1]), callContext('first')))
    await untilOne(
      shop,
      `select pid from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query like '%orders_place%'`,
    )
    const place = (key: string, more: object): Promise<string> =>
      outcomeOf(shop.orders.place(placeInput(['a', 1]), { ...callContext(key), ...more }))
    late = [
      place('deadline', { deadline: shop.clock.now() + 60 }),
      place('cancelled', { signal: abort.signal }),
      place('patient', {}),
    ]
    // They are in the queue when their drafts are done.
    await new Promise(resolve => setImmediate(resolve))
    abort.abort(new CloudError('core.contract.cancelled', 'changed my mind'))
    await shop.clock.pass(80)
  })
  t.equal(await first, 'placed')
  t.same(await Promise.all(late), ['core.contract.deadline-exceeded', 'core.contract.cancelled', 'placed'])
  t.same(await availableIn(shop), { a: 8 })
  t.same(await checkShopInvariants(shop.database), [])
})

/** Asks until there is a row, ten seconds at most. */
async function untilOne<Row extends object>(shop: Shop, text: string): Promise<Row> {
  const clock = systemClock()
  const end = clock.monotonic() + 10_000
  while (clock.monotonic() < end) {
    const [row] = await shop.database.query<Row>({ text })
    if (row !== undefined) return row
  }
  throw new Error(`nothing came of ${text}`)
}
