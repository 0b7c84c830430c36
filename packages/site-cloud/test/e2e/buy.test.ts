import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { findTestEngine } from '@aaas/testing'
import { type Browser, chromium, type Page } from 'playwright-core'
import { type Test, test } from 'tap'
import { type RunningPlatformProcess, startPlatformProcess } from './running-platform.js'

const engine = findTestEngine('chromium')
const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const words = {
  'zh-CN': { search: '壶', name: '李雷', region: '上海市', line: '南京路 1 号' },
  en: { search: 'kettle', name: 'Li Lei', region: 'Shanghai', line: '1 Nanjing Road' },
} as const

/** Finds a product by search, buys it and pays at the provider's cashier. @returns the address of the order's page. */
async function buy(page: Page, base: string, language: 'zh-CN' | 'en', javaScript: boolean): Promise<string> {
  const text = words[language]
  await page.goto(`${base}/${language}/search?q=${encodeURIComponent(text.search)}`)
  await page.locator('[data-testid=product-card] a').first().click()
  await page.locator('[data-testid=add-to-cart]').click()
  // With JavaScript the page stays and the cart's count changes; without, the cart is shown.
  if (javaScript)
    await page.waitForFunction(() => /[1-9]/.test(document.querySelector('[data-testid=cart-link]')?.textContent ?? ''))
  await page.goto(`${base}/${language}/cart`)
  await page.locator('[data-testid=to-checkout]').click()
  await page.fill('[name=name]', text.name)
  await page.fill('[name=phone]', '13800000000')
  await page.fill('[name=region]', text.region)
  await page.fill('[name=line]', text.line)
  await page.locator('[data-testid=place-order]').click()
  await page.locator('[data-testid=order-state]').waitFor()
  const order = page.url()
  await page.locator('[data-testid=pay]').click()
  await page.waitForURL(/simulator/)
  await page.locator('form[action$="/pay"] button').click()
  await page.waitForURL(url => !url.href.includes('simulator'))
  for (let attempt = 0; attempt < 40; attempt++) {
    await page.goto(order)
    if ((await page.locator('[data-testid=order-state]').getAttribute('data-state')) === 'paid') return order
  }
  throw new Error(`the order was not paid: ${await page.locator('[data-testid=order-state]').innerText()}`)
}

async function inBrowser(
  platform: RunningPlatformProcess,
  work: (browser: Browser, base: string) => Promise<void>,
): Promise<void> {
  if (!('path' in engine)) return
  const browser = await chromium.launch({ executablePath: engine.path, args: flags })
  try {
    await work(browser, `http://127.0.0.1:${platform.edgePort}/s/shop`)
  } finally {
    await browser.close()
  }
}

test('people buy in Chromium', { skip: 'skip' in engine ? engine.skip : false, timeout: 180_000 }, async t => {
  await using platform = await startPlatformProcess()
  await inBrowser(platform, async (browser, base) => {
    for (const width of [390, 1280]) {
      for (const language of ['zh-CN', 'en'] as const) {
        for (const javaScriptEnabled of [false, true]) {
          const what = `${width} px, ${language}, JavaScript ${javaScriptEnabled ? 'on' : 'off'}`
          const context = await browser.newContext({
            viewport: { width, height: 844 },
            javaScriptEnabled,
            locale: language,
          })
          const page = await context.newPage()
          const problems: string[] = []
          page.on('pageerror', error => problems.push(error.message))
          page.on('response', response => {
            if (response.status() >= 400) problems.push(`${response.status()} ${response.url()}`)
          })
          const order = await buy(page, base, language, javaScriptEnabled)
          t.match(order, /\/order\//, what)
          t.same(problems, [], `${what}: no error on any page`)
          const wide = await page.evaluate(() => document.documentElement.scrollWidth).catch(() => width)
          t.ok(wide <= width, `${what}: nothing sticks out`)
          await context.close()
        }
      }
    }
    await operate(platform, browser, t)
  })
})

/** The operator sees the eight orders, a balanced ledger, and logs; a form without its token is refused. */
async function operate(
  platform: RunningPlatformProcess,
  browser: Browser,
  t: Pick<Test, 'match' | 'equal' | 'ok'>,
): Promise<void> {
  const console = `http://127.0.0.1:${platform.consolePort}`
  const context = await browser.newContext({ viewport: { width: 390, height: 844 } })
  const page = await context.newPage()
  await page.goto(`${console}/sites/shop?tab=orders`)
  t.match(page.url(), /\/login\?next=/, 'nobody looks without a login')
  await page.fill('[name=name]', 'admin')
  await page.fill('[name=password]', 'wrong password')
  await page.click('button.main')
  t.equal(await page.locator('[role=alert]').count(), 1)
  await page.fill('[name=name]', 'admin')
  await page.fill('[name=password]', readFileSync(join(platform.home, 'secrets/admin-password'), 'utf8').trim())
  await page.click('button.main')
  await page.waitForURL(/tab=orders/)
  t.equal(await page.locator('[data-testid=orders] tbody tr').count(), 8)
  await page.goto(`${console}/sites/shop?tab=ledger`)
  t.match(await page.locator('[data-testid=ledger] [role=status]').innerText(), /^Balanced/)
  await page.goto(`${console}/sites/shop?tab=logs&text=catalogue`)
  t.ok((await page.locator('[data-testid=logs] tbody tr').count()) > 0)
  await page.goto(`${console}/sites/shop`)
  await page.evaluate(() => {
    for (const field of document.querySelectorAll<HTMLInputElement>('input[name=csrf]')) field.value = 'stale'
  })
  page.on('dialog', dialog => void dialog.accept())
  await page.locator('form[action$="/restart"] button').click()
  t.match(await page.locator('[role=alert]').innerText(), /stale/)
  await context.close()
}
