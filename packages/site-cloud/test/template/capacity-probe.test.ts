import { seededRandom } from '@aaas/testing'
import fc from 'fast-check'
import { test } from 'tap'
import {
  type Probe,
  type ProbeLimits,
  type ProbeStep,
  probeStep,
  startProbe,
  stepPassed,
} from '../../src/template/index.js'

const limits: ProbeLimits = { p99Ms: 200, startRate: 40 }

/** A system that answers up to `capacity`, and slowly beyond. */
const steady =
  (capacity: number) =>
  (rate: number): ProbeStep => ({
    rate,
    achievedRate: Math.min(rate, capacity),
    p99Ms: rate > capacity ? 900 : 20,
    errors: 0,
  })

/** Runs a search against a scripted system. */
function run(
  options: ProbeLimits,
  system: (rate: number, step: number) => ProbeStep,
): { readonly probe: Probe; readonly rates: readonly number[] } {
  const rates: number[] = []
  let probe = startProbe(options)
  while (probe.turn.kind === 'measure') {
    rates.push(probe.turn.rate)
    probe = probeStep(probe, system(probe.turn.rate, rates.length))
  }
  return { probe, rates }
}

test('rates rise until a step fails twice, then close in from both sides', async t => {
  const { probe, rates } = run(limits, steady(150))
  t.same(rates.slice(0, 5), [40, 64, 102.4, 163.8, 163.8])
  t.same(probe.turn, { kind: 'done', end: 'found', rate: 149.9, steps: rates.length })
  t.same(rates.slice(5), [129.5, 145.6, 154.4, 154.4, 149.9])
})

test('the answer is a rate that passed, within the tolerance of one that failed, wherever the limit lies', async t => {
  fc.assert(
    fc.property(fc.double({ min: 5, max: 40_000, noNaN: true }), capacity => {
      const { probe } = run({ ...limits, maxSteps: 100 }, steady(capacity))
      if (probe.turn.kind !== 'done' || probe.turn.end !== 'found') return false
      return probe.turn.rate <= capacity && probe.failed > capacity && probe.failed / probe.turn.rate <= 1.061
    }),
  )
  t.pass('holds')
})

test('one bad step of a shared machine costs a repetition and not the answer', async t => {
  const quiet = run(limits, steady(150)).probe
  const noisy = run(limits, (rate, step) =>
    step === 2 ? { rate, achievedRate: rate, p99Ms: 400, errors: 0 } : steady(150)(rate),
  )
  t.same(noisy.rates.slice(0, 4), [40, 64, 64, 102.4])
  t.equal(noisy.probe.passed, quiet.passed)
  t.equal(noisy.probe.steps, quiet.steps + 1)
})

test('any noise ends the search within its steps, with a rate that passed or none', async t => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000_000 }), seed => {
      const random = seededRandom(seed)
      const passed = new Set<number>()
      const { probe, rates } = run(limits, rate => {
        const step = { rate, achievedRate: rate, p99Ms: random() * 400, errors: random() < 0.1 ? 1 : 0 }
        if (stepPassed(step, 200)) passed.add(rate)
        return step
      })
      if (probe.turn.kind !== 'done' || rates.length > 30) return false
      return probe.turn.end === 'nothing-passed' ? passed.size === 0 : passed.has(probe.turn.rate)
    }),
  )
  t.pass('holds')
})

test('a step passes below the latency, without an error, and with 95 % of the rate', async t => {
  const good: ProbeStep = { rate: 100, achievedRate: 95, p99Ms: 199.9, errors: 0 }
  t.ok(stepPassed(good, 200))
  t.notOk(stepPassed({ ...good, p99Ms: 200 }, 200))
  t.notOk(stepPassed({ ...good, errors: 1 }, 200))
  t.notOk(stepPassed({ ...good, achievedRate: 94.9 }, 200))
})

test('limits: the highest rate, the lowest rate, the number of steps', async t => {
  const most = run({ ...limits, maxRate: 100 }, steady(1e9))
  t.same(most.rates, [40, 64, 100])
  t.match(most.probe.turn, { end: 'max-rate', rate: 100 })
  const none = run({ ...limits, startRate: 2 }, steady(0))
  t.same(none.rates, [2, 2, 1.3, 1.3, 1, 1])
  t.match(none.probe.turn, { end: 'nothing-passed', rate: 0 })
  const slow = run({ ...limits, startRate: 200 }, steady(10))
  t.match(slow.probe.turn, { end: 'found' })
  t.ok(slow.probe.passed > 9 && slow.probe.passed <= 10, String(slow.probe.passed))
  const short = run({ ...limits, maxSteps: 3 }, steady(1e9))
  t.same(short.rates, [40, 64, 102.4])
  t.match(short.probe.turn, { end: 'max-steps', rate: 102.4, steps: 3 })
  t.equal(run({ ...limits, maxSteps: 1 }, steady(0)).rates.length, 1)
})

test('a search that is done stays done', async t => {
  const { probe } = run(limits, steady(150))
  t.equal(probeStep(probe, { rate: 1, achievedRate: 1, p99Ms: 1, errors: 0 }), probe)
})
