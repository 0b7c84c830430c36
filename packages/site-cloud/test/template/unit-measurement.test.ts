import { CloudError } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import { middleRun, parseMeasurement, type UnitFigures, unitCapacity } from '../../src/template/index.js'

const figures: UnitFigures = {
  ordersPerSecond: 200,
  readsPerSecond: 1_000,
  p99Ms: 200,
  readsPerOrder: 10,
  instanceMsPerOrder: 2,
  instanceMsPerRead: 0.4,
  databaseMsPerOrder: 1,
  databaseMsPerRead: 0,
  edgeMsPerOrder: 0.2,
  edgeMsPerRead: 0.1,
  connectionMsPerOrder: 3,
  connectionMsPerRead: 0,
  memoryMb: 160,
}
const provenance = {
  date: '2026-01-02T03:04:05.000Z',
  node: '20.19.0',
  postgres: '15.1',
  cores: 2,
  cpu: 'Model X',
  loadBefore: [0.1, 0.2, 0.1],
  seconds: 3,
  rounds: 3,
  ordersPerSecond: [190, 200, 210],
  readsPerSecond: [1_000, 1_000, 1_000],
  databaseConnections: 4,
}
const measurement = { template: { name: 'shop', version: '1.0.0' }, provenance, figures }

test('a measurement is read back, and says when and on what it was made', async t => {
  const read = parseMeasurement(JSON.stringify(measurement), 'file')
  t.same(read, measurement)
  t.same(unitCapacity(read), {
    ...figures,
    cores: 2,
    measuredOn: 'measured 2026-01-02 on 2 x Model X, Node 20.19.0, PostgreSQL 15.1',
  })
})

test('a file that is no measurement is refused with its name and the field', async t => {
  const cases: readonly [unknown, string][] = [
    [null, 'template/name'],
    [{ ...measurement, template: { name: 'shop' } }, 'template/version'],
    [{ ...measurement, provenance: { ...provenance, date: 7 } }, 'provenance/date'],
    [{ ...measurement, provenance: { ...provenance, cores: 0 } }, 'provenance/cores'],
    [{ ...measurement, figures: { ...figures, ordersPerSecond: 0 } }, 'figures/ordersPerSecond'],
    [{ ...measurement, figures: { ...figures, readsPerSecond: '1000' } }, 'figures/readsPerSecond'],
    [{ ...measurement, figures: { ...figures, databaseMsPerOrder: -1 } }, 'figures/databaseMsPerOrder'],
    [{ ...measurement, figures: { ...figures, edgeMsPerRead: undefined } }, 'figures/edgeMsPerRead'],
  ]
  for (const [value, field] of cases) {
    try {
      parseMeasurement(JSON.stringify(value), 'capacity/shop.json')
      t.fail(`${field} was taken`)
    } catch (error) {
      t.ok(CloudError.is(error, 'site.template.invalid-capacity'), field)
      t.equal((error as CloudError).field, field)
      t.match((error as Error).message, 'capacity/shop.json')
    }
  }
  t.throws(() => parseMeasurement('{', 'capacity/shop.json'), { code: 'site.template.invalid-capacity' })
})

test('of several runs the middle one counts as a whole, by orders with their reads', async t => {
  const run = (ordersPerSecond: number, readsPerSecond: number): UnitFigures => ({
    ...figures,
    ordersPerSecond,
    readsPerSecond,
  })
  // An order with ten reads takes 20, 15 and 10 ms.
  const [slow, middle, fast] = [run(100, 1_000), run(200, 1_000), run(400, 1_334)]
  t.equal(middleRun([fast, slow, middle]), middle)
  t.equal(middleRun([fast]), fast)
  t.equal(middleRun([slow, fast]), fast)
  t.equal(middleRun([]), undefined)
})
