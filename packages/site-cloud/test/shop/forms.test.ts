import { test } from 'tap'
import { readCatalogueFile } from './catalogue-file.js'
import { type Answer, openShopServer, PlainBrowser } from './shop-server.js'

const file = readCatalogueFile()
const product = '/en/product/dawn-gooseneck-kettle-0-9-l'
const item = { sku: 'TEA1001-A', quantity: '1' }

async function ready(options: Parameters<typeof openShopServer>[0] = {}) {
  const server = await openShopServer({ file, ...options })
  const browser = new PlainBrowser(server)
  await browser.open(`${options.base ?? ''}${product}`)
  return { server, browser, form: browser.cookies.get('shop_form') ?? '' }
}

test('a form is taken only from a page of this shop', async t => {
  const { server, browser, form } = await ready()
  await using _ = server
  const send = async (headers: Record<string, string>, fields: Record<string, string> = { form }): Promise<number> =>
    (await browser.post('/en/cart/add', { ...item, ...fields }, headers)).status
  t.equal(await send({ origin: 'https://evil.example' }), 403, 'another origin')
  t.equal(await send({ origin: 'null' }), 403, 'a sandboxed page')
  t.equal(await send({ origin: `${server.url}.evil.example` }), 403, 'a name that begins like ours')
  t.equal(await send({ origin: 'not an address' }), 403)
  t.equal(await send({ 'sec-fetch-site': 'cross-site' }), 403)
  t.equal(await send({}, {}), 403, 'no token')
  t.equal(await send({}, { form: 'a'.repeat(26) }), 403, 'another token')
  t.equal(server.services.state.carts.size, 0, 'nothing happened')
  t.equal(await send({}), 303, 'the honest form')
  t.match((await browser.post('/en/cart/add', { ...item, form: 'x' })).body, 'This form has expired')
})

test('without an origin the referrer must be ours; without both a form is refused', async t => {
  const { server, browser, form } = await ready()
  await using _ = server
  const body = new URLSearchParams({ ...item, form }).toString()
  const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const send = (headers: Record<string, string>): Promise<Answer> =>
    server.ask('/en/cart/add', {
      method: 'POST',
      headers: { cookie, 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body,
    })
  t.equal((await send({})).status, 403)
  t.equal((await send({ referer: 'https://evil.example/' })).status, 403)
  t.equal((await send({ referer: `${server.url}${product}` })).status, 303)
})

test('the origin is compared with the host that the edge saw', async t => {
  const { server, browser, form } = await ready()
  await using _ = server
  const headers = { 'x-forwarded-host': 'shop.example', 'x-forwarded-proto': 'https' }
  t.equal(
    (await browser.post('/en/cart/add', { ...item, form }, { ...headers, origin: 'https://shop.example' })).status,
    303,
  )
  t.equal((await browser.post('/en/cart/add', { ...item, form }, { ...headers, origin: server.url })).status, 403)
})

test('a form token without its cookie, or the other way round, is worth nothing', async t => {
  const { server, form } = await ready()
  await using _ = server
  const stranger = new PlainBrowser(server)
  t.equal((await stranger.post('/en/cart/add', { ...item, form })).status, 403)
})

test('a form has at most 64 KiB, with or without a length', async t => {
  const { server, browser, form } = await ready()
  await using _ = server
  const base = new URLSearchParams({ ...item, form, pad: '' }).toString().length
  const send = async (bytes: number): Promise<number> =>
    (await browser.post('/en/cart/add', { ...item, form, pad: 'x'.repeat(bytes - base) })).status
  t.equal(await send(65_536), 303, 'the limit itself')
  t.equal(await send(65_537), 413, 'one past it')
  const cookie = `shop_form=${form}`
  const headers = {
    cookie,
    origin: server.url,
    'content-type': 'application/x-www-form-urlencoded',
    'transfer-encoding': 'chunked',
  }
  const chunked = await server.ask('/en/cart/add', { method: 'POST', headers, body: 'x'.repeat(65_537) })
  t.equal(chunked.status, 413)
  t.equal(chunked.headers.connection, 'close')
})

test('only forms are taken', async t => {
  const { server, browser, form } = await ready()
  await using _ = server
  const json = await browser.post('/en/cart/add', { ...item, form }, { 'content-type': 'application/json' })
  t.equal(json.status, 400)
  const multipart = await browser.post(
    '/en/cart/add',
    { ...item, form },
    { 'content-type': 'multipart/form-data; boundary=x' },
  )
  t.equal(multipart.status, 400)
})

test('cookies are bound to the site, hidden from script and, behind TLS, secure', async t => {
  const { server } = await ready({ base: '/s/shop' })
  await using _ = server
  const plain = (await server.ask('/s/shop/en/')).headers['set-cookie']
  t.same(plain?.length, 1)
  t.match(plain?.[0], /^shop_form=[a-z2-7]{26}; Max-Age=2592000; Path=\/s\/shop; HttpOnly; SameSite=Lax$/)
  const secure = (await server.ask('/s/shop/en/', { headers: { 'x-forwarded-proto': 'https' } })).headers['set-cookie']
  t.match(secure?.[0], /; SameSite=Lax; Secure$/)
  const known = await server.ask('/s/shop/en/', { headers: { cookie: 'shop_form=abcdefghijklmnopqrstuvwxyz' } })
  t.equal(known.headers['set-cookie'], undefined, 'nothing new, nothing set')
  const { server: atRoot } = await ready()
  await using __ = atRoot
  t.match((await atRoot.ask('/en/')).headers['set-cookie']?.[0], '; Path=/; HttpOnly')
})

test('control characters from a form never reach a service', async t => {
  const { server, browser } = await ready()
  await using _ = server
  await browser.submit('add-form')
  await browser.open('/en/checkout')
  const rest = { phone: '13800', region: 'a\u0000b', line: 'c\r\nd', email: '', note: '\u0007' }
  await browser.submit('checkout-form', { name: 'e\u001bf', ...rest })
  const [order] = [...server.services.state.orders.values()]
  t.same(order?.address, { name: 'e f', phone: '13800', region: 'a b', line: 'c d' })
})
