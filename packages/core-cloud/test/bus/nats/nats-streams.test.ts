import { silentLogger, systemIds } from '@aaas/core-cloud/kernel'
import { eventually } from '@aaas/testing'
import { connect } from '@nats-io/transport-node'
import { test } from 'tap'
import { DueHeap } from '../../../src/bus/due-heap.js'
import { natsStreams } from '../../../src/bus/nats/nats-bus.js'
import type { Delivery } from '../../../src/bus/stream.js'
import { bytes, text } from '../fixture/nats-bus.js'
import { connectStreams, natsClock, natsServers, skipNats } from '../fixture/nats-streams.js'

const relaxed = { durability: 'relaxed' } as const

test('a full server refuses, keeps what it has, and takes again when there is room', { skip: skipNats }, async t => {
  const servers = await natsServers(t, { jetstream: 'max_file: 300MB' })
  const streams = await connectStreams(servers, 0)
  t.teardown(() => streams[Symbol.asyncDispose]())
  await t.rejects(streams.ensure({ name: 'huge', subjects: ['huge'], ...relaxed, maxBytes: 2 ** 40 }), {
    code: 'core.bus.stream-full',
  })
  await streams.ensure({ name: 's', subjects: ['s.>'], ...relaxed, maxBytes: 2_000_000, discard: 'new' })
  let stored = 0
  await t.rejects(
    async () => {
      for (;;) {
        await streams.publish('s.a', Buffer.alloc(500_000))
        stored += 1
      }
    },
    { code: 'core.bus.stream-full' },
  )
  t.equal(stored, 3)
  t.equal((await streams.info('s')).messages, 3)
  await streams.purge('s', { below: 2 })
  t.equal((await streams.publish('s.a', Buffer.alloc(500_000))).sequence, 4)
})

test('a message whose members keep dying goes to the dead letters without a handler', { skip: skipNats }, async t => {
  const servers = await natsServers(t)
  const streams = await connectStreams(servers, 0)
  t.teardown(() => streams[Symbol.asyncDispose]())
  await streams.ensure({ name: 's', subjects: ['s.>'], ...relaxed })
  await streams.publish('s.a', bytes('deadly'), { messageId: 'm' })
  const config = { name: 'c', ackWaitMs: 100, maxDeliveries: 2 }
  const isDead = async (): Promise<boolean> => (await streams.deadLetters('s')).length === 1
  const attempts: number[] = []
  // The server forgets a delivery now and then when it finds nobody to deliver to: a few members more may die.
  for (let round = 0; round < 10 && !(await isDead()); round++) {
    const member = await connectStreams(servers, 0)
    let got: Delivery | undefined
    await member.consume('s', config, delivery => {
      got ??= delivery
      attempts.push(delivery.attempt)
      return new Promise(() => undefined)
    })
    await eventually('it came, or was given up', async () => got !== undefined || (await isDead()))
    await member[Symbol.asyncDispose]()
    t.ok(got === undefined || got.signal.aborted)
  }
  t.ok(attempts.length >= 2 && Math.max(...attempts) <= 2, attempts.join())
  const [letter] = await streams.deadLetters('s')
  t.match(letter, { attempts: 2, consumer: 'c', originalSequence: 1, reason: /not settled in 2 deliveries/ })
  await eventually('settled', async () => (await streams.consumerInfo('s', 'c')).settledSequence === 1)
})

test('a consumer or dead-letter stream that somebody deleted is made again', { skip: skipNats }, async t => {
  const servers = await natsServers(t)
  const streams = await connectStreams(servers, 0)
  t.teardown(() => streams[Symbol.asyncDispose]())
  await streams.ensure({ name: 's', subjects: ['s.>'], ...relaxed })
  const seen: string[] = []
  await streams.consume('s', { name: 'c', start: 'new' }, delivery => {
    seen.push(text(delivery))
    if (text(delivery) === 'bad') delivery.term('bad')
  })
  const tool = await connect({ servers: [...servers.urls] })
  t.teardown(() => tool.close())
  await tool.request('$JS.API.CONSUMER.DELETE.s.c')
  await tool.request('$JS.API.STREAM.DELETE.s-dead')
  await eventually('it is there again', async () => {
    const info = await streams.consumerInfo('s', 'c').catch(() => undefined)
    return info !== undefined
  })
  await streams.publish('s.a', bytes('bad'))
  await eventually('it came', () => seen.includes('bad'))
  await eventually('it died', async () => (await streams.deadLetters('s')).length === 1)
})

test('durabilities that one server cannot give', { skip: skipNats }, async t => {
  const servers = await natsServers(t)
  const streams = await connectStreams(servers, 0)
  t.teardown(() => streams[Symbol.asyncDispose]())
  const make = (durability: 'replicated' | 'synced') => ({ name: durability, subjects: [durability], durability })
  await t.rejects(streams.ensure(make('replicated')), { code: 'core.bus.unsupported' })
  await t.rejects(streams.ensure(make('synced')), { code: 'core.bus.unsupported', field: 'durability' })
  const trusting = await connectStreams(servers, 0, { assumeSynced: true })
  t.teardown(() => trusting[Symbol.asyncDispose]())
  t.equal((await trusting.ensure(make('synced'))).config.durability, 'synced')
  t.equal((await streams.info('synced')).config.durability, 'synced')
})

test('tools of NATS read and write what is stored here', { skip: skipNats }, async t => {
  const servers = await natsServers(t)
  const streams = await connectStreams(servers, 0)
  t.teardown(() => streams[Symbol.asyncDispose]())
  const tool = await connect({ servers: [...servers.urls] })
  t.teardown(() => tool.close())
  const bucket = await streams.bucket({ name: 'b', ...relaxed, history: 2 })
  await tool.request('$KV.b.from.tool', 'hello')
  const entry = await bucket.get('from.tool')
  t.equal(Buffer.from(entry?.value ?? []).toString(), 'hello')
  await bucket.put('ours', bytes('1'))
  const direct = await tool.request('$JS.API.DIRECT.GET.KV_b', JSON.stringify({ last_by_subj: '$KV.b.ours' }))
  t.equal(direct.string(), '1')
  await bucket.delete('ours')
  const gone = await tool.request('$JS.API.DIRECT.GET.KV_b', JSON.stringify({ last_by_subj: '$KV.b.ours' }))
  t.equal(gone.headers?.get('KV-Operation'), 'DEL')
  await streams.ensure({ name: 's', subjects: ['s.>'], ...relaxed })
  const headers = { plain: 'x', edge: ' both ends ' }
  await streams.publish('s.a', bytes('body'), { messageId: 'id', headers })
  const stored = await tool.request('$JS.API.DIRECT.GET.s', JSON.stringify({ seq: 1 }))
  t.same([stored.string(), stored.headers?.get('plain'), stored.headers?.get('Nats-Msg-Id')], ['body', 'x', 'id'])
  t.same({ ...(await streams.get('s', { sequence: 1 }))?.headers }, headers)
})

test('names of our own are refused, a server without streams is named', { skip: skipNats }, async t => {
  const servers = await natsServers(t, { streams: false })
  const streams = await connectStreams(servers, 0, { scheduler: false })
  t.teardown(() => streams[Symbol.asyncDispose]())
  for (const name of ['KV_x', '_aaas-later'])
    await t.rejects(streams.ensure({ name, subjects: ['x'], ...relaxed }), {
      code: 'core.kernel.invalid-config',
      field: 'name',
    })
  await t.rejects(streams.list(), { code: 'core.bus.unsupported' })
  await t.rejects(
    natsStreams({
      servers: servers.urls,
      clock: natsClock,
      ids: systemIds(),
      logger: silentLogger,
      apiPrefix: 'x',
    }),
    { code: 'core.kernel.invalid-config', field: 'apiPrefix' },
  )
})

test('what is due first comes first', async t => {
  const heap = new DueHeap()
  const given = Array.from({ length: 200 }, (_, index) => ({ at: (index * 7919) % 50, sequence: index }))
  for (const due of given) heap.push(due)
  const taken = []
  for (let due = heap.pop(); due !== undefined; due = heap.pop()) taken.push(due)
  t.same(
    taken,
    given.slice().sort((a, b) => a.at - b.at || a.sequence - b.sequence),
  )
})
