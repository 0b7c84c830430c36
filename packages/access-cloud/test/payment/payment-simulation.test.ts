import assert from 'node:assert/strict'
import { verifyAudit } from '@aaas/access-cloud/payment'
import { seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { appId, openPaymentWorld } from './payment-world.js'

test('random buyers, refunds, closes and faults: gateway and provider agree in the end', async t => {
  const world = await openPaymentWorld()
  t.teardown(() => world[Symbol.asyncDispose]())
  const { gateway, simulator, clock, context } = world
  for (let seed = 1; seed <= 2; seed++) {
    const random = seededRandom(seed)
    const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T
    const opened: { paymentId: string; cashier: string }[] = []
    const modes = ['timeout-before', 'timeout-after', 'wrong-signature', 'system-error'] as const
    for (let step = 0; step < 30; step++) {
      if (opened.length < 3 || random() < 0.2) {
        const { paymentId, redirectUrl } = await world.open(1_000)
        opened.push({ paymentId, cashier: await world.visit(redirectUrl) })
      }
      const { paymentId, cashier } = pick(opened)
      const refundId = `${paymentId}-${pick(['r1', 'r2', 'r3'])}`
      await simulator.faults.set(
        { appId },
        {
          notify: {
            drop: pick([0, 0, 1]),
            duplicates: pick([0, 2]),
            outOfOrder: random() < 0.3,
            wrongAmount: random() < 0.1,
            wrongSignature: random() < 0.1,
          },
          response: { mode: pick(modes), times: pick([0, 0, 1]) },
        },
      )
      const operation = pick<() => Promise<unknown>>([
        () => world.pay(cashier),
        () => world.pay(cashier),
        () => world.settle(),
        () => gateway.close({ paymentId }, context()),
        () => gateway.refund({ paymentId, refundId, amount: pick([300, 500]), reason: 'x' }, context()),
        () => gateway.get({ paymentId, refresh: true }, context()),
        () => gateway.resolveUnknown(),
      ])
      await finish(operation())
    }
    await simulator.faults.clear({ appId })
    for (let round = 0; round < 12; round++) {
      await clock.pass(400_000)
      while ((await finish(gateway.resolveUnknown())) !== 0);
      await world.settle()
    }
    for (const { paymentId } of opened) {
      const payment = await gateway.get({ paymentId }, context())
      const [trade] = await world.simulatorDatabase.query<{ paid_at: number | null; refunded: number; status: string }>(
        {
          text: `select paid_at, refunded, status from sim_alipay_trade
          where token = $1`,
          values: [
            opened
              .find(other => other.paymentId === paymentId)
              ?.cashier.split('/')
              .at(-1),
          ],
        },
      )
      const where = `seed ${seed}, ${paymentId}: ${payment.state} and ${trade?.status}`
      assert.equal(payment.refundedAmount, trade?.refunded, where)
      if (trade?.paid_at === null) assert.equal(payment.state, 'closed', where)
      else assert.equal(payment.state, payment.refundedAmount > 0 ? 'refunded' : 'paid', where)
      const told = world.events.filter(({ event }) => event.payment.paymentId === paymentId)
      if (payment.state !== 'closed')
        assert.ok(
          told.some(({ event }) => event.payment.state === 'paid'),
          where,
        )
      // Events come in any order: the furthest of them is the truth.
      assert.equal(Math.max(0, ...told.map(({ event }) => event.payment.refundedAmount)), payment.refundedAmount, where)
    }
  }
  assert.equal((await verifyAudit(world.gatewayDatabase, 'shop')).brokenAt, undefined)

  /** Lets time pass while something runs, so that what was planned to hang does not hang for ever. */
  async function finish<T>(running: Promise<T>): Promise<T | undefined> {
    let done = false
    const result = running.then(
      value => {
        done = true
        return value
      },
      () => {
        done = true
        return undefined
      },
    )
    for (let turn = 1; !done; turn++) {
      await new Promise(resolve => setImmediate(resolve))
      if (turn % 400 === 0) await clock.pass(2_000)
    }
    return result
  }
})
