import { CloudError } from '@aaas/core-cloud/kernel'
import type { SearchIndex } from '@aaas/support-cloud/search'
import { test } from 'tap'
import { Compile } from 'typebox/compile'
import { catalogueContract } from '../../src/catalogue/index.js'
import { openCatalogue, smallShop } from './catalogue-fixture.js'

test('an imported shop is listed, shown and found', async t => {
  await using shop = await openCatalogue()
  const { catalogue } = shop
  t.same(await catalogue.importCsv({ csv: smallShop }), { products: 3, skus: 4 })

  const { categories } = await catalogue.listCategories()
  t.same(
    categories.map(({ slug, products }) => [slug, products]),
    [
      ['home', 2],
      ['phones', 1],
    ],
  )

  const page = await catalogue.listProducts({})
  t.ok(Compile(catalogueContract.methods.listProducts.output).Check(page))
  t.equal(page.total, 3)
  t.same(
    page.products.map(product => [product.slug, product.amount, product.available]),
    [
      ['kettle', 12990, 10],
      ['phone-case', 4950, 100],
      ['green-tea', 1, 5],
    ],
  )
  const slugs = async (input: Parameters<typeof catalogue.listProducts>[0]): Promise<string[]> =>
    (await catalogue.listProducts(input)).products.map(product => product.slug)
  t.same(await slugs({ sort: 'newest' }), ['green-tea', 'phone-case', 'kettle'])
  t.same(await slugs({ sort: 'price-ascending' }), ['green-tea', 'phone-case', 'kettle'])
  t.same(await slugs({ sort: 'price-descending' }), ['kettle', 'phone-case', 'green-tea'])
  t.same(await slugs({ category: 'home' }), ['kettle', 'green-tea'])
  t.same(await slugs({ limit: 1, offset: 1 }), ['phone-case'])
  t.same(await catalogue.listProducts({ offset: 10 }), { total: 3, products: [] })
  t.same(await catalogue.listProducts({ category: 'none' }), { total: 0, products: [] })

  const product = await catalogue.getProduct({ slug: 'kettle' })
  t.ok(Compile(catalogueContract.methods.getProduct.output).Check(product))
  t.equal(product.description['zh-CN'], '一升半，保温"很久"')
  t.same(product.attributes, { material: { 'zh-CN': '不锈钢', en: 'steel' } })
  t.same(product.skus, [
    { sku: 'KET-R', options: { color: { 'zh-CN': '红色', en: 'red' } }, amount: 12990, available: 10 },
    { sku: 'KET-B', options: { color: { 'zh-CN': '蓝色', en: 'blue' } }, amount: 13900, available: 0 },
  ])
  t.equal(product.currency, 'CNY')
  await t.rejects(catalogue.getProduct({ slug: 'nothing' }), {
    code: 'business.catalogue.unknown-product',
    field: 'slug',
  })
})

test('search finds products in both languages, with brands and filters', async t => {
  await using shop = await openCatalogue()
  const { catalogue } = shop
  await catalogue.importCsv({ csv: smallShop })
  const find = async (text: string, more = {}): Promise<string[]> =>
    (await catalogue.search({ text, ...more })).products.map(product => product.slug)
  for (const [text, expected] of [
    ['水壶', ['kettle']],
    ['华为', ['phone-case']],
    ['华为 壳', ['phone-case']],
    ['kettles', ['kettle']],
    ['红色', ['kettle']],
    ['silicone', ['phone-case']],
    ['家居', ['green-tea', 'kettle']],
    ['CASE-1', ['phone-case']],
    ['ket', ['kettle']],
    ['沙发', []],
  ] as const) {
    t.same(await find(text), expected, text)
  }
  t.same(await find('', { sort: 'price-ascending' }), ['green-tea', 'phone-case', 'kettle'])
  t.same(await find('', { sort: 'newest', category: 'home' }), ['green-tea', 'kettle'])
  t.same(await find('', { brand: '华为' }), ['phone-case'])
  const all = await catalogue.search({ text: '' })
  t.ok(Compile(catalogueContract.methods.search.output).Check(all))
  t.equal(all.total, 3)
  t.ok(all.brands.some(({ brand, count }) => brand === 'Aqua' && count === 1))
  await t.rejects(catalogue.search({ text: 'x'.repeat(201) }), { code: 'support.search.invalid-query', field: 'text' })
})

test('stock is at most a second old, and one statement a second renews all of it', async t => {
  await using shop = await openCatalogue()
  const { catalogue, db, clock, statements } = shop
  await catalogue.importCsv({ csv: smallShop })
  const available = async (): Promise<number[]> => [
    (await catalogue.getProduct({ slug: 'kettle' })).available,
    (await catalogue.listProducts({})).products[0]?.available ?? -1,
    (await catalogue.search({ text: '水壶' })).products[0]?.available ?? -1,
  ]
  t.same(await available(), [10, 10, 10])
  await db.query({ text: `update stock_level set reserved = 4 where sku = 'KET-R'` })
  statements.length = 0
  t.same(await available(), [10, 10, 10])
  t.equal(statements.length, 0)
  await clock.pass(1_001)
  t.same(await available(), [6, 6, 6])
  t.same(
    statements.map(statement => statement.name),
    ['catalogue-state'],
  )
})

test('an answer is the same object until its own stock changes', async t => {
  await using shop = await openCatalogue()
  const { catalogue, db, clock, statements } = shop
  await catalogue.importCsv({ csv: smallShop })
  const read = async () => ({
    kettle: await catalogue.getProduct({ slug: 'kettle' }),
    tea: await catalogue.getProduct({ slug: 'green-tea' }),
    page: await catalogue.listProducts({}),
    revision: await catalogue.revision(),
  })
  const first = await read()
  await clock.pass(1_001)
  const second = await read()
  t.equal(second.kettle, first.kettle)
  t.equal(second.page, first.page)
  t.equal(second.revision, first.revision)
  await db.query({ text: `update stock_level set reserved = 1 where sku = 'KET-R'` })
  await clock.pass(1_001)
  const third = await read()
  t.not(third.revision, first.revision)
  t.equal(third.tea, first.tea)
  t.equal(third.kettle.available, 9)
  t.equal(third.page.products[0]?.available, 9)
  t.equal(third.page.products[2], first.page.products[2], 'what did not change in a page stays as well')
  await catalogue.importCsv({ csv: smallShop.replace('49.5', '59') })
  t.not((await read()).revision, third.revision)

  // What nobody asks for is looked at no more, and is right again when somebody does.
  await clock.pass(20_000)
  await catalogue.listCategories()
  await clock.pass(1_001)
  statements.length = 0
  await catalogue.revision()
  t.same(statements[0]?.values, [[]])
  await db.query({ text: `update stock_level set reserved = 2 where sku = 'KET-R'` })
  t.equal((await catalogue.getProduct({ slug: 'kettle' })).available, 8)
})

test('under load the next look is taken beside the requests', async t => {
  await using shop = await openCatalogue()
  const { catalogue, db, clock, statements } = shop
  await catalogue.importCsv({ csv: smallShop })
  const before = await catalogue.getProduct({ slug: 'kettle' })
  const revision = await catalogue.revision()
  await db.query({ text: `update stock_level set reserved = 4 where sku = 'KET-R'` })
  await clock.pass(699)
  statements.length = 0
  t.equal(catalogue.revision(), revision)
  t.equal(statements.length, 0)
  await clock.pass(2)
  t.equal(catalogue.revision(), revision, 'at once, with what is known')
  t.equal(await catalogue.getProduct({ slug: 'kettle' }), before)
  t.equal(statements.length, 1)
  // No answer may be older than a second: whoever comes then waits for the look that is under way.
  await clock.pass(300)
  t.equal((await catalogue.getProduct({ slug: 'kettle' })).available, 6)
  t.equal(statements.length, 1)
})

test('a first read is one round trip, and callers share it', async t => {
  await using shop = await openCatalogue()
  const { statements } = shop
  await shop.catalogue.importCsv({ csv: smallShop })
  const cold = shop.another()
  await cold.listCategories()
  statements.length = 0
  await cold.getProduct({ slug: 'kettle' })
  t.same(
    statements.map(statement => statement.name),
    ['catalogue-product'],
  )
  statements.length = 0
  await Promise.all(Array.from({ length: 20 }, () => cold.getProduct({ slug: 'phone-case' })))
  t.equal(statements.length, 1)
})

test('a change shows in every instance within a second, or at once when it is told', async t => {
  await using shop = await openCatalogue()
  const { catalogue, clock } = shop
  await catalogue.importCsv({ csv: smallShop })
  const told = shop.another()
  const untold = shop.another()
  const price = async (service: typeof told): Promise<number[]> => [
    (await service.getProduct({ slug: 'phone-case' })).amount,
    (await service.listProducts({})).products[1]?.amount ?? -1,
    (await service.loadSkus(['CASE-1'])).get('CASE-1')?.amount ?? -1,
  ]
  t.same(await Promise.all([price(told), price(untold)]), [
    [4950, 4950, 4950],
    [4950, 4950, 4950],
  ])
  await catalogue.importCsv({ csv: smallShop.replace('49.5', '59') })
  await told.refresh()
  t.same(await price(told), [5900, 5900, 5900])
  t.same(await price(untold), [4950, 4950, 4950])
  await clock.pass(1_001)
  t.same(await price(untold), [5900, 5900, 5900])
})

test('SKUs come from memory', async t => {
  await using shop = await openCatalogue()
  const { catalogue, statements, db } = shop
  await catalogue.importCsv({ csv: smallShop })
  await db.query({ text: `delete from price where sku = 'TEA.1'` })
  const first = await catalogue.loadSkus(['KET-R', 'CASE-1', 'TEA.1', 'NONE', 'KET-R'])
  t.equal(first.size, 3)
  t.match(first.get('KET-R'), {
    slug: 'kettle',
    name: { en: 'Insulated kettle' },
    amount: 12990,
    currency: 'CNY',
    category: 'home',
  })
  t.equal(first.get('TEA.1')?.amount, undefined)
  statements.length = 0
  t.same([...(await catalogue.loadSkus(['KET-R', 'CASE-1'])).keys()].sort(), ['CASE-1', 'KET-R'])
  t.equal(statements.length, 0)
})

test('the index follows the database: built when empty, when older, and on demand', async t => {
  await using shop = await openCatalogue()
  const { catalogue, search, clock } = shop
  await catalogue.importCsv({ csv: smallShop })
  t.equal(await catalogue.ensureIndexed(), false)
  await search.delete(['kettle'])
  t.equal((await search.search({ text: '水壶' })).total, 0)
  t.equal(await catalogue.ensureIndexed(), false)
  await catalogue.reindex()
  t.equal((await search.search({ text: '水壶' })).total, 1)
  t.equal(await catalogue.ensureIndexed(), false)

  // Another instance imports, with an index file of its own: this one sees the version and follows.
  const changed = smallShop.replace('保温水壶', '电热水壶')
  await shop
    .another({ search: { ...search, stamp: async () => 'other', rebuild: async () => true, count: async () => 0 } })
    .importCsv({ csv: changed })
  await clock.pass(1_001)
  await catalogue.listCategories()
  t.equal(await catalogue.ensureIndexed().then(() => search.stamp()), await search.stamp())
  t.equal((await search.search({ text: '电热' })).total, 1)
})

test('browsing goes on while the database is away', async t => {
  await using shop = await openCatalogue()
  await shop.catalogue.importCsv({ csv: smallShop })
  let away = false
  const query: typeof shop.db.query = statement =>
    away ? Promise.reject(new CloudError('support.rdbms.unavailable', 'gone')) : shop.db.query(statement)
  const catalogue = shop.another({ db: { ...shop.db, query } })
  const browse = async (): Promise<unknown> => [
    (await catalogue.getProduct({ slug: 'kettle' })).available,
    (await catalogue.listProducts({})).total,
    (await catalogue.search({ text: '水壶' })).total,
    (await catalogue.loadSkus(['KET-R'])).size,
  ]
  t.same(await browse(), [10, 3, 1, 1])
  away = true
  await shop.clock.pass(30_000)
  t.same(await browse(), [10, 3, 1, 1])
  await t.rejects(catalogue.getProduct({ slug: 'green-tea' }), { code: 'support.rdbms.unavailable', retryable: true })
  await shop.clock.pass(60_000)
  await t.rejects(browse(), { code: 'support.rdbms.unavailable' })
  away = false
  await shop.db.query({ text: `update stock_level set reserved = 1 where sku = 'KET-R'` })
  await shop.clock.pass(1_001)
  t.same(await browse(), [9, 3, 1, 1])
})

test('an index that lost its file is built again', async t => {
  await using shop = await openCatalogue()
  const { search } = shop
  let lost = false
  const index: SearchIndex = {
    put: documents => search.put(documents),
    delete: ids => search.delete(ids),
    count: () => search.count(),
    search: query =>
      lost ? Promise.reject(new CloudError('support.search.unavailable', 'lost')) : search.search(query),
    stamp: async () => (lost ? undefined : (await search.stamp())?.replace('+', '')),
    rebuild: async (batches, options) => {
      const stamp = lost ? `${options.stamp}+` : options.stamp
      lost = false
      return search.rebuild(batches, { stamp })
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
  const catalogue = shop.another({ search: index })
  await catalogue.importCsv({ csv: smallShop })
  await catalogue.ensureIndexed()
  lost = true
  await t.rejects(catalogue.search({ text: '绿茶' }), { code: 'support.search.unavailable', retryable: true })
  await catalogue.ensureIndexed()
  t.notOk(lost)
  t.equal((await catalogue.search({ text: '绿茶' })).total, 1)
})
