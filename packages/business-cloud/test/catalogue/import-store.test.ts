import { test } from 'tap'
import { bigShop, openCatalogue, smallShop } from './catalogue-fixture.js'

test('a wrong row leaves nothing behind', async t => {
  await using shop = await openCatalogue()
  const { catalogue, db } = shop
  await t.rejects(catalogue.importCsv({ csv: smallShop.replace('49.5', '-1') }), {
    code: 'business.catalogue.invalid-import',
    details: { count: 1, problems: [{ row: 4, field: 'price' }] },
  })
  const [counts] = await db.query({
    text: `select (select count(*) from product) + (select count(*) from sku) + (select count(*) from category)
      + (select count(*) from price) + (select count(*) from stock_level) as rows`,
  })
  t.equal(counts?.rows, 0)
})

test('a failure at any statement leaves nothing behind', async t => {
  await using shop = await openCatalogue()
  const { db, catalogue } = shop
  let passed = false
  for (let nth = 1; !passed; nth++) {
    let calls = 0
    const failing = shop.another({
      db: {
        ...db,
        transaction: work =>
          db.transaction(tx =>
            work({
              query: async statement => {
                const rows = await tx.query(statement)
                calls += 1
                if (calls === nth) throw new Error('power cut')
                return rows as never
              },
            }),
          ),
      },
    })
    passed = await failing.importCsv({ csv: smallShop }).then(
      () => true,
      () => false,
    )
    const [state] = await db.query<{ version: number; products: number; prices: number }>({
      text: 'select version, (select count(*) from product) as products, (select count(*) from price) as prices from catalogue_state',
    })
    t.same(
      state,
      passed ? { version: 1, products: 3, prices: 4 } : { version: 0, products: 0, prices: 0 },
      `call ${nth}`,
    )
  }
  t.equal((await catalogue.listProducts({})).total, 3)
})

test('importing again replaces products, keeps stock and retires SKUs', async t => {
  await using shop = await openCatalogue()
  const { catalogue, db } = shop
  await catalogue.importCsv({ csv: smallShop })
  await db.query({ text: `update stock_level set on_hand = 3 where sku = 'KET-R'` })
  const lines = smallShop.split('\r\n')
  const again = [lines[0], lines[1]?.replace('129.90', '119.90').replace('Insulated kettle', 'Better kettle')].join(
    '\n',
  )
  t.same(await catalogue.importCsv({ csv: again }), { products: 1, skus: 1 })
  const product = await catalogue.getProduct({ slug: 'kettle' })
  t.match(product, { name: { en: 'Better kettle' }, amount: 11990, available: 3 })
  t.equal(product.skus.length, 1)
  t.equal((await catalogue.loadSkus(['KET-B'])).size, 0)
  t.equal((await catalogue.listProducts({})).total, 3)
  t.same(
    (await catalogue.listProducts({})).products.map(({ slug }) => slug),
    ['kettle', 'phone-case', 'green-tea'],
  )
  await catalogue.importCsv({ csv: smallShop })
  t.equal((await catalogue.loadSkus(['KET-B'])).size, 1)
})

test('a SKU never moves to another product', async t => {
  await using shop = await openCatalogue()
  const { catalogue } = shop
  await catalogue.importCsv({ csv: smallShop })
  await t.rejects(catalogue.importCsv({ csv: smallShop.replace('phone-case,', 'other-case,') }), {
    code: 'business.catalogue.invalid-import',
    details: { problems: [{ row: 4, field: 'sku', reason: 'CASE-1 belongs to product phone-case' }], count: 1 },
  })
})

test('imports at the same time pass one by one', async t => {
  await using shop = await openCatalogue()
  const { catalogue, db } = shop
  await Promise.all(
    Array.from({ length: 4 }, (_, at) => catalogue.importCsv({ csv: smallShop.replace('49.5', `${50 + at}`) })),
  )
  const [state] = await db.query({ text: 'select version from catalogue_state' })
  t.equal(state?.version, 4)
  t.equal((await catalogue.getProduct({ slug: 'kettle' })).skus.length, 2)
})

test('two thousand products, listeners and the index', async t => {
  await using shop = await openCatalogue()
  const changes: number[] = []
  const catalogue = shop.another({ onChanged: change => changes.push(change.slugs.length) })
  t.same(await catalogue.importCsv({ csv: bigShop(2_000) }), { products: 2_000, skus: 4_000 })
  t.same(changes, [2_000])
  t.equal((await catalogue.listProducts({ limit: 1, offset: 1_999 })).products[0]?.slug, 'p-1999')
  t.equal((await catalogue.search({ text: '水壶 1234' })).total, 1)
  t.equal(await shop.search.count(), 2_000)
})
