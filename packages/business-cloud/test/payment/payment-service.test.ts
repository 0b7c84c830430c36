import { OrderPaymentService } from '@aaas/business-cloud/payment'
import { CloudError, silentLogger } from '@aaas/core-cloud/kernel'
import { type Test, test } from 'tap'
import { callContext } from '../order/shop-fixture.js'
import { openPayments, type PaymentBench } from './payment-bench.js'

const staff = callContext('', { id: 'staff', scopes: ['*'] })

function scenario(name: string, run: (t: Test, bench: PaymentBench) => Promise<void>): void {
  test(name, async t => {
    const bench = await openPayments()
    t.teardown(() => bench[Symbol.asyncDispose]())
    await run(t, bench)
    t.same(await bench.breaches(), [])
  })
}

scenario('a payment is opened, paid and applied once', async (t, { gateway, payments, notify, order, states }) => {
  const { number, paymentId } = await order()
  t.match(
    await payments.start({ number, returnUrl: 'https://shop/back' }, callContext()),
    { redirectUrl: `https://cashier/${paymentId}` },
    'again',
  )
  t.same(await states(number), { order: 'unpaid', payment: 'created' })
  const paid = gateway.pay(paymentId)
  await Promise.all(['event-01', 'event-01', 'event-02', 'event-03'].map(event => notify(event, paid)))
  await notify('event-04', { ...paid, state: 'created' })
  await notify('event-05', { ...paid, state: 'closed' })
  t.same(await states(number), { order: 'paid', payment: 'paid' })
  await t.rejects(payments.start({ number, returnUrl: 'x' }, callContext()), {
    code: 'business.order.invalid-transition',
    details: { state: 'paid' },
  })
  t.same(await payments.refresh({ number }, callContext()), { state: 'paid' })
})

scenario('the buyer comes back before the notification', async (t, { gateway, payments, order, states }) => {
  const { number, paymentId } = await order()
  t.same(await payments.refresh({ number }, callContext()), { state: 'created' })
  gateway.pay(paymentId)
  t.same(await payments.refresh({ number }, callContext()), { state: 'paid' })
  t.same(await states(number), { order: 'paid', payment: 'paid' })
})

scenario('an order is not payable after its time', async (t, { shop, payments, order }) => {
  const { number, expiresAt } = await order()
  await shop.clock.pass(expiresAt - shop.clock.now())
  await t.rejects(payments.start({ number, returnUrl: 'x' }, callContext()), {
    code: 'business.order.invalid-transition',
    details: { state: 'expired' },
  })
  await t.rejects(payments.start({ number: 'NONE-0000', returnUrl: 'x' }, callContext()), {
    code: 'business.order.unknown',
  })
})

scenario(
  'the payment of a closed order is closed at the gateway',
  async (t, { shop, gateway, order, settle, states }) => {
    const { number, paymentId, expiresAt } = await order()
    await shop.orders.closeExpired(expiresAt)
    await settle()
    t.equal(gateway.payments.get(paymentId)?.state, 'closed')
    t.same(await states(number), { order: 'closed', payment: 'closed' })
  },
)

scenario(
  'money that comes after the order was closed goes back',
  async (t, { shop, gateway, notify, order, settle, states, breaches }) => {
    const { number, paymentId, accessToken = '' } = await order()
    await shop.orders.cancel({ number, accessToken }, callContext())
    await notify('event-01', gateway.pay(paymentId))
    t.same(await states(number), { order: 'closed', payment: 'refunding' }, 'recorded before the gateway is asked')
    t.equal(gateway.refunds.size, 0)
    t.same(await breaches(), [])
    gateway.failures = 3
    await settle()
    t.same(await states(number), { order: 'closed', payment: 'refunded' })
    t.same([...gateway.refunds], [[`refund-${number}`, 1000]], 'once')
  },
)

scenario(
  'a refund is driven until it is done',
  async (t, { shop, gateway, notify, order, settle, states, breaches }) => {
    const { number, paymentId } = await order()
    await notify('event-01', gateway.pay(paymentId))
    await shop.orders.refund({ number, reason: 'wrong colour' }, staff)
    t.same(await states(number), { order: 'refunded', payment: 'refunding' })
    t.same(await breaches(), [])
    gateway.failures = 4
    await settle()
    t.same(await states(number), { order: 'refunded', payment: 'refunded' })
    t.equal(gateway.refunds.size, 1)
    await notify('event-02', { ...gateway.payments.get(paymentId)!, state: 'paid' })
    t.same(
      await states(number),
      { order: 'refunded', payment: 'refunded' },
      'a late report of the payment changes nothing',
    )
  },
)

scenario('a refund made at the provider closes the circle', async (t, { gateway, notify, order, states }) => {
  const { number, paymentId } = await order()
  await notify('event-01', gateway.pay(paymentId))
  await notify('event-02', gateway.set(paymentId, { state: 'refunded', refundedAmount: 1000 }))
  t.same(await states(number), { order: 'refunded', payment: 'refunded' })
})

scenario(
  'a wrong amount pays nothing and waits for a person',
  async (t, { gateway, notify, order, states, settle }) => {
    const { number, paymentId } = await order()
    const paid = gateway.pay(paymentId)
    await notify('event-01', { ...paid, amount: 1 })
    t.same(await states(number), { order: 'unpaid', payment: 'mismatch' })
    await notify('event-02', paid)
    await settle()
    t.same(await states(number), { order: 'unpaid', payment: 'mismatch' })
  },
)

scenario('an answer that never came is asked for', async (t, { shop, gateway, payments, order, states, settle }) => {
  gateway.failures = 1
  await t.rejects(order(), { code: 'access.payment.provider-unavailable' })
  const [paymentId = ''] = gateway.payments.keys()
  const number = paymentId.slice(4)
  t.same(await states(number), { order: 'unpaid', payment: 'unknown' }, 'unknown is a state')
  gateway.pay(paymentId)
  gateway.failures = 2
  await settle()
  t.same(await states(number), { order: 'paid', payment: 'paid' })
  t.equal(await payments.reconcile(shop.clock.now() + 86_400_000), 0, 'what is settled is not asked about')
})

scenario(
  'a payment that never reached the gateway ends with its order',
  async (t, { shop, gateway, order, states, settle, notify }) => {
    const { number, paymentId, accessToken = '' } = await order()
    const created = gateway.payments.get(paymentId)!
    gateway.payments.clear()
    await settle()
    t.same(await states(number), { order: 'unpaid', payment: 'created' })
    await shop.orders.cancel({ number, accessToken }, callContext())
    await settle()
    t.same(await states(number), { order: 'closed', payment: 'closed' })
    gateway.payments.set(paymentId, created)
    await notify('event-01', gateway.pay(paymentId))
    await settle()
    t.same(await states(number), { order: 'closed', payment: 'refunded' }, 'it was only late')
  },
)

scenario('two instances do not ask about the same payment at once', async (t, { shop, gateway, order, payments }) => {
  await order()
  await shop.clock.pass(61_000)
  const other = new OrderPaymentService({
    database: shop.database,
    clock: shop.clock,
    gateway,
    orders: shop.orders,
    logger: silentLogger,
  })
  const now = shop.clock.now()
  const asked = await Promise.all([payments.reconcile(now), other.reconcile(now)])
  t.same(asked.toSorted(), [0, 1])
})

scenario('a payment that nobody opened is refused', async (t, { notify, gateway, order }) => {
  const { paymentId } = await order()
  const payment = { ...gateway.pay(paymentId), paymentId: 'pay-unknown-1' }
  const error: unknown = await notify('event-01', payment).catch((reason: unknown) => reason)
  t.ok(CloudError.is(error, 'business.payment.unknown'))
  await notify('event-02', gateway.pay(paymentId))
})
