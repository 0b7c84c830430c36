import { test } from 'tap'
import { readCatalogueFile } from './catalogue-file.js'
import { openShopServer, type ShopServer } from './shop-server.js'

const file = readCatalogueFile()
const someProduct = 'dawn-gooseneck-kettle-0-9-l'

function jsonLd(body: string): Record<string, unknown>[] {
  const blocks = [...body.matchAll(/<script type="application\/ld\+json">([\s\S]*?)<\/script>/g)]
  return blocks.flatMap(([, text = '']) =>
    [JSON.parse(text) as Record<string, unknown> | Record<string, unknown>[]].flat(),
  )
}

function links(body: string): string[] {
  return [...body.matchAll(/(?:href|src|action|content)="([^"]*)"/g)]
    .map(([, value = '']) => value)
    .filter(value => value.startsWith('/'))
}

test('the bare address leads to the language the browser prefers', async t => {
  await using server = await openShopServer({ file })
  const to = async (language: string): Promise<unknown> =>
    (await server.ask('/', { headers: { 'accept-language': language } })).headers.location
  t.equal(await to('en-GB,en;q=0.9'), '/en/')
  t.equal(await to('zh-TW,zh;q=0.9,en;q=0.8'), '/zh-CN/')
  t.equal(await to('de,fr;q=0.5'), '/zh-CN/', 'an unknown language gets the default of the shop')
  t.equal(await to('en;q=0.1,zh;q=0.9'), '/zh-CN/', 'weights count')
  t.equal(await to('en;q=x'), '/zh-CN/', 'a malformed weight is ignored')
  const answer = await server.ask('/')
  t.equal(answer.status, 302)
  t.equal(answer.headers.vary, 'accept-language')
  t.equal((await server.ask('/en')).headers.location, '/en/')
})

test('every page of the shop answers with its title in both languages', async t => {
  await using server = await openShopServer({ file })
  const expected = {
    'zh-CN': {
      '/': '日日好物 · 日日用得上的好东西',
      '/category/lighting': '灯具 · 日日好物',
      '/cart': '购物车 · 日日好物',
      '/help': '帮助 · 日日好物',
    },
    en: {
      '/': 'Everyday Goods · Good things for every day',
      '/category/lighting': 'Lighting · Everyday Goods',
      '/cart': 'Your cart · Everyday Goods',
      '/help': 'Help · Everyday Goods',
    },
  }
  for (const [language, pages] of Object.entries(expected)) {
    for (const [path, title] of Object.entries(pages)) {
      const { status, body, headers } = await server.ask(`/${language}${path}`)
      t.equal(status, 200, `${language}${path}`)
      t.match(body, `<title>${title}</title>`)
      t.match(body, `<html lang="${language}"`)
      t.match(body, /<meta name="description" content="[^"]{10,}">/)
      t.match(headers['content-security-policy'], /default-src 'none'; script-src 'self'; style-src 'self'/)
      t.equal(headers['x-content-type-options'], 'nosniff')
      t.notMatch(body, /<script(?![^>]*(src=|ld\+json))/, 'no script in the page')
      t.notMatch(body, /\s(style|on\w+)="/, 'no style or handler in the page')
      t.notMatch(body, /[\uE000-\uE00F]/, 'no hole is left open')
      t.notMatch(body, /undefined|\[object/, 'nothing unrendered')
    }
  }
  for (const path of ['/products', '/search', '/login', '/register', '/account', `/product/${someProduct}`]) {
    t.equal((await server.ask(`/en${path}`)).status, 200, path)
  }
  t.equal((await server.ask('/en/checkout')).headers.location, '/en/cart', 'nothing to check out')
})

test('canonical and alternate addresses name the origin that the edge saw', async t => {
  await using server = await openShopServer({ file })
  const headers = { 'x-forwarded-host': 'shop.localhost:8080', 'x-forwarded-proto': 'https' }
  const { body } = await server.ask('/en/category/lighting?page=2&sort=newest&utm=x', { headers })
  const at = 'https://shop.localhost:8080'
  t.match(body, `<link rel="canonical" href="${at}/en/category/lighting?sort=newest&amp;page=2">`)
  t.match(body, `hreflang="zh-CN" href="${at}/zh-CN/category/lighting?sort=newest&amp;page=2">`)
  t.match(body, `hreflang="x-default" href="${at}/zh-CN/category/lighting?sort=newest&amp;page=2">`)
  const plain = await server.ask('/en/category/lighting?page=2&sort=newest')
  t.match(plain.body, `<link rel="canonical" href="${server.url}/en/`, 'the same kept page, another origin')
  const forged = await server.ask('/en/', { headers: { 'x-forwarded-host': '"><script>' } })
  t.match(forged.body, '<link rel="canonical" href="http://localhost/en/">')
  t.notMatch(
    (await server.ask('/en/search?q=lamp')).body,
    'rel="canonical"',
    'search results are not for search engines',
  )
})

test('all links of a page start with the base path, and lead somewhere', async t => {
  const base = '/s/shop'
  await using server = await openShopServer({ file, base })
  for (const path of [
    '/en/',
    '/zh-CN/category/bags',
    `/en/product/${someProduct}`,
    '/en/search?q=tea',
    '/en/cart',
    '/en/login',
    '/en/nowhere',
  ]) {
    const { body } = await server.ask(base + path)
    const found = links(body)
    t.ok(found.length > 20, path)
    for (const link of found) t.ok(link.startsWith(`${base}/`), `${path}: ${link}`)
  }
  const home = await server.ask(`${base}/en/`)
  const unique = [...new Set(links(home.body))].map(link => link.replaceAll('&amp;', '&').replace(/#.*/, ''))
  for (const link of unique) {
    const { status } = await server.ask(link)
    t.ok(status === 200 || link.endsWith('/cart/add'), `${link}: ${status}`)
  }
  t.equal((await server.ask(`${base}/`)).headers.location, `${base}/zh-CN/`)
  for (const prefix of ['/"x', '//evil.example', 'x', '/a/b/c/d/e', `/${'x'.repeat(65)}`]) {
    const { body } = await server.ask('/en/', { headers: { 'x-forwarded-prefix': prefix } })
    t.match(body, 'href="/en/cart"', `${prefix.slice(0, 20)} is ignored`)
  }
})

test('the language switch stays on the page and keeps its state', async t => {
  await using server = await openShopServer({ file })
  const hrefOf = async (path: string): Promise<unknown> =>
    /<a class="language"[^>]*href="([^"]*)"/.exec((await server.ask(path)).body)?.[1]
  t.equal(await hrefOf('/en/category/lighting?page=2'), '/zh-CN/category/lighting?page=2')
  t.equal(await hrefOf('/en/search?q=tea%20pot'), '/zh-CN/search?q=tea%20pot')
  t.equal(await hrefOf(`/zh-CN/product/${someProduct}`), `/en/product/${someProduct}`)
  await using oneLanguage = await openShopServer({ file, config: { languages: ['en'], defaultLanguage: 'en' } })
  t.equal((await oneLanguage.ask('/zh-CN/')).status, 404)
  t.notMatch((await oneLanguage.ask('/en/')).body, 'class="language"')
})

test('a category is sorted and paged', async t => {
  await using server = await openShopServer({ file })
  const pricesOf = async (path: string): Promise<number[]> =>
    [...(await server.ask(path)).body.matchAll(/card-price">¥([\d,.]+)/g)].map(([, price = '']) =>
      Number(price.replaceAll(',', '')),
    )
  const rising = await pricesOf('/en/category/watches?sort=price-ascending')
  t.equal(rising.length, 24)
  t.same(
    rising,
    rising.toSorted((a, b) => a - b),
  )
  const falling = await pricesOf('/en/category/watches?sort=price-descending')
  t.same(
    falling,
    falling.toSorted((a, b) => b - a),
  )
  const second = (await server.ask('/en/category/watches?page=2')).body
  t.match(second, 'aria-current="page">2<')
  t.match(second, 'rel="prev" href="/en/category/watches"')
  t.match(second, 'rel="next" href="/en/category/watches?page=3"')
  for (const page of ['8', '0', '-1', 'x', '99999', '417']) {
    t.equal((await server.ask(`/en/category/watches?page=${page}`)).status, 404, page)
  }
  t.equal((await server.ask('/en/category/watches?sort=nonsense')).status, 200)
  t.equal((await server.ask('/en/category/nonsense')).status, 404)
})

test('search finds in both languages, filters by brand, and helps when nothing is found', async t => {
  await using server = await openShopServer({ file })
  t.match((await server.ask(`/en/search?q=${encodeURIComponent('茶壶')}`)).body, /data-testid="total">\d+ product/)
  const found = (await server.ask('/zh-CN/search?q=teapot')).body
  t.match(found, '<h1 data-testid="search-title">“teapot”的搜索结果</h1>')
  const [, brand = ''] = /<option value="([^"&]+)">[^<]+ \(\d+\)/.exec(found) ?? []
  const narrowed = (await server.ask(`/zh-CN/search?q=teapot&brand=${encodeURIComponent(brand)}`)).body
  t.match(narrowed, `<option value="${brand}" selected>`)
  for (const [, shown] of narrowed.matchAll(/card-brand">([^<]*)</g)) t.equal(shown, brand)
  const none = await server.ask('/en/search?q=xyzzy')
  t.equal(none.status, 200)
  t.match(none.body, 'data-testid="search-help"')
  t.match(none.body, 'data-testid="suggestions"')
  t.match(none.body, 'value="xyzzy"')
  t.match((await server.ask(`/en/search?q=${'long+'.repeat(60)}`)).body, 'That search is too long')
  t.match((await server.ask('/en/search?q=%20%20')).body, 'Search by name, brand')
})

test('a product page has its JSON-LD, its SKUs and their pictures', async t => {
  await using server = await openShopServer({ file })
  const { body } = await server.ask(`/en/product/${someProduct}`)
  const data = jsonLd(body)
  const product = data.find(entry => entry['@type'] === 'Product') as Record<string, unknown>
  t.match(product, { name: 'Dawn Gooseneck Kettle, 0.9 L', brand: { '@type': 'Brand', name: 'Muyan 木研' } })
  const offers = product.offers as Record<string, string>[]
  t.equal(offers.length, 2)
  for (const offer of offers) {
    t.match(offer, {
      '@type': 'Offer',
      priceCurrency: 'CNY',
      price: /^\d+\.\d\d$/,
      availability: /^https:\/\/schema.org\/(InStock|OutOfStock)$/,
    })
    t.ok(offer.url?.startsWith(server.url))
  }
  const trail = data.find(entry => entry['@type'] === 'BreadcrumbList') as { itemListElement: { name: string }[] }
  t.same(
    trail.itemListElement.map(item => item.name),
    ['Home', 'Tea and coffee', 'Dawn Gooseneck Kettle, 0.9 L'],
  )
  const second = await server.ask(`/en/product/${someProduct}?sku=TEA1001-B`)
  t.match(second.body, 'name="sku" value="TEA1001-B"')
  t.match(second.body, '/assets/art/kettle-sage-', 'the picture takes the colour')
  t.match(second.body, `<link rel="canonical" href="${server.url}/en/product/${someProduct}">`)
  const gone = await server.ask(`/en/product/${someProduct}?sku=NOPE`)
  t.equal(gone.headers.location, `/en/product/${someProduct}`)
  t.equal((await server.ask(`/en/product/${someProduct}?sku=${encodeURIComponent('"><b>')}`)).status, 404)
  t.equal((await server.ask('/en/product/none-such')).status, 404)
  t.equal((await server.ask('/en/product/')).status, 404)
  t.equal((await server.ask('/en/product/a/b')).status, 404)
})

test('a product that is sold out cannot be put in the cart, one that is nearly so says it', async t => {
  await using server = await openShopServer({ file: structuredClone(file), change: () => ({ pageTtlMs: 0 }) })
  const product = server.services.product(someProduct)
  for (const sku of product.skus) sku.available = 3
  t.match((await server.ask(`/en/product/${someProduct}`)).body, 'Only 3 left')
  for (const sku of product.skus) sku.available = 0
  product.available = 0
  const { body } = await server.ask(`/en/product/${someProduct}`)
  t.match(body, /data-testid="add-to-cart" disabled>Sold out/)
  t.match(body, 'https://schema.org/OutOfStock')
  t.match((await server.ask('/en/category/tea-and-coffee')).body, '<span class="tag">Sold out</span>')
})

test('the sitemap lists every page in every language, robots and manifest are there', async t => {
  await using server = await openShopServer({ file })
  const { body, headers } = await server.ask('/sitemap.xml')
  t.match(headers['content-type'], 'application/xml')
  const places = [...body.matchAll(/<loc>([^<]*)<\/loc>/g)].map(([, place = '']) => place)
  t.equal(places.length, (file.products.length + file.categories.size + 3) * 2)
  t.equal(new Set(places).size, places.length)
  t.equal(body.match(/hreflang="zh-CN"/g)?.length, places.length)
  t.equal(body.match(/<url>/g)?.length, body.match(/<\/url>/g)?.length)
  t.ok(places.every(place => place.startsWith(`${server.url}/`)))
  t.equal((await server.ask(new URL(places.at(-1) ?? '').pathname)).status, 200)
  const robots = (await server.ask('/robots.txt', { headers: { 'x-forwarded-prefix': '/s/shop' } })).body
  t.match(robots, `Sitemap: ${server.url}/s/shop/sitemap.xml`)
  t.match(robots, 'Disallow: /s/shop/*/checkout')
  const manifest = JSON.parse(
    (await server.ask('/manifest.webmanifest', { headers: { 'accept-language': 'en' } })).body,
  ) as { name: string }
  t.equal(manifest.name, 'Everyday Goods')
})

test('files have addresses that may be kept for ever', async t => {
  await using server = await openShopServer({ file })
  const { body } = await server.ask('/en/')
  const [, style = ''] = /<link rel="stylesheet" href="([^"]*)"/.exec(body) ?? []
  const [, script = ''] = /<script type="module" src="([^"]*)"/.exec(body) ?? []
  const [, art = ''] = /<img src="([^"]*)"/.exec(body) ?? []
  for (const path of [style, script, art]) {
    const answer = await server.ask(path)
    t.equal(answer.status, 200, path)
    t.equal(answer.headers['cache-control'], 'public, max-age=31536000, immutable')
  }
  const script10 = await server.ask(script)
  t.ok(Buffer.byteLength(script10.body) <= 10_240, 'the script stays below 10 KB')
  t.notMatch(script10.body, 'sourceMappingURL')
  t.equal((await server.ask(style, { headers: { 'accept-encoding': 'gzip' } })).headers['content-encoding'], 'gzip')
  t.equal((await server.ask('/assets/art/mug-sage.svg')).headers['cache-control'], 'public, max-age=3600')
  for (const path of [
    '/assets/art/mug-nocolour.svg',
    '/assets/art/none-sage.svg',
    '/assets/../package.json',
    '/assets/',
    '/assets/shop-0.css',
  ]) {
    t.equal((await server.ask(path)).status, 404, path)
  }
})

test('HEAD has no body, other methods are refused', async t => {
  await using server = await openShopServer({ file })
  const head = await server.ask('/en/', { method: 'HEAD' })
  t.equal(head.status, 200)
  t.equal(head.body, '')
  t.equal((await server.ask('/en/', { method: 'DELETE' })).status, 405)
  t.equal((await server.ask('/en/help', { method: 'POST' })).status, 404)
  t.equal((await server.ask('/en/logout')).status, 404)
})

test('a page that failed says so kindly, names the log entry and tells nothing else', async t => {
  const secret = 'password=hunter2 at db-7.internal'
  await using server: ShopServer = await openShopServer({
    file,
    change: services => ({
      services: {
        ...services,
        catalogue: { ...services.catalogue, getProduct: () => Promise.reject(new Error(secret)) },
      },
    }),
  })
  const answer = await server.ask(`/en/product/${someProduct}`, { headers: { 'x-request-id': 'trace-17' } })
  t.equal(answer.status, 500)
  t.match(answer.body, 'Something went wrong on our side')
  t.match(answer.body, '<code>trace-17</code>')
  t.notMatch(answer.body, 'hunter2')
})
