import { silentLogger as logger } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import {
  type CollectedFamily,
  familyOf,
  listenMetrics,
  mergeFamilies,
  metricRegistry,
  metricsEndpoint,
  processMetrics,
  prometheusText,
  readFamilies,
} from '../../src/telemetry/index.js'

const textOf = (families: readonly CollectedFamily[]): string => prometheusText({ collect: () => families })
const one = (value: number, labels: Record<string, string> = {}) => [{ labels, value }]

test('only GET of /metrics with the token is answered', async t => {
  let asked = 0
  const collect = async () => {
    asked += 1
    return [familyOf('gauge', 'a', 'A.', one(1))]
  }
  const answer = metricsEndpoint({ token: 'secret', collect, logger })
  const authorization = 'Bearer secret'
  t.equal(await answer({ method: 'GET', path: '/', authorization }), undefined)
  t.equal((await answer({ method: 'GET', path: '/metrics', authorization: undefined }))?.status, 401)
  t.equal((await answer({ method: 'GET', path: '/metrics', authorization: 'Bearer secreT' }))?.status, 401)
  t.equal((await answer({ method: 'POST', path: '/metrics', authorization }))?.status, 405)
  t.equal(asked, 0)
  const both = await Promise.all([1, 2].map(() => answer({ method: 'GET', path: '/metrics', authorization })))
  t.same(
    both.map(found => [found?.status, found?.body]),
    Array(2).fill([200, '# HELP a A.\n# TYPE a gauge\na 1\n']),
  )
  t.equal(asked, 1, 'two that ask at once share the work')
  const failing = metricsEndpoint({ token: 'x', collect: () => Promise.reject(new Error('no')), logger })
  t.equal((await failing({ method: 'GET', path: '/metrics', authorization: 'Bearer x' }))?.status, 503)
})

test('on a port of its own; a port in use is named', async t => {
  const collect = async () => []
  await using server = await listenMetrics({ port: 0, token: 'x', collect, logger })
  const get = (path: string) =>
    fetch(`http://127.0.0.1:${server.port}${path}`, { headers: { authorization: 'Bearer x' } })
  t.equal((await get('/metrics?x=1')).status, 200)
  t.equal((await get('/other')).status, 404)
  await t.rejects(listenMetrics({ port: server.port, token: 'x', collect, logger }), {
    code: 'core.deploy.port-in-use',
    field: 'AAAS_METRICS_PORT',
  })
})

test('sources are told apart by labels that they cannot choose', t => {
  const families = mergeFamilies([
    { labels: {}, families: [familyOf('counter', 'n', 'N.', one(1))] },
    { labels: { site: 'a' }, families: [familyOf('counter', 'n', 'N.', one(2, { site: 'b', code: 'ok' }))] },
    { labels: { site: 'c' }, families: [familyOf('gauge', 'n', 'Another.', one(3))] },
  ])
  t.equal(textOf(families), '# HELP n N.\n# TYPE n counter\nn 1\nn{site="a",code="ok"} 2\n')
  t.end()
})

test('what another process sends is taken only in its form and within its bounds', t => {
  const registry = metricRegistry()
  processMetrics(registry)
  registry
    .histogram({ name: 'h', help: 'H.', bounds: [1] })
    .with()
    .observe(0.5)
  const sent: unknown = JSON.parse(JSON.stringify(registry.collect()))
  t.same(readFamilies(sent), registry.collect().length === 0 ? undefined : sent)
  const sample = { suffix: '', labels: [], value: 1 }
  const family = { name: 'n', help: 'N.', type: 'gauge', samples: [sample] }
  const many = (count: number) => ({ ...family, samples: Array(count).fill(sample) })
  t.ok(readFamilies([many(20_000)]))
  t.equal(readFamilies([many(20_000), family]), undefined)
  t.ok(readFamilies(Array(256).fill(family)))
  const wrong: unknown[] = [
    undefined,
    {},
    [{ ...family, name: 'n{}' }],
    [{ ...family, name: 'n\n' }],
    [{ ...family, type: 'untyped' }],
    [{ ...family, samples: [{ ...sample, value: '1' }] }],
    [{ ...family, samples: [{ ...sample, suffix: ' 1\nm' }] }],
    [{ ...family, samples: [{ ...sample, labels: [['a"', 'x']] }] }],
    [{ ...family, samples: [{ ...sample, labels: [['a', 'x'.repeat(201)]] }] }],
    Array(257).fill(family),
  ]
  for (const value of wrong) t.equal(readFamilies(value), undefined)
  t.end()
})
