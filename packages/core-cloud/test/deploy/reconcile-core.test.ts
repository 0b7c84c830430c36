import fc from 'fast-check'
import { test } from 'tap'
import type { DesiredSite } from '../../src/deploy/desired-state.js'
import { observeSite } from '../../src/deploy/observe.js'
import { isComplete, plan, targetOf } from '../../src/deploy/reconcile-core.js'
import { revisionOf } from '../../src/deploy/site-world.js'
import { type Behaviour, desiredSite, SimulatedSite } from './simulated-site.js'

const noFacts = () => ({ cloudware: [] })

function observe(site: SimulatedSite) {
  if (site.desired === undefined) throw new Error('nothing desired')
  return observeSite(site.desired, site.world, noFacts)
}

function live(seed: number, desired = desiredSite({ version: 1, generation: 1 })): SimulatedSite {
  const site = new SimulatedSite(seed)
  site.want(desired)
  site.run()
  return site
}

test('a new site is fetched, released once and started at full count', async t => {
  const site = live(1)
  t.equal(observe(site).phase, 'live')
  t.equal(observe(site).servingVersion, 1)
  t.equal(site.routed().length, 2)
  t.equal(site.effects.filter(effect => effect.type === 'release').length, 1)
  t.same(site.effects.at(-1), { type: 'save' })
})

test('planning twice decides nothing new', async t => {
  const site = new SimulatedSite(2)
  site.want(desiredSite({ version: 1, generation: 1 }))
  const context = { now: site.now, newId: () => 'never' }
  t.same(plan(site.desired, site.world, context).effects, [])
  site.run()
  t.same(plan(site.desired, site.world, context).effects, [])
})

test('a roll-out adds one instance, then drains one, and never has more than one extra process', async t => {
  const site = live(3, desiredSite({ version: 1, generation: 1, instances: 3 }))
  let least = 3
  let most = 3
  site.check = ({ world }) => {
    least = Math.min(least, world.instances.filter(one => one.state === 'ready').length)
    most = Math.max(most, world.instances.length)
  }
  site.want(desiredSite({ version: 2, generation: 2, instances: 3 }))
  site.run()
  t.equal(least, 3, 'no moment with fewer ready instances than wanted')
  t.equal(most, 4)
  t.same(
    site.routed().map(one => one.version),
    [2, 2, 2],
  )
  t.equal(observe(site).servingVersion, 2)
})

for (const [behaviour, step] of [
  ['never-ready', 'health'],
  ['crashes', 'start'],
  ['release-fails', 'release'],
  ['tampered', 'fetch'],
  ['dies-when-ready', 'start'],
] as const) {
  test(`a version that ${behaviour} is given up and the old one goes on`, async t => {
    const site = live(4)
    site.behaviours.set(2, behaviour)
    site.want(desiredSite({ version: 2, generation: 2 }))
    site.run()
    const seen = observe(site)
    t.equal(seen.phase, 'failed')
    t.equal(seen.failure?.step, step)
    t.equal(seen.failure?.version, 2)
    t.equal(seen.servingVersion, 1)
    t.same(
      site.routed().map(one => one.version),
      [1, 1],
    )
    const before = site.effects.length
    site.want({ ...desiredSite({ version: 2, generation: 2 }) })
    t.equal(site.effects.length, before, 'the same generation is not tried again')
    site.behaviours.set(2, 'good')
    site.want(desiredSite({ version: 2, generation: 3 }))
    site.run()
    t.equal(observe(site).phase, 'live', 'a new generation is')
    t.equal(observe(site).servingVersion, 2)
  })
}

test('the first version of a site that fails leaves nothing running', async t => {
  const site = new SimulatedSite(5)
  site.behaviours.set(1, 'crashes')
  site.want(desiredSite({ version: 1, generation: 1 }))
  site.run()
  t.equal(observe(site).phase, 'failed')
  t.equal(observe(site).servingVersion, 0)
  t.same(site.world.instances, [])
})

test('a version that was just started serves on when the next one fails at once', async t => {
  const site = new SimulatedSite(13)
  site.behaviours.set(2, 'tampered')
  site.want(desiredSite({ version: 1, generation: 1 }))
  for (let count = 0; count < 100 && site.ready() < 1; count++) site.step()
  t.equal(site.world.good, undefined, 'not accepted yet')
  site.want(desiredSite({ version: 2, generation: 2 }))
  site.run()
  t.equal(observe(site).phase, 'failed')
  t.same(
    site.routed().map(one => one.version),
    [1, 1],
  )
})

test('cloudware that is refused leaves a site that was just started as it is', async t => {
  const site = new SimulatedSite(14)
  site.behaviours.set(9, 'tampered')
  site.want(desiredSite({ version: 1, generation: 1 }))
  for (let count = 0; count < 100 && site.ready() < 2; count++) site.step()
  const cloudware = [{ package: { name: 'vip', version: '1.0.0', digest: 'digest-9' }, config: {} }]
  site.want(desiredSite({ version: 1, generation: 2, cloudware }))
  site.run()
  t.match(observe(site).failure, { version: 1, step: 'fetch', reason: 'vip@1.0.0: bad signature' })
  t.equal(site.routed().length, 2)
  t.notOk(site.effects.some(effect => effect.type === 'stop' || effect.type === 'configure'))
})

test('a crashed instance is replaced at once, then ever more slowly, and without end', async t => {
  const site = live(6)
  t.ok(site.kill())
  t.equal(site.effects.at(-1)?.type, 'start', 'in the same step')
  t.equal(site.routed().length, 1, 'it left the routes at once')
  site.run()
  t.equal(observe(site).phase, 'live')
  site.behaviours.set(1, 'crashes')
  site.kill()
  const starts: number[] = []
  for (let count = 0; count < 200 && starts.length < 16; count++) {
    const before = site.effects.length
    site.step()
    if (site.effects.slice(before).some(effect => effect.type === 'start')) starts.push(site.now)
  }
  t.ok((starts.at(-1) ?? 0) - (starts.at(-2) ?? 0) >= 30_000, 'at most one start in 30 s in the end')
  t.not(observe(site).phase, 'failed', 'a version that has served is never given up')
  site.behaviours.set(1, 'good')
  site.run()
  t.equal(observe(site).phase, 'live')
})

test('ten kills with time to settle between them are each answered at once', async t => {
  const site = live(7)
  for (let count = 0; count < 10; count++) {
    site.now += 6_000
    site.kill()
    t.equal(site.effects.at(-1)?.type, 'start')
    site.run()
  }
})

test('settings, scale, maintenance and host names change without a restart', async t => {
  const site = live(8)
  const before = site.world.instances.map(one => one.id)
  const cloudware = [{ package: { name: 'vip', version: '1.0.0', digest: 'digest-77' }, config: {} }]
  const change = { cloudware, hostNames: ['a.example'], maintenance: true, concurrency: 99 }
  site.want(desiredSite({ version: 1, generation: 2, ...change }))
  site.run()
  t.same(
    site.world.instances.map(one => one.id),
    before,
  )
  t.equal(site.effects.filter(effect => effect.type === 'configure').length, 2)
  t.equal(site.effects.filter(effect => effect.type === 'release').length, 1, 'no second release step')
  site.want(desiredSite({ version: 1, generation: 3, ...change, instances: 4 }))
  site.run()
  t.equal(site.ready(), 4)
  site.want(desiredSite({ version: 1, generation: 4, ...change, instances: 1 }))
  site.run()
  t.equal(site.ready(), 1)
  t.ok(before.includes(site.world.instances[0]?.id ?? ''), 'the youngest go first')
})

test('a rolling restart replaces every process and runs no release step', async t => {
  const site = live(9)
  const before = site.world.instances.map(one => one.id)
  site.want(desiredSite({ version: 1, generation: 2, restart: 1 }))
  site.run()
  t.equal(site.world.instances.filter(one => before.includes(one.id)).length, 0)
  t.equal(site.effects.filter(effect => effect.type === 'release').length, 1)
})

test('a site nobody wants is drained and reported as removed', async t => {
  const site = live(10)
  site.want(undefined)
  t.notOk(site.removed)
  t.equal(site.effects.filter(effect => effect.type === 'stop').length, 2)
  site.run()
  t.ok(site.removed)
})

test('after a restart of the host the good version comes back before the one that was being rolled out', async t => {
  const site = live(11)
  const { good, released } = site.world
  const again = new SimulatedSite(12, {
    ...new SimulatedSite(0).world,
    released,
    ...(good === undefined ? {} : { good }),
  })
  again.behaviours.set(2, 'never-ready')
  again.want(desiredSite({ version: 2, generation: 2 }))
  for (let count = 0; count < 500 && again.ready() < 2; count++) again.step()
  t.same(
    again.routed().map(one => one.version),
    [1, 1],
  )
  again.run()
  t.equal(observe(again).phase, 'failed')
})

const behaviours: readonly Behaviour[] = [
  'good',
  'never-ready',
  'crashes',
  'release-fails',
  'tampered',
  'dies-when-ready',
]

interface Change {
  readonly version: number
  readonly instances: number
  readonly restart: number
  readonly steps: number
  readonly kills: number
}

const changeArbitrary: fc.Arbitrary<Change> = fc.record({
  version: fc.integer({ min: 1, max: 4 }),
  instances: fc.integer({ min: 1, max: 4 }),
  restart: fc.integer({ min: 0, max: 1 }),
  steps: fc.integer({ min: 0, max: 25 }),
  kills: fc.integer({ min: 0, max: 2 }),
})

function outstandingReleases(site: SimulatedSite, ended: { count: number }): number {
  return site.effects.filter(effect => effect.type === 'release').length - ended.count
}

test('whatever is wanted and whatever fails, it converges and the failed version gets no request', async () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.array(fc.constantFrom(...behaviours), { minLength: 3, maxLength: 3 }),
      fc.array(changeArbitrary, { minLength: 1, maxLength: 6 }),
      (seed, chosen, changes) => {
        const site = new SimulatedSite(seed)
        chosen.forEach((behaviour, index) => site.behaviours.set(index + 2, behaviour))
        const ended = { count: 0 }
        let releasing = site.world.releasing
        site.check = ({ world, desired }) => {
          if (releasing !== undefined && world.releasing !== releasing) ended.count += 1
          releasing = world.releasing
          if (outstandingReleases(site, ended) > 1) throw new Error('two release steps at once')
          if (desired === undefined || world.failure?.generation !== desired.generation) return
          const good = world.good === undefined ? undefined : revisionOf(world.good)
          const routed = world.instances.filter(one => one.state === 'ready')
          if (routed.some(one => one.revision === good) && routed.some(one => one.revision !== good)) {
            throw new Error('a failed version is in the routes')
          }
        }
        site.want(desiredSite({ version: 1, generation: 1 }))
        site.run()
        let wanted: DesiredSite = desiredSite({ version: 1, generation: 1 })
        for (const { steps, kills, ...change } of changes) {
          wanted = desiredSite({ ...change, generation: wanted.generation + 1 })
          site.want(wanted)
          for (let count = 0; count < steps; count++) site.step()
          for (let count = 0; count < kills; count++) site.kill()
        }
        site.run(2_000)
        const target = targetOf(wanted, site.world)
        if (target === undefined || !isComplete(target, site.world))
          throw new Error(`not converged: ${JSON.stringify(site.world)}`)
        const bad = site.behaviours.get(wanted.version) ?? 'good'
        if (bad === 'good' && target !== wanted && changes.at(-1)?.kills === 0)
          throw new Error('gave up a good version')
        if (bad !== 'good' && target.version === wanted.version) throw new Error('accepted a bad version')
      },
    ),
    { numRuns: 400 },
  )
})

test('in a healthy roll-out at least all but one of the wanted instances are ready at every moment', async () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.record({ version: fc.integer({ min: 1, max: 5 }), steps: fc.integer({ min: 0, max: 30 }) }), {
        maxLength: 6,
      }),
      (seed, instances, changes) => {
        const site = live(seed, desiredSite({ version: 1, generation: 1, instances }))
        site.check = ({ world }) => {
          const routed = site.routed().length
          if (routed < instances) throw new Error(`${routed} of ${instances} ready`)
          const extra = world.instances.length - instances
          if (extra > 1) throw new Error(`${extra} extra processes`)
        }
        changes.forEach(({ version, steps }, index) => {
          site.want(desiredSite({ version, instances, generation: index + 2 }))
          for (let count = 0; count < steps; count++) site.step()
        })
        site.run()
      },
    ),
    { numRuns: 200 },
  )
})
