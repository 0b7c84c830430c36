import { CloudError } from '@aaas/core-cloud/kernel'
import fc from 'fast-check'
import { test } from 'tap'
import { planCapacity, type UnitCapacity } from '../../src/template/index.js'

const unit: UnitCapacity = {
  ordersPerSecond: 200,
  readsPerSecond: 1_000,
  p99Ms: 200,
  readsPerOrder: 10,
  databaseMsPerOrder: 4,
  memoryMb: 160,
  measuredOn: 'test',
}

test('a small site still has two instances, so that one may be lost', async t => {
  const plan = planCapacity({ ordersPerMinute: 10, p99Ms: 400 }, unit)
  t.equal(plan.instances, 2)
  t.ok(plan.utilisation < 0.1)
})

test('more orders never mean fewer instances, and what is left after losing one carries the rate at 60 %', async t => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60_000 }), fc.integer({ min: 20, max: 1_000 }), (ordersPerMinute, p99Ms) => {
      try {
        const plan = planCapacity({ ordersPerMinute, p99Ms }, unit)
        const cost = 1 / unit.ordersPerSecond + unit.readsPerOrder / unit.readsPerSecond
        const tight = Math.min(1, p99Ms / unit.p99Ms)
        const load = (ordersPerMinute / 60) * cost
        const more = planCapacity({ ordersPerMinute: ordersPerMinute + 1, p99Ms }, unit)
        return load <= (plan.instances - 1) * 0.6 * tight + 1e-9 && more.instances >= plan.instances
      } catch (error) {
        return CloudError.is(error, 'site.factory.impossible-performance')
      }
    }),
  )
  t.pass('holds')
})

test('what cannot be done is refused by field, with the most that can', async t => {
  try {
    planCapacity({ ordersPerMinute: 10_000_000, p99Ms: 200 }, unit)
    t.fail('must throw')
  } catch (error) {
    t.ok(CloudError.is(error, 'site.factory.impossible-performance'))
    const { field, details } = error as CloudError
    t.equal(field, 'performance/ordersPerMinute')
    const most = Number(details?.most)
    t.equal(planCapacity({ ordersPerMinute: most, p99Ms: 200 }, unit).instances, 64)
  }
  t.throws(() => planCapacity({ ordersPerMinute: 10, p99Ms: 19 }, unit), {
    code: 'site.factory.impossible-performance',
    field: 'performance/p99Ms',
  })
  t.equal(planCapacity({ ordersPerMinute: 10, p99Ms: 20 }, unit).instances, 2)
})
