import type { ObservedSite } from '@aaas/core-cloud/deploy'
import type { CallContext } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import { context, extension, open, sitePackage } from './center-bench.js'

test('a version that lacks a hook in use is refused until the cloudware is off; the lock says what runs', async t => {
  await using env = await open()
  const { center, upload } = env
  await center.pushVersion({ site: 'shop', digest: await upload(sitePackage('1.0.0')) }, context)
  await center.deploy({ site: 'shop' }, context)
  const fine = await upload(extension('fine', 'order.place@1'))
  const view = await center.addCloudware({ site: 'shop', digest: fine }, context)
  t.match(view.lock, [
    { name: 'fine', version: '1.0.0' },
    { name: 'site-shop', version: '1.0.0', kind: 'site' },
  ])
  await center.pushVersion({ site: 'shop', digest: await upload(sitePackage('2.0.0', ['page.home@1'])) }, context)
  const before = (await env.desired()).generation
  await t.rejects(center.deploy({ site: 'shop', version: 2 }, context), {
    code: 'core.cloudware.missing-requirement',
    message: /order\.place@1/,
  })
  t.equal((await env.desired()).generation, before, 'nothing was wanted of a host')
  await center.removeCloudware({ site: 'shop', name: 'fine' }, context)
  t.match(await center.deploy({ site: 'shop', version: 2 }, context), {
    version: 2,
    lock: [{ name: 'site-shop', version: '2.0.0' }],
  })
  await t.rejects(center.removeCloudware({ site: 'shop', name: 'fine' }, context), {
    code: 'site.center.unknown-cloudware',
    field: 'name',
  })
})

test('cloudware: configuration is checked and filled in; what it requires is named; only cloudware is cloudware', async t => {
  await using env = await open()
  const { center, upload } = env
  const program = await upload(sitePackage('1.0.0'))
  await center.pushVersion({ site: 'shop', digest: program }, context)
  await center.deploy({ site: 'shop' }, context)
  const config = {
    type: 'object',
    properties: { most: { type: 'integer', minimum: 1, default: 3 } },
    additionalProperties: false,
  }
  const digest = await upload(extension('limit', 'order.place@1', { config }))
  await t.rejects(center.addCloudware({ site: 'shop', digest, config: { most: 0 } }, context), {
    code: 'core.kernel.invalid-config',
    field: 'config/most',
  })
  await center.addCloudware({ site: 'shop', digest }, context)
  t.match((await env.desired()).sites[0]?.cloudware, [{ config: { most: 3 } }])
  await upload(extension('helper', 'order.place@1'))
  const needy = await upload(extension('needy', 'order.place@1', { requires: { helper: '^1.0.0' } }))
  await t.rejects(center.addCloudware({ site: 'shop', digest: needy }, context), {
    code: 'core.cloudware.missing-requirement',
    message: /add helper@1\.0\.0 to shop first/,
  })
  await t.rejects(center.addCloudware({ site: 'shop', digest: program }, context), {
    code: 'site.center.conflict',
    field: 'digest',
  })
  const old = await upload({ ...sitePackage('3.0.0'), aaas: { ...sitePackage('3.0.0').aaas, engine: '^9.0.0' } })
  await t.rejects(center.pushVersion({ site: 'shop', digest: old }, context), {
    code: 'core.cloudware.missing-requirement',
    field: 'aaas/engine',
  })
})

test('calls into a site carry the rights of the caller, and reading ones those of the method', async t => {
  await using env = await open()
  const { center, forwarded } = env
  await center.pushVersion({ site: 'shop', digest: await env.upload(sitePackage('1.0.0')) }, context)
  env.connectHost()
  const as = (...scopes: string[]): CallContext => ({ ...context, actor: { id: 'someone', scopes } })
  const call = (contract: string, method: string) => ({ site: 'shop', contract, method, input: { number: 'N1' } })
  const last = () => (forwarded.at(-1) as { actor: { scopes: string[] } }).actor.scopes

  await center.querySite(call('business.order', 'list'), as('site.read'))
  t.same(last(), ['order.read'])
  await center.querySite(call('site.shop-admin', 'listApiKeys'), as('site.read'))
  t.same(last(), ['site.admin'])
  for (const [contract, method] of [
    ['business.order', 'refund'],
    ['site.shop-admin', 'createApiKey'],
    ['business.payment', 'start'],
    ['constructor', 'name'],
  ] as const) {
    await t.rejects(center.querySite(call(contract, method), as('*')), {
      code: 'core.contract.forbidden',
      field: 'method',
    })
  }
  await center.callSite(call('business.order', 'refund'), as('site.read', 'site.operate', 'site.write'))
  t.same(last().sort(), [
    'catalogue.write',
    'ledger.read',
    'order.read',
    'order.write',
    'party.write',
    'stock.read',
    'stock.write',
  ])
  await center.callSite(call('business.order', 'refund'), as('*'))
  t.same(last(), ['*'])
  t.equal(forwarded.length, 4)
  const { entries } = await center.auditLog({ site: 'shop', limit: 2 })
  t.match(entries, [
    { actor: 'someone', action: 'site.call', detail: 'business.order.refund number N1' },
    { action: 'site.call' },
  ])
})

test('a host name belongs to one site, and changes with the deployment', async t => {
  await using env = await open()
  const { center, upload } = env
  env.askHostNames(['www.tea.example'])
  await center.pushVersion({ site: 'tea', digest: await upload(sitePackage('1.0.0')) }, context)
  await center.deploy({ site: 'tea' }, context)
  const other = { ...sitePackage('1.0.0'), name: 'site-other' }
  await t.rejects(center.pushVersion({ site: 'other', digest: await upload(other) }, context), {
    code: 'site.center.conflict',
    field: 'hostNames',
  })
  await t.rejects(center.getSite({ site: 'other' }), { code: 'site.center.unknown-site' }, 'nothing was made')
  env.askHostNames([])
  await center.pushVersion({ site: 'tea', digest: await upload(sitePackage('1.1.0')) }, context)
  t.same((await env.desired()).sites[0]?.hostNames, ['tea.localhost', 'www.tea.example'], 'pushed is not deployed')
  await center.deploy({ site: 'tea' }, context)
  t.same((await env.desired()).sites[0]?.hostNames, ['tea.localhost'])
})

test('two pushes of a new site at once make one database', async t => {
  await using env = await open()
  const digest = await env.upload(sitePackage('1.0.0'))
  const pushed = await Promise.all([1, 2, 3].map(() => env.center.pushVersion({ site: 'shop', digest }, context)))
  t.same(
    pushed.map(one => one.version),
    [1, 1, 1],
  )
  t.equal(env.provisioned.length, 1)
})

test('a host that fell silent says nothing about its sites', async t => {
  await using env = await open()
  await env.center.pushVersion({ site: 'shop', digest: await env.upload(sitePackage('1.0.0')) }, context)
  await env.center.deploy({ site: 'shop' }, context)
  const { generation } = await env.desired()
  const report: ObservedSite = {
    site: 'shop',
    observedGeneration: generation,
    servingVersion: 1,
    phase: 'live',
    instances: [],
    cloudware: [],
  }
  await env.plane.report({ hostId: 'host-1', sites: [report], edgePort: 8080, at: 1 })
  t.match(await env.center.getSite({ site: 'shop' }), { phase: 'live', settled: true })
  await env.db.query({ text: `update host_report set at = at - interval '40 s'` })
  t.match(await env.center.getSite({ site: 'shop' }), { phase: 'unknown', settled: false })
})

test('a failure reported from before the newest wish marks nothing', async t => {
  await using env = await open()
  await env.center.pushVersion({ site: 'shop', digest: await env.upload(sitePackage('1.0.0')) }, context)
  await env.center.deploy({ site: 'shop' }, context)
  const { generation } = await env.desired()
  await env.center.deploy({ site: 'shop' }, context)
  const failure = { version: 1, step: 'start', reason: 'not healthy' }
  const report: ObservedSite = {
    site: 'shop',
    observedGeneration: generation,
    servingVersion: 0,
    phase: 'failed',
    failure,
    instances: [],
    cloudware: [],
  }
  await env.plane.report({ hostId: 'host-1', sites: [report], edgePort: 8080, at: 1 })
  t.match((await env.center.listVersions({ site: 'shop' })).versions[0], { state: 'deployed' })
})

test('a mistyped site is guessed', async t => {
  await using env = await open()
  await env.center.pushVersion({ site: 'tea-house', digest: await env.upload(sitePackage('1.0.0')) }, context)
  await t.rejects(env.center.getSite({ site: 'teahouse' }), {
    message: "no site 'teahouse'; did you mean 'tea-house'?",
  })
  await t.rejects(env.center.getSite({ site: 'bakery' }), { message: "no site 'bakery'" })
})
