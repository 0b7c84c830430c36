import assert from 'node:assert/strict'
import { eventually } from '@aaas/testing'
import { AlipaySdk } from 'alipay-sdk'
import { test } from 'tap'
import { appId, listen, openPaymentWorld, rsaKeys } from '../payment/payment-world.js'

test('the official SDK is a client of the simulator', async t => {
  const world = await openPaymentWorld()
  t.teardown(() => world[Symbol.asyncDispose]())
  const shop = await listen()
  t.teardown(() => shop[Symbol.asyncDispose]())
  const gateway = `${world.simulatorServer.url}/alipay/gateway.do`
  const config = {
    appId,
    gateway,
    keyType: 'PKCS8' as const,
    alipayPublicKey: world.alipay.publicKeyPem,
    timeout: 5_000,
  }
  const sdk = new AlipaySdk({ ...config, privateKey: world.merchant.privateKeyPem })
  const exec = (method: string, bizContent: Record<string, string>) =>
    sdk.exec(method, { bizContent }, { validateSign: true })

  const received: Record<string, string>[] = []
  shop.handler = (request, response) => {
    let body = ''
    request.on('data', chunk => {
      body += String(chunk)
    })
    request.on('end', () => {
      received.push(Object.fromEntries(new URLSearchParams(body)))
      response.end('success')
    })
  }
  const order = (outTradeNo: string) => ({
    notifyUrl: `${shop.url}/notify`,
    returnUrl: `${shop.url}/return?a=1`,
    bizContent: {
      out_trade_no: outTradeNo,
      product_code: 'FAST_INSTANT_TRADE_PAY',
      total_amount: '88.88',
      subject: '茶叶 & 100% <tea> + "more"',
      passback_params: 'a%3D1%26b%3D2 100%',
    },
  })

  await t.test('page pay by URL and by form leads to the cashier', async () => {
    const url = sdk.pageExecute('alipay.trade.page.pay', 'GET', order('sdk-0001'))
    const byUrl = await fetch(url, { redirect: 'manual' })
    assert.equal(byUrl.status, 302)
    assert.match(byUrl.headers.get('location') ?? '', /^\/alipay\/cashier\//)
    const form = sdk.pageExecute('alipay.trade.page.pay', 'POST', order('sdk-0001'))
    const action = /action="([^"]+)"/.exec(form)?.[1] ?? ''
    const fields = [...form.matchAll(/name="([^"]+)" value="([^"]*)"/g)].map(
      ([, name, value]) => [name ?? '', (value ?? '').replaceAll('&quot;', '"')] as [string, string],
    )
    const byForm = await fetch(action, { method: 'POST', body: new URLSearchParams(fields), redirect: 'manual' })
    assert.equal(byForm.status, 302)
    assert.equal(byForm.headers.get('location'), byUrl.headers.get('location'))
  })

  await t.test('a trade is absent until the buyer opens it, then waits, then is paid', async () => {
    const absent = await exec('alipay.trade.query', { out_trade_no: 'sdk-0001' })
    assert.deepEqual([absent.code, absent.subCode], ['40004', 'ACQ.TRADE_NOT_EXIST'])
    const url = sdk.pageExecute('alipay.trade.page.pay', 'GET', order('sdk-0001'))
    const cashier = await world.visit(url)
    const waiting = await exec('alipay.trade.query', { out_trade_no: 'sdk-0001' })
    assert.deepEqual([waiting.code, waiting.tradeStatus, waiting.totalAmount], ['10000', 'WAIT_BUYER_PAY', '88.88'])
    const back = await world.pay(cashier)
    const returned = Object.fromEntries(new URL(back.headers.get('location') ?? '').searchParams)
    const { a, ...signed } = returned
    assert.equal(a, '1')
    assert.equal(sdk.checkNotifySignV2(signed), true)
    const paid = await exec('alipay.trade.query', { trade_no: returned.trade_no ?? '' })
    assert.equal(paid.tradeStatus, 'TRADE_SUCCESS')
  })

  await t.test('the SDK verifies our notification, with special characters as received', async () => {
    await world.simulator.notifier.runDue()
    await eventually('notification', () => received.length > 0)
    const [notification = {}] = received
    assert.equal(notification.trade_status, 'TRADE_SUCCESS')
    assert.equal(notification.passback_params, 'a%3D1%26b%3D2 100%')
    assert.equal(sdk.checkNotifySignV2(notification), true)
    assert.equal(sdk.checkNotifySignV2({ ...notification, total_amount: '0.01' }), false)
  })

  await t.test('refunds are idempotent by out_request_no, bounded, and can be queried', async () => {
    const refund = (outRequestNo: string, amount: string) =>
      exec('alipay.trade.refund', { out_trade_no: 'sdk-0001', refund_amount: amount, out_request_no: outRequestNo })
    const first = await refund('r1', '8.88')
    assert.deepEqual([first.code, first.fundChange, first.refundFee], ['10000', 'Y', '8.88'])
    const again = await refund('r1', '8.88')
    assert.deepEqual([again.code, again.fundChange, again.refundFee], ['10000', 'N', '8.88'])
    assert.equal((await refund('r1', '8.87')).subCode, 'ACQ.DISCORDANT_REPEAT_REQUEST')
    assert.equal((await refund('r2', '80.01')).subCode, 'ACQ.REASON_TRADE_REFUND_FEE_ERR')
    const query = (outRequestNo: string) =>
      exec('alipay.trade.fastpay.refund.query', { out_trade_no: 'sdk-0001', out_request_no: outRequestNo })
    assert.equal((await query('r1')).refundStatus, 'REFUND_SUCCESS')
    assert.deepEqual([(await query('r2')).code, (await query('r2')).refundStatus], ['10000', undefined])
    assert.equal((await refund('r3', '80.00')).refundFee, '88.88')
    assert.equal((await exec('alipay.trade.query', { out_trade_no: 'sdk-0001' })).tradeStatus, 'TRADE_CLOSED')
    await world.simulator.notifier.runDue()
    await eventually('refund notifications', () => received.length >= 3)
    assert.ok(received.every(notification => sdk.checkNotifySignV2(notification)))
  })

  await t.test('close works on unpaid trades only, and a closed trade cannot be paid', async () => {
    const cashier = await world.visit(sdk.pageExecute('alipay.trade.page.pay', 'GET', order('sdk-0002')))
    assert.equal((await exec('alipay.trade.close', { out_trade_no: 'sdk-0002' })).code, '10000')
    assert.equal((await exec('alipay.trade.close', { out_trade_no: 'sdk-0002' })).subCode, 'ACQ.TRADE_STATUS_ERROR')
    assert.equal((await exec('alipay.trade.close', { out_trade_no: 'sdk-none' })).subCode, 'ACQ.TRADE_NOT_EXIST')
    await world.pay(cashier)
    assert.equal((await exec('alipay.trade.query', { out_trade_no: 'sdk-0002' })).tradeStatus, 'TRADE_CLOSED')
    const refused = await fetch(sdk.pageExecute('alipay.trade.page.pay', 'GET', order('sdk-0002')), {
      redirect: 'manual',
    })
    assert.equal(refused.status, 400)
    assert.match(await refused.text(), /ACQ\.TRADE_HAS_CLOSE/)
  })

  await t.test('an unpaid trade expires', async () => {
    const soon = order('sdk-0003')
    const bizContent = { ...soon.bizContent, timeout_express: '5m' }
    await world.visit(sdk.pageExecute('alipay.trade.page.pay', 'GET', { ...soon, bizContent }))
    await world.clock.pass(300_000)
    assert.equal((await exec('alipay.trade.query', { out_trade_no: 'sdk-0003' })).tradeStatus, 'TRADE_CLOSED')
  })

  await t.test('a request signed with another key is refused with a signed answer', async () => {
    const forger = new AlipaySdk({ ...config, privateKey: rsaKeys().privateKeyPem })
    const answer = await forger.exec(
      'alipay.trade.query',
      { bizContent: { out_trade_no: 'sdk-0001' } },
      { validateSign: true },
    )
    assert.deepEqual([answer.code, answer.subCode], ['40002', 'isv.invalid-signature'])
    const stranger = new AlipaySdk({ ...config, appId: '2021999999999999', privateKey: world.merchant.privateKeyPem })
    const unknown = await stranger.exec('alipay.trade.query', { bizContent: { out_trade_no: 'sdk-0001' } })
    assert.equal(unknown.subCode, 'isv.invalid-app-id')
    assert.equal((await exec('alipay.trade.none', {})).subCode, 'isv.invalid-method')
  })

  await t.test('the SDK notices a planned wrong signature', async () => {
    await world.simulator.faults.set({ appId }, { response: { mode: 'wrong-signature', times: 1 } })
    await assert.rejects(exec('alipay.trade.query', { out_trade_no: 'sdk-0001' }), /验签失败/)
    assert.equal((await exec('alipay.trade.query', { out_trade_no: 'sdk-0001' })).code, '10000')
  })
})
