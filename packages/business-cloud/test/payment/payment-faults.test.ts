import type { Payment } from '@aaas/access-cloud/payment'
import { OrderService } from '@aaas/business-cloud/order'
import { OrderPaymentService } from '@aaas/business-cloud/payment'
import { CloudError, silentLogger } from '@aaas/core-cloud/kernel'
import fc from 'fast-check'
import { test } from 'tap'
import { failing } from '../order/failing-database.js'
import { callContext } from '../order/shop-fixture.js'
import { openPayments } from './payment-bench.js'

const staff = callContext('', { id: 'staff', scopes: ['*'] })

test('any mix of notifications, cancellations and refunds ends settled', async t => {
  const bench = await openPayments()
  t.teardown(() => bench[Symbol.asyncDispose]())
  const act = fc.constantFrom(
    'pay',
    'old',
    'again',
    'cancel',
    'refund',
    'expire',
    'refresh',
    'reconcile',
    'provider-refund',
    'fail',
  )
  const seen = new Set<string>()
  let events = 0
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 2, maxLength: 8 }), async acts => {
      const { number, paymentId, accessToken = '', expiresAt } = await bench.order()
      const reports: Payment[] = [bench.gateway.payments.get(paymentId)!]
      const tell = async (payment: Payment | undefined): Promise<void> => {
        events += 1
        if (payment !== undefined) await bench.notify(`event-${events}`, payment)
      }
      for (const one of acts) {
        const state = bench.gateway.payments.get(paymentId)?.state
        if (one === 'pay' && state === 'created') reports.push(bench.gateway.pay(paymentId))
        if (one === 'pay') await tell(reports.at(-1))
        if (one === 'old') await tell(reports[0])
        if (one === 'again') await tell(reports.at(-1))
        if (one === 'cancel') await bench.shop.orders.cancel({ number, accessToken }, callContext()).catch(onlyCloud)
        if (one === 'refund') await bench.shop.orders.refund({ number, reason: 'r' }, staff).catch(onlyCloud)
        if (one === 'expire') await bench.shop.orders.closeExpired(expiresAt)
        if (one === 'refresh') await bench.payments.refresh({ number }, callContext()).catch(onlyCloud)
        if (one === 'reconcile') await bench.payments.reconcile(bench.shop.clock.now() + 600_000)
        if (one === 'provider-refund' && state === 'paid') {
          reports.push(bench.gateway.set(paymentId, { state: 'refunded', refundedAmount: 1000 }))
          await tell(reports.at(-1))
        }
        if (one === 'fail') bench.gateway.failures = 2
      }
      await bench.shop.orders.closeExpired(expiresAt)
      await bench.settle()
      bench.gateway.failures = 0
      const states = await bench.states(number)
      seen.add(`${states.order} ${states.payment}`)
    }),
    { numRuns: 18, seed: 8 },
  )
  t.same(await bench.breaches(), [])
  for (const ended of seen) t.ok(/^(paid paid|closed (closed|refunded)|refunded refunded)$/.test(ended), ended)
  t.ok(seen.size >= 3, 'the mixes differ')
})

function onlyCloud(error: unknown): void {
  if (!CloudError.is(error)) throw error
}

test('a database that fails at any call of a notification loses no payment', async t => {
  const bench = await openPayments()
  t.teardown(() => bench[Symbol.asyncDispose]())
  for (const late of [false, true]) {
    for (const when of ['before', 'after'] as const) {
      let failed = 0
      for (let nth = 1; nth < 20; nth++) {
        const { number, paymentId, accessToken = '' } = await bench.order()
        if (late) await bench.shop.orders.cancel({ number, accessToken }, callContext())
        const paid = bench.gateway.pay(paymentId)
        const { database, calls } = failing(bench.shop.database, nth, when)
        const orders = new OrderService({ ...bench.shop.deps, database })
        const deps = { database, orders, gateway: bench.gateway, clock: bench.shop.clock, logger: silentLogger }
        const broken = new OrderPaymentService(deps)
        const eventId = `event-${late}-${when}-${nth}`
        const passed = await broken.paymentChanged({ eventId, payment: paid }).then(
          () => true,
          () => false,
        )
        t.same(await bench.breaches(), [], `call ${nth} fails ${when}`)
        if (!passed) failed += 1
        await bench.notify(eventId, paid)
        await bench.settle()
        t.same(
          await bench.states(number),
          late ? { order: 'closed', payment: 'refunded' } : { order: 'paid', payment: 'paid' },
        )
        if (passed && calls() < nth) break
      }
      t.ok(failed >= 3, `${failed} calls were failed`)
    }
  }
  t.same(await bench.breaches(), [])
})
