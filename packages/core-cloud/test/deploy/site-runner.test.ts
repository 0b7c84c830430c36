import { silentLogger } from '@aaas/core-cloud/kernel'
import { ManualClock, seededIds } from '@aaas/testing'
import { test } from 'tap'
import type { InstanceCheck, InstanceOptions } from '../../src/deploy/instance-messages.js'
import type { InstanceEvents, InstanceProcess } from '../../src/deploy/instance-process.js'
import type { PackageCache } from '../../src/deploy/package-cache.js'
import { SiteRunner, type SiteRunnerPorts } from '../../src/deploy/site-runner.js'
import { desiredSite } from './simulated-site.js'

interface FakeProcess {
  readonly options: InstanceOptions
  readonly events: InstanceEvents
  end(reason: string): void
}

const well: InstanceCheck = { memoryBytes: 1, cpuMs: 1, cloudware: [] }

/** A runner whose processes are objects, and a diary of what was done in which order. */
function fixture() {
  const clock = new ManualClock()
  const diary: string[] = []
  const processes: FakeProcess[] = []
  const drains = new Map<string, () => void>()
  const nameOf = (id: string): string => `p${processes.findIndex(one => one.options.instanceId === id)}`
  const packages: PackageCache = {
    fetch: async () => undefined,
    get: digest => ({
      dir: `/packages/${digest}`,
      packageJson: { name: 'x', version: '1.0.0', aaas: { kind: 'site', engine: '*', entry: 'main.js' } },
    }),
    prune: async () => undefined,
  }
  const startInstance: SiteRunnerPorts['startInstance'] = (options, events) => {
    let finish: (reason: string) => void = () => undefined
    const exited = new Promise<string>(resolve => {
      finish = resolve
    })
    processes.push({ options, events, end: finish })
    const name = `p${processes.length - 1}`
    diary.push(`start ${name}`)
    const handle: InstanceProcess = {
      pid: processes.length,
      exited,
      applyCloudware: () => diary.push(`cloudware ${name}`),
      check: () => diary.push(`check ${name}`),
      metrics: async () => undefined,
      renew: () => undefined,
      async stop() {
        diary.push(`stop ${name}`)
        finish('stopped')
        await exited
      },
      kill() {
        diary.push(`kill ${name}`)
        finish('killed')
      },
    }
    return handle
  }
  let routed = ''
  const runner: SiteRunner = new SiteRunner('shop', undefined, {
    clock,
    ids: seededIds(),
    logger: silentLogger,
    packages,
    dataDirOf: () => '/data',
    publicUrlOf: site => `http://edge/s/${site}`,
    socketPathOf: id => `/run/${id}`,
    admit: id => ({ busSocket: '/run/host.sock', busToken: `token-${id}` }),
    startInstance,
    runRelease: async () => void diary.push('release'),
    drained: (id, signal) =>
      new Promise<void>((resolve, reject) => {
        diary.push(`wait ${nameOf(id)}`)
        drains.set(nameOf(id), resolve)
        signal.addEventListener('abort', () => reject(signal.reason))
      }),
    metered: { open: () => undefined, sample: id => diary.push(`sample ${nameOf(id)}`) },
    ended: (_, id) => diary.push(`ended ${nameOf(id)}`),
    routesChanged: () => {
      const upstreams = runner.route?.upstreams ?? []
      const now = upstreams.map(one => `${nameOf(one.id)}${one.state === 'ready' ? '' : '-'}`).join(' ')
      if (now === routed) return
      routed = now
      diary.push(`routes [${now}]`)
    },
    memoryChanged: () => undefined,
    stateChanged: () => undefined,
    removed: () => diary.push('removed'),
  })
  return { clock, diary, processes, drains, runner, take: () => diary.splice(0) }
}

async function liveFixture(instances: number) {
  const site = fixture()
  site.runner.want(desiredSite({ version: 1, generation: 1, instances }))
  await site.clock.pass(1)
  for (const process of site.processes) process.events.onReady()
  await site.clock.pass(2_000)
  site.take()
  return site
}

test('a site starts in order: package, release step, process, routes', async t => {
  const { runner, clock, processes, take } = fixture()
  runner.want(desiredSite({ version: 1, generation: 1, instances: 1 }))
  await clock.pass(1)
  t.same(take(), ['release', 'start p0'])
  t.match(processes[0]?.options, {
    packageDir: '/packages/digest-1',
    entry: 'main.js',
    publicUrl: 'http://edge/s/shop',
    busPrefix: 'site.shop',
    busSocket: '/run/host.sock',
    version: 1,
  })
  processes[0]?.events.onReady()
  t.same(take(), ['check p0', 'routes [p0]'])
})

test('a planned stop: out of the routes, wait for the edge, last reading, then the program', async t => {
  const { runner, clock, drains, take } = await liveFixture(2)
  runner.want(desiredSite({ version: 1, generation: 2, instances: 1 }))
  await clock.pass(5_000)
  const [routes, wait, ...rest] = take()
  t.match(routes, /routes \[p\d p\d-\]/)
  t.match(wait, /wait p\d/)
  t.same(rest, [], 'nothing more while a request runs')
  const name = wait?.split(' ')[1] ?? ''
  drains.get(name)?.()
  await clock.pass(1)
  t.match(take(), [`sample ${name}`, `stop ${name}`, `ended ${name}`, /routes \[p\d\]/])
})

test('requests that do not end in time do not keep an instance for ever', async t => {
  const { runner, clock, take } = await liveFixture(1)
  runner.want(undefined)
  await clock.pass(14_999)
  t.same(take(), ['routes [p0-]', 'wait p0'])
  await clock.pass(2)
  t.same(take(), ['sample p0', 'stop p0', 'ended p0', 'routes []', 'removed'])
})

test('an instance that fails three checks gets no request while another is well, and comes back', async t => {
  const { clock, processes, take } = await liveFixture(2)
  const sick = { ...well, problem: 'database away' }
  for (let count = 0; count < 2; count++) processes[0]?.events.onCheck(sick)
  t.same(take(), [])
  processes[0]?.events.onCheck(sick)
  t.same(take(), ['routes [p1 p0-]'])
  for (let count = 0; count < 3; count++) processes[1]?.events.onCheck(sick)
  t.same(take(), ['routes [p0 p1]'], 'all are ill: better than nobody')
  processes[0]?.events.onCheck(well)
  t.same(take(), ['routes [p0 p1-]'])
  await clock.pass(1)
  t.same(take(), [], 'nobody was stopped for it')
})

test('an instance that answers no check for 20 s is killed and replaced', async t => {
  const { runner, clock, processes, take } = await liveFixture(2)
  for (let count = 0; count < 4; count++) {
    await clock.pass(5_000)
    processes[0]?.events.onCheck(well)
    runner.checkInstances()
  }
  await clock.pass(1)
  t.same(
    take().filter(line => !line.startsWith('check')),
    ['kill p1', 'ended p1', 'routes [p0]', 'start p2'],
  )
})

test('a host that stops ends every process once and starts none again', async t => {
  const { runner, clock, take } = await liveFixture(2)
  await runner.stop(1_000)
  await clock.pass(60_000)
  t.same(take().sort(), ['ended p0', 'ended p1', 'stop p0', 'stop p1'])
})
