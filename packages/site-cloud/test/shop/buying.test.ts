import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { readCatalogueFile } from './catalogue-file.js'
import { openShopServer, PlainBrowser, type ShopServer } from './shop-server.js'

const file = readCatalogueFile()
const kettle = 'dawn-gooseneck-kettle-0-9-l'
const address = {
  name: '王小明',
  phone: '138 0000 0000',
  region: '浙江省杭州市',
  line: '文三路 8 号',
  email: '',
  note: '',
}

async function withCart(server: ShopServer, quantity = '1', language = 'en'): Promise<PlainBrowser> {
  const browser = new PlainBrowser(server)
  await browser.open(`/${language}/product/${kettle}`)
  await browser.submit('add-form', { quantity })
  return browser
}

async function ordered(server: ShopServer): Promise<PlainBrowser> {
  const browser = await withCart(server)
  await browser.open('/en/checkout')
  await browser.submit('checkout-form', address)
  return browser
}

function hidden(body: string, name: string): string {
  return new RegExp(`name="${name}" value="([^"]*)"`).exec(body)?.[1] ?? ''
}

test('a person without script buys something, in both languages', async t => {
  for (const language of ['en', 'zh-CN']) {
    await using server = await openShopServer({ file: structuredClone(file) })
    const browser = await withCart(server, '2', language)
    t.equal(browser.path, `/${language}/cart?notice=added`)
    t.match(browser.page.body, 'data-testid="cart-line"')
    t.match(browser.page.body, language === 'en' ? '¥636.00' : '636.00')
    await browser.open(`/${language}/checkout`)
    await browser.submit('checkout-form', address)
    t.match(browser.path, new RegExp(`^/${language}/order/20261120-\\w+\\?key=\\w+$`))
    t.match(browser.page.body, 'data-state="unpaid"')
    t.match(browser.page.body, '王小明')
    t.match(browser.page.body, '<noscript><meta http-equiv="refresh"')
    const paying = await browser.submit('pay-form')
    t.equal(paying.status, 303)
    const provider = new URL(String(paying.headers.location))
    t.equal(provider.origin, 'https://pay.example')
    const back = new URL(provider.searchParams.get('return') ?? '')
    t.equal(back.origin, server.url)
    const [number = ''] = [...server.services.state.orders.keys()]
    server.services.state.paidAtProvider.add(number)
    await browser.open(back.pathname + back.search)
    t.match(browser.page.body, 'data-state="paid"', 'the gateway was asked before its notification came')
    t.notMatch(browser.page.body, 'http-equiv="refresh"')
    t.notMatch(browser.page.body, 'data-testid="pay"')
    t.match((await browser.open(`/${language}/cart`)).body, 'data-testid="cart-empty"')
    t.match((await browser.open(`/${language}/account`)).body, number, 'the browser remembers a guest’s order')
  }
})

test('quantities change, lines go, and impossible quantities are explained', async t => {
  await using server = await openShopServer({ file: structuredClone(file) })
  const browser = await withCart(server)
  await browser.submit('quantity-form', { quantity: '3' })
  t.match(browser.page.body, /name="quantity" type="number"[^>]*value="3"/)
  t.equal(browser.cookies.get('shop_units'), '3')
  for (const quantity of ['-1', '1000', 'two', '1.5', '']) {
    await browser.submit('quantity-form', { quantity })
    t.match(browser.page.body, 'Please give a quantity between 1 and 999.', quantity)
    t.match(browser.page.body, /value="3"/)
  }
  const sku = server.services.product(kettle).skus[0]
  if (sku !== undefined) sku.available = 2
  await browser.open('/en/cart')
  t.match(browser.page.body, 'Only 2 left: please lower the quantity.')
  t.notMatch(browser.page.body, 'data-testid="to-checkout"')
  t.match((await browser.open('/en/checkout')).body, 'data-testid="cart-lines"', 'checkout sends back to the cart')
  await browser.submit('quantity-form', { quantity: '0' })
  t.match(browser.page.body, 'data-testid="cart-empty"')
  t.notOk(browser.cookies.has('shop_units'))
})

test('below the free limit the cart says what is missing', async t => {
  await using server = await openShopServer({ file: structuredClone(file) })
  for (const sku of server.services.product(kettle).skus) sku.amount = 5000
  const browser = await withCart(server)
  t.match(browser.page.body, 'Add ¥49.00 more and delivery is free.')
  t.match(browser.page.body, 'data-testid="total-amount">¥60.00')
})

test('every mistake in the address is named at its field, and nothing typed is lost', async t => {
  await using server = await openShopServer({ file: structuredClone(file) })
  const browser = await withCart(server)
  await browser.open('/en/checkout')
  const key = hidden(browser.page.body, 'key')
  await browser.submit('checkout-form', {
    ...address,
    name: ' ',
    phone: 'abc',
    email: 'nobody',
    line: 'x'.repeat(201),
    note: 'Ring twice',
  })
  t.equal(browser.page.status, 422)
  for (const field of ['name', 'phone', 'email', 'line']) t.match(browser.page.body, `data-testid="error-${field}"`)
  for (const field of ['region', 'note']) t.notMatch(browser.page.body, `data-testid="error-${field}"`)
  t.match(browser.page.body, 'value="Ring twice"')
  t.match(browser.page.body, 'value="浙江省杭州市"')
  t.match(browser.page.body, 'aria-invalid="true" aria-describedby="phone-error"')
  t.equal(hidden(browser.page.body, 'key'), key)
  t.equal(server.services.state.orders.size, 0)
  await browser.submit('checkout-form', { ...address, line: 'x'.repeat(200) })
  t.match(browser.path, '/en/order/', 'the limit itself is fine')
})

test('a form sent twice is one order', async t => {
  await using server = await openShopServer({ file: structuredClone(file) })
  const browser = await withCart(server)
  await browser.open('/en/checkout')
  const { body } = browser.page
  const fields = new URLSearchParams({ ...address })
  for (const name of ['form', 'key', 'total', 'item']) fields.set(name, hidden(body, name))
  const answers = [await browser.post('/en/checkout', fields), await browser.post('/en/checkout', fields)]
  t.same(
    answers.map(answer => answer.status),
    [303, 303],
  )
  t.equal(answers[0]?.headers.location, answers[1]?.headers.location)
  t.equal(server.services.state.orders.size, 1)
})

test('what another tab added to the cart stays when an order is placed', async t => {
  await using server = await openShopServer({ file: structuredClone(file) })
  const browser = await withCart(server)
  await browser.open('/en/checkout')
  const checkout = browser.page
  await browser.open('/en/product/dawn-bedside-lamp-28-cm')
  await browser.submit('add-form')
  browser.page = checkout
  await browser.submit('checkout-form', address)
  t.match(browser.page.body, 'data-state="unpaid"')
  await browser.open('/en/cart')
  t.match(browser.page.body, 'Dawn Bedside Lamp')
  t.notMatch(browser.page.body, 'Dawn Gooseneck Kettle')
  t.equal(browser.cookies.get('shop_units'), '1')
})

test('a changed price is shown before the order is placed', async t => {
  await using server = await openShopServer({ file: structuredClone(file) })
  const browser = await withCart(server)
  await browser.open('/en/checkout')
  for (const sku of server.services.product(kettle).skus) sku.amount = 39_900
  await browser.submit('checkout-form', address)
  t.equal(browser.page.status, 409)
  t.match(browser.page.body, 'The total changed from ¥318.00 to ¥399.00')
  t.equal(hidden(browser.page.body, 'total'), '39900')
  t.match(browser.page.body, 'value="王小明"')
  await browser.submit('checkout-form')
  t.match(browser.path, '/en/order/')
})

test('an item that sold out meanwhile is named', async t => {
  await using server = await openShopServer({ file: structuredClone(file) })
  const browser = await withCart(server)
  await browser.open('/en/checkout')
  for (const sku of server.services.product(kettle).skus) sku.available = 0
  await browser.submit('checkout-form', address)
  t.equal(browser.page.status, 409)
  t.match(browser.page.body, '“Dawn Gooseneck Kettle, 0.9 L” was bought by someone else')
  t.equal(server.services.state.orders.size, 0)
})

test('a rule that refuses speaks to the buyer in its own words, as text', async t => {
  await using server = await openShopServer({ file: structuredClone(file) })
  const browser = await withCart(server)
  await browser.open('/en/checkout')
  await browser.submit('checkout-form', { ...address, name: 'Refused' })
  t.equal(browser.page.status, 422)
  t.match(browser.page.body, 'At most 3 of one item &lt;b&gt;please&lt;/b&gt;.')
})

test('an order whose outcome is unknown may be sent again with the same key', async t => {
  await using server = await openShopServer({ file: structuredClone(file) })
  const browser = await withCart(server)
  await browser.open('/en/checkout')
  const key = hidden(browser.page.body, 'key')
  await browser.submit('checkout-form', { ...address, name: 'Slow' })
  t.equal(browser.page.status, 503)
  t.match(browser.page.body, 'you will not be charged or ordered twice')
  t.equal(hidden(browser.page.body, 'key'), key)
})

test('an order is seen by its token or its buyer and by nobody else', async t => {
  await using server = await openShopServer({ file: structuredClone(file) })
  const browser = await ordered(server)
  const { path } = browser
  const bare = path.replace(/\?.*/, '')
  t.equal((await server.ask(path)).status, 200, 'whoever has the address')
  t.equal((await browser.open(bare)).status, 200, 'the browser that placed it')
  const stranger = new PlainBrowser(server)
  t.equal((await stranger.open(bare)).status, 404)
  t.equal((await stranger.open(`${bare}?key=${'x'.repeat(20)}`)).status, 404)
  t.equal((await stranger.open(`${bare}/status`)).status, 404)
  t.equal((await stranger.open('/en/order/NONE-SUCH')).status, 404)
  await stranger.open('/en/')
  t.equal((await stranger.post(`${bare}/cancel`, { form: stranger.cookies.get('shop_form') ?? '' })).status, 404)
  t.equal([...server.services.state.orders.values()][0]?.state, 'unpaid')
  const { headers, body } = await server.ask(path.replace('?', '/status?'), { headers: { accept: 'application/json' } })
  t.match(headers['content-type'], 'application/json')
  t.same(JSON.parse(body), { state: 'unpaid' })
  t.equal((await server.ask(path)).headers['cache-control'], 'private, no-store')
  t.match(
    (await server.ask(path)).headers['content-security-policy'],
    "form-action 'self' https: http:",
    'the provider is another origin',
  )
})

test('only who comes back from paying has the gateway asked, and not more often than every two seconds', async t => {
  const clock = new ManualClock()
  await using server = await openShopServer({ file: structuredClone(file), clock })
  const browser = await ordered(server)
  const status = browser.path.replace('?', '/status?')
  const asked = (): number => server.services.state.calls.filter(call => call.startsWith('refresh')).length
  await server.ask(status)
  t.equal(asked(), 0)
  for (let look = 0; look < 5; look++) await server.ask(`${status}&return=1`)
  t.equal(asked(), 1)
  await clock.pass(1_999)
  await server.ask(`${status}&return=1`)
  t.equal(asked(), 1)
  await clock.pass(1)
  await server.ask(`${status}&return=1`)
  t.equal(asked(), 2)
  t.match((await server.ask(`${browser.path}&return=1`)).body, /data-poll="[^"]*return=1"/)
})

test('an unpaid order can be cancelled; a payment that cannot start leaves it as it is', async t => {
  await using server = await openShopServer({ file: structuredClone(file) })
  const browser = await ordered(server)
  server.services.state.payUrl = ''
  await browser.submit('pay-form')
  t.match(browser.page.body, 'The payment provider does not answer at the moment')
  server.services.state.payUrl = 'javascript:alert(1)//'
  await browser.submit('pay-form')
  t.match(browser.page.body, 'The payment provider does not answer at the moment', 'only web addresses are followed')
  await browser.submit('cancel-form')
  t.match(browser.page.body, 'data-state="closed"')
  t.match(browser.page.body, 'Your order was cancelled.')
  const [number = ''] = [...server.services.state.orders.keys()]
  const form = browser.cookies.get('shop_form') ?? ''
  t.match((await browser.post(`/en/order/${number}/pay`, { form })).headers.location, 'notice=pay-closed')
  t.match((await browser.post(`/en/order/${number}/cancel`, { form })).headers.location, 'notice=cancel-refused')
})

test('a buyer registers, gets a group price, sees only own orders, and leaves nothing after signing out', async t => {
  await using server = await openShopServer({ file: structuredClone(file) })
  const browser = await withCart(server)
  await browser.open('/en/register?to=checkout')
  await browser.submit('register-form', { name: '', email: 'vip', password: 'short' })
  t.equal(browser.page.status, 422)
  for (const field of ['name', 'email', 'password']) t.match(browser.page.body, `data-testid="error-${field}"`)
  t.notMatch(browser.page.body, 'value="short"', 'a password is never shown')
  const before = browser.cookies.get('shop_form')
  await browser.submit('register-form', { name: 'Vera', email: 'VIP@example.com', password: 'long enough' })
  t.equal(browser.path, '/en/checkout')
  t.not(browser.cookies.get('shop_form'), before, 'a new form token after the sign-in')
  t.match(browser.page.body, 'VIP 5 % off')
  t.match(browser.page.body, 'value="Vera"')
  await browser.open('/en/account')
  t.match(browser.page.body, 'Hello, Vera')
  const logout = /action="([^"]*logout)"/.exec(browser.page.body)?.[1] ?? ''
  await browser.post(logout, { form: browser.cookies.get('shop_form') ?? '' })
  t.same([...browser.cookies.keys()], ['shop_form'])
  await browser.open('/en/login')
  await browser.submit('login-form', { email: 'vip@example.com', password: 'wrong password' })
  t.equal(browser.page.status, 401)
  t.match(browser.page.body, 'value="vip@example.com"')
  await browser.submit('login-form', { email: 'vip@example.com', password: 'long enough' })
  t.equal(browser.path, '/en/account')
  await browser.open('/en/register')
  await browser.submit('register-form', { name: 'V', email: 'vip@example.com', password: 'long enough' })
  t.equal(browser.page.status, 409)
})

test('the page’s script adds to the cart with JSON', async t => {
  await using server = await openShopServer({ file: structuredClone(file) })
  const browser = new PlainBrowser(server)
  await browser.open(`/en/product/${kettle}`)
  const form = browser.cookies.get('shop_form') ?? ''
  const add = async (sku: string, quantity: string): Promise<unknown> => {
    const answer = await browser.post('/en/cart/add', { form, sku, quantity }, { accept: 'application/json' })
    return { status: answer.status, ...(JSON.parse(answer.body) as object) }
  }
  t.same(await add('TEA1001-A', '2'), { status: 200, ok: true, units: '2', message: 'Added to your cart.' })
  t.match(await add('TEA1001-A', '998'), { status: 409, ok: false, units: '2' })
  t.match(await add('NOPE', '1'), { status: 404, ok: false, message: 'That item is no longer available.' })
  t.match(await add('TEA1001-A', '0'), { status: 422, ok: false })
  t.match(await add('<b>', '1'), { status: 400, ok: false })
})
