import { silentLogger as logger } from '@aaas/core-cloud/kernel'
import { metricRegistry, processMetrics } from '@aaas/core-cloud/telemetry'
import { test } from 'tap'
import { controlMetrics } from '../../src/site-center/control-metrics.js'

const ask = (path: string, token: string): Request =>
  new Request(`http://localhost${path}`, { headers: { authorization: `Bearer ${token}` } })

test('control tells its metrics to whom has their token, and leaves every other path alone', async t => {
  const registry = metricRegistry()
  processMetrics(registry)
  const answer = controlMetrics({ registry, token: 'scraper', logger })
  t.equal(await answer(ask('/', 'scraper')), undefined)
  t.equal((await answer(ask('/metrics', 'other')))?.status, 401)
  const found = await answer(ask('/metrics', 'scraper'))
  t.equal(found?.status, 200)
  t.match(found?.headers.get('content-type'), 'text/plain')
  t.match(await found?.text(), /process_resident_memory_bytes \d+/)
  t.equal(await controlMetrics({ registry, token: undefined, logger })(ask('/metrics', 'x')), undefined)
})
