import { ManualClock } from '@aaas/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { escapeHtml, html, jsonScript, OriginUrl, trusted } from '../../src/shop/html.js'
import { holes, PageCache, type PageRecipe, StoredPage } from '../../src/shop/page-cache.js'
import { looksSame } from '../../src/shop/shown.js'
import { type CatalogueFile, readCatalogueFile } from './catalogue-file.js'
import { openShopServer, PlainBrowser } from './shop-server.js'

const attack = `"><script>alert(1)</script><img src=x onerror='alert(2)'>\u2028\uE002</title>`

/** A page is sound when the attack stands in it only as text. */
function isHarmless(body: string): boolean {
  // In a JSON-LD block a quote is no danger; that the block stays closed has a test of its own.
  const outside = body.replace(/<script type="application\/ld\+json">[^<]*<\/script>/g, '')
  return !/<script>alert|<img src=x|onerror='/.test(outside) && !/[\uE000-\uE00F]/.test(body)
}

function hostileFile(): CatalogueFile {
  const [first] = readCatalogueFile().products
  if (first === undefined) throw new Error('the example catalogue is empty')
  const both = { 'zh-CN': attack, en: attack }
  const product = structuredClone(first)
  Object.assign(product, {
    slug: 'hostile',
    name: both,
    brand: attack,
    description: both,
    attributes: { [attack]: both },
    category: 'c',
  })
  for (const sku of product.skus) sku.options = { [attack]: { ...both, en: `${attack}${sku.sku}` } }
  return { categories: new Map([['c', both]]), products: [product] }
}

test('text is escaped in every place of a template', async t => {
  t.equal(html`<a title="${'"<'}">${"&'"}</a>`.text, '<a title="&quot;&lt;">&amp;&#39;</a>')
  t.equal(html`${['<', html`<b>${'>'}</b>`]}${undefined}${false}${null}${0}`.text, '&lt;<b>&gt;</b>0')
  t.equal(html`${trusted('<i>')}`.text, '<i>')
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      const escaped = escapeHtml(text)
      return !/[<>"'\uE000-\uE00F]/.test(escaped) && !/&(?!(amp|lt|gt|quot|#39);)/.test(escaped)
    }),
  )
})

test('JSON-LD cannot leave its element, and reads back as it was', async t => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      const block = jsonScript({ text, url: new OriginUrl('/x') }, 'http://o').text
      const inner = block.slice('<script type="application/ld+json">'.length, -'</script>'.length)
      const read = JSON.parse(inner) as { text: string; url: string }
      return !inner.includes('<') && read.text === text.replace(/[\uE000-\uE00F]/g, '') && read.url === 'http://o/x'
    }),
  )
  t.pass()
})

test('names, brands, options and attributes of a catalogue cannot bring markup into any page', async t => {
  await using server = await openShopServer({
    file: hostileFile(),
    config: { name: { 'zh-CN': attack, en: attack }, about: { 'zh-CN': attack, en: attack } },
  })
  const browser = new PlainBrowser(server)
  for (const path of [
    '/en/',
    '/en/products',
    '/en/category/c',
    '/en/product/hostile',
    '/en/search?q=script',
    '/en/help',
    '/en/none',
  ]) {
    t.ok(isHarmless((await browser.open(path)).body), path)
  }
  await browser.open('/en/product/hostile')
  t.ok(isHarmless((await browser.submit('add-form')).body), 'cart')
  t.match(browser.page.body, 'data-testid="cart-line"')
  t.ok(isHarmless((await browser.open('/en/checkout')).body), 'checkout')
  for (const [, text = ''] of (await browser.open('/en/product/hostile')).body.matchAll(
    /ld\+json">([\s\S]*?)<\/script>/g,
  )) {
    t.ok(JSON.parse(text))
  }
})

test('what a person types comes back as text', async t => {
  await using server = await openShopServer()
  t.ok(
    isHarmless(
      (await server.ask(`/en/search?q=${encodeURIComponent(attack)}&brand=${encodeURIComponent(attack)}`)).body,
    ),
  )
  t.ok(isHarmless((await server.ask(`/en/cart?notice=${encodeURIComponent(attack)}`)).body))
  t.ok(isHarmless((await server.ask(`/en/${encodeURIComponent(attack)}`)).body))
  t.notMatch((await server.ask('/en/cart?notice=constructor')).body, 'data-testid="notice"')
  const browser = new PlainBrowser(server)
  await browser.open('/en/product/dawn-gooseneck-kettle-0-9-l')
  await browser.submit('add-form')
  await browser.open('/en/checkout')
  const typed = { name: attack, phone: attack, region: attack, line: attack, email: attack, note: attack }
  t.equal((await browser.submit('checkout-form', typed)).status, 422)
  t.ok(isHarmless(browser.page.body))
  await browser.submit('checkout-form', { ...typed, phone: '138', email: '' })
  t.equal(browser.page.status, 422, 'a phone number has at least 5 characters')
  await browser.submit('checkout-form', { ...typed, phone: '13800', email: '' })
  t.match(browser.path, '/en/order/')
  t.ok(isHarmless(browser.page.body))
  t.match(browser.page.body, '&lt;script&gt;alert(1)')
})

test('views of cloudware are data: their text is escaped, and unknown blocks show nothing', async t => {
  await using server = await openShopServer({
    change: () => ({
      slots: async slot => [
        {
          title: `${slot} ${attack}`,
          blocks: [
            { type: 'text', text: attack },
            { type: 'table', columns: [attack], rows: [[attack]] },
            { type: 'metric', label: attack, value: attack },
            { type: 'html', text: attack } as never,
          ],
        },
      ],
    }),
  })
  for (const [path, block] of [
    ['/en/', 'home'],
    ['/en/product/dawn-gooseneck-kettle-0-9-l', 'product'],
    ['/en/cart', 'cart'],
  ] as const) {
    const { body } = await server.ask(path)
    t.match(body, `data-testid="${block}-views"`)
    t.ok(isHarmless(body), path)
  }
})

test('a slot that fails leaves the page whole', async t => {
  await using server = await openShopServer({
    change: () => ({ slots: () => Promise.reject(new Error('broken package')) }),
  })
  const { status, body } = await server.ask('/en/')
  t.equal(status, 200)
  t.notMatch(body, 'home-views')
})

test('a kept page never shows what belongs to another buyer', async t => {
  await using server = await openShopServer({ change: () => ({ pageTtlMs: 60_000 }) })
  const path = '/en/product/dawn-gooseneck-kettle-0-9-l'
  const [anna, ben] = [new PlainBrowser(server), new PlainBrowser(server)]
  await anna.open(path)
  await anna.submit('add-form', { quantity: '7' })
  await anna.open(path)
  const annas = anna.page.body
  await ben.open(path)
  const token = (browser: PlainBrowser): string => browser.cookies.get('shop_form') ?? ''
  t.ok(token(anna).length >= 16 && token(anna) !== token(ben))
  t.match(annas, 'data-cart-units aria-live="polite">7</b>')
  t.match(annas, `name="form" value="${token(anna)}"`)
  t.match(ben.page.body, 'data-cart-units aria-live="polite"></b>')
  t.match(ben.page.body, `name="form" value="${token(ben)}"`)
  t.notMatch(ben.page.body, token(anna))
  for (const [, value] of anna.cookies) if (value.length > 8) t.notMatch(ben.page.body, value)
  const served = server.services.state.calls.filter(call => call === 'getProduct dawn-gooseneck-kettle-0-9-l').length
  await ben.open(path)
  t.equal(
    server.services.state.calls.filter(call => call === 'getProduct dawn-gooseneck-kettle-0-9-l').length,
    served,
    'the page was kept',
  )
})

test('cookies that a buyer forges do not get into a page', async t => {
  await using server = await openShopServer()
  const headers = { cookie: `shop_units=9<b>; shop_form=${'x'.repeat(20)}"><script>; shop_cart=../../etc` }
  const { body, status } = await server.ask('/en/', { headers })
  t.equal(status, 200)
  t.match(body, 'data-cart-units aria-live="polite"></b>')
  t.notMatch(body, '"><script>')
  t.equal((await server.ask('/en/cart', { headers })).status, 200)
})

test('the page cache forgets by age and by bytes, and shares one rendering', async t => {
  const clock = new ManualClock()
  const cache = new PageCache({ clock, ttlMs: 100, maxBytes: 30 })
  let renderings = 0
  const recipe = (text: string | Error): PageRecipe<string> => ({
    load: async () => {
      if (text instanceof Error) throw text
      return text
    },
    same: (a, b) => a === b,
    render: from => {
      renderings += 1
      return html`${from}`
    },
  })
  const both = await Promise.all([cache.get('a', recipe('aaaaaaaaaa')), cache.get('a', recipe('aaaaaaaaaa'))])
  t.equal(renderings, 1)
  t.equal(both[0], both[1])
  await clock.pass(99)
  t.ok(cache.peek('a'))
  await clock.pass(1)
  t.notOk(cache.peek('a'), 'at its age limit it is shown no more')
  t.equal(await cache.get('a', recipe('aaaaaaaaaa')), both[0], 'what reads the same is not rendered again')
  t.equal(renderings, 1)
  await clock.pass(100)
  t.not(await cache.get('a', recipe('0123456789')), both[0])
  for (const key of ['b', 'c']) await cache.get(key, recipe('0123456789'))
  t.equal(cache.bytes, 30, 'the limit itself fits')
  cache.peek('a')
  await cache.get('d', recipe('x'))
  t.ok(cache.peek('a'), 'used lately')
  t.notOk(cache.peek('b'), 'the longest unused goes')
  await cache.get('big', recipe('x'.repeat(31)))
  t.notOk(cache.peek('big'), 'one that never fits is not kept')
  await t.rejects(cache.get('bad', recipe(new Error('no'))))
  t.equal((await cache.get('bad', recipe('ok'))).bytes, 2, 'a failure is not kept')
})

test('a new revision has a page looked over, and a change while it is made is not missed', async t => {
  const clock = new ManualClock()
  let revision = 1
  let known = true
  const cache = new PageCache({
    clock,
    ttlMs: 1_000,
    maxBytes: 100,
    revision: () => (known ? revision : Promise.resolve(revision)),
  })
  let text = 'one'
  let loads = 0
  const recipe: PageRecipe<string> = {
    load: async () => {
      loads += 1
      return text
    },
    same: (a, b) => a === b,
    render: from => html`${from}`,
  }
  const first = await cache.get('k', recipe)
  t.equal(await cache.get('k', recipe), first)
  t.equal(loads, 1)
  revision = 2
  t.equal(await cache.get('k', recipe), first, 'another product changed')
  t.equal(loads, 2)
  t.ok(cache.peek('k'))
  await clock.pass(1_000)
  t.notOk(cache.peek('k'), 'age counts too')
  await cache.get('k', { ...recipe, steady: () => true })
  await clock.pass(7_999)
  t.ok(cache.peek('k'), 'but not yet for a page that only the revision changes')
  await clock.pass(1)
  t.notOk(cache.peek('k'))
  await cache.get('k', recipe)
  known = false
  t.notOk(cache.peek('k'), 'nobody knows yet whether it is still right')
  known = true
  const slow = cache.get('k', {
    ...recipe,
    load: async () => {
      revision = 3
      return text
    },
  })
  text = 'two'
  await slow
  revision = 4
  t.match((await cache.get('k', recipe)).fill({ origin: '', formToken: '', cartUnits: '' }), 'two')
})

test('pages look alike when what they show is the same', async t => {
  const product = { slug: 'a', name: { en: 'A' }, skus: [{ sku: 'x', available: 1_000_000 }], available: 1_000_000 }
  const sold = { ...product, skus: [{ sku: 'x', available: 999_998 }], available: 999_998 }
  t.ok(looksSame(product, sold, 999))
  t.ok(looksSame({ available: 0 }, { available: -3 }, 5))
  for (const [a, b] of [
    [{ available: 5 }, { available: 6 }],
    [{ available: 1 }, { available: 0 }],
    [{ amount: 1_000 }, { amount: 1_001 }],
    [[1, 2], [1]],
    [[1], { 0: 1 }],
    [{ a: undefined }, {}],
    [{ a: undefined }, { b: undefined }],
    [{ name: { en: 'A' } }, { name: { en: 'B' } }],
    [null, {}],
    ['1', 1],
  ] as const) {
    t.notOk(looksSame(a, b, 6), `${JSON.stringify(a)} ${JSON.stringify(b)}`)
    t.notOk(looksSame(b, a, 6))
  }
})

test('a stored page is filled in all its holes', async t => {
  const chinese = new StoredPage(html`壶${holes.cartUnits}é`).fill({ origin: '', formToken: '', cartUnits: '7' })
  t.equal(Buffer.from(chinese, 'latin1').toString(), '壶7é', 'a character is a byte of UTF-8')
  const page = new StoredPage(html`<${holes.origin}|${holes.cartUnits}|${holes.formToken}${holes.origin}>`)
  t.equal(page.fill({ origin: 'o', formToken: 'f', cartUnits: '2' }), '<o|2|fo>')
  t.equal(page.fill({ origin: 'p', formToken: '', cartUnits: '' }), '<p||p>')
})
