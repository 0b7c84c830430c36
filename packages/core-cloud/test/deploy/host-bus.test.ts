import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { TestPlatform } from './test-platform.js'

const contract = `
const echo = defineContract({
  name: 'sample.echo', version: '1.0.0',
  methods: { say: { summary: 'Says it back.', input: { type: 'object' }, output: { type: 'object' } } },
})
`

const service = `
import { defineContract, serveContract } from '@aaas/core-cloud/contract'
${contract}
export const program = {
  async start({ bus, busPrefix, clock, logger, observer }) {
    const handlers = { say: async input => input }
    const served = await serveContract({ bus, contract: echo, prefix: busPrefix, clock, logger, observer, handlers })
    return {
      handler: (request, response) => response.end(),
      health: async () => undefined,
      drain: () => served.drain(),
      async [Symbol.asyncDispose]() {},
    }
  },
}
`

/** \`/calls?30\` makes as many calls at once; it answers with what became of them. */
const site = `
import { busClient, defineContract } from '@aaas/core-cloud/contract'
${contract}
export const program = {
  async start({ bus, clock, ids, observer, registry }) {
    const client = busClient({ bus, contract: echo, prefix: 'service.sample', clock, ids, observer })
    const asked = registry.counter({ name: 'sample_asked_total', help: 'Asked.', labels: ['site'] }).with('another')
    return {
      async handler(request, response) {
        asked.add()
        const count = Number(request.url.split('?')[1])
        const began = clock.monotonic()
        const outcome = { ok: 0, codes: [], retryable: true }
        await Promise.all(Array.from({ length: count }, () => client.say({}).then(
          () => { outcome.ok += 1 },
          error => {
            outcome.codes.push(error.code)
            outcome.retryable &&= error.retryable
          },
        )))
        response.end(JSON.stringify({ ...outcome, ms: clock.monotonic() - began }))
      },
      health: async () => undefined,
      drain: async () => undefined,
      async [Symbol.asyncDispose]() {},
    }
  },
}
`

interface Outcome {
  readonly ok: number
  readonly codes: readonly string[]
  readonly retryable: boolean
  readonly ms: number
}

type HostChange = Parameters<TestPlatform['startHost']>[0]

/** A service and a site that calls it, both live. */
async function openPair(change: HostChange = {}): Promise<TestPlatform> {
  const platform = await TestPlatform.open()
  const sample = await platform.publish('1.0.0', service, { name: 'sample', kind: 'service' })
  const shop = await platform.publish('1.0.0', site, { name: 'shop' })
  await platform.want(
    platform.site(sample, { site: 'sample', kind: 'service', instances: 1, hostNames: ['sample.localhost'] }),
    platform.site(shop, { instances: 1 }),
  )
  await platform.startHost({ metricsToken: 'scraper', ...change })
  await platform.report('both live', sites =>
    sites.length === 2 && sites.every(one => one.phase === 'live') ? true : undefined,
  )
  return platform
}

async function calls(platform: TestPlatform, count: number): Promise<Outcome> {
  return (await platform.get(`/calls?${count}`)).body as unknown as Outcome
}

/** The value of a series, which is named with its labels; undefined when it is not there. */
function valueOf(text: string, name: string, ...labels: readonly string[]): number | undefined {
  const lines = text.split('\n').filter(line => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
  const line = lines.find(one => labels.every(label => one.includes(label)))
  return line === undefined ? undefined : Number(line.split(' ').at(-1))
}

/** Scrapes until it is so. */
async function scrapedUntil(platform: TestPlatform, holds: (text: string) => boolean): Promise<string> {
  const end = performance.now() + 30_000
  for (;;) {
    const { text } = await platform.metrics('Bearer scraper')
    if (holds(text)) return text
    if (performance.now() > end) throw new Error(`not so within thirty seconds: ${text}`)
    await calls(platform, 1)
  }
}

test('a site calls a service directly; what it sent is metered where it arrived, and everybody has metrics', async t => {
  await using platform = await openPair()
  t.equal((await platform.metrics('Bearer guess')).status, 401)
  const text = await scrapedUntil(
    platform,
    text => (valueOf(text, 'aaas_bus_direct_calls_total', 'site="shop"') ?? 0) >= 3,
  )
  const { status } = await platform.metrics('Bearer scraper')
  t.equal(status, 200)
  const direct = valueOf(text, 'aaas_bus_direct_calls_total', 'site="shop"') ?? 0
  t.equal(valueOf(text, 'aaas_bus_direct_fallbacks_total', 'site="shop"'), 0)
  t.ok((valueOf(text, 'aaas_calls_total', 'site="sample"', 'surface="bus"', 'code="ok"') ?? 0) >= direct)
  t.ok((valueOf(text, 'aaas_calls_total', 'site="shop"', 'surface="bus-client"', 'code="ok"') ?? 0) >= direct)
  t.equal(valueOf(text, 'aaas_instance_up', 'site="shop"'), 1)
  t.ok((valueOf(text, 'process_resident_memory_bytes') ?? 0) > 20e6)
  t.ok((valueOf(text, 'process_resident_memory_bytes', 'site="sample"') ?? 0) > 20e6)
  t.ok((valueOf(text, 'aaas_edge_requests_total', 'site="shop"') ?? 0) >= direct)
  t.notOk(text.includes('another'), 'no instance speaks for another site')
  t.equal(valueOf(text, 'aaas_bus_subscriptions', 'site="shop"'), 2, 'those of the direct path')

  await platform.stopHost()
  const sent = platform.readings.filter(one => one.source.endsWith('.direct'))
  t.same([...new Set(sent.map(one => one.site))], ['shop'])
  t.ok(Math.max(...sent.map(one => one.counters.busMessages ?? 0)) >= direct)
  const hub = platform.readings.filter(one => one.source === 'h1.hub' && one.site === 'shop')
  t.ok(hub.length > 0 && hub.every(one => (one.counters.busRefused ?? 0) === 0))
  t.same(await readdir(join(platform.home, 'run')), ['control.sock'], 'no socket is left')
})

test('a service that cannot be reached directly is called over the hub', async t => {
  await using platform = await openPair()
  const run = join(platform.home, 'run')
  for (const name of await readdir(run)) if (name.startsWith('d-')) await rm(join(run, name))
  await scrapedUntil(platform, text => (valueOf(text, 'aaas_bus_direct_fallbacks_total', 'site="shop"') ?? 0) >= 1)
  const { ok, codes } = await calls(platform, 20)
  t.equal(ok, 20, codes.join())
})

test('a site over its quota is told at once, on every way, and the count of it is kept', async t => {
  await using platform = await openPair({ tenantLimits: { messagesPerSecond: 30, messageBurst: 30 } })
  const flood = await calls(platform, 500)
  t.ok(flood.ok > 0 && flood.codes.length >= 400, `${flood.ok} of 500`)
  t.same([...new Set(flood.codes)], ['core.bus.quota-exceeded'])
  t.equal(flood.retryable, true)
  t.ok(flood.ms < 4_000, `${flood.ms} ms`)
  await platform.stopHost()
  const last = new Map(platform.readings.map(one => [`${one.source} ${one.site}`, one]))
  const refused = [...last.values()].reduce((sum, one) => sum + (one.counters.busRefused ?? 0), 0)
  t.ok(refused >= flood.codes.length, `${refused} refusals`)
})
