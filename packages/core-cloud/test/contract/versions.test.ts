import { memoryBus } from '@aaas/core-cloud/bus'
import { silentLogger, systemIds } from '@aaas/core-cloud/kernel'
import { ManualClock } from '@aaas/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { Type } from 'typebox'
import {
  busClient,
  defineContract,
  type ServedContract,
  type ServeOptions,
  serveContract,
  versionRoutes,
} from '../../src/contract/index.js'
import { policyFlaw, versionOrder } from '../../src/contract/version-routing-core.js'

const ids = systemIds()
const firstOf = (...args: Parameters<typeof versionOrder>): string | undefined => versionOrder(...args).versions[0]

test('every version gets its share of the callers', async t => {
  const weights = fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 5 })
  const keys = 20_000
  fc.assert(
    fc.property(
      weights.filter(all => all.some(weight => weight > 0)),
      fc.string(),
      (all, salt) => {
        const policy = { weights: all.map((weight, index) => ({ version: `1.${index}.0`, weight })) }
        const total = all.reduce((sum, weight) => sum + weight, 0)
        const counts = new Map<string | undefined, number>()
        for (let key = 0; key < keys; key++) {
          const version = firstOf(policy, undefined, `${salt}${key}`)
          counts.set(version, (counts.get(version) ?? 0) + 1)
        }
        for (const { version, weight } of policy.weights) {
          const share = weight / total
          // Five deviations of a fair draw: a wrong share of 2 % of the callers would be seen.
          const allowed = 5 * Math.sqrt(keys * share * (1 - share)) + 1e-9
          if (Math.abs((counts.get(version) ?? 0) - keys * share) > allowed) return false
        }
        return true
      },
    ),
    { numRuns: 40 },
  )
})

test('a caller stays with its version, also when the last one gets more', async t => {
  const version = (index: number): string => `1.${index}.0`
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 1_000 }), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 1_000 }),
      fc.integer({ min: 0, max: 1_000 }),
      fc.array(fc.string(), { maxLength: 50 }),
      (others, weight, more, keys) => {
        const weights = others.map((other, index) => ({ version: version(index), weight: other }))
        const last = version(others.length)
        const before = { weights: [...weights, { version: last, weight }] }
        const after = { weights: [...weights, { version: last, weight: weight + more }] }
        return keys.every(key => {
          const first = firstOf(before, undefined, key)
          return (
            first === firstOf(before, undefined, key) && (first !== last || firstOf(after, undefined, key) === last)
          )
        })
      },
    ),
  )
})

test('a pin is for its tenant and nothing else; others of the policy are next in line', async t => {
  const policy = {
    weights: [
      { version: '1.0.0', weight: 10 },
      { version: '1.1.0', weight: 90 },
      { version: '1.2.0', weight: 0 },
    ],
    pins: { shop: '1.2.0', constructor: '1.3.0' },
  }
  t.same(versionOrder(policy, 'shop', 'k'), { versions: ['1.2.0'], strict: true })
  t.same(versionOrder(policy, 'toString', 'k').strict, false)
  for (let key = 0; key < 100; key++) {
    const { versions } = versionOrder(policy, undefined, String(key))
    t.same([...versions].sort(), ['1.0.0', '1.1.0'])
  }
  t.same(versionOrder({ weights: [] }, undefined, 'k'), { versions: [], strict: false })
  const wrong: readonly (readonly [Parameters<typeof policyFlaw>[0], string])[] = [
    [{ weights: [{ version: '1.0', weight: 1 }] }, 'weights/0/version'],
    [{ weights: [{ version: '1.0.0', weight: 0.5 }] }, 'weights/0/weight'],
    [{ weights: [{ version: '1.0.0', weight: -1 }] }, 'weights/0/weight'],
    [{ weights: [{ version: '1.0.0', weight: 1_000_001 }] }, 'weights/0/weight'],
    [{ weights: [{ version: '1.0.0', weight: 0 }] }, 'weights'],
    [{ weights: ['1.0.0', '1.0.0'].map(version => ({ version, weight: 1 })) }, 'weights/1/version'],
    [{ weights: Array.from({ length: 17 }, (_, index) => ({ version: `1.${index}.0`, weight: 1 })) }, 'weights'],
    [{ weights: [], pins: { shop: 'latest' } }, 'pins/shop'],
  ]
  for (const [bad, field] of wrong) t.equal(policyFlaw(bad)?.field, field)
  t.equal(
    policyFlaw({ weights: Array.from({ length: 16 }, (_, at) => ({ version: `1.${at}.0`, weight: 1 })) }),
    undefined,
  )
  const pins = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`t${at}`, '1.0.0']))
  t.equal(policyFlaw({ weights: [], pins: pins(10_000) }), undefined)
  t.equal(policyFlaw({ weights: [], pins: pins(10_001) })?.field, 'pins')
  t.throws(() => versionRoutes().set('a.b', { weights: [{ version: 'x', weight: 1 }] }), {
    code: 'core.kernel.invalid-config',
    field: 'weights/0/version',
  })
})

const contractOf = (version: string) =>
  defineContract({
    name: 'sample.versioned',
    version,
    methods: { which: { summary: 'Says its version.', input: Type.Object({}), output: Type.String() } },
  })
type Sample = ReturnType<typeof contractOf>

function world() {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  return {
    clock,
    serve: (version: string, more: Partial<ServeOptions<Sample>> = {}): Promise<ServedContract> =>
      serveContract({
        bus,
        contract: contractOf(version),
        handlers: {
          async which() {
            await new Promise(resolve => setImmediate(resolve))
            return version
          },
        },
        prefix: 'site.a',
        clock,
        logger: silentLogger,
        ...more,
      }),
    client: (version: string, routes = versionRoutes()) =>
      busClient({ bus, contract: contractOf(version), prefix: 'site.a', clock, ids, routes }),
  }
}

test('callers reach their major, whatever else is served beside it', async t => {
  const { serve, client } = world()
  const one = client('1.3.0')
  await t.rejects(one.which({}), { code: 'core.bus.no-responder' })
  const second = await serve('2.0.0')
  await t.rejects(one.which({}), {
    code: 'core.contract.version-mismatch',
    retryable: false,
    details: { served: '2.0.0', wanted: '1.3.0' },
  })
  const first = await serve('1.0.7')
  for (let turn = 0; turn < 20; turn++) {
    t.equal(await one.which({}), '1.0.7')
    t.equal(await client('2.9.0').which({}), '2.0.0')
  }
  await first.drain()
  await t.rejects(one.which({}), { code: 'core.contract.version-mismatch' })
  await second.drain()
  await t.rejects(one.which({}), { code: 'core.bus.no-responder' })
  await serve('1.0.8')
  t.equal(await one.which({}), '1.0.8')
})

test('routes weigh versions and pin tenants, and change between two calls', async t => {
  const { serve, client } = world()
  const served = [await serve('1.0.0'), await serve('1.1.0', { unversioned: false })]
  const routes = versionRoutes()
  const one = client('1.0.0', routes)
  for (let turn = 0; turn < 20; turn++) t.equal(await one.which({}), '1.0.0', 'a hidden version gets no plain call')
  const weigh = (old: number, fresh: number, pins = {}): void =>
    routes.set('sample.versioned', {
      weights: [
        { version: '1.0.0', weight: old },
        { version: '1.1.0', weight: fresh },
      ],
      pins,
    })
  weigh(90, 10, { early: '1.1.0', late: '1.0.0', gone: '1.9.0' })
  const counts: Record<string, number> = {}
  for (let tenant = 0; tenant < 600; tenant++) {
    const options = { tenant: `t${tenant}` }
    const version = await one.which({}, options)
    counts[version] = (counts[version] ?? 0) + 1
    t.equal(await one.which({}, options), version, 'a tenant stays')
  }
  t.ok(counts['1.1.0'] !== undefined && counts['1.1.0'] > 30 && counts['1.1.0'] < 95, JSON.stringify(counts))
  t.equal(await one.which({}, { tenant: 'early' }), '1.1.0')
  t.equal(await one.which({}, { tenant: 'late' }), '1.0.0')
  await t.rejects(one.which({}, { tenant: 'gone' }), { code: 'core.contract.version-mismatch' })
  weigh(0, 1)
  for (let tenant = 0; tenant < 20; tenant++) t.equal(await one.which({}, { tenant: `t${tenant}` }), '1.1.0')
  await served[1]?.drain()
  t.equal(await one.which({}), '1.0.0', 'when the version is gone, the call finds another of its major')
  await served[0]?.drain()
  await t.rejects(one.which({}), { code: 'core.bus.no-responder' })
  routes.set('sample.versioned', undefined)
  t.equal(routes.get('sample.versioned'), undefined)
})

test('no call is lost while routes change and versions come and go', async t => {
  const { serve, client } = world()
  const routes = versionRoutes()
  const one = client('1.0.0', routes)
  const stable = await serve('1.0.0')
  let over = false
  let calls = 0
  const callers = Array.from({ length: 8 }, async (_, caller) => {
    for (; !over; calls++) await one.which({}, { tenant: `t${caller}-${calls}` })
  })
  for (let round = 1; round <= 20; round++) {
    const canary = await serve(`1.${round}.0`)
    for (const weight of [1, 50, 100]) {
      const shares = [
        { version: '1.0.0', weight: 100 - weight },
        { version: `1.${round}.0`, weight },
      ]
      routes.set('sample.versioned', { weights: shares })
      const until = calls + 40
      while (calls < until) await new Promise(resolve => setImmediate(resolve))
    }
    // Gone before its routes are: calls fall back to what is there.
    await canary.drain()
  }
  over = true
  await Promise.all(callers)
  t.ok(calls >= 2_000)
  await stable.drain()
})
