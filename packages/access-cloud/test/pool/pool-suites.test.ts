import { memoryLeasePool, memoryRatePool } from '@aaas/access-cloud/pool'
import { leasePoolSuite, ratePoolSuite } from '@aaas/access-cloud/pool/suite'
import { ManualClock } from '@aaas/testing'
import { test } from 'tap'

const run = (name: string, fn: () => Promise<void>): unknown => test(name, fn)

ratePoolSuite(run, async setting => {
  const clock = new ManualClock()
  return { pool: memoryRatePool({ ...setting, clock }), now: () => clock.now(), passTime: ms => clock.pass(ms) }
})

leasePoolSuite(run, async setting => {
  const clock = new ManualClock()
  return { pool: memoryLeasePool({ ...setting, clock }), now: () => clock.now(), passTime: ms => clock.pass(ms) }
})
