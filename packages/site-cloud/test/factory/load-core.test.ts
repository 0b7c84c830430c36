import { seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { intendedTimes, summarise } from '../../src/factory/load-core.js'

test('send times keep the asked rate and lie within the run', async t => {
  const times = intendedTimes({ perSecond: 50, seconds: 100, random: seededRandom(7) })
  t.ok(Math.abs(times.length - 5_000) < 300, `${times.length}`)
  t.ok(times.every((time, index) => time >= (times[index - 1] ?? 0) && time < 100_000))
})

test('latency counts from the intended time, so a stalled generator cannot hide a slow site', async t => {
  const samples = Array.from({ length: 100 }, (_, index) => ({
    kind: 'read',
    intended: index * 10,
    finished: 2_000,
    ok: index !== 3,
  }))
  const sum = summarise('read', samples, 1)
  t.equal(sum.sent, 100)
  t.equal(sum.failed, 1)
  t.equal(sum.maxMs, 2_000)
  t.equal(sum.p99Ms, 1_990)
  t.equal(summarise('order', samples, 1).sent, 0)
})
