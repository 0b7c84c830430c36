import assert from 'node:assert/strict'
import { PaymentGateway, verifyAudit } from '@aaas/access-cloud/payment'
import { silentLogger, systemIds } from '@aaas/core-cloud/kernel'
import type { Database, Queryable } from '@aaas/support-cloud/rdbms'
import { test } from 'tap'
import { openPaymentWorld, type PaymentWorld } from './payment-world.js'

/** The database, of which the nth statement fails: before it runs, or (`commit`) the whole transaction after it ran. */
function failing(database: Database, nth: number): { readonly database: Database; readonly seen: () => number } {
  let seen = 0
  const count = async <T>(run: () => Promise<T>): Promise<T> => {
    seen += 1
    if (seen === nth) throw new Error('planned failure')
    return run()
  }
  const wrap = (target: Queryable): Queryable => ({ query: statement => count(() => target.query(statement)) })
  return {
    seen: () => seen,
    database: {
      ...database,
      ...wrap(database),
      transaction: work =>
        database.transaction(tx => work(wrap(tx))).then(result => count(() => Promise.resolve(result))),
    },
  }
}

function gatewayOn(world: PaymentWorld, database: Database): PaymentGateway {
  const { clock, provider, events } = world
  const deliver: ConstructorParameters<typeof PaymentGateway>[0]['deliver'] = async (tenant, event) => {
    events.push({ tenant, event })
  }
  return new PaymentGateway({ database, providers: [provider], deliver, clock, ids: systemIds(), logger: silentLogger })
}

test('whatever statement fails, repeating leads to one consistent result', async t => {
  const world = await openPaymentWorld()
  t.teardown(() => world[Symbol.asyncDispose]())
  const { clock, context, events } = world

  /** Runs an operation with the 1st, 2nd, 3rd ... statement failing until none is left to fail. */
  const everyFailure = async (
    operation: (gateway: PaymentGateway) => Promise<unknown>,
    check: () => Promise<void>,
    again: () => Promise<void>,
  ) => {
    for (let nth = 1; ; nth++) {
      assert.ok(nth < 60)
      await again()
      const plan = failing(world.gatewayDatabase, nth)
      await operation(gatewayOn(world, plan.database)).catch(() => undefined)
      await clock.pass(61_000)
      await operation(world.gateway)
      await check()
      if (plan.seen() < nth) return nth
    }
  }
  let opened: Awaited<ReturnType<typeof world.open>>
  const paid = async (): Promise<void> => {
    opened = await world.open(1_000)
    await world.pay(await world.visit(opened.redirectUrl))
  }

  await t.test('a notification', async () => {
    let params: Record<string, string> = {}
    const { handler } = world.gatewayServer
    world.gatewayServer.handler = (request, response) => {
      let body = ''
      request.on('data', chunk => {
        body += String(chunk)
      })
      request.on('end', () => {
        params = Object.fromEntries(new URLSearchParams(body))
        response.end('success')
      })
    }
    const steps = await everyFailure(
      gateway => gateway.receive('alipay', params),
      async () => {
        await world.gateway.deliverDue()
        assert.equal(await world.state(opened.paymentId), 'paid')
        assert.equal(events.filter(({ event }) => event.payment.paymentId === opened.paymentId).length, 1)
      },
      async () => {
        await paid()
        await world.simulator.notifier.runDue()
      },
    )
    world.gatewayServer.handler = handler
    assert.ok(steps > 5)
  })

  await t.test('a refund moves the money once', async () => {
    const steps = await everyFailure(
      gateway =>
        gateway.refund(
          { paymentId: opened.paymentId, refundId: `${opened.paymentId}-r`, amount: 600, reason: 'x' },
          context(),
        ),
      async () => {
        const payment = await world.gateway.get({ paymentId: opened.paymentId }, context())
        assert.deepEqual([payment.state, payment.refundedAmount], ['refunded', 600])
        const [trade] = await world.simulatorDatabase.query<{ refunded: number }>({
          text: 'select refunded from sim_alipay_trade where trade_no = $1',
          values: [payment.providerTradeNo],
        })
        assert.equal(trade?.refunded, 600)
      },
      async () => {
        await paid()
        await world.settle()
      },
    )
    assert.ok(steps > 10)
  })

  await t.test('a close', async () => {
    await everyFailure(
      gateway => gateway.close({ paymentId: opened.paymentId }, context()),
      async () => assert.equal(await world.state(opened.paymentId), 'closed'),
      async () => {
        opened = await world.open()
        await world.visit(opened.redirectUrl)
      },
    )
  })

  await t.test('two gateways on one database share the events and deliver each once', async () => {
    await world.settle()
    events.length = 0
    const ids: string[] = []
    for (let index = 0; index < 12; index++) {
      await paid()
      ids.push(opened.paymentId)
    }
    while ((await world.simulator.notifier.runDue()) > 0);
    const [one, two] = [gatewayOn(world, world.gatewayDatabase), gatewayOn(world, world.gatewayDatabase)]
    await Promise.all([one.deliverDue(), two.deliverDue(), one.deliverDue(), two.deliverDue()])
    assert.deepEqual(events.map(({ event }) => event.payment.paymentId).sort(), ids)
    assert.equal((await verifyAudit(world.gatewayDatabase, 'shop')).brokenAt, undefined)
  })
})
