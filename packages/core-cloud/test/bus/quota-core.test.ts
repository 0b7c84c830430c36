import fc from 'fast-check'
import { test } from 'tap'
import { RateMeter } from '../../src/bus/quota/quota-core.js'

/** The same in exact fractions, told as a list: what passed when. */
class Model {
  readonly #perSecond: bigint
  readonly #burst: bigint
  #debt = 0n
  #at = 0n

  constructor(perSecond: number, burst: number) {
    this.#perSecond = BigInt(perSecond)
    this.#burst = BigInt(burst)
  }

  fits(units: number, now: number): boolean {
    const owed = this.#debt - (BigInt(now) - this.#at) * this.#perSecond
    this.#debt = owed < 0n ? 0n : owed
    this.#at = BigInt(now)
    return this.#debt === 0n || this.#debt + BigInt(units) * 1_000n <= this.#burst * 1_000n
  }

  take(units: number): void {
    this.#debt += BigInt(units) * 1_000n
  }
}

const limit = fc.record({ perSecond: fc.integer({ min: 1, max: 1e9 }), burst: fc.integer({ min: 1, max: 1e12 }) })
const small = fc.record({ perSecond: fc.integer({ min: 1, max: 50 }), burst: fc.integer({ min: 1, max: 20 }) })
const steps = (units: fc.Arbitrary<number>) =>
  fc.array(fc.record({ wait: fc.integer({ min: 0, max: 2_000 }), units }), { minLength: 1, maxLength: 60 })

test('decides as exact arithmetic does', async t => {
  fc.assert(
    fc.property(limit, steps(fc.integer({ min: 1, max: 8_388_608 })), (limits, script) => {
      const meter = new RateMeter(limits, 0)
      const model = new Model(limits.perSecond, limits.burst)
      let now = 0
      for (const { wait, units } of script) {
        now += wait
        const passes = meter.waitFor(units, now) === 0
        if (passes !== model.fits(units, now)) return false
        if (!passes) continue
        meter.take(units)
        model.take(units)
      }
      return true
    }),
    { numRuns: 2_000 },
  )
  t.ok(true)
})

test('no stretch of time lets more through than burst and rate', async t => {
  fc.assert(
    fc.property(small, steps(fc.integer({ min: 1, max: 30 })), ({ perSecond, burst }, script) => {
      const meter = new RateMeter({ perSecond, burst }, 0)
      const passed: { now: number; units: number }[] = []
      let now = 0
      for (const { wait, units } of script) {
        now += wait
        if (meter.waitFor(units, now) > 0) continue
        meter.take(units)
        passed.push({ now, units })
      }
      for (const [from, first] of passed.entries()) {
        let sum = 0
        let largest = burst
        for (const { now: at, units } of passed.slice(from)) {
          sum += units
          largest = Math.max(largest, units)
          if ((sum - largest) * 1_000 > (at - first.now) * perSecond) return false
        }
      }
      return true
    }),
    { numRuns: 2_000 },
  )
  t.ok(true)
})

test('says exactly when it fits again', async t => {
  fc.assert(
    fc.property(small, steps(fc.integer({ min: 1, max: 30 })), ({ perSecond, burst }, script) => {
      const meter = new RateMeter({ perSecond, burst }, 0)
      let now = 0
      for (const { wait, units } of script) {
        now += wait
        const after = meter.waitFor(units, now)
        if (after > 0) {
          if (after > 1 && meter.waitFor(units, now + after - 1) === 0) return false
          if (meter.waitFor(units, now + after) !== 0) return false
          now += after
        }
        meter.take(units)
      }
      return true
    }),
    { numRuns: 2_000 },
  )
  t.ok(true)
})

test('a burst, then the rate; a larger lump only from rest', async t => {
  const meter = new RateMeter({ perSecond: 10, burst: 3 }, 1_000)
  const pass = (units: number, now: number): number => {
    const wait = meter.waitFor(units, now)
    if (wait === 0) meter.take(units)
    return wait
  }
  t.same(
    [1, 1, 1, 1].map(units => pass(units, 1_000)),
    [0, 0, 0, 100],
  )
  t.equal(pass(1, 1_099), 1)
  t.equal(pass(1, 1_100), 0)
  t.equal(pass(5, 1_399), 1)
  t.equal(pass(5, 1_400), 0)
  t.equal(pass(1, 1_400), 300)
  // Time that seems to go back changes nothing.
  t.equal(pass(1, 0), 300)
  meter.change({ perSecond: 100, burst: 3 }, 1_400)
  t.equal(pass(1, 1_400), 30)
  t.equal(meter.idle(1_449), false)
  t.equal(meter.idle(1_450), true)
})
