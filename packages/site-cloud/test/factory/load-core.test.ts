import { seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { intendedTimes, spreadTimes, summarise } from '../../src/factory/load-core.js'

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

test('spread times have exactly the asked rate and bursts all the same', async t => {
  const times = spreadTimes({ perSecond: 12.5, seconds: 4, random: seededRandom(7) })
  t.equal(times.length, 50)
  t.ok(times.every((time, index) => time >= (times[index - 1] ?? 0) && time < 4_000))
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0))
  t.ok(gaps.some(gap => gap < 16) && gaps.some(gap => gap > 160))
  t.equal(spreadTimes({ perSecond: 0.1, seconds: 1, random: seededRandom(7) }).length, 1, 'never none')
})
