import type { NatsServers } from '@aaas/testing'
import { eventually } from '@aaas/testing'
import { connect, type NatsConnection, headers as natsHeaders } from '@nats-io/transport-node'
import { type Test, test } from 'tap'
import { busOf, bytes, clock, serversOf, skipNats, soon, text } from '../fixture/nats-bus.js'

async function plainClient(t: Test, servers: NatsServers): Promise<NatsConnection> {
  const client = await connect({ servers: [...servers.urls] })
  t.teardown(() => client.close())
  return client
}

test('a plain client calls a service', { skip: skipNats }, async t => {
  const servers = await serversOf(t)
  const bus = await busOf(t, servers)
  const plain = await plainClient(t, servers)
  let deadline = 0
  await bus.subscribe('shop.price', async message => {
    deadline = message.deadline ?? 0
    const { sku } = JSON.parse(text(message)) as { sku: string }
    if (sku === 'crash') throw new Error('secret of the handler')
    if (sku === 'none') {
      const body = { code: 'business.pricing.unknown', message: 'no such\nsku', retryable: false }
      await message.respond?.(bytes(JSON.stringify(body)), { headers: { error: '1' } })
      return
    }
    const answer = { sku, trace: message.headers.traceparent, hidden: message.headers['aaas-secret'] }
    await message.respond?.(bytes(JSON.stringify(answer)), { headers: { kind: 'price' } })
  })
  const headers = natsHeaders()
  headers.set('traceparent', '00-1-2-03')
  headers.set('aaas-timeout', '2000')
  headers.set('aaas-secret', 'x')
  const answer = await plain.request('shop.price', '{"sku":"a"}', { headers, timeout: 2_000 })
  t.same(answer.json(), { sku: 'a', trace: '00-1-2-03' })
  t.equal(answer.headers?.get('kind'), 'price')
  t.ok(Math.abs(deadline - clock.now() - 2_000) < 500)

  const unknown = await plain.request('shop.price', '{"sku":"none"}', { timeout: 2_000 })
  t.equal(unknown.headers?.get('Nats-Service-Error-Code'), 'business.pricing.unknown')
  t.equal(unknown.headers?.get('Nats-Service-Error'), 'no such sku')
  t.ok(Math.abs(deadline - clock.now() - 10_000) < 1_000, 'ten seconds when the caller does not say')

  const crashed = await plain.request('shop.price', '{"sku":"crash"}', { timeout: 2_000 })
  t.equal(crashed.headers?.get('Nats-Service-Error-Code'), 'core.kernel.internal')
  t.notMatch(crashed.string(), /secret/)

  const absolute = natsHeaders()
  absolute.set('AAAS-Deadline', String(clock.now() + 700))
  await plain.request('shop.price', '{"sku":"a"}', { headers: absolute, timeout: 2_000 })
  t.ok(deadline - clock.now() <= 700)
})

test('messages of plain clients are heard, and ours by them', { skip: skipNats }, async t => {
  const servers = await serversOf(t)
  const bus = await busOf(t, servers, { plain: ['py.>'] })
  const plain = await plainClient(t, servers)
  const seen: string[] = []
  await bus.subscribe('news', message => void seen.push(`${text(message)} ${message.headers.h}`))
  const headers = natsHeaders()
  headers.set('H', 'é')
  plain.publish('news', 'hello', { headers })
  await eventually('it came', () => seen.length === 1)
  t.same(seen, ['hello é'])

  plain.subscribe('py.>', {
    callback: (_, message) => {
      if (message.subject === 'py.fails') {
        const answer = natsHeaders()
        answer.set('Nats-Service-Error', 'no')
        answer.set('Nats-Service-Error-Code', '400')
        message.respond('', { headers: answer })
      } else
        message.respond(`${message.string()} ${message.headers?.get('h')} ${message.headers?.has('aaas-deadline')}`)
    },
  })
  await plain.flush()
  const answer = await bus.request('py.echo', bytes('{}'), { deadline: soon(), headers: { h: 'v' } })
  t.equal(text(answer), '{} v true')
  await t.rejects(bus.request('py.fails', bytes(''), { deadline: soon() }), {
    code: 'core.contract.remote-error',
    details: { code: '400' },
  })
})

test('nonsense that looks like ours is dropped', { skip: skipNats }, async t => {
  const servers = await serversOf(t)
  const bus = await busOf(t, servers)
  const plain = await plainClient(t, servers)
  const seen: string[] = []
  await bus.subscribe('x', async message => {
    seen.push(text(message))
    await message.respond?.(message.payload)
  })
  for (const nonsense of [
    [0xaa, 0xa5, 1],
    [0xaa, 0xa5, 9, 9],
    [0xaa, 0xa5, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  ])
    plain.publish('x', Uint8Array.from(nonsense), { reply: 'nowhere' })
  for (const subject of ['_INBOX.x.1', '_AAAS.C.x']) plain.publish(subject, Uint8Array.of(0xaa, 0xa5, 5, 0))
  await plain.flush()
  t.equal(text(await bus.request('x', bytes('fine'), { deadline: soon() })), 'fine')
  t.same(seen, ['fine'])
  for (const subject of ['_AAAS.interest', '_INBOX.a.b'])
    await t.rejects(bus.publish(subject, bytes('')), { code: 'core.bus.refused', field: 'subject' })
})
