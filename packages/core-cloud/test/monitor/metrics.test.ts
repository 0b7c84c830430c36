import { ManualClock } from '@aaas/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { createMetricsStore, LatencyHistogram } from '../../src/monitor/index.js'

const durations = fc.array(fc.double({ min: 0, max: 5_000_000, noNaN: true }), { minLength: 1, maxLength: 200 })
const recorded = (values: readonly number[]): LatencyHistogram => {
  const histogram = new LatencyHistogram()
  for (const value of values) histogram.record(value)
  return histogram
}

test('a quantile is never below the true value and at most 1/32 above it', async () => {
  fc.assert(
    fc.property(durations, fc.double({ min: 0, max: 1, noNaN: true }), (values, q) => {
      const micros = values.map(value => Math.min(Math.round(value * 1_000), 2 ** 32 - 1)).sort((a, b) => a - b)
      const truth = micros[Math.max(1, Math.ceil(q * micros.length)) - 1] ?? 0
      const got = recorded(values).quantile(q) * 1_000
      if (got < truth - 1e-6 || got > truth * (1 + 1 / 32) + 1e-6) throw new Error(`${got} for ${truth}`)
    }),
  )
})

test('merging parts is the same as recording the whole, also by JSON', async () => {
  fc.assert(
    fc.property(durations, durations, (a, b) => {
      const whole = JSON.stringify(recorded([...a, ...b]))
      const merged = recorded(a).merge(recorded(b))
      const viaJson = LatencyHistogram.fromJSON(JSON.parse(JSON.stringify(recorded(a))) as never).merge(
        recorded(b).toJSON(),
      )
      if (JSON.stringify(merged) !== whole || JSON.stringify(viaJson) !== whole) throw new Error('differs')
    }),
  )
})

test('what was recorded since a copy is what was recorded since', async () => {
  fc.assert(
    fc.property(durations, durations, (a, b) => {
      const histogram = recorded(a)
      const before = histogram.toJSON()
      for (const value of b) histogram.record(value)
      const since = histogram.since(before)
      const expected = recorded(b).toJSON()
      if (JSON.stringify(since.buckets) !== JSON.stringify(expected.buckets) || since.count !== b.length)
        throw new Error('differs')
      if (since.maxMicros < expected.maxMicros) throw new Error('longest too short')
    }),
  )
})

test('odd durations count as something sensible', async t => {
  const histogram = recorded([-5, Number.NaN, 0, 1e12, Number.POSITIVE_INFINITY])
  t.equal(histogram.count, 5)
  t.equal(histogram.quantile(0.5), 0)
  t.equal(histogram.max, (2 ** 32 - 1) / 1_000)
  histogram.reset()
  t.same(histogram.toJSON(), { count: 0, sumMicros: 0, maxMicros: 0, buckets: [] })
  t.equal(histogram.quantile(0.99), 0)
})

test('samples are added up by second, and old seconds go', async t => {
  const clock = new ManualClock(1_000_000)
  const store = createMetricsStore({ clock, windowSeconds: 10 })
  const add = (requests: number, ms: number): void =>
    store.add({ site: 'shop', instance: 'a', counters: { requests }, latency: recorded([ms]).toJSON() })
  add(2, 10)
  await clock.pass(400)
  add(3, 30)
  await clock.pass(600)
  add(1, 20)
  store.add({ site: 'other', instance: 'z', counters: { requests: 9 } })
  const [series] = store.series({ site: 'shop' })
  t.same(
    series?.points.map(({ at, counters }) => [at, counters.requests]),
    [
      [1_000_000, 5],
      [1_001_000, 1],
    ],
  )
  t.equal(series?.points[0]?.latency?.count, 2)
  t.equal(series?.points[0]?.latency?.max, 30)
  t.equal(store.latency('shop', 0)?.count, 3)
  t.equal(store.series({ since: 1_001_000, site: 'shop' })[0]?.points.length, 1)
  await clock.pass(10_500)
  t.same(store.series(), [], 'nothing of the last ten seconds')
  t.equal(store.latency('shop', 0), undefined)
})

test('the series that was silent longest goes when there are too many', async t => {
  const store = createMetricsStore({ clock: new ManualClock(), maxSeries: 2 })
  for (const instance of ['a', 'b', 'a', 'c']) store.add({ site: 'shop', instance, counters: { requests: 1 } })
  t.same(
    store.series().map(series => series.instance),
    ['a', 'c'],
  )
})
