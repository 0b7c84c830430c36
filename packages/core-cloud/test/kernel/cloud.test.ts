import { memoryBus } from '@aaas/core-cloud/bus'
import { defineContract } from '@aaas/core-cloud/contract'
import { createCloud } from '@aaas/core-cloud/kernel'
import { ManualClock } from '@aaas/testing'
import { test } from 'tap'
import { Type } from 'typebox'

const greeter = defineContract({
  name: 'sample.greeter',
  version: '1.0.0',
  methods: {
    greet: { summary: 'Greets.', input: Type.Object({ name: Type.String({ maxLength: 10 }) }), output: Type.String() },
  },
})

test('a service of this process is called directly, in whatever order the parts are wired', async t => {
  const cloud = createCloud({ name: 'shop', clock: new ManualClock() })
  const client = cloud.use(greeter)
  await t.rejects(client.greet({ name: 'x' }), { code: 'core.bus.no-responder' })
  const later = cloud.use(greeter)
  cloud.provide(greeter, { greet: async ({ name }) => `hello ${name}` })
  await cloud.start()
  t.equal(
    await later.greet({ name: 'a name of more than ten characters' }),
    'hello a name of more than ten characters',
    'a local call is trusted',
  )
  t.equal(await client.greet({ name: 'Ada' }), 'hello Ada')
  await cloud.stop()
})

test('a service of another process is called over the bus', async t => {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  await using payment = createCloud({ name: 'payment', prefix: 'service.payment', clock, bus })
  await using shop = createCloud({ name: 'shop', clock, bus })
  payment.provide(greeter, { greet: async ({ name }) => `paid, ${name}` })
  await payment.start()
  await shop.start()
  const client = shop.use(greeter, { prefix: 'service.payment' })
  t.equal(await client.greet({ name: 'Ada' }), 'paid, Ada')
  await t.rejects(client.greet({ name: 'a name of more than ten characters' }), {
    code: 'core.contract.invalid-input',
    field: 'name',
  })
})

test('what is not for others is not on the bus', async t => {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  await using cloud = createCloud({ name: 'shop', clock, bus })
  cloud.provide(greeter, { greet: async () => 'mine' }, { remote: false })
  await cloud.start()
  t.equal(await cloud.use(greeter).greet({ name: '' }), 'mine')
  await using other = createCloud({ name: 'other', clock, bus })
  await t.rejects(other.use(greeter, { prefix: 'shop' }).greet({ name: '' }), { code: 'core.bus.no-responder' })
})

test('instances of one program share the calls; each call runs once', async t => {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  const served: string[] = []
  for (const name of ['one', 'two']) {
    const cloud = createCloud({ name, prefix: 'site.shop', clock, bus })
    t.teardown(() => cloud.stop())
    cloud.provide(greeter, { greet: async () => (served.push(name), name) })
    await cloud.start()
  }
  const client = createCloud({ name: 'caller', clock, bus }).use(greeter, { prefix: 'site.shop' })
  for (let call = 0; call < 4; call++) await client.greet({ name: '' })
  t.same(served.sort(), ['one', 'one', 'two', 'two'])
})

test('stop answers what runs, then releases in reverse order', async t => {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  const cloud = createCloud({ name: 'shop', clock, bus })
  const order: string[] = []
  let finish: () => void = () => undefined
  const started = new Promise<void>(resolve => {
    cloud.provide(greeter, {
      greet: async ({ name }) => {
        resolve()
        await new Promise<void>(done => (finish = done))
        order.push('answered')
        return name
      },
    })
  })
  for (const name of ['database', 'cache']) {
    cloud.lifecycle.add({
      name,
      drain: async () => void order.push(`drain ${name}`),
      dispose: async () => void order.push(`dispose ${name}`),
    })
  }
  await cloud.start()
  const call = createCloud({ name: 'caller', clock, bus, prefix: 'shop' }).use(greeter).greet({ name: 'Ada' })
  await started
  const stopping = cloud.stop()
  await Promise.resolve()
  finish()
  t.equal(await call, 'Ada')
  await stopping
  t.same(order, ['answered', 'drain cache', 'drain database', 'dispose cache', 'dispose database'])
})

test('mistakes of the programmer are told at once', async t => {
  const cloud = createCloud({ name: 'shop', clock: new ManualClock() })
  cloud.provide(greeter, { greet: async () => '' })
  t.throws(() => cloud.provide(greeter, { greet: async () => '' }), /provided twice/)
  await cloud.start()
  t.throws(() => cloud.provide({ ...greeter, name: 'sample.other' }, { greet: async () => '' }), /before start/)
  t.throws(
    () => createCloud({ name: 'x' }).provide(greeter, {} as { greet: () => Promise<string> }),
    /no handler for greet/,
  )
})
