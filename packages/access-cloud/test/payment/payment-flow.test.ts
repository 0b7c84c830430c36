import assert from 'node:assert/strict'
import { verifyAudit } from '@aaas/access-cloud/payment'
import { CloudError } from '@aaas/core-cloud/kernel'
import { eventually } from '@aaas/testing'
import { test } from 'tap'
import { openPaymentWorld, type PaymentWorld } from './payment-world.js'

const world: PaymentWorld = await openPaymentWorld()
test('payment gateway with the simulator', async t => {
  t.teardown(() => world[Symbol.asyncDispose]())
  const { gateway, simulator, clock, context, events } = world
  const code = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => 'no error',
      (error: unknown) => CloudError.from(error).code,
    )
  const eventsOf = (paymentId: string): string[] =>
    events.filter(({ event }) => event.payment.paymentId === paymentId).map(({ event }) => event.payment.state)
  const tradeOf = async (paymentId: string) => {
    const [row] = await world.gatewayDatabase.query<{ id: string }>({
      text: 'select id from payment where payment_id = $1',
      values: [paymentId],
    })
    return row?.id ?? ''
  }
  const fault = async (paymentId: string, plan: Parameters<typeof simulator.faults.set>[1]): Promise<void> =>
    simulator.faults.set({ appId: '2021000000000001', outTradeNo: await tradeOf(paymentId) }, plan)

  await t.test('a buyer pays: signed way back, notification, paid, one event for the site', async () => {
    const { paymentId, payment, redirectUrl, input } = await world.open()
    assert.equal(payment.state, 'created')
    const back = await world.pay(await world.visit(redirectUrl))
    assert.equal(back.status, 303)
    const location = new URL(back.headers.get('location') ?? '')
    assert.equal(location.origin + location.pathname, 'http://shop.test/return')
    assert.equal(location.searchParams.get('order'), '1')
    assert.equal(location.searchParams.get('total_amount'), '12.34')
    assert.equal(await world.state(paymentId), 'created')
    await world.settle()
    const paid = await gateway.get({ paymentId }, context())
    assert.equal(paid.state, 'paid')
    assert.equal(paid.paidAt, clock.now() - (clock.now() % 1_000))
    assert.match(paid.providerTradeNo ?? '', /^\d{28}$/)
    assert.deepEqual(eventsOf(paymentId), ['paid'])
    assert.equal(events[0]?.tenant, 'shop')
    const again = await gateway.prepay(input, context())
    assert.deepEqual([again.payment.state, again.redirectUrl], ['paid', input.returnUrl])
    assert.equal(await code(gateway.prepay({ ...input, amount: 1 }, context())), 'access.payment.conflict')
  })

  await t.test('prepay is idempotent, names bad input, and keeps tenants apart', async () => {
    const { paymentId, input } = await world.open()
    await Promise.all([gateway.prepay(input, context()), gateway.prepay(input, context())])
    const other = await gateway.prepay({ ...input, amount: 5 }, context('other'))
    assert.equal(other.payment.amount, 5)
    assert.equal(
      await code(gateway.get({ paymentId: 'payment-none' }, context('other'))),
      'access.payment.unknown-order',
    )
    assert.equal(await code(gateway.list({}, { ...context(), tenant: '' })), 'core.contract.unauthenticated')
    assert.equal((await gateway.list({}, context('other'))).payments.length, 1)
    for (const [field, change] of [
      ['returnUrl', { returnUrl: 'javascript:alert(1)' }],
      ['expiresAt', { expiresAt: clock.now() }],
    ] as const) {
      const error = await gateway
        .prepay({ ...input, paymentId: 'payment-bad', ...change }, context())
        .catch(CloudError.from)
      assert.equal((error as CloudError).field, field)
    }
    assert.equal(await world.state(paymentId), 'created')
  })

  await t.test('a repeated notification changes nothing', async () => {
    const { paymentId, redirectUrl } = await world.open()
    await fault(paymentId, { notify: { duplicates: 3, outOfOrder: true } })
    await world.pay(await world.visit(redirectUrl))
    await world.settle()
    await clock.pass(2_000)
    await world.settle()
    assert.equal(await world.state(paymentId), 'paid')
    assert.deepEqual(eventsOf(paymentId), ['paid'])
    const [last] = (await world.notifications()).slice(-1)
    assert.deepEqual(last, { disposition: 'ignored', reason: 'in state paid', status: 'WAIT_BUYER_PAY' })
  })

  await t.test('a forged or altered notification is refused, and cannot mute the real one', async () => {
    const { paymentId, redirectUrl } = await world.open()
    await clock.pass(1_000)
    await fault(paymentId, { notify: { wrongSignature: true } })
    await world.pay(await world.visit(redirectUrl))
    await world.settle()
    assert.equal(await world.state(paymentId), 'created')
    assert.deepEqual((await world.notifications()).at(-1), {
      disposition: 'refused',
      reason: 'access.payment.bad-signature',
      status: 'TRADE_SUCCESS',
    })
    await world.simulatorDatabase.query({ text: 'update sim_alipay_notify set wrong_signature = false' })
    await clock.pass(240_000)
    await world.settle()
    assert.equal(await world.state(paymentId), 'paid')
  })

  await t.test('a notification with another amount changes nothing and is on record', async () => {
    const { paymentId, redirectUrl } = await world.open()
    await fault(paymentId, { notify: { wrongAmount: true } })
    await world.pay(await world.visit(redirectUrl))
    await world.settle()
    assert.equal(await world.state(paymentId), 'created')
    assert.equal((await world.notifications()).at(-1)?.reason, 'total_amount')
    const [record] = await world.gatewayDatabase.query<{ data: string }>({
      text: `select data from payment_audit where act = 'payment.mismatch' order by seq desc limit 1`,
    })
    const data = JSON.parse(record?.data ?? '{}') as { expected?: number; got?: number }
    assert.deepEqual([data.expected, data.got], [1_234, 1_235])
    // The trade itself says the right amount: asking finds out.
    assert.equal((await gateway.get({ paymentId, refresh: true }, context())).state, 'paid')
  })

  await t.test('a lost notification is found by asking', async () => {
    const { paymentId, redirectUrl } = await world.open()
    await fault(paymentId, { notify: { drop: 8 } })
    await world.pay(await world.visit(redirectUrl))
    await world.settle()
    assert.equal(await world.state(paymentId), 'created')
    await clock.pass(60_000)
    await gateway.resolveUnknown()
    await world.settle()
    assert.deepEqual(eventsOf(paymentId), ['paid'])
  })

  await t.test('notifications are repeated by the schedule until the answer is exactly success', async () => {
    const { paymentId, redirectUrl } = await world.open(1_234, 10 * 86_400_000)
    const { handler } = world.gatewayServer
    await world.simulatorDatabase.query({ text: 'delete from sim_alipay_notify' })
    const answers = [
      [500, 'success'],
      [200, 'SUCCESS'],
    ] as const
    let arrived = 0
    world.gatewayServer.handler = (_, response) => {
      const [status, body] = answers[arrived % 2] ?? [500, '']
      arrived += 1
      response.writeHead(status).end(body)
    }
    await world.pay(await world.visit(redirectUrl))
    const at: number[] = []
    const start = clock.now()
    for (const seconds of [0, 239, 1, 600, 600, 3_600, 7_200, 21_600, 54_000, 100_000]) {
      await clock.pass(seconds * 1_000)
      const before = arrived
      await simulator.notifier.runDue()
      if (arrived > before) at.push((clock.now() - start) / 1_000)
    }
    assert.deepEqual(at, [0, 240, 840, 1_440, 5_040, 12_240, 33_840, 87_840])
    world.gatewayServer.handler = handler
    assert.equal((await gateway.get({ paymentId, refresh: true }, context())).state, 'paid')
  })

  await t.test('a closed payment cannot be paid; repeating the close is harmless', async () => {
    const { paymentId, redirectUrl, input } = await world.open()
    const cashier = await world.visit(redirectUrl)
    assert.equal((await gateway.close({ paymentId }, context())).state, 'closed')
    assert.equal((await gateway.close({ paymentId }, context())).state, 'closed')
    await world.pay(cashier)
    await world.settle()
    assert.equal(await world.state(paymentId), 'closed')
    assert.equal(await code(gateway.prepay(input, context())), 'access.payment.invalid-state')
    assert.deepEqual(eventsOf(paymentId), ['closed'])
  })

  await t.test('closing a payment that was paid meanwhile answers paid', async () => {
    const { paymentId, redirectUrl } = await world.open()
    await world.pay(await world.visit(redirectUrl))
    assert.equal((await gateway.close({ paymentId }, context())).state, 'paid')
    await world.settle()
    assert.deepEqual(eventsOf(paymentId), ['paid'])
  })

  await t.test('money that arrives after the close is reported, so that the site gives it back', async () => {
    const { paymentId, redirectUrl } = await world.open()
    // The buyer had not opened the page: the provider has no trade to close, and the link still works.
    assert.equal((await gateway.close({ paymentId }, context())).state, 'closed')
    await fault(paymentId, { notify: { drop: 8 } })
    await world.pay(await world.visit(redirectUrl))
    await world.settle()
    assert.equal(await world.state(paymentId), 'closed')
    await clock.pass(1_806_000)
    await gateway.resolveUnknown()
    await world.settle()
    assert.deepEqual(eventsOf(paymentId), ['closed', 'paid'])
    const refunded = await gateway.refund(
      { paymentId, refundId: `${paymentId}-r`, amount: 1_234, reason: 'closed' },
      context(),
    )
    assert.equal(refunded.state, 'refunded')
  })

  await t.test('an expired payment nobody opened is closed and asked about no more', async () => {
    const { paymentId } = await world.open()
    await clock.pass(1_900_000)
    await gateway.resolveUnknown()
    assert.equal(await world.state(paymentId), 'closed')
    await clock.pass(86_400_000)
    while ((await gateway.resolveUnknown()) > 0);
    const [row] = await world.gatewayDatabase.query<{ next_check_at: number | null }>({
      text: 'select next_check_at from payment where payment_id = $1',
      values: [paymentId],
    })
    assert.equal(row?.next_check_at, null)
  })

  await t.test('a close without an answer is unknown until it is resolved', async () => {
    for (const [mode, expected] of [
      ['timeout-after', 'closed'],
      ['timeout-before', 'closed'],
      ['wrong-signature', 'closed'],
      ['system-error', 'closed'],
    ] as const) {
      const { paymentId, redirectUrl } = await world.open()
      await world.visit(redirectUrl)
      await fault(paymentId, { response: { method: 'alipay.trade.close', mode, times: 1 } })
      const closing = code(gateway.close({ paymentId }, context()))
      if (mode.startsWith('timeout')) await passWhenUsed()
      assert.equal(await closing, 'access.payment.provider-unavailable', mode)
      assert.equal(await world.state(paymentId), 'unknown', mode)
      await clock.pass(20_000)
      await gateway.resolveUnknown()
      await world.settle()
      assert.equal(await world.state(paymentId), expected, mode)
      // Events of one payment may arrive in any order, so the port says.
      assert.deepEqual([...eventsOf(paymentId)].sort(), ['unknown', expected].sort(), mode)
    }
  })

  await t.test('refunds: partial, repeated, too much, of the wrong payment', async () => {
    const { paymentId, redirectUrl } = await world.open(1_000)
    const refund = (refundId: string, amount: number) =>
      gateway.refund({ paymentId, refundId, amount, reason: 'test' }, context())
    assert.equal(await code(refund('refund-early', 1)), 'access.payment.invalid-state')
    await world.pay(await world.visit(redirectUrl))
    await world.settle()
    const first = await refund('refund-0001', 300)
    assert.deepEqual([first.state, first.refundedAmount], ['refunded', 300])
    assert.equal((await refund('refund-0001', 300)).refundedAmount, 300)
    assert.equal(await code(refund('refund-0001', 301)), 'access.payment.conflict')
    assert.equal(await code(refund('refund-0002', 701)), 'access.payment.invalid-state')
    const both = await Promise.all([code(refund('refund-0003', 400)), code(refund('refund-0004', 400))])
    assert.deepEqual(both.sort(), ['access.payment.invalid-state', 'no error'])
    assert.equal((await refund('refund-0005', 300)).refundedAmount, 1_000)
    await world.settle()
    assert.equal(await world.state(paymentId), 'refunded')
    const [trade] = await world.simulatorDatabase.query<{ refunded: number; status: string }>({
      text: 'select refunded, status from sim_alipay_trade where out_trade_no = $1',
      values: [await tradeOf(paymentId)],
    })
    assert.deepEqual(trade, { refunded: 1_000, status: 'TRADE_CLOSED' })
  })

  await t.test(
    'a refund without a trustworthy answer goes on until it is settled, and the money moves once',
    async () => {
      for (const mode of ['timeout-after', 'timeout-before', 'wrong-signature', 'system-error'] as const) {
        const { paymentId, redirectUrl } = await world.open(1_000)
        await world.pay(await world.visit(redirectUrl))
        await world.settle()
        await fault(paymentId, { response: { method: 'alipay.trade.refund', mode, times: 1 } })
        const input = { paymentId, refundId: `${paymentId}-r`, amount: 400, reason: 'test' }
        const refunding = gateway.refund(input, context())
        if (mode.startsWith('timeout')) await passWhenUsed()
        const answer = await refunding
        assert.deepEqual([answer.state, answer.refundedAmount], ['refunding', 0], mode)
        await clock.pass(20_000)
        await gateway.resolveUnknown()
        await world.settle()
        const after = await gateway.get({ paymentId }, context())
        assert.deepEqual([after.state, after.refundedAmount], ['refunded', 400], mode)
        const [sum] = await world.simulatorDatabase.query<{ refunded: number }>({
          text: 'select refunded from sim_alipay_trade where out_trade_no = $1',
          values: [await tradeOf(paymentId)],
        })
        assert.equal(sum?.refunded, 400, mode)
      }
    },
  )

  await t.test('a refund the provider refuses says so every time and leaves the payment paid', async () => {
    const { paymentId, redirectUrl } = await world.open(1_000)
    await world.pay(await world.visit(redirectUrl))
    await world.settle()
    // The merchant gave the money back at the provider itself; the gateway cannot know.
    await world.simulatorDatabase.query({
      text: 'update sim_alipay_trade set refunded = amount where out_trade_no = $1',
      values: [await tradeOf(paymentId)],
    })
    const input = { paymentId, refundId: `${paymentId}-r`, amount: 1_000, reason: 'test' }
    for (let round = 0; round < 2; round++) {
      const error = (await gateway.refund(input, context()).catch((thrown: unknown) => thrown)) as CloudError
      assert.equal(error.code, 'access.payment.provider-refused')
      assert.equal(error.details?.code, 'ACQ.REASON_TRADE_REFUND_FEE_ERR')
    }
    assert.equal(await world.state(paymentId), 'paid')
  })

  await t.test('events are delivered until the site takes them', async () => {
    const { paymentId, redirectUrl } = await world.open()
    await world.settle()
    world.site.refuses = 2
    await world.pay(await world.visit(redirectUrl))
    await simulator.notifier.runDue()
    await gateway.deliverDue()
    assert.deepEqual(eventsOf(paymentId), [])
    assert.equal(await gateway.deliverDue(), 0)
    for (let round = 0; round < 4; round++) {
      await clock.pass(1_000)
      await gateway.deliverDue()
    }
    assert.deepEqual(eventsOf(paymentId), ['paid'])
    const left = await world.gatewayDatabase.query({ text: 'select 1 from payment_event' })
    assert.equal(left.length, 0)
  })

  await t.test('the audit chain is whole, and shows a changed, removed or cut record', async () => {
    const database = world.gatewayDatabase
    const verdict = await verifyAudit(database, 'shop')
    assert.ok(verdict.length > 50 && verdict.brokenAt === undefined)
    await assert.rejects(
      database.query({ text: `update payment_audit set data = '{}' where seq = 7` }),
      /never changed/,
    )
    await database.query({ text: 'alter table payment_audit disable trigger payment_audit_final' })
    const [saved] = await database.query<{ data: string }>({
      text: `select data from payment_audit where tenant = 'shop' and seq = 7`,
    })
    await database.query({ text: `update payment_audit set data = '{}' where tenant = 'shop' and seq = 7` })
    assert.equal((await verifyAudit(database, 'shop')).brokenAt, 7)
    await database.query({
      text: `update payment_audit set data = $1 where tenant = 'shop' and seq = 7`,
      values: [saved?.data],
    })
    assert.equal((await verifyAudit(database, 'shop')).brokenAt, undefined)
    await database.query({
      text: `delete from payment_audit where tenant = 'shop' and seq = $1`,
      values: [verdict.length],
    })
    assert.equal((await verifyAudit(database, 'shop')).brokenAt, verdict.length)
  })

  /** The call has reached the simulator, which stays silent: let the caller's time run out. */
  async function passWhenUsed(): Promise<void> {
    await eventually('the planned timeout', async () => {
      const rows = await world.simulatorDatabase.query({
        text: `select 1 from sim_alipay_fault where (plan->'response'->>'times')::int > 0`,
      })
      return rows.length === 0
    })
    await clock.pass(10_000)
  }
})
