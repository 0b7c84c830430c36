import assert from 'node:assert/strict'
import { CloudError } from '@aaas/core-cloud/kernel'
import type { SearchDocument, SearchIndex, SearchQuery } from './search.js'
import type { SearchFields } from './search-query.js'

/** Fields that the suite's index must have. */
export const searchSuiteFields: SearchFields = {
  texts: { name: 10, description: 1 },
  keywords: ['brand', 'tag'],
  numbers: ['price'],
}

export interface SearchFixture {
  readonly index: SearchIndex
}

type Run = (name: string, fn: () => Promise<void>) => unknown

const shop: readonly SearchDocument[] = [
  document('p-1', '华为 Mate 60 手机', 'Huawei phone with a bright screen', 'huawei', 5999),
  document('p-2', 'iPhone 15 手机保护壳 防摔', 'Case for iPhone 15, shockproof', 'aaas', 49),
  document('p-3', '女士羽绒服 中长款', "Women's down jacket", 'warm', 899),
  document('p-4', '保温水壶 1.5L', 'Kettles that keep water hot', 'aaas', 129),
  document('p-5', 'USB-C 充电线', 'USB-C charging cable, 2 m', 'cable', 29),
  document('p-6', '绿茶 茶叶礼盒', 'Green tea in a gift box', 'tea', 199),
  document('p-7', 'Café crème', 'Coffee with milk; goes with a phone call', 'tea', 25),
]

function document(id: string, name: string, description: string, brand: string, price: number): SearchDocument {
  return {
    id,
    texts: { name, description },
    keywords: { brand, tag: ['all', price < 100 ? 'cheap' : 'dear'] },
    numbers: { price },
  }
}

/** What every search index promises. The index is empty at the start of each test. */
export function searchSuite(test: Run, open: () => Promise<SearchFixture>): void {
  const on = (name: string, fn: (index: SearchIndex) => Promise<void>): unknown =>
    test(name, async () => {
      const { index } = await open()
      await using _ = index
      await fn(index)
    })
  findsWords(on)
  filtersAndSorts(on)
  keepsDocuments(on)
  refuses(on)
}

type On = (name: string, fn: (index: SearchIndex) => Promise<void>) => unknown

async function ids(index: SearchIndex, query: string | SearchQuery): Promise<string[]> {
  const { hits } = await index.search(typeof query === 'string' ? { text: query } : query)
  return hits.map(hit => hit.id)
}

/** Texts over the shop above and what they find. */
const words: readonly (readonly [text: string, expected: readonly string[]])[] = [
  ['华为', ['p-1']],
  ['羽绒服', ['p-3']],
  ['防摔', ['p-2']],
  ['保护', ['p-2']],
  ['手机', ['p-1', 'p-2']],
  ['茶', ['p-6']],
  ['iPhone 保护壳', ['p-2']],
  ['ＩＰＨＯＮＥ１５', ['p-2']],
  ['iphone 15 壳', ['p-2']],
  ['红色的保护壳', []],
  ['kettle', ['p-4']],
  ['KETTLES', ['p-4']],
  ['1.5l', ['p-4']],
  ['15l', []],
  ['usb c', ['p-5']],
  ['usbc', ['p-5']],
  ['cafe creme', ['p-7']],
  ['woman jackets', ['p-3']],
  ['the kettle', ['p-4']],
  ['gre', ['p-6']],
  ['gre tea', []],
  ['!?', []],
  ['😀', []],
]

function findsWords(on: On): void {
  for (const [text, expected] of words) {
    on(`'${text}' finds ${expected.join(', ') || 'nothing'}`, async index => {
      await index.put(shop)
      assert.deepEqual((await ids(index, text)).sort(), expected)
    })
  }
  on('an empty text finds everything', async index => {
    await index.put(shop)
    assert.deepEqual(
      await ids(index, '  '),
      shop.map(({ id }) => id),
    )
  })
  on('a word in a field of more weight comes first', async index => {
    await index.put(
      shop.map(item => (item.id === 'p-5' ? document('p-5', 'phone stand', 'for desks', 'cable', 29) : item)),
    )
    const found = await ids(index, 'phone')
    assert.equal(found[0], 'p-5')
    assert.deepEqual(found.slice(1).sort(), ['p-1', 'p-7'])
  })
  for (const text of [
    '"',
    "' or 1=1 --",
    'a" OR "b',
    'name:x',
    '(',
    ')*^',
    '\0',
    'AND',
    'NEAR(a b, 2)',
    '{a b}',
    '-x',
    '\ud800',
    '保\0护"*',
  ]) {
    on(`the text ${JSON.stringify(text)} is only a text`, async index => {
      await index.put(shop)
      assert.ok((await index.search({ text })).total <= shop.length)
    })
  }
  on('texts of 200 characters are searched', async index => {
    await index.put([...shop, document('long', '保护壳'.repeat(66), 'ab '.repeat(66), 'x', 1)])
    assert.ok((await ids(index, '保护壳'.repeat(66))).includes('long'))
    assert.deepEqual(await ids(index, 'ab '.repeat(66)), ['long'])
    assert.deepEqual(await ids(index, '手机壳防摔华为保温水壶充电线绿茶礼盒'.repeat(11)), [])
    assert.deepEqual(await ids(index, 'a1-b2.c3/d4_e5+f6 '.repeat(11)), [])
    assert.deepEqual(
      await ids(index, Array.from({ length: 100 }, (_, at) => String.fromCodePoint(0x4e00 + at * 7)).join(' ')),
      [],
    )
  })
}

function filtersAndSorts(on: On): void {
  on('filters by keywords and numbers', async index => {
    await index.put(shop)
    const query: SearchQuery = {
      text: '',
      filters: { keywords: { brand: ['aaas', 'tea'] }, numbers: { price: { min: 49, max: 129 } } },
    }
    assert.deepEqual(await ids(index, query), ['p-2', 'p-4'])
    assert.deepEqual(await ids(index, { text: '手机', filters: { keywords: { tag: ['cheap'] } } }), ['p-2'])
    assert.deepEqual(await ids(index, { text: '', filters: { keywords: { brand: [] } } }), [])
    assert.deepEqual(await ids(index, { text: '', filters: { keywords: { brand: ["' or 1=1 --"] } } }), [])
  })
  on('counts facets over all hits, not the page', async index => {
    await index.put(shop)
    const { total, hits, facets } = await index.search({ text: '', facets: ['brand', 'tag'], limit: 1 })
    assert.equal(total, shop.length)
    assert.equal(hits.length, 1)
    assert.deepEqual(facets.brand?.slice(0, 3), [
      { value: 'aaas', count: 2 },
      { value: 'tea', count: 2 },
      { value: 'cable', count: 1 },
    ])
    assert.deepEqual(facets.tag?.[0], { value: 'all', count: 7 })
    assert.deepEqual((await index.search({ text: 'nothingness', facets: ['brand'] })).facets, { brand: [] })
  })
  on('sorts by a number, documents without one last', async index => {
    await index.put([...shop, { id: 'p-8', texts: { name: 'no price' } }])
    const sorted = await ids(index, { text: '', sort: { field: 'price', direction: 'ascending' } })
    assert.deepEqual(sorted, ['p-7', 'p-5', 'p-2', 'p-4', 'p-6', 'p-3', 'p-1', 'p-8'])
    const reversed = await ids(index, { text: '', sort: { field: 'price', direction: 'descending' } })
    assert.deepEqual(reversed, ['p-1', 'p-3', 'p-6', 'p-4', 'p-2', 'p-5', 'p-7', 'p-8'])
  })
  on('pages do not overlap and leave nothing out', async index => {
    await index.put(shop.map((item, at) => ({ ...item, id: `same-${at}`, texts: { name: '手机' } })))
    const pages = await Promise.all([0, 3, 6, 9].map(offset => ids(index, { text: '手机', limit: 3, offset })))
    assert.deepEqual(
      pages.flat(),
      shop.map((_, at) => `same-${at}`),
    )
    assert.deepEqual(pages[3], [])
  })
}

function keepsDocuments(on: On): void {
  on('put replaces, delete removes, count counts', async index => {
    await index.put(shop)
    await index.put([document('p-1', '小米手机', 'Xiaomi', 'xiaomi', 1)])
    assert.deepEqual(await ids(index, '华为'), [])
    assert.deepEqual(await ids(index, '小米'), ['p-1'])
    assert.deepEqual(await ids(index, { text: '', filters: { keywords: { brand: ['huawei'] } } }), [])
    assert.equal(await index.count(), shop.length)
    await index.delete(['p-1', 'unknown'])
    assert.equal(await index.count(), shop.length - 1)
    assert.deepEqual(await ids(index, '小米'), [])
  })
  on('rebuild replaces everything once per stamp', async index => {
    await index.put([document('old', '旧货', 'old', 'x', 1)])
    assert.equal(await index.stamp(), undefined)
    assert.equal(await index.rebuild(batches(shop.slice(0, 3), shop.slice(3)), { stamp: 'v1' }), true)
    assert.equal(await index.count(), shop.length)
    assert.deepEqual(await ids(index, '旧货'), [])
    assert.equal(await index.stamp(), 'v1')
    assert.equal(await index.rebuild(batches([]), { stamp: 'v1' }), false)
    assert.equal(await index.count(), shop.length)
  })
  on('searches see the old documents until a rebuild is done', async index => {
    await index.rebuild(batches(shop), { stamp: 'v1' })
    async function* slow(): AsyncGenerator<readonly SearchDocument[]> {
      yield [document('new', '新手机', 'new', 'x', 1)]
      assert.deepEqual((await ids(index, '手机')).sort(), ['p-1', 'p-2'])
    }
    await index.rebuild(slow(), { stamp: 'v2' })
    assert.deepEqual(await ids(index, '手机'), ['new'])
  })
  on('a rebuild that fails changes nothing', async index => {
    await index.rebuild(batches(shop), { stamp: 'v1' })
    async function* failing(): AsyncGenerator<readonly SearchDocument[]> {
      yield [document('new', '新手机', 'new', 'x', 1)]
      throw new Error('source gone')
    }
    await assert.rejects(index.rebuild(failing(), { stamp: 'v2' }), /source gone/)
    assert.equal(await index.stamp(), 'v1')
    assert.deepEqual((await ids(index, '手机')).sort(), ['p-1', 'p-2'])
    await index.put([document('after', '手机', '', 'x', 1)])
    assert.equal(await index.count(), shop.length + 1)
  })
}

function refuses(on: On): void {
  const wrong: readonly (readonly [field: string, query: SearchQuery])[] = [
    ['text', { text: 'x'.repeat(201) }],
    ['limit', { text: '', limit: 0 }],
    ['limit', { text: '', limit: 101 }],
    ['offset', { text: '', offset: -1 }],
    ['offset', { text: '', offset: 10_001 }],
    ['sort/field', { text: '', sort: { field: 'nope', direction: 'ascending' } }],
    ['facets/0', { text: '', facets: ['nope'] }],
    ['filters/keywords/nope', { text: '', filters: { keywords: { nope: ['x'] } } }],
    ['filters/keywords/brand', { text: '', filters: { keywords: { brand: Array.from({ length: 101 }, () => 'x') } } }],
    ['filters/numbers/nope', { text: '', filters: { numbers: { nope: { min: 1 } } } }],
    ['filters/numbers/price', { text: '', filters: { numbers: { price: { min: Number.NaN } } } }],
  ]
  for (const [field, query] of wrong) {
    on(`${JSON.stringify(query).slice(0, 70)} is refused for ${field}`, async index => {
      await assert.rejects(
        index.search(query),
        error => CloudError.is(error, 'support.search.invalid-query') && error.field === field,
      )
    })
  }
  on('limits hold at their edge', async index => {
    await index.put(shop)
    await index.search({ text: 'x'.repeat(200), limit: 100, offset: 10_000 })
    await index.put(Array.from({ length: 1_000 }, (_, at) => ({ id: `many-${at}`, texts: {} })))
    const isRefused = (error: unknown): boolean => CloudError.is(error, 'support.search.invalid-query')
    await assert.rejects(
      index.put(Array.from({ length: 1_001 }, (_, at) => ({ id: `more-${at}`, texts: {} }))),
      isRefused,
    )
    await assert.rejects(index.put([{ id: '', texts: {} }]), isRefused)
    await assert.rejects(index.put([...shop, { id: 'x', texts: { undeclared: '' } }]), isRefused)
    assert.equal(await index.count(), shop.length + 1_000)
  })
  on('a closed index says so', async index => {
    await index[Symbol.asyncDispose]()
    await assert.rejects(index.search({ text: '' }), error => CloudError.is(error, 'core.kernel.stopped'))
    await assert.rejects(index.put(shop), error => CloudError.is(error, 'core.kernel.stopped'))
  })
}

async function* batches(...groups: (readonly SearchDocument[])[]): AsyncGenerator<readonly SearchDocument[]> {
  for (const group of groups) yield group
}
