import { CloudError } from '@aaas/core-cloud/kernel'
import fc from 'fast-check'
import { test } from 'tap'
import { coresWanted, planCapacity, type UnitCapacity } from '../../src/template/index.js'

const unit: UnitCapacity = {
  ordersPerSecond: 200,
  readsPerSecond: 1_000,
  p99Ms: 200,
  readsPerOrder: 10,
  instanceMsPerOrder: 2.5,
  instanceMsPerRead: 0.5,
  databaseMsPerOrder: 0.4,
  databaseMsPerRead: 0.01,
  edgeMsPerOrder: 0.05,
  edgeMsPerRead: 0.01,
  connectionMsPerOrder: 4,
  connectionMsPerRead: 0.1,
  cores: 4,
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

test('more instances do not help where all share: one database server and one edge, each planned to 60 %', async t => {
  const refused = (slower: Partial<UnitCapacity>): { readonly most: number; readonly message: string } => {
    try {
      planCapacity({ ordersPerMinute: 10_000_000, p99Ms: 200 }, { ...unit, ...slower })
    } catch (error) {
      const { field, message, details } = error as CloudError
      t.equal(field, 'performance/ordersPerMinute')
      return { most: Number(details?.most), message }
    }
    throw new Error('nothing was refused')
  }
  // 4 processors of 60 % by 1.3, for 8 ms + 10 x 0.2 ms.
  const database = refused({ databaseMsPerOrder: 8, databaseMsPerRead: 0.2 })
  t.equal(database.most, Math.floor(((0.6 / 1.3) * 4_000 * 60) / 10))
  t.match(database.message, /one database server of 4 processors, .* 10 ms/)
  const edge = refused({ edgeMsPerOrder: 1, edgeMsPerRead: 0.1 })
  t.equal(edge.most, Math.floor(((0.6 / 1.3) * 1_000 * 60) / 2))
  t.match(edge.message, /one edge, .* 2 ms/)
  t.match(refused({}).message, '64 instances')
  for (const slower of [
    { databaseMsPerOrder: 8, databaseMsPerRead: 0.2 },
    { edgeMsPerOrder: 1, edgeMsPerRead: 0.1 },
  ]) {
    const { most } = refused(slower)
    const performance = { ordersPerMinute: most, p99Ms: 200 }
    t.ok(planCapacity(performance, { ...unit, ...slower }).instances <= 64)
    t.throws(() => planCapacity({ ...performance, ordersPerMinute: most + 1 }, { ...unit, ...slower }))
  }
})

test('a plan says how many processors the asked rate keeps busy, and how many a machine should have', async t => {
  const plan = planCapacity({ ordersPerMinute: 6_000, p99Ms: 200 }, unit)
  // 100 orders with ten reads each: 7.5 ms of instances, 0.5 of the database, 0.15 of the edge.
  t.equal(plan.cores, 0.815)
  t.match(plan.reasons.at(-1), '0.815 processors busy at the asked rate: instances 0.75, database 0.05, edge 0.015')
  t.equal(coresWanted(plan), 2)
})

test('connections follow from how long an order and its reads hold one, between 4 and 16', async t => {
  const connections = (connectionMsPerOrder: number, connectionMsPerRead: number): number =>
    planCapacity({ ordersPerMinute: 6_000, p99Ms: 200 }, { ...unit, connectionMsPerOrder, connectionMsPerRead })
      .databaseConnections
  t.equal(connections(1, 0), 4)
  t.equal(connections(200, 5), 16)
  const { instances } = planCapacity({ ordersPerMinute: 6_000, p99Ms: 200 }, unit)
  t.equal(connections(30, 1), Math.ceil((100 / instances) * 0.04 * 4))
})

test('with nothing that a shared part does, no bound but the instances is left', async t => {
  const free = { ...unit, databaseMsPerOrder: 0, databaseMsPerRead: 0, edgeMsPerOrder: 0, edgeMsPerRead: 0 }
  t.ok(planCapacity({ ordersPerMinute: 100_000, p99Ms: 200 }, free).instances > 2)
})
