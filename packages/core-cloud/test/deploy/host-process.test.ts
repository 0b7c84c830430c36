import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { live, TestPlatform } from './test-platform.js'

test('a site is fetched, released, started, served, called and metered; then nothing is left of it', async t => {
  await using platform = await TestPlatform.open()
  const ref = await platform.publish('1.0.0')
  await platform.want(platform.site(ref))
  await platform.startHost()
  const site = await platform.seen('live', live(1))
  t.equal(site.servingVersion, 1)
  t.equal(site.instances.length, 2)
  t.equal((await platform.get('/hello')).body.url, '/hello')
  t.equal(await readFile(join(platform.home, 'host/sites/shop/releases'), 'utf8'), 'released\n')

  const agent = await platform.agent()
  const say = { site: 'shop', kind: 'site', contract: 'sample.echo', method: 'say' } as const
  const answer = await agent.callSite({ ...say, input: { text: 'hi' }, actor: { id: 'anna', scopes: ['*'] } })
  t.same(answer.output, { text: 'hi!', actor: 'anna' })
  await t.rejects(agent.callSite({ ...say, input: { text: 7 } }), { code: 'core.contract.invalid-input' })
  await t.rejects(agent.callSite({ ...say, site: 'other', input: {} }), { code: 'core.deploy.unknown-site' })

  const { records } = await agent.logs({ site: 'shop', text: 'sample starts', limit: 10 })
  t.equal(records.length, 2)
  t.same(records[0]?.fields, { version: 1 })
  t.equal((await agent.logs({ site: 'shop', text: 'migrating', limit: 10 })).records[0]?.instance, 'release-v1')
  t.equal((await agent.instances({})).instances.length, 2)

  const withFigures = await platform.seen(
    'memory figures',
    one => one.instances.every(instance => instance.memoryBytes !== undefined),
    12_000,
  )
  t.ok((withFigures.instances[0]?.memoryBytes ?? 0) > 20e6)
  await platform.want()
  await platform.report('removed', sites => (sites.length === 0 ? true : undefined))
  for (const { pid = 0 } of site.instances) t.ok(!existsSync(`/proc/${pid}`))
  await platform.stopHost()
  t.same(
    [...new Set(platform.readings.map(reading => reading.source))].sort(),
    [...site.instances.map(one => one.id), 'h1.hub'].sort(),
  )
  const sum = (name: string): number =>
    platform.readings.reduce((total, reading) => total + (reading.counters[name] ?? 0), 0)
  t.ok(sum('requests') >= 1)
  t.ok(sum('cpuMs') > 0)
  t.same(await readdir(join(platform.home, 'run')), ['control.sock'], 'no socket is left')
})

test('kill -9 of an instance: it is replaced, and requests go on', async t => {
  await using platform = await TestPlatform.open()
  await platform.want(platform.site(await platform.publish('1.0.0')))
  await platform.startHost()
  const before = await platform.seen('live', live(1))
  const victim = before.instances[0]
  if (victim?.pid === undefined) throw new Error('no pid')
  const killedAt = performance.now()
  process.kill(victim.pid, 'SIGKILL')
  let served = 0
  let stop = false
  const load = (async () => {
    while (!stop) {
      if ((await platform.get('/')).status === 200) served += 1
      else t.fail('a request failed')
    }
  })()
  const after = await platform.seen(
    'two ready again',
    site => site.instances.filter(one => one.state === 'ready' && one.id !== victim.id).length === 2,
  )
  t.comment(`ready again after ${Math.round(performance.now() - killedAt)} ms`)
  stop = true
  await load
  t.ok(served > 0)
  t.equal(after.instances.find(one => one.state === 'crashed')?.id, victim.id)
  t.equal(after.instances.find(one => one.restarts === 1)?.state, 'ready')
})
