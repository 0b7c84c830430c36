import { test } from 'tap'
import { live, TestPlatform } from './test-platform.js'

test('a release step that fails and a program that throws say why', async t => {
  await using platform = await TestPlatform.open()
  const [v1, v2, v3] = [
    await platform.publish('1.0.0'),
    await platform.publish('1.0.1'),
    await platform.publish('1.0.2'),
  ]
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
