import { ManualClock, seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { type Deadline, Deadlines } from '../../src/kernel/deadlines.js'

test('each fires once, in order of time, and never early', async t => {
  const clock = new ManualClock()
  const start = clock.monotonic()
  const deadlines = new Deadlines(clock)
  const random = seededRandom(3)
  const fired: number[] = []
  const entries = Array.from({ length: 300 }, () => {
    const wait = Math.floor(random() * 500)
    return {
      wait,
      entry: deadlines.add(wait, () => {
        t.ok(clock.monotonic() >= start + wait)
        fired.push(wait)
      }),
    }
  })
  const removed = entries.filter((_, index) => index % 3 === 0)
  for (const { entry } of removed) deadlines.remove(entry)
  await clock.pass(500)
  const expected = entries.filter(one => !removed.includes(one)).map(({ wait }) => wait)
  t.same(
    fired,
    expected.sort((a, b) => a - b),
  )
  t.equal(clock.pending, 0)
})

test('calls that end in time make no timer of their own', async t => {
  const real = new ManualClock()
  let timers = 0
  const clock = {
    now: () => real.now(),
    monotonic: () => real.monotonic(),
    after: (ms: number, fn: () => void) => (timers++, real.after(ms, fn)),
  }
  const deadlines = new Deadlines(clock)
  for (let call = 0; call < 1_000; call++) {
    deadlines.remove(deadlines.add(10_000, () => t.fail('fired')))
    await Promise.resolve()
  }
  t.equal(timers, 1)
  await real.pass(20_000)
  t.equal(real.pending, 0)
})

test('one that is removed while others fire does not fire', async t => {
  const clock = new ManualClock()
  const deadlines = new Deadlines(clock)
  const fired: string[] = []
  const later: Deadline[] = []
  deadlines.add(10, () => {
    fired.push('first')
    for (const entry of later) deadlines.remove(entry)
    deadlines.add(0, () => fired.push('added'))
  })
  later.push(deadlines.add(10, () => fired.push('second')))
  await clock.pass(10)
  t.same(fired, ['first', 'added'])
  deadlines.remove(later[0]!)
  deadlines.add(5, () => fired.push('cleared'))
  deadlines.clear()
  await clock.pass(10)
  t.same(fired, ['first', 'added'])
})

test('a deadline beyond what a timer can hold still fires at its time', async t => {
  const clock = new ManualClock()
  const deadlines = new Deadlines(clock)
  let fired = false
  deadlines.add(3_000_000_000, () => (fired = true))
  await clock.pass(2_999_999_999)
  t.notOk(fired)
  await clock.pass(1)
  t.ok(fired)
})
