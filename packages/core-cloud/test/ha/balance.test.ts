import assert from 'node:assert/strict'
import { seededRandom } from '@aaas/testing'
import { test } from 'tap'
import { AdaptiveLimit } from '../../src/ha/balance/adaptive-limit.js'
import { Balancer } from '../../src/ha/balance/balancer.js'
import { HashRing } from '../../src/ha/balance/hash-ring.js'
import { LatencyQuantile } from '../../src/ha/balance/latency-quantile.js'
import { OutlierEjection } from '../../src/ha/balance/outlier-ejection.js'
import { PeakEwma } from '../../src/ha/balance/peak-ewma.js'
import { RetryBudget } from '../../src/ha/balance/retry-budget.js'
import { type ServerPlan, simulateService } from './balance-sim/service-simulation.js'

const five = (change: (index: number) => Partial<ServerPlan> = () => ({})): readonly ServerPlan[] =>
  Array.from({ length: 5 }, (_, index) => ({ id: `s${index}`, ms: 10, workers: 8, ...change(index) }))

test('one of five ten times slower: p99 at most 0.6 of round robin', async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const plan = { seed, servers: five(index => (index === 0 ? { ms: 100 } : {})), perSecond: 250, seconds: 30 }
    const ours = simulateService({ ...plan, policy: 'balancer' })
    const turns = simulateService({ ...plan, policy: 'round-robin' })
    assert(ours.p99 <= 0.6 * turns.p99, `seed ${seed}: ${ours.p99} against ${turns.p99}`)
    assert.equal(ours.failed, 0)
  }
})

test('a full outage: attempts at most 1.2 of calls, no endpoint list is emptied, and the end of it is noticed', async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const run = simulateService({
      seed,
      servers: five(() => ({ failsFrom: 0, failsUntil: 20_000 })),
      perSecond: 500,
      seconds: 20,
      policy: 'balancer',
    })
    assert(run.attempts <= 1.2 * run.calls + 10, `seed ${seed}: ${run.attempts} attempts of ${run.calls} calls`)
    assert(run.mostEjected <= 2, `seed ${seed}: ${run.mostEjected} of 5 left out`)
    const after = simulateService({
      seed,
      servers: five(() => ({ failsFrom: 5_000, failsUntil: 10_000 })),
      perSecond: 200,
      seconds: 60,
      policy: 'balancer',
    })
    assert(after.failed < after.calls * 0.12, 'it goes on after the outage')
    for (const id of Object.keys(after.served))
      assert((after.served[id] as number) > after.calls / 25, `${id} is used again`)
  }
})

test('an endpoint that dies costs no failed idempotent call, whether it refuses or falls silent', async () => {
  for (const dead of [false, true]) {
    for (let seed = 1; seed <= 5; seed++) {
      const run = simulateService({
        seed,
        servers: five(index => (index === 2 ? { failsFrom: 10_000, dead } : {})),
        perSecond: 200,
        seconds: 30,
        policy: 'balancer',
        patienceMs: 200,
      })
      assert.equal(run.failed, 0, `seed ${seed}, ${dead ? 'silent' : 'refusing'}: ${run.failed} of ${run.calls}`)
    }
  }
})

test('a hedge takes the tail off, within the budget', async () => {
  const servers = five(() => ({ hiccups: 0.02 }))
  const plan = { seed: 3, servers, perSecond: 300, seconds: 30, policy: 'balancer', patienceMs: 5_000 } as const
  const plain = simulateService(plan)
  const hedged = simulateService({ ...plan, hedge: true })
  assert(hedged.p99 < 0.5 * plain.p99, `${hedged.p99} against ${plain.p99}`)
  assert(hedged.attempts <= 1.2 * hedged.calls)
})

test('equal endpoints get equal shares; a weight of two gets about twice as much', async () => {
  const run = simulateService({ seed: 1, servers: five(), perSecond: 500, seconds: 20, policy: 'balancer' })
  for (const id of Object.keys(run.served)) {
    const share = (run.served[id] as number) / run.calls
    assert(share > 0.17 && share < 0.23, `${id}: ${share}`)
  }
  const balancer = new Balancer(0, { random: seededRandom(1) })
  balancer.update([{ id: 'a', weight: 2 }, { id: 'b' }, { id: 'c' }], 0)
  const counts: Record<string, number> = { a: 0, b: 0, c: 0 }
  const open: { end(outcome: 'success', now: number): void }[] = []
  for (let call = 0; call < 3_000; call++) {
    const attempt = balancer.pick(call)
    assert(attempt !== undefined)
    counts[attempt.endpoint.id] = (counts[attempt.endpoint.id] as number) + 1
    open.push(attempt)
    if (open.length > 12) open.shift()?.end('success', call)
  }
  assert((counts.a as number) > 1.6 * (counts.b as number), JSON.stringify(counts))
})

test('the own zone goes first, and is left when too little of it can take a call', async () => {
  const balancer = new Balancer(0, { random: seededRandom(2), zone: 'a', concurrency: false })
  balancer.update([...five().map(({ id }, index) => ({ id, zone: index < 2 ? 'a' : 'b' }))], 0)
  for (let call = 0; call < 50; call++) assert.match(balancer.pick(call)?.endpoint.id ?? '', /s[01]/)
  const avoid = ['s0', 's1']
  assert.match(balancer.pick(100, { avoid })?.endpoint.id ?? '', /s[234]/)
})

test('an endpoint that is new starts slowly; nobody has to when all are', async () => {
  const balancer = new Balancer(0, { random: seededRandom(3), concurrency: false })
  balancer.update([{ id: 'a' }, { id: 'b' }, { id: 'c' }], 0)
  balancer.update([{ id: 'a' }, { id: 'b' }, { id: 'c' }, { id: 'd' }], 1_000)
  const share = (from: number): number => {
    let hits = 0
    for (let call = 0; call < 2_000; call++) {
      const at = from + call
      const attempt = balancer.pick(at)
      if (attempt?.endpoint.id === 'd') hits += 1
      attempt?.end('success', at + 0.9)
    }
    return hits / 2_000
  }
  const early = share(1_100)
  assert(early < 0.12, `early ${early}`)
  const late = share(60_000)
  assert(late > 0.18, `late ${late}`)
})

test('a peak average rises at once and falls slowly', async () => {
  const average = new PeakEwma(0, { initialMs: 20, decayMs: 10_000 })
  average.observe(500, 100)
  assert.equal(average.value(100), 500)
  average.observe(10, 200)
  assert(average.value(200) > 480)
  assert(average.value(30_000) < 60)
})

test('five failures in a row leave an endpoint out, longer each time, never more than half of them', async () => {
  const outliers = new OutlierEjection()
  const fail = (id: string, now: number, count = 5): void => {
    for (let failure = 0; failure < count; failure++) outliers.failed(id, 4, now)
  }
  fail('a', 0, 4)
  assert(!outliers.ejected('a', 0))
  outliers.succeeded('a')
  fail('a', 0, 4)
  assert(!outliers.ejected('a', 0), 'a success begins the count anew')
  fail('a', 0, 1)
  assert(outliers.ejected('a', 29_999) && !outliers.ejected('a', 30_000))
  fail('b', 0)
  fail('c', 0)
  assert(outliers.ejected('b', 1) && !outliers.ejected('c', 1), 'two of four are out already')
  fail('a', 40_000)
  assert(outliers.ejected('a', 40_000 + 59_999), 'the second time twice as long')
  const one = new OutlierEjection()
  for (let failure = 0; failure < 20; failure++) one.failed('a', 1, 0)
  assert(!one.ejected('a', 1), 'the only one is never left out')
})

test('the budget allows a fifth of the calls, at least ten a second, and forgets after its window', async () => {
  const budget = new RetryBudget(0)
  let taken = 0
  while (budget.take(0)) taken += 1
  assert.equal(taken, 100, 'ten a second for ten seconds')
  for (let call = 0; call < 1_000; call++) budget.call(1)
  while (budget.take(2)) taken += 1
  assert.equal(taken, 200)
  assert(!budget.take(9_000))
  assert(budget.take(25_000))
})

test('a quantile is found within a quarter', async () => {
  const quantile = new LatencyQuantile(100_000)
  assert.equal(quantile.quantile(0.5), undefined)
  for (let ms = 1; ms <= 1_000; ms++) quantile.observe(ms)
  for (const share of [0.5, 0.95, 0.99]) {
    const found = quantile.quantile(share) as number
    assert(found >= share * 1_000 && found <= share * 1_250, `${share}: ${found}`)
  }
})

test('a limit grows while latencies stay, shrinks when they rise, and keeps its bounds', async () => {
  const limit = new AdaptiveLimit({ initial: 20, least: 4, most: 100 })
  for (let call = 0; call < 500; call++) limit.observe(10, limit.limit)
  assert.equal(limit.limit, 100)
  for (let call = 0; call < 40; call++) limit.observe(200, limit.limit)
  assert(limit.limit < 60, `${limit.limit}`)
  for (let call = 0; call < 100; call++) limit.refused()
  assert.equal(limit.limit, 4)
})

test('keys stay where they are when an endpoint comes, but for its share; a full one passes its keys on', async () => {
  const ids = Array.from({ length: 10 }, (_, index) => `node-${index}`)
  const ring = new HashRing(ids)
  const larger = new HashRing([...ids, 'node-10'])
  const idle = (): number => 0
  const all = (): boolean => true
  let moved = 0
  for (let key = 0; key < 2_000; key++) {
    const [before, after] = [ring.pick(`k${key}`, idle, all), larger.pick(`k${key}`, idle, all)]
    if (before === after) continue
    moved += 1
    assert.equal(after, 'node-10')
  }
  assert(moved > 100 && moved < 300, `${moved} of 2,000 moved`)
  const home = ring.pick('k1', idle, all)
  const passed = ring.pick('k1', id => (id === home ? 100 : 0), all)
  assert(passed !== home && passed !== undefined)
  assert.equal(
    ring.pick('k1', idle, () => false),
    undefined,
  )
})

test('without endpoints there is nobody; a limit that is reached passes calls on, then refuses', async () => {
  const balancer = new Balancer(0, { random: seededRandom(4), concurrency: { initial: 4, most: 4 } })
  assert.equal(balancer.pick(0), undefined)
  balancer.update([{ id: 'a' }, { id: 'b' }], 0)
  for (let call = 0; call < 8; call++) assert(balancer.pick(0) !== undefined)
  assert.equal(balancer.pick(0), undefined)
})
