import {
  checkShopInvariants,
  type OrderFacts,
  OrderService,
  type OrderState,
  type OrderTransition,
  orderHooks,
  orderMachine,
  orderStep,
} from '@aaas/business-cloud/order'
import fc from 'fast-check'
import { test } from 'tap'
import { callContext, openShop, placeInput } from './shop-fixture.js'

const transitions = Object.keys(orderMachine.transitions) as OrderTransition[]
const allowed: Record<string, readonly OrderState[]> = {
  pay: ['unpaid'],
  cancel: ['unpaid'],
  expire: ['unpaid'],
  ship: ['paid'],
  complete: ['shipped'],
  refund: ['paid', 'shipped', 'completed'],
}

test('every state is reached and every other transition refused', t => {
  const reached = new Set<OrderState>([orderMachine.initial])
  for (const state of reached) {
    for (const transition of transitions) {
      const step = orderStep({ state, total: 5, expiresAt: 10 }, transition, { at: 10, amount: 5 })
      t.equal(step.applied, allowed[transition]?.includes(state) ?? false, `${transition} of ${state}`)
      if (step.applied) reached.add(step.edge.to)
    }
  }
  t.same([...reached].toSorted(), ['closed', 'completed', 'paid', 'refunded', 'shipped', 'unpaid'])
  t.end()
})

test('guards', t => {
  const order: OrderFacts = { state: 'unpaid', total: 5, expiresAt: 10 }
  t.same(orderStep(order, 'pay', { at: 0, amount: 4 }), { applied: false, reason: 'amount' })
  t.same(orderStep(order, 'pay', { at: 0 }), { applied: false, reason: 'amount' })
  t.same(orderStep(order, 'expire', { at: 9 }), { applied: false, reason: 'expired' })
  t.end()
})

test('the machine names the hooks', t => {
  const names = [
    'order.place@1',
    'order.placed@1',
    'order.paid@1',
    'order.closed@1',
    'order.shipped@1',
    'order.completed@1',
    'order.refunded@1',
  ]
  t.same(orderHooks.map(hook => hook.name).toSorted(), names.toSorted())
  t.end()
})

test('the database runs the machine', async t => {
  const shop = await openShop({ stock: { a: 1000 } })
  t.teardown(() => shop[Symbol.asyncDispose]())
  let count = 0
  const move = fc.record({
    transition: fc.constantFrom(...transitions, 'pay' as const, 'ship' as const),
    late: fc.boolean(),
    exact: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(move, { minLength: 1, maxLength: 6 }), async moves => {
      count += 1
      const order = await shop.orders.place(placeInput(['a', 1]), callContext(`k${count}`))
      let facts: OrderFacts = order
      for (const { transition, late, exact } of moves) {
        const at = late ? order.expiresAt : order.placedAt
        const amount = exact ? order.total : order.total - 1
        const expected = orderStep(facts, transition, { at, amount })
        const outcome = await shop.orders.transition({ number: order.number, transition, at, amount, paidAt: at })
        if (expected.applied) {
          t.same(outcome, { applied: true, from: facts.state, state: expected.edge.to })
          facts = { ...facts, state: expected.edge.to }
        } else t.same(outcome, { ...expected, state: facts.state })
      }
    }),
    { numRuns: 40, seed: 5 },
  )
  t.same(await checkShopInvariants(shop.database), [])
  const events = await shop.database.query<{ topic: string }>({
    text: 'select distinct topic from aaas_outbox order by topic',
  })
  t.ok(events.length >= 4, `events were told: ${events.map(event => event.topic).join(' ')}`)
  t.ok(shop.orders instanceof OrderService)
})
