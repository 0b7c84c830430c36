import { test } from 'tap'
import { live, TestPlatform } from './test-platform.js'

const vip = `
export const cloudware = {
  name: 'vip',
  start({ config, register }) {
    register('sample.greeting@1', ({ text }) => ({ text: text + config.suffix }))
  },
}
`

const program = `
import { defineHook } from '@aaas/core-cloud/cloudware'

const shape = { type: 'object', required: ['text'], properties: { text: { type: 'string' } } }
const greeting = defineHook({ name: 'sample.greeting@1', kind: 'transform', summary: 'Changes the greeting.', input: shape, output: shape })

export const program = {
  async start({ hooks, instanceId }) {
    return {
      async handler(request, response) {
        if (request.url === '/block') for (;;);
        const { text } = await hooks.transform(greeting, { text: 'hello' })
        response.end(JSON.stringify({ instance: instanceId, url: text }))
      },
      async health() {},
      async drain() {},
      async [Symbol.asyncDispose]() {},
    }
  },
}
`

test('cloudware is added to a running site, changed and removed without a restart', async t => {
  await using platform = await TestPlatform.open()
  const site = await platform.publish('1.0.0', program)
  const hooks = [{ hook: 'sample.greeting@1', kind: 'transform' }]
  const ref = await platform.publish('1.0.0', vip, { name: 'vip', kind: 'cloudware', hooks })
  await platform.want(platform.site(site, { instances: 1 }))
  await platform.startHost()
  const before = await platform.seen('live', live(1))
  t.equal((await platform.get('/')).body.url, 'hello')

  await platform.want(
    platform.site(site, { instances: 1, generation: 2, cloudware: [{ package: ref, config: { suffix: ', VIP' } }] }),
  )
  const status = await platform.seen(
    'the package is ready',
    one => one.cloudware.some(({ state }) => state === 'ready'),
    20_000,
  )
  t.match(status.cloudware, [{ name: 'vip', version: '1.0.0', digest: ref.digest }])
  t.equal((await platform.get('/')).body.url, 'hello, VIP')

  await platform.want(platform.site(site, { instances: 1, generation: 3 }))
  await platform.seen('the package is gone', one => one.observedGeneration === 3 && one.cloudware.length === 0)
  const { body } = await platform.get('/')
  t.equal(body.url, 'hello')
  t.equal(body.instance, before.instances[0]?.id, 'the same process all the time')
})
