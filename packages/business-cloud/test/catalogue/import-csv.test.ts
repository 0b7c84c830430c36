import { CloudError } from '@aaas/core-cloud/kernel'
import fc from 'fast-check'
import { test } from 'tap'
import { decimalsOf, minorUnits } from '../../src/catalogue/import-fields.js'
import { type ImportProblem, readImport } from '../../src/catalogue/index.js'
import { header, smallShop } from './catalogue-fixture.js'

async function problems(
  csv: string | Uint8Array | readonly (string | Uint8Array)[],
  currency = 'CNY',
): Promise<ImportProblem[] & { total?: number }> {
  const source = typeof csv === 'string' || csv instanceof Uint8Array ? [csv] : csv
  try {
    await readImport(source, { currency })
    return []
  } catch (error) {
    if (!CloudError.is(error, 'business.catalogue.invalid-import')) throw error
    const { problems, count } = error.details as { problems: ImportProblem[]; count: number }
    return Object.assign(problems, { total: count })
  }
}

/** A good row with some fields replaced. */
function row(fields: Partial<Record<string, string>> = {}): string {
  const good: Record<string, string> = {
    slug: 'tea',
    category: 'home',
    category_name_zh: '家居',
    category_name_en: 'Home',
    name_zh: '绿茶',
    name_en: 'Green tea',
    sku: 'TEA',
    price: '1.00',
    stock: '5',
  }
  return header
    .split(',')
    .map(name => fields[name] ?? good[name] ?? '')
    .map(value => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value))
    .join(',')
}

test('a good file is read, in every dress', async t => {
  const plain = await readImport([smallShop], { currency: 'CNY' })
  t.equal(plain.products.length, 3)
  t.same(
    plain.skus.map(({ sku, amount, stock, position, row }) => [sku, amount, stock, position, row]),
    [
      ['KET-R', 12990, 10, 0, 2],
      ['KET-B', 13900, 0, 1, 3],
      ['CASE-1', 4950, 100, 0, 4],
      ['TEA.1', 1, 5, 0, 5],
    ],
  )
  for (const dressed of [
    `\ufeff${smallShop}`,
    smallShop.replaceAll('\r\n', '\n'),
    `${smallShop}\r\n\r\n`,
    smallShop.replace('slug,', ' slug ,'),
  ]) {
    t.same(await readImport([dressed], { currency: 'CNY' }), plain)
  }
  const bytes = Buffer.from(`\ufeff${smallShop}`)
  const split = Array.from({ length: Math.ceil(bytes.length / 7) }, (_, at) => bytes.subarray(at * 7, at * 7 + 7))
  t.same(await readImport(split, { currency: 'CNY' }), plain)
})

test('a field keeps quotes, commas and line breaks', async t => {
  const { products } = await readImport([[header, row({ description_zh: '一, "二"\n三' })].join('\n')], {
    currency: 'CNY',
  })
  t.equal(products[0]?.description['zh-CN'], '一, "二"\n三')
})

test('each wrong field is named with its row and its reason', async t => {
  for (const [fields, field, reason] of [
    [{ slug: '' }, 'slug', /empty/],
    [{ slug: 'Tea Pot' }, 'slug', /a-z/],
    [{ slug: 'x'.repeat(101) }, 'slug', /longer than 100/],
    [{ category: '' }, 'category', /first row of a product/],
    [{ category_name_zh: '' }, 'category_name_zh', /first row of a category/],
    [{ name_en: '' }, 'name_en', /required/],
    [{ name_zh: '茶'.repeat(201) }, 'name_zh', /longer than 200/],
    [{ name_zh: '茶\ufffd' }, 'name_zh', /UTF-8/],
    [{ name_zh: '茶\0' }, 'name_zh', /cannot be stored/],
    [{ sku: 'A B' }, 'sku', /letters/],
    [{ sku: '' }, 'sku', /empty/],
    [{ price: '-1' }, 'price', /negative/],
    [{ price: '' }, 'price', /empty/],
    [{ price: '1.005' }, 'price', /199\.90/],
    [{ price: '1e3' }, 'price', /199\.90/],
    [{ price: '1,000' }, 'price', /199\.90/],
    [{ price: '¥5' }, 'price', /199\.90/],
    [{ price: '100000000.01' }, 'price', /over/],
    [{ stock: '-1' }, 'stock', /whole number/],
    [{ stock: '1.5' }, 'stock', /whole number/],
    [{ stock: '1000000001' }, 'stock', /whole number/],
    [{ image: '../secret' }, 'image', /path/],
    [{ image: 'https://x/y.png' }, 'image', /path/],
    [{ option_color_zh: '红' }, 'option_color_en', /other language/],
    [{ attr_material_en: 'steel' }, 'attr_material_zh', /other language/],
    [{ attr_material_en: 'x'.repeat(501) }, 'attr_material_en', /longer than 500/],
  ] as const) {
    const found = await problems([header, row(fields)].join('\n'))
    t.equal(found.length, 1, JSON.stringify(fields))
    t.match(found[0], { row: 2, field, reason })
  }
})

test('limits at their edge are fine', async t => {
  t.same(
    await problems(
      [header, row({ slug: 'x'.repeat(100), name_zh: '茶'.repeat(200), price: '100000000', stock: '1000000000' })].join(
        '\n',
      ),
    ),
    [],
  )
  t.same(await problems([header, row({ price: '0', stock: '0', sku: 'x'.repeat(64) })].join('\n')), [])
})

test('what does not fit between rows is found', async t => {
  const second = (fields: Record<string, string>): string =>
    [header, row({ option_color_zh: '红', option_color_en: 'red' }), row(fields)].join('\n')
  const blue = { sku: 'TEA-2', option_color_zh: '蓝', option_color_en: 'blue' }
  t.same(await problems(second(blue)), [])
  t.match(await problems(second({ ...blue, sku: 'TEA' })), [{ row: 3, field: 'sku', reason: /row 2 already/ }])
  t.match(await problems(second({ ...blue, name_en: 'Black tea' })), [
    { row: 3, field: 'name_en', reason: /differs from row 2/ },
  ])
  t.match(await problems(second({ ...blue, category: 'food' })), [{ row: 3, field: 'category' }])
  t.match(await problems(second({ ...blue, option_color_zh: '红', option_color_en: 'red' })), [
    { field: 'option', reason: /same options/ },
  ])
  t.match(await problems(second({ sku: 'TEA-2' })), [{ row: 3, field: 'option', reason: /has options \(none\)/ }])
  t.match(await problems(second({ ...blue, category_name_en: 'House' })), [
    { row: 3, field: 'category_name_en', reason: /same category/ },
  ])
  const many = Array.from({ length: 201 }, (_, at) =>
    row({ sku: `T-${at}`, option_color_zh: `${at}`, option_color_en: `${at}` }),
  )
  t.match(await problems([header, ...many].join('\n')), [{ row: 202, field: 'slug', reason: /more than 200/ }])
  t.same(await problems([header, ...many.slice(1)].join('\n')), [])
})

test('headers are checked first', async t => {
  t.match(await problems(smallShop.replace('price', 'prize')), [
    { row: 1, field: 'prize', reason: 'unknown column' },
    { row: 1, field: 'price', reason: 'the column is missing' },
  ])
  t.match(await problems(smallShop.replace(',name_en', ',name_zh')), [
    { field: 'name_zh', reason: /twice/ },
    { field: 'name_en' },
  ])
  t.match(await problems(smallShop.replace('option_color_en', 'option_size_en')), [
    { field: 'option_color_en' },
    { field: 'option_size_zh' },
  ])
  t.match(await problems(smallShop.replace('attr_material_en', 'attr_material')), [
    { field: 'attr_material', reason: /one language/ },
  ])
  const both = await readImport([smallShop.replace('attr_material_zh,attr_material_en', 'attr_weight,attr_made_in')], {
    currency: 'CNY',
  })
  t.same(both.products[0]?.attributes, {
    weight: { 'zh-CN': '不锈钢', en: '不锈钢' },
    made_in: { 'zh-CN': 'steel', en: 'steel' },
  })
})

test('files that are no such file', async t => {
  t.match(await problems(''), [{ row: 0, field: 'csv', reason: 'has no rows' }])
  t.match(await problems(header), [{ row: 0, field: 'csv', reason: 'has no rows' }])
  t.match(await problems([header, row().replace('TEA,', '"TEA,')].join('\n')), [
    { field: 'csv', reason: /never closed/ },
  ])
  t.match(await problems([header, row({ sku: 'TEA' }), 'a,b'].join('\n')), [
    { row: 3, field: 'csv', reason: /2 fields instead of 17/ },
  ])
  t.match(await problems(Buffer.from([0xc4, 0xe3, 0xba, 0xc3])), [{ row: 0, field: 'csv', reason: /UTF-8/ }])
  t.match(await problems([header, row({ description_en: 'x'.repeat(100_001) })].join('\n')), [
    { field: 'csv', reason: /longer than/ },
  ])
  const megabyte = new Uint8Array(1_000_000).fill(0x78)
  t.match(await problems(Array.from({ length: 51 }, () => megabyte)), [{ field: 'csv' }])
})

test('all problems are counted, a hundred are listed', async t => {
  const rows = Array.from({ length: 300 }, (_, at) => row({ slug: `t-${at}`, sku: `T-${at}`, price: 'x' }))
  const found = await problems([header, ...rows].join('\n'))
  t.equal(found.length, 100)
  t.equal(found.total, 300)
})

test('prices are exact in every currency', async t => {
  t.same([decimalsOf('CNY'), decimalsOf('JPY'), decimalsOf('KWD')], [2, 0, 3])
  t.equal(minorUnits('8.10', 2), 810)
  t.equal(minorUnits('8.1', 3), 8100)
  t.equal(minorUnits('8.', 2), undefined)
  t.equal(minorUnits('.5', 2), undefined)
  t.equal(minorUnits('1.0', 0), undefined)
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10_000_000_000 }), fc.integer({ min: 0, max: 3 }), (amount, decimals) => {
      const digits = String(amount).padStart(decimals + 1, '0')
      const text = decimals === 0 ? digits : `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`
      return minorUnits(text, decimals) === amount
    }),
  )
})

test('no text makes it fail in another way', async t => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), fc.nat(), async (noise, at) => {
      const where = at % smallShop.length
      await problems(smallShop.slice(0, where) + noise + smallShop.slice(where))
    }),
    { numRuns: 200 },
  )
  t.pass()
})
