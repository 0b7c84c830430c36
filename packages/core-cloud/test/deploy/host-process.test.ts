import { existsSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { TestPlatform } from './test-platform.js'

const live = (generation: number) => (site: { phase: string; observedGeneration: number; instances: readonly { state: string }[] }) =>
  site.phase === 'live' && site.observedGeneration === generation

async function isGone(pid: number): Promise<boolean> {
  return !existsSync(`/proc/${pid}`)
}

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

  const withFigures = await platform.seen('memory figures', one => one.instances.every(instance => instance.memoryBytes !== undefined), 12_000)
  t.ok((withFigures.instances[0]?.memoryBytes ?? 0) > 20e6)
  await platform.want()
  await platform.report('removed', sites => (sites.length === 0 ? true : undefined))
  for (const { pid = 0 } of site.instances) t.ok(await isGone(pid))
  await platform.stopHost()
  t.same([...new Set(platform.readings.map(reading => reading.source))].sort(), site.instances.map(one => one.id).sort())
  const sum = (name: string): number => platform.readings.reduce((total, reading) => total + (reading.counters[name] ?? 0), 0)
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
  const after = await platform.seen('two ready again', site => site.instances.filter(one => one.state === 'ready' && one.id !== victim.id).length === 2)
  t.comment(`ready again after ${Math.round(performance.now() - killedAt)} ms`)
  stop = true
  await load
  t.ok(served > 0)
  t.equal(after.instances.find(one => one.state === 'crashed')?.id, victim.id)
  t.equal(after.instances.find(one => one.restarts === 1)?.state, 'ready')
})

test('a roll-out under load loses no request, and one that never gets healthy is reverted', async t => {
  await using platform = await TestPlatform.open()
  const [v1, v2, v3] = [await platform.publish('1.0.0'), await platform.publish('1.0.1'), await platform.publish('1.0.2')]
  await platform.want(platform.site(v1))
  await platform.startHost()
  await platform.seen('live', live(1))
  const statuses = new Map<number, number>()
  let stop = false
  const client = async (): Promise<void> => {
    for (let count = 0; !stop; count++) {
      const { status } = await platform.get(count % 10 === 0 ? '/?slow=100' : '/')
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  const clients = Promise.all([client(), client(), client(), client()])
  await platform.want(platform.site(v2, { version: 2, generation: 2 }))
  const second = await platform.seen('version 2 live', live(2))
  t.equal(second.servingVersion, 2)
  await platform.want(platform.site(v3, { version: 3, generation: 3, config: { mode: 'never-healthy' }, healthyDeadlineMs: 1_500 }))
  const failed = await platform.seen('version 3 given up', site => site.phase === 'failed')
  t.match(failed.failure, { version: 3, step: 'health' })
  t.equal(failed.servingVersion, 2)
  stop = true
  await clients
  t.same([...statuses.keys()], [200], `${statuses.get(200)} requests`)
  t.equal((await platform.get('/')).body.version, 2)
  const releases = await readFile(join(platform.home, 'host/sites/shop/releases'), 'utf8')
  t.equal(releases.split('\n').length - 1, 3, 'one release step a version')
})

test('a release step that fails and a program that throws say why', async t => {
  await using platform = await TestPlatform.open()
  const [v1, v2, v3] = [await platform.publish('1.0.0'), await platform.publish('1.0.1'), await platform.publish('1.0.2')]
  await platform.want(platform.site(v1, { instances: 1 }))
  await platform.startHost()
  await platform.seen('live', live(1))
  await platform.want(platform.site(v2, { version: 2, generation: 2, instances: 1, config: { mode: 'release-fails' } }))
  const first = await platform.seen('failed', site => site.phase === 'failed' && site.observedGeneration === 2)
  t.match(first.failure, { version: 2, step: 'release', reason: /cannot migrate/ })
  await platform.want(platform.site(v3, { version: 3, generation: 3, instances: 1, config: { mode: 'throws' } }))
  const second = await platform.seen('failed', site => site.phase === 'failed' && site.observedGeneration === 3)
  t.match(second.failure, { version: 3, step: 'start', reason: /boom at start/ })
  const { status, body } = await platform.get('/')
  t.match({ status, version: body.version }, { status: 200, version: 1 }, JSON.stringify(second))
})

test('with control away the host starts from its last good copy, and restarts what crashes', async t => {
  await using platform = await TestPlatform.open()
  await platform.want(platform.site(await platform.publish('1.0.0'), { instances: 1 }))
  await platform.startHost()
  await platform.seen('live', live(1))
  t.equal((await stat(join(platform.home, 'host/desired.json'))).mode & 0o777, 0o600)
  await platform.stopHost()
  await platform.stopControl()
  const host = await platform.startHost()
  const ready = async (not?: string) => {
    const deadline = performance.now() + 10_000
    for (;;) {
      const found = host.agent.instances().find(one => one.state === 'ready' && one.id !== not)
      if (found !== undefined) return found
      if (performance.now() > deadline) throw new Error(`not ready: ${JSON.stringify(host.agent.observe())}`)
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  const first = await ready()
  t.equal((await platform.get('/')).body.instance, first.id)
  const releases = await readFile(join(platform.home, 'host/sites/shop/releases'), 'utf8')
  t.equal(releases, 'released\n', 'the release step is not run again')
  if (first.pid === undefined) throw new Error('no pid')
  process.kill(first.pid, 'SIGKILL')
  const second = await ready(first.id)
  t.equal((await platform.get('/')).body.instance, second.id)
  await platform.startControl()
  await platform.seen('control finds everything', live(1), 20_000)
})
