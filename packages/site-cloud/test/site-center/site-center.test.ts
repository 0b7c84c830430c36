import type { ObservedSite } from '@aaas/core-cloud/deploy'
import { test } from 'tap'
import { context, extension, open, sitePackage } from './center-bench.js'

test('push, deploy, scale, roll back: each is a new generation that a host can pull', async t => {
  await using env = await open()
  const { center, upload, desired } = env
  const first = await center.pushVersion({ site: 'shop', digest: await upload(sitePackage('1.0.0')) }, context)
  t.equal(first.version, 1)
  t.same((await desired()).sites, [], 'pushed is not deployed')
  await center.deploy({ site: 'shop' }, context)
  const state = await desired()
  const [site] = state.sites
  t.match(site, {
    site: 'shop',
    version: 1,
    instances: 2,
    concurrency: 256,
    hostNames: ['shop.localhost'],
    maintenance: false,
  })
  t.equal(site?.databaseUrl, 'postgres://site_shop:secret@localhost/shop?host=/here', 'the server is where it is now')
  t.equal(state.generation, site?.generation)

  const again = await center.pushVersion({ site: 'shop', digest: await upload(sitePackage('1.0.0')) }, context)
  t.equal(again.version, 1, 'pushing the newest again changes nothing')
  const second = await center.pushVersion({ site: 'shop', digest: await upload(sitePackage('1.1.0')) }, context)
  t.equal(second.version, 2)
  await center.scale({ site: 'shop', instances: 5 }, context)
  await center.deploy({ site: 'shop', version: 2 }, context)
  t.match((await desired()).sites[0], { version: 2, instances: 5 }, 'what a person scaled outlives a deployment')
  await center.rollback({ site: 'shop' }, context)
  t.match((await desired()).sites[0], { version: 1 })
  await center.setMaintenance({ site: 'shop', on: true }, context)
  await center.restart({ site: 'shop' }, context)
  t.match((await desired()).sites[0], { maintenance: true, restart: 1 })
  t.equal(env.hints.length, 6, 'hosts were told each time')
  const { entries } = await center.auditLog({})
  t.same(entries.map(entry => entry.action).slice(0, 3), ['site.restart', 'site.maintenance', 'site.rollback'])
  t.ok(entries.every(entry => entry.actor === 'tester'))
})

test('a host that knows the newest generation gets no state', async t => {
  await using env = await open()
  await env.center.pushVersion({ site: 'shop', digest: await env.upload(sitePackage('1.0.0')) }, context)
  await env.center.deploy({ site: 'shop' }, context)
  const { generation } = await env.desired()
  t.same(await env.plane.desiredState({ hostId: 'host-1', knownGeneration: generation }), { changed: false })
  await env.center.restart({ site: 'shop' }, context)
  t.match(await env.plane.desiredState({ hostId: 'host-1', knownGeneration: generation }), { changed: true })
})

test('a roll-out that the host gave up is marked failed with its reason', async t => {
  await using env = await open()
  await env.center.pushVersion({ site: 'shop', digest: await env.upload(sitePackage('1.0.0')) }, context)
  await env.center.deploy({ site: 'shop' }, context)
  const { generation } = await env.desired()
  const report: ObservedSite = {
    site: 'shop',
    observedGeneration: generation,
    servingVersion: 0,
    phase: 'failed',
    failure: { version: 1, step: 'start', reason: 'not healthy within 30 s' },
    instances: [],
    cloudware: [],
  }
  await env.plane.report({ hostId: 'host-1', sites: [report], edgePort: 8080, at: 1_700_000_000_000 })
  const { versions } = await env.center.listVersions({ site: 'shop' })
  t.match(versions[0], { state: 'failed', failure: 'start: not healthy within 30 s' })
  const view = await env.center.getSite({ site: 'shop' })
  t.match(view, { phase: 'failed', settled: true, failure: { version: 1 } })
  await env.center.scale({ site: 'shop', instances: 3 }, context)
  t.equal((await env.center.getSite({ site: 'shop' })).settled, false, 'a wish newer than the report is not settled')
})

test('cloudware: hooks the site lacks and missing requirements are refused, and leave nothing behind', async t => {
  await using env = await open()
  const { center, upload } = env
  await center.pushVersion({ site: 'shop', digest: await upload(sitePackage('1.0.0')) }, context)
  await center.deploy({ site: 'shop' }, context)
  const before = (await env.desired()).generation
  const foreign = await upload(extension('foreign', 'oven.bake@1'))
  await t.rejects(center.addCloudware({ site: 'shop', digest: foreign }, context), {
    code: 'core.cloudware.missing-requirement',
  })
  const needy = await upload(extension('needy', 'order.place@1', { requires: { helper: '^2.0.0' } }))
  await t.rejects(center.addCloudware({ site: 'shop', digest: needy }, context), {
    code: 'core.cloudware.missing-requirement',
  })
  t.equal((await env.desired()).generation, before)

  const fine = await upload(extension('fine', 'order.place@1'))
  await center.addCloudware({ site: 'shop', digest: fine, config: { most: 3 } }, context)
  t.match((await env.desired()).sites[0]?.cloudware, [{ package: { name: 'fine' }, config: { most: 3 } }])
  await center.removeCloudware({ site: 'shop', name: 'fine' }, context)
  t.same((await env.desired()).sites[0]?.cloudware, [])
})

test('what does not exist is named', async t => {
  await using env = await open()
  const { center } = env
  await t.rejects(center.getSite({ site: 'none' }), { code: 'site.center.unknown-site', field: 'site' })
  await t.rejects(center.pushVersion({ site: 'shop', digest: 'a'.repeat(128) }, context), {
    code: 'site.center.unknown-version',
    field: 'digest',
  })
  await center.pushVersion({ site: 'shop', digest: await env.upload(sitePackage('1.0.0')) }, context)
  await t.rejects(center.deploy({ site: 'shop', version: 7 }, context), {
    code: 'site.center.unknown-version',
    field: 'version',
  })
  await t.rejects(center.rollback({ site: 'shop' }, context), { code: 'site.center.conflict' })
  await t.rejects(center.logs({ site: 'shop' }, context), { code: 'site.center.host-unavailable' })
})

test('usage adds epochs up and counts a repeated or reordered reading once', async t => {
  await using env = await open()
  await env.center.pushVersion({ site: 'shop', digest: await env.upload(sitePackage('1.0.0')) }, context)
  const reading = (epoch: number, seq: number, requests: number) => ({
    source: 'i-1',
    site: 'shop',
    epoch: `e${epoch}`,
    seq,
    at: 1_700_000_000_000 + seq,
    counters: { requests },
  })
  await env.plane.readings({ hostId: 'host-1', readings: [reading(1, 2, 20), reading(1, 1, 10)] })
  await env.plane.readings({ hostId: 'host-1', readings: [reading(1, 2, 20), reading(2, 1, 5)] })
  t.same(await env.center.usage({ site: 'shop' }), { counters: { requests: 25 }, readings: 3 })
})
