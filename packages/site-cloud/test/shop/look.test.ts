import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { test } from 'tap'
import { Compile } from 'typebox/compile'
import { artGallery, artInColour, artPath, paletteColour, palettes, parseArtName } from '../../src/shop/art/names.js'
import { decimalAmount, formatMoney, formatTime } from '../../src/shop/formats.js'
import { artKinds, productArt } from '../../src/shop/product-art.js'
import { negotiateLanguage, readCookies } from '../../src/shop/request.js'
import { ShopConfig, shopConfigDefaults } from '../../src/shop/shop-config.js'
import { siteView } from '../../src/shop/site-view.js'
import { styleSheet } from '../../src/shop/style/style-sheet.js'
import { textsOf } from '../../src/shop/texts/texts.js'
import { contrast, themeTokens } from '../../src/shop/theme.js'
import { readCatalogueFile } from './catalogue-file.js'
import { testConfig } from './shop-server.js'

test('every drawing is well-formed, small, and the same each time', async t => {
  for (const kind of artKinds) {
    const seen = new Set<string>()
    for (const palette of palettes) {
      for (const style of [0, 1, 2, 3, 23]) {
        for (const view of ['plain', 'scene', 'detail'] as const) {
          const name = artPath({ kind, palette: palette.id, style, view })
          t.same(parseArtName(name), { kind, palette: palette.id, style, view })
          const drawing = productArt(name) ?? ''
          if (
            drawing !== productArt(name) ||
            /undefined|NaN|url\(#[^bmwsgl]\)/.test(drawing) ||
            drawing.length > 12_000
          )
            t.fail(name)
          if (!balanced(drawing)) t.fail(`${name} is not well-formed`)
          seen.add(drawing)
        }
      }
    }
    t.ok(seen.size >= palettes.length * 9, `${kind} looks different by colour, style and view`)
  }
})

function balanced(xml: string): boolean {
  const open: string[] = []
  for (const [, close, name = '', , self] of xml.matchAll(
    /<(\/?)([a-zA-Z]+)((?:\s+[a-zA-Z0-9-]+="[^"<]*")*)\s*(\/?)>/g,
  )) {
    if (close) {
      if (open.pop() !== name) return false
    } else if (!self) open.push(name)
  }
  return open.length === 0 && !/<(?![/a-zA-Z])/.test(xml)
}

test('names that are no drawing are refused', t => {
  for (const name of [
    'art/mug.svg',
    'art/mug-sage',
    'art/mug-sage-100.svg',
    'art/mug-pink.svg',
    'art/../mug-sage.svg',
    'art/MUG-sage.svg',
    `art/mug-${'sage-'.repeat(40)}.svg`,
    '',
    'mug-sage.svg',
  ]) {
    t.equal(productArt(name), undefined, name)
  }
  t.equal(productArt('art/constructor-sage.svg'), undefined)
  fc.assert(fc.property(fc.string(), name => productArt(name) === undefined || parseArtName(name) !== undefined))
  t.end()
})

test('a picture follows the colour of its SKU and has three views', t => {
  t.equal(artInColour('art/kettle-sage-3.svg', 'Sea Blue'), 'art/kettle-sea-blue-3.svg')
  t.equal(artInColour('art/kettle-sage-3.svg', 'Ultraviolet'), 'art/kettle-sage-3.svg')
  t.equal(artInColour('photos/kettle.jpg', 'Sage'), 'photos/kettle.jpg')
  t.same(artGallery('art/mug-sea-blue-2.svg'), [
    'art/mug-sea-blue-2.svg',
    'art/mug-sea-blue-2-scene.svg',
    'art/mug-sea-blue-2-detail.svg',
  ])
  t.same(artGallery('photos/kettle.jpg'), ['photos/kettle.jpg'])
  t.equal(paletteColour('Chalk White'), '#ece7dd')
  t.end()
})

test('text is readable on every preset and on any accent', t => {
  for (const preset of ['pine', 'ink', 'clay', 'ocean'] as const) {
    const tokens = themeTokens({ preset })
    t.ok(contrast(tokens.ink, tokens.paper) >= 7, preset)
    t.ok(contrast(tokens.accent, tokens.onAccent) >= 4.5, preset)
    t.ok(contrast(tokens.accentInk, tokens.accentSoft) >= 4.5, preset)
  }
  const colour = fc.integer({ min: 0, max: 0xffffff }).map(value => `#${value.toString(16).padStart(6, '0')}`)
  fc.assert(
    fc.property(colour, accent => {
      const tokens = themeTokens({ preset: 'pine', accent })
      return contrast(tokens.accent, tokens.onAccent) >= 4.5 && contrast(tokens.accentInk, tokens.paper) >= 4.5
    }),
  )
  t.ok(styleSheet(themeTokens({ preset: 'pine' })).length < 24_000)
  t.end()
})

test('money is exact at every size', t => {
  t.equal(formatMoney(129_900, 'CNY', 'en'), '¥1,299.00')
  t.equal(formatMoney(129_900, 'CNY', 'zh-CN'), '¥1,299.00')
  t.equal(formatMoney(-5, 'CNY', 'en'), '-¥0.05')
  t.equal(formatMoney(Number.MAX_SAFE_INTEGER, 'CNY', 'en'), '¥90,071,992,547,409.91')
  t.equal(formatMoney(500, 'JPY', 'en'), '¥500')
  fc.assert(
    fc.property(fc.integer({ min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }), amount => {
      return BigInt(decimalAmount(amount, 'CNY').replace('.', '')) === BigInt(amount)
    }),
  )
  t.equal(formatTime(1_800_000_000_000, 'Asia/Shanghai', 'en'), 'Jan 15, 2027, 4:00 PM')
  t.end()
})

test('both languages say everything', t => {
  const shapeOf = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shapeOf)
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(
        Object.entries(value)
          .map(([key, inner]) => [key, shapeOf(inner)])
          .sort(),
      )
    if (typeof value === 'string') return value.length > 0 ? 'string' : 'empty'
    return typeof value
  }
  t.same(shapeOf(textsOf('zh-CN')), shapeOf(textsOf('en')))
  t.notMatch(JSON.stringify(shapeOf(textsOf('en'))), ':"empty"')
  t.end()
})

test('site.json: the example fits the schema, contradictions are named', t => {
  const site = JSON.parse(readFileSync(new URL('../../../../../examples/shop/site.json', import.meta.url), 'utf8')) as {
    config: ShopConfig
  }
  const schema = Compile(ShopConfig)
  t.ok(schema.Check(site.config), JSON.stringify(schema.Errors(site.config)))
  t.equal(siteView(site.config).theme.accent, '#1f5f4b')
  t.ok(schema.Check({ ...shopConfigDefaults, name: testConfig.name }))
  t.notOk(schema.Check({ ...testConfig, colour: 'red' }))
  t.notOk(schema.Check({ ...testConfig, theme: { preset: 'pine', accent: 'red' } }))
  t.throws(() => siteView({ ...testConfig, languages: ['en'] }), {
    code: 'site.factory.invalid-site',
    field: 'config/defaultLanguage',
  })
  t.throws(() => siteView({ ...testConfig, timeZone: 'Mars/Base' }), {
    code: 'site.factory.invalid-site',
    field: 'config/timeZone',
  })
  t.end()
})

test('the example catalogue is big, unique, and every picture of it can be drawn', t => {
  const { products, categories } = readCatalogueFile()
  t.ok(products.length >= 2_000 && categories.size >= 12)
  const skus = products.flatMap(product => product.skus)
  t.ok(skus.length >= 4_000)
  t.equal(new Set(skus.map(sku => sku.sku)).size, skus.length)
  for (const language of ['zh-CN', 'en'] as const) {
    t.equal(
      new Set(products.map(product => product.name[language])).size,
      products.length,
      `no two products share a name in ${language}`,
    )
    t.notOk(products.some(product => product.description[language].length < 10))
  }
  t.notOk(products.some(product => productArt(product.image) === undefined))
  t.notOk(skus.some(sku => sku.options.color !== undefined && paletteColour(sku.options.color.en) === undefined))
  t.notOk(skus.some(sku => !Number.isInteger(sku.amount) || sku.amount < 900))
  for (const product of products) {
    const choices = product.skus.map(sku => JSON.stringify(sku.options))
    if (new Set(choices).size !== choices.length) t.fail(`${product.slug} has two SKUs with the same options`)
  }
  t.end()
})

test('headers are read as browsers write them', t => {
  t.same(
    [...readCookies('a=1; b=x=y;c ; =z; a=2')],
    [
      ['a', '1'],
      ['b', 'x=y'],
    ],
  )
  t.equal(negotiateLanguage('EN-us', ['zh-CN', 'en'], 'zh-CN'), 'en')
  t.equal(negotiateLanguage(undefined, ['en'], 'en'), 'en')
  t.equal(negotiateLanguage('zh;q=0', ['zh-CN', 'en'], 'en'), 'en', 'a weight of 0 means not at all')
  t.end()
})
