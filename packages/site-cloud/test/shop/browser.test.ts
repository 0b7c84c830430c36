import { existsSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright-core'
import tap, { test } from 'tap'
import { readCatalogueFile } from './catalogue-file.js'
import { openShopServer, type ShopServer } from './shop-server.js'

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(path =>
  existsSync(path),
)
const skip =
  executablePath === undefined
    ? 'no Chromium on this machine (looked for /usr/bin/chromium, chromium-browser, google-chrome)'
    : false
const quiet = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const file = readCatalogueFile()
const sizes = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 900 } }
const kettle = 'product/dawn-gooseneck-kettle-0-9-l'

// A browser on a busy machine is slow; the default is 30 s for the whole file.
tap.setTimeout(120_000)

let browser: Browser

test('start Chromium', { skip }, async t => {
  browser = await chromium.launch({
    ...(executablePath === undefined ? {} : { executablePath }),
    headless: true,
    args: quiet,
  })
  t.ok(browser.version())
})

async function visit(
  server: ShopServer,
  options: { readonly size: keyof typeof sizes; readonly script: boolean },
): Promise<{ readonly page: Page; readonly faults: string[]; close(): Promise<void> }> {
  const context = await browser.newContext({
    viewport: sizes[options.size],
    javaScriptEnabled: options.script,
    locale: 'en',
  })
  const page = await context.newPage()
  page.setDefaultTimeout(8_000)
  const faults: string[] = []
  page.on('pageerror', error => faults.push(error.message))
  page.on('console', message => {
    // A refused style or script is a fault; a form that came back with 422 is not.
    if (message.type() === 'error' && !message.text().includes('status of 4')) faults.push(message.text())
  })
  await page.route('https://pay.example/**', route =>
    route.fulfill({ contentType: 'text/html', body: '<h1>Cashier</h1>' }),
  )
  return { page, faults, close: () => context.close() }
}

// Each pair of choices comes once: all eight combinations would say no more and take twice as long.
const people = [
  ['phone', true, 'zh-CN'],
  ['phone', false, 'en'],
  ['desktop', true, 'en'],
  ['desktop', false, 'zh-CN'],
] as const

for (const [size, script, language] of people) {
  test(`a person buys on a ${size} in ${language} with script ${script ? 'on' : 'off'}`, { skip }, async t => {
    await using server = await openShopServer({ file: structuredClone(file) })
    const { page, faults, close } = await visit(server, { size, script })
    await page.goto(`${server.url}/${language}/${kettle}`)
    if (script) {
      await page.locator('[data-step="1"]').click()
      await page.getByTestId('add-to-cart').click()
      await page.locator('[data-toast]').waitFor({ state: 'visible' })
      t.equal(await page.locator('[data-cart-units]').textContent(), '2')
      await page.goto(`${server.url}/${language}/cart`)
    } else {
      await page.locator('#quantity').fill('2')
      await page.getByTestId('add-to-cart').click()
    }
    await page.getByTestId('to-checkout').click()
    await page.getByTestId('place-order').click()
    t.equal(await page.getByTestId('error-name').count(), 1, 'an empty form names its fields')
    for (const [field, value] of [
      ['name', '王小明'],
      ['phone', '13800000000'],
      ['region', '杭州'],
      ['line', '文三路 8 号'],
    ] as const) {
      await page.locator(`[name=${field}]`).fill(value)
    }
    await page.getByTestId('place-order').click()
    await page.getByTestId('pay').waitFor()
    const address = page.url()
    await page.getByTestId('pay').click()
    await page.getByRole('heading', { name: 'Cashier' }).waitFor()
    t.match(page.url(), /^https:\/\/pay\.example\//, 'the policy of the page lets the payment form through')
    server.services.state.paidAtProvider.add([...server.services.state.orders.keys()][0] ?? '')
    await page.goto(`${address}&return=1`)
    await page.locator('[data-state=paid]').waitFor()
    t.same(faults, [])
    await close()
  })
}

test('the order page turns to paid by itself', { skip }, async t => {
  await using server = await openShopServer({ file: structuredClone(file) })
  const { page, faults, close } = await visit(server, { size: 'phone', script: true })
  await page.goto(`${server.url}/en/${kettle}`)
  await page.getByTestId('add-to-cart').click()
  await page.locator('[data-toast]').waitFor({ state: 'visible' })
  await page.goto(`${server.url}/en/checkout`)
  for (const field of ['name', 'phone', 'region', 'line']) await page.locator(`[name=${field}]`).fill('13800')
  await page.getByTestId('place-order').click()
  await page.getByTestId('pay').waitFor()
  const [order] = [...server.services.state.orders.values()]
  if (order !== undefined) order.state = 'paid'
  await page.locator('[data-state=paid]').waitFor()
  t.same(faults, [])
  await close()
})

test('no page is wider than the screen, every control has a name, and targets are big enough to touch', {
  skip,
}, async t => {
  await using server = await openShopServer({ file: structuredClone(file) })
  for (const size of ['phone', 'desktop'] as const) {
    const { page, faults, close } = await visit(server, { size, script: true })
    for (const path of [
      '',
      'category/lighting',
      'search?q=tea',
      'search?q=xyzzy',
      kettle,
      'cart',
      'login',
      'register',
      'account',
      'help',
      'none',
    ]) {
      await page.goto(`${server.url}/en/${path}`)
      const found = await page.evaluate(() => {
        const visible = (element: Element): boolean => element.getClientRects().length > 0
        const controls = [...document.querySelectorAll('a, button, input:not([type=hidden]), select')].filter(visible)
        const nameOf = (element: Element): string =>
          element.getAttribute('aria-label') ??
          (element as HTMLInputElement).labels?.[0]?.textContent ??
          element.textContent ??
          ''
        return {
          wide: document.documentElement.scrollWidth - window.innerWidth,
          nameless: controls
            .filter(element => nameOf(element).trim() === '')
            .map(element => element.outerHTML.slice(0, 120)),
          small: [...document.querySelectorAll('button, .button, .tools a, .option, .chip, input:not([type=hidden])')]
            .filter(visible)
            .filter(element => element.getBoundingClientRect().height < 40)
            .map(element => element.outerHTML.slice(0, 120)),
          headings: document.querySelectorAll('h1').length,
          landmarks: ['header', 'main', 'footer', 'nav'].every(name => document.querySelector(name) !== null),
        }
      })
      t.same(
        found,
        { wide: Math.min(0, found.wide), nameless: [], small: [], headings: 1, landmarks: true },
        `${size} /${path}`,
      )
    }
    t.same(faults, [])
    await close()
  }
})

test('stop Chromium', { skip }, async t => {
  await browser.close()
  t.pass()
})
