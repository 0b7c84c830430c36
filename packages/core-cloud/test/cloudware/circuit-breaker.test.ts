import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { CircuitBreaker } from '../../src/cloudware/circuit-breaker.js'

function open(): { readonly clock: ManualClock; readonly breaker: CircuitBreaker; fail(): boolean } {
  const clock = new ManualClock()
  const breaker = new CircuitBreaker({ clock, failures: 5, firstMs: 1_000, maxMs: 30_000 })
  return { clock, breaker, fail: () => breaker.enter()?.fail() ?? false }
}

test('five failures in a row open it, a success between starts the count again', async t => {
  const { breaker, fail } = open()
  for (let n = 0; n < 4; n++) t.notOk(fail())
  breaker.enter()?.succeed()
  for (let n = 0; n < 4; n++) t.notOk(fail())
  t.ok(breaker.enter())
  t.ok(fail())
  t.equal(breaker.enter(), undefined)
})

test('after the wait one probe passes; its failure doubles the wait up to 30 s, its success closes', async t => {
  const { clock, breaker, fail } = open()
  for (let n = 0; n < 5; n++) fail()
  for (const waitMs of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
    await clock.pass(waitMs - 1)
    t.equal(breaker.enter(), undefined, `closed to calls for ${waitMs} ms`)
    await clock.pass(1)
    const probe = breaker.enter()
    t.equal(breaker.enter(), undefined, 'one probe at a time')
    t.ok(probe?.fail())
  }
  await clock.pass(30_000)
  breaker.enter()?.succeed()
  t.notOk(breaker.open)
  for (let n = 0; n < 5; n++) fail()
  await clock.pass(1_000)
  t.ok(breaker.enter(), 'the next wait is the first again')
})

test('answers to calls from before say nothing about now', async t => {
  const { clock, breaker } = open()
  const early = Array.from({ length: 20 }, () => breaker.enter())
  t.equal(early.filter(attempt => attempt?.fail()).length, 1, 'the fifth opens it, the others change nothing')
  await clock.pass(1_000)
  const late = breaker.enter()
  early[0]?.succeed()
  t.ok(breaker.open)
  late?.cancel()
  t.ok(breaker.enter(), 'a probe that said nothing makes room for another')
})
