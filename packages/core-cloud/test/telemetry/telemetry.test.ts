import { memoryBus } from '@aaas/core-cloud/bus'
import {
  busClient,
  createHttpApi,
  defineContract,
  httpService,
  localClient,
  observers,
  serveContract,
} from '@aaas/core-cloud/contract'
import { type CallContext, CloudError, inherit, silentLogger, systemIds } from '@aaas/core-cloud/kernel'
import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { Type } from 'typebox'
import { callTelemetry, metricRegistry, prometheusContentType, prometheusText } from '../../src/telemetry/index.js'
import { parsePrometheus } from './fixture/prometheus-parser.js'
import { recordingProviders } from './fixture/recording-providers.js'

const ids = systemIds()
const sample = defineContract({
  name: 'sample.seen',
  version: '1.2.3',
  methods: {
    work: {
      summary: 'Works or fails.',
      input: Type.Object({ how: Type.Optional(Type.String()) }),
      output: Type.Unknown(),
      http: { verb: 'POST', path: '/work' },
    },
    outer: { summary: 'Calls work.', input: Type.Object({}), output: Type.Unknown() },
    count: {
      summary: 'Counts.',
      input: Type.Object({}),
      output: Type.Unknown(),
      stream: 'out',
      itemOutput: Type.Integer(),
    },
  },
})

async function world() {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  const registry = metricRegistry()
  const observer = callTelemetry({ registry })
  const client = busClient({ bus, contract: sample, prefix: 'site.a', clock, ids, observer })
  const handlers = {
    async work({ how }: { how?: string }) {
      await clock.pass(3)
      if (how === 'sold') throw new CloudError('business.inventory.sold-out', 'gone')
      if (how !== undefined) throw new Error('secret')
      return 'done'
    },
    outer: async (_: unknown, context: CallContext) => client.work({}, inherit(context)),
    async *count() {
      yield 1
      yield 2
    },
  }
  const options = { contract: sample, handlers, clock, ids, observer }
  const served = await serveContract({ ...options, bus, prefix: 'site.a', logger: silentLogger })
  const api = createHttpApi({
    services: [httpService(sample, handlers)],
    clock,
    ids,
    logger: silentLogger,
    observer,
  })
  return { clock, registry, client, local: localClient(options), api, served }
}

test('every surface counts its calls by code, and times them', async t => {
  const { registry, client, local, api } = await world()
  t.equal(prometheusContentType, 'text/plain; version=0.0.4; charset=utf-8')
  t.equal(await local.work({}), 'done')
  await local.work({})
  await t.rejects(local.work({ how: 'sold' }), { code: 'business.inventory.sold-out' })
  await client.work({})
  await t.rejects(client.work({ how: 'plain' }), { code: 'core.kernel.internal' })
  await t.rejects(client.work({ how: 1 as never }), { code: 'core.contract.invalid-input' })
  for await (const _ of client.count({})) t.pass()
  await api.handle({ method: 'POST', path: '/work', headers: {}, body: new Uint8Array(0) })
  const parsed = parsePrometheus(prometheusText(registry))
  const calls = (method: string, surface: string, code: string) =>
    parsed.value('aaas_calls_total', { contract: 'sample.seen', method, surface, code })
  t.equal(calls('work', 'local', 'ok'), 2)
  t.equal(calls('work', 'local', 'business.inventory.sold-out'), 1)
  t.equal(calls('work', 'bus', 'ok'), 1)
  t.equal(calls('work', 'bus', 'core.kernel.internal'), 1)
  t.equal(calls('work', 'bus', 'core.contract.invalid-input'), 1)
  t.equal(calls('work', 'bus-client', 'ok'), 1)
  t.equal(calls('work', 'bus-client', 'core.kernel.internal'), 1)
  t.equal(calls('count', 'bus', 'ok'), 1)
  t.equal(calls('count', 'bus-client', 'ok'), 1)
  t.equal(calls('work', 'http', 'ok'), 1)
  t.equal(calls('outer', 'bus', 'ok'), undefined, 'what was never called has no line')
  const timed = { contract: 'sample.seen', method: 'work', surface: 'local' }
  t.equal(parsed.value('aaas_call_seconds_count', timed), 3)
  t.equal(parsed.value('aaas_call_seconds_sum', timed), 0.009)
  t.equal(parsed.value('aaas_call_seconds_bucket', { ...timed, le: '0.0025' }), 0)
  t.equal(parsed.value('aaas_call_seconds_bucket', { ...timed, le: '0.005' }), 3)
  t.equal(parsed.value('aaas_call_seconds_bucket', { ...timed, le: '+Inf' }), 3)
  t.equal(parsed.types.get('aaas_calls_total'), 'counter')
  t.equal(parsed.types.get('aaas_call_seconds'), 'histogram')
  await local.work({})
  t.equal(parsePrometheus(prometheusText(registry)).value('aaas_call_seconds_count', timed), 4)
})

/** A caller may have its answer before the span of who gave it has ended. */
const settled = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

test('spans and metrics of the API, once providers are registered', async t => {
  const { client, local, api } = await world()
  await client.work({})
  const record = recordingProviders()
  try {
    await client.work({}, { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'a=1' })
    await settled()
    const [called, served] = ['client', 'server'].map(kind => record.spans.find(span => span.kind === kind))
    t.match(called, { name: 'sample.seen/work', kind: 'client', parent: 'b7ad6b7169203331', ended: true, status: 0 })
    t.match(served, { name: 'sample.seen/work', kind: 'server', parent: called?.spanId, remote: true, state: 'a=1' })
    t.equal(served?.traceId, '0af7651916cd43dd8448eb211c80319c')
    t.match(called?.attributes, { 'rpc.system.name': 'aaas', 'rpc.method': 'sample.seen/work' })
    record.spans.length = 0
    await client.outer({})
    await settled()
    const chain = [
      'client sample.seen/outer',
      'server sample.seen/outer',
      'client sample.seen/work',
      'server sample.seen/work',
    ].map(wanted => record.spans.find(({ name, kind }) => `${kind} ${name}` === wanted))
    t.equal(record.spans.length, 4)
    t.equal(new Set(record.spans.map(({ traceId }) => traceId)).size, 1)
    for (const [index, span] of chain.slice(1).entries())
      t.equal(span?.parent, chain[index]?.spanId, 'each is a child of the one before')
    record.spans.length = 0
    await t.rejects(client.work({ how: 'sold' }))
    await t.rejects(local.work({ how: 'plain' }))
    await settled()
    t.match(
      ['server', 'client', 'internal'].map(kind => record.spans.find(span => span.kind === kind)),
      [
        { kind: 'server', status: 0, attributes: { 'error.type': 'business.inventory.sold-out' } },
        { kind: 'client', status: 2, attributes: { 'error.type': 'business.inventory.sold-out' } },
        { kind: 'internal', status: 2, attributes: { 'error.type': 'core.kernel.internal' } },
      ],
    )
    record.spans.length = 0
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await api.handle({ method: 'POST', path: '/work', headers: { traceparent }, body: new Uint8Array(0) })
    t.match(record.spans, [{ kind: 'server', parent: 'b7ad6b7169203331', remote: true }])
    for await (const _ of client.count({})) t.pass()
    await settled()
    t.equal(record.spans.length, 3)
    const names = new Set(record.durations.map(({ name, unit }) => `${name} ${unit}`))
    t.same([...names].sort(), ['rpc.client.call.duration s', 'rpc.server.call.duration s'])
    t.match(record.durations.at(0), { value: 0.003, attributes: { 'rpc.method': 'sample.seen/work' } })
  } finally {
    record.remove()
  }
  record.spans.length = 0
  await client.work({})
  t.equal(record.spans.length, 0, 'and none when they are gone')
})

test('labels are bounded and escaped, names checked', async t => {
  const registry = metricRegistry({ maxSeries: 3 })
  const family = registry.counter({ name: 'things_total', help: 'Back\\slash\nand line.', labels: ['a', 'b'] })
  const nasty = 'quote" back\\slash\nline, } é'
  family.with(nasty, '').add(2)
  for (let index = 0; index < 10; index++) family.with(String(index), 'x').add()
  const parsed = parsePrometheus(prometheusText(registry))
  t.equal(parsed.value('things_total', { a: nasty, b: '' }), 2)
  t.equal(parsed.value('things_total', { a: '1', b: 'x' }), 1)
  t.equal(parsed.value('things_total', { a: '2', b: 'x' }), undefined)
  t.equal(parsed.value('things_total', { a: 'other', b: 'other' }), 8)
  t.equal(parsed.help.get('things_total'), 'Back\\slash\nand line.')
  registry.gauge({ name: 'level', help: 'A level.' }).with().set(-1.5)
  registry.histogram({ name: 'empty', help: 'Nothing.', bounds: [1] })
  t.match(prometheusText(registry), /^level -1\.5$/m)
  t.notMatch(prometheusText(registry), /empty/)
  t.equal(prometheusText(metricRegistry()), '')
  for (const [options, message] of [
    [{ name: 'a-b', help: '' }, /name/],
    [{ name: 'level', help: '' }, /already/],
    [{ name: 'x', help: '', labels: ['le'] }, /label/],
    [{ name: 'x', help: '', labels: ['__x'] }, /label/],
    [{ name: 'x', help: '', labels: ['a', 'a'] }, /twice/],
  ] as const)
    t.throws(() => registry.counter(options), message)
  for (const bounds of [[], [2, 1], [Number.NaN], Array.from({ length: 65 }, (_, index) => index)])
    t.throws(() => registry.histogram({ name: 'x', help: '', bounds }), /bounds/)
  t.throws(() => family.with('one'), /2 labels/)
  const histogram = registry.histogram({ name: 'sizes', help: 'Sizes.', bounds: [1, 2.5] }).with()
  for (const value of [1, 1.1, 2.5, 3, Number.NaN, Number.POSITIVE_INFINITY]) histogram.observe(value)
  const sizes = parsePrometheus(prometheusText(registry))
  t.equal(sizes.value('sizes_bucket', { le: '1' }), 1)
  t.equal(sizes.value('sizes_bucket', { le: '2.5' }), 3)
  t.equal(sizes.value('sizes_bucket', { le: '+Inf' }), 4)
  t.equal(sizes.value('sizes_sum', {}), 7.6)
})

test('codes of one method are bounded', async t => {
  const registry = metricRegistry()
  const seen = callTelemetry({ registry }).operation({
    contract: 'a.b',
    version: '1.0.0',
    method: 'm',
    surface: 'bus',
    side: 'server',
  })
  for (let index = 0; index < 40; index++) seen.end(1, `code.${index}`, undefined)
  const parsed = parsePrometheus(prometheusText(registry))
  const labels = { contract: 'a.b', method: 'm', surface: 'bus' }
  t.equal(parsed.value('aaas_calls_total', { ...labels, code: 'code.31' }), 1)
  t.equal(parsed.value('aaas_calls_total', { ...labels, code: 'code.32' }), undefined)
  t.equal(parsed.value('aaas_calls_total', { ...labels, code: 'other' }), 8)
})

test('several observers see the same calls', async t => {
  const [one, two] = [metricRegistry(), metricRegistry()]
  const both = observers(undefined, callTelemetry({ registry: one }), callTelemetry({ registry: two }))
  t.equal(observers(undefined), undefined)
  const clock = new ManualClock()
  const contract = defineContract({
    name: 'sample.small',
    version: '1.0.0',
    methods: { m: { summary: '', input: Type.Object({}), output: Type.Unknown() } },
  })
  const client = localClient({ contract, handlers: { m: async () => 1 }, clock, ids, ...(both && { observer: both }) })
  const record = recordingProviders()
  await client.m({})
  record.remove()
  t.equal(record.spans.length, 1, 'one span, not one for each')
  for (const registry of [one, two]) t.match(prometheusText(registry), /aaas_calls_total\{.*code="ok"\} 1\n/)
})
