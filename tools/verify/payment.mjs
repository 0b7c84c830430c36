// The real protocol on the running platform: notifications that are repeated, forged, wrong, lost or late, and a payment
// that arrives after its order was closed.
import { randomUUID } from 'node:crypto'
import { cashier, pay, simulator, submitPayment, untilState } from './_buyer.mjs'
import { httpCaller } from './_http.mjs'
import { address, apiKey, orderable, until, withPlatform } from './_platform.mjs'

export async function verify({ say }) {
  return withPlatform({ say }, async platform => {
    const http = httpCaller({ port: platform.edgePort, hostName: platform.hostName, apiKey: await apiKey(platform) })
    const [{ sku }] = await orderable(platform, { count: 1 })
    const provider = simulator(platform)
    const order = async () => {
      const answer = await http.call('POST', '/api/orders', {
        body: { lines: [{ sku, quantity: 1 }], language: 'en', address },
        headers: { 'idempotency-key': randomUUID() },
      })
      return JSON.parse(answer.text)
    }
    const stateOf = async number => (await platform.call('shop', 'business.order', 'get', { number })).state
    const facts = {}

    await provider.plan({ duplicates: 5, outOfOrder: true })
    const repeated = await order()
    await pay(platform, repeated.number)
    await untilState(platform, repeated.number, 'paid')
    facts.repeatedAndOutOfOrder = await stateOf(repeated.number)
    say(`five copies and older news after newer: ${facts.repeatedAndOutOfOrder}`)

    const forged = await order()
    await cashier(platform, forged.number)
    const trade = (await provider.trades()).find(one => one.subject.includes(forged.number))
    const fields = new URLSearchParams({
      notify_id: randomUUID(),
      notify_type: 'trade_status_sync',
      app_id: trade.app_id,
      out_trade_no: trade.out_trade_no,
      trade_no: trade.trade_no,
      trade_status: 'TRADE_SUCCESS',
      total_amount: (forged.total / 100).toFixed(2),
      sign_type: 'RSA2',
      sign: Buffer.from('not a signature').toString('base64'),
    })
    const answer = await fetch(`http://127.0.0.1:${platform.edgePort}/s/payment/notify/alipay`, {
      method: 'POST',
      body: fields,
    })
    facts.forged = { answered: (await answer.text()).slice(0, 40), order: await stateOf(forged.number) }
    say(`forged: ${JSON.stringify(facts.forged)}`)

    await provider.plan({ wrongAmount: true })
    const wrong = await order()
    await pay(platform, wrong.number)
    facts.wrongAmountLeaves = await stateOf(wrong.number)
    await provider.clear()

    await provider.plan({ drop: 100 })
    const lost = await order()
    await pay(platform, lost.number)
    await platform.call('shop', 'business.payment', 'refresh', { number: lost.number })
    await untilState(platform, lost.number, 'paid')
    facts.lostNotificationFoundByAsking = await stateOf(lost.number)

    // The buyer stands at the cashier while the shop closes the order: the money comes too late and goes back.
    const late = await order()
    const page = await cashier(platform, late.number)
    await submitPayment(page)
    await platform.call('shop', 'business.order', 'cancel', { number: late.number, accessToken: late.accessToken })
    const refunded = await until(
      'the late payment to be refunded',
      async () => {
        const trades = await provider.trades()
        return trades.find(one => one.refunded === late.total && one.subject.includes(late.number))
      },
      60,
    )
    facts.late = { order: await stateOf(late.number), paid: late.total, refunded: refunded.refunded }
    say(`paid after it was closed: ${JSON.stringify(facts.late)}`)
    http.close()
    const invariants = await platform.call('shop', 'site.shop-admin', 'checkInvariants')
    const ok =
      facts.repeatedAndOutOfOrder === 'paid' &&
      facts.forged.answered !== 'success' &&
      facts.forged.order === 'unpaid' &&
      facts.wrongAmountLeaves === 'unpaid' &&
      facts.lostNotificationFoundByAsking === 'paid' &&
      (facts.late.order === 'closed' || facts.late.order === 'refunded') &&
      facts.late.refunded === facts.late.paid &&
      invariants.ok
    return { ok, ...facts, invariants }
  })
}
