import assert from 'node:assert/strict'
import { test } from 'tap'
import { html } from '../../src/simulator/html.js'
import { openPaymentWorld } from '../payment/payment-world.js'

test('the cashier page', async t => {
  const world = await openPaymentWorld()
  t.teardown(() => world[Symbol.asyncDispose]())

  await t.test('escapes what the merchant wrote and says that it is a simulator, in both languages', async () => {
    const { redirectUrl } = await world.open(1_234_567)
    const cashier = await world.visit(redirectUrl)
    const page = async (language: string) => (await fetch(cashier, { headers: { 'accept-language': language } })).text()
    const zh = await page('zh-CN,zh;q=0.9,en;q=0.8')
    const en = await page('en-GB,en;q=0.9')
    assert.match(zh, /<html lang="zh-CN">/)
    assert.match(zh, /模拟支付/)
    assert.match(en, /<html lang="en">/)
    assert.match(en, /Simulated payment/)
    for (const text of [zh, en]) {
      assert.ok(text.includes('龙井茶 &amp; &quot;Tea&quot; &lt;b&gt;'))
      assert.ok(text.includes('¥12345.67'))
      assert.ok(text.includes('Tea House'))
      assert.ok(!/<script|onclick|style=/.test(text))
    }
  })

  await t.test('allows no script, and forms that lead back to the shop only', async () => {
    const { redirectUrl } = await world.open()
    const answer = await fetch(await world.visit(redirectUrl))
    const policy = answer.headers.get('content-security-policy') ?? ''
    assert.match(policy, /default-src 'none'/)
    assert.match(policy, /form-action 'self' http:\/\/shop\.test$/)
    assert.doesNotMatch(policy, /unsafe|script-src/)
    assert.equal(answer.headers.get('referrer-policy'), 'no-referrer')
  })

  await t.test('cancel leads back and leaves the trade payable; paying twice pays once', async () => {
    const { paymentId, redirectUrl } = await world.open()
    const cashier = await world.visit(redirectUrl)
    const cancelled = await fetch(`${cashier}/cancel`, { method: 'POST', redirect: 'manual' })
    assert.equal(cancelled.headers.get('location'), 'http://shop.test/return?order=1')
    const [first, second] = [await world.pay(cashier), await world.pay(cashier)]
    assert.equal(first.headers.get('location'), second.headers.get('location'))
    await world.settle()
    assert.equal(world.events.filter(({ event }) => event.payment.paymentId === paymentId).length, 1)
    assert.match(await (await fetch(`${cashier}?lang=en`)).text(), /Payment successful/)
  })

  await t.test('an expired or unknown trade says so and takes no money', async () => {
    const { redirectUrl } = await world.open(1_234, 60_000)
    const cashier = await world.visit(redirectUrl)
    await world.clock.pass(60_000)
    const late = await world.pay(cashier)
    assert.equal(new URL(late.headers.get('location') ?? '', cashier).href, cashier)
    assert.match(await (await fetch(`${cashier}?lang=en`)).text(), /cannot be paid/)
    const unknown = await fetch(`${cashier.slice(0, -4)}aaaa`)
    assert.equal(unknown.status, 404)
    assert.equal((await fetch(`${cashier}/pay`)).status, 405)
  })

  await t.test('an altered link of the merchant is refused on a page, without a cashier', async () => {
    const { redirectUrl } = await world.open()
    const altered = redirectUrl.replace('12.34', '00.01')
    assert.notEqual(altered, redirectUrl)
    const answer = await fetch(altered, { redirect: 'manual' })
    assert.equal(answer.status, 400)
    assert.match(await answer.text(), /isv\.invalid-signature/)
  })

  await t.test('a notification can be made to arrive before the buyer is back', async () => {
    const { paymentId, redirectUrl } = await world.open()
    await world.simulator.faults.set({ appId: '2021000000000001' }, { notify: { beforeReturn: true } })
    await world.pay(await world.visit(redirectUrl))
    assert.equal(await world.state(paymentId), 'paid')
  })
})

test('html escapes every value by construction', async () => {
  assert.equal(html`<a title="${`"'<>&`}">${undefined}${1}</a>`.text, '<a title="&quot;&#39;&lt;&gt;&amp;">1</a>')
  assert.equal(html`<ul>${[html`<li>${'<'}</li>`, html`<li></li>`]}</ul>`.text, '<ul><li>&lt;</li><li></li></ul>')
})
