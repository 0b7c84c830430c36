import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { ManualClock } from '@aaas/testing'
import { type Test, test } from 'tap'
import type { StreamAction, Streams } from '../../src/bus/index.js'
import {
  type Bus,
  connectBus,
  type Delivery,
  memoryBus,
  openStreams,
  remoteStreams,
  serveStreams,
} from '../../src/bus/index.js'
import { socketFolder, start, stop } from './fixture/processes.js'
import { passUntil } from './fixture/until.js'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const text = (message: { readonly payload: Uint8Array }): string => Buffer.from(message.payload).toString()

interface Served {
  readonly clock: ManualClock
  readonly bus: Bus
  readonly local: Streams
  readonly remote: Streams
  readonly asked: string[]
  until(holds: () => boolean | Promise<boolean>): Promise<void>
}

/** A server and a client on one bus, in one process. */
async function served(t: Test, allow: (action: StreamAction, stream: string) => boolean = () => true): Promise<Served> {
  const clock = new ManualClock()
  const bus = memoryBus({ clock })
  const local = await openStreams({ clock })
  const asked: string[] = []
  const service = await serveStreams({
    bus,
    streams: local,
    authorize: (sender, action, stream) => {
      asked.push(`${sender} ${action} ${stream}`)
      return allow(action, stream)
    },
  })
  const remote = remoteStreams({ bus, clock })
  t.teardown(async () => {
    await remote[Symbol.asyncDispose]()
    await local[Symbol.asyncDispose]()
    await service[Symbol.asyncDispose]()
    await bus[Symbol.asyncDispose]()
  })
  return {
    clock,
    bus,
    local,
    remote,
    asked,
    until: holds => passUntil(clock, holds),
  }
}

test('the owner decides what a client may do with which stream', async t => {
  let allowed: readonly string[] = []
  const { local, remote, asked } = await served(t, (action, stream) => allowed.includes(`${action} ${stream}`))
  await local.ensure({ name: 's', subjects: ['s.>'], durability: 'relaxed' })
  await local.ensure({ name: 'other', subjects: ['o'], durability: 'relaxed' })
  await local.bucket({ name: 'b', durability: 'relaxed' })
  const refused = { code: 'core.bus.refused' }
  await t.rejects(remote.publish('s.a', bytes('x')), refused)
  await t.rejects(
    remote.consume('s', { name: 'c' }, () => undefined),
    refused,
  )
  await t.rejects(
    remote.follow('s', {}, () => undefined),
    refused,
  )
  await t.rejects(remote.purge('s'), refused)
  await t.rejects(remote.bucket({ name: 'b', durability: 'relaxed' }), refused)
  t.same(await remote.list(), [])
  t.ok(asked.includes('undefined publish s') && asked.includes('undefined manage kv.b'))
  allowed = ['publish s', 'read s', 'consume s']
  t.equal((await remote.publish('s.a', bytes('x'))).sequence, 1)
  t.same(await remote.list(), ['s'])
  await t.rejects(remote.publish('o', bytes('x')), refused)
  await t.rejects(remote.remove('s'), refused)
  t.equal((await local.info('s')).messages, 1)
})

test('a client cannot write past the form of a question', async t => {
  const { bus, clock, local } = await served(t)
  await local.ensure({ name: 's', subjects: ['s.>'], durability: 'relaxed' })
  const ask = async (subject: string, payload: Uint8Array): Promise<string> => {
    const answer = await bus.request(`aaas.streams.${subject}`, payload, { deadline: clock.now() + 5_000 })
    return Buffer.from(answer.payload).toString()
  }
  t.match(await ask('publish', bytes('nonsense')), 'core.kernel.invalid-config')
  t.match(await ask('fetch', bytes('')), 'core.kernel.invalid-config')
  t.match(await ask('call', bytes('{}')), 'core.bus.unsupported')
  t.match(await ask('call', bytes('{"call":"close","stream":"s"}')), 'core.bus.unsupported')
  t.match(await ask('call', bytes('{"call":"__proto__","stream":"s"}')), 'core.bus.unsupported')
  t.match(await ask('call', bytes('{"call":"info","stream":"../s"}')), 'core.kernel.invalid-config')
  t.match(await ask('call', bytes('{"call":"remove","stream":"kv."}')), 'core.kernel.invalid-config')
  const ensure = { call: 'ensure', stream: 's', config: { name: 't', subjects: ['t'], durability: 'relaxed' } }
  t.match(await ask('call', bytes(JSON.stringify(ensure))), 'core.kernel.invalid-config')
  t.same(await local.list(), ['s'])
})

test('what a dead member had goes to another', async t => {
  const { clock, bus, local, until } = await served(t)
  await local.ensure({ name: 's', subjects: ['s'], durability: 'relaxed' })
  let cut = false
  // The way of the first client breaks without a word.
  const broken: Bus = new Proxy(bus, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      if (key === 'request' && cut) return () => new Promise(() => undefined)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const first = remoteStreams({ bus: broken, clock })
  const held: Delivery[] = []
  await first.consume('s', { name: 'c' }, delivery => {
    held.push(delivery)
    return new Promise(() => undefined)
  })
  for (let index = 0; index < 3; index++) await local.publish('s', bytes(String(index)))
  await until(() => held.length === 3)
  cut = true
  const seen: string[] = []
  await local.consume('s', { name: 'c' }, delivery => void seen.push(`${text(delivery)}/${delivery.attempt}`))
  const since = clock.now()
  await until(() => seen.length === 3)
  t.ok(clock.now() - since <= 8_000, `after ${clock.now() - since} ms, long before the 30 s of a delivery`)
  t.same(seen, ['0/2', '1/2', '2/2'])
})

test('a late word about an old delivery does not settle the new one', async t => {
  const { local, until, clock } = await served(t)
  await local.ensure({ name: 's', subjects: ['s'], durability: 'relaxed' })
  const { link } = local as Awaited<ReturnType<typeof openStreams>>
  await local.publish('s', bytes('x'))
  const config = { name: 'c', ackWaitMs: 500, maxDeliveries: 12, backoffMs: [10], maxUnsettled: 10 }
  const join = async (previous?: string) =>
    link.join('s', config, { start: 'first', working: [], ...(previous === undefined ? {} : { previous }) })
  const ask = { settled: [], capacity: 1, waitMs: 100, leaving: false }
  const old = (await join()).member
  t.equal((await link.fetch(old, ask))?.[0]?.attempt, 1)
  await clock.pass(600)
  const fresh = (await join()).member
  t.equal((await link.fetch(fresh, ask))?.[0]?.attempt, 2)
  const late = { sequence: 1, attempt: 1, kind: 'ack' } as const
  void link.fetch(old, { ...ask, settled: [late] })
  void link.fetch(fresh, { ...ask, settled: [late] })
  void link.fetch(fresh, { ...ask, settled: [{ ...late, attempt: 3 }] })
  t.equal((await local.consumerInfo('s', 'c')).unsettled, 1)
  void link.fetch(fresh, { ...ask, settled: [{ ...late, attempt: 2 }] })
  await until(async () => (await local.consumerInfo('s', 'c')).unsettled === 0)
  t.equal(await link.fetch('s/c/another.1', ask), undefined)
})

test('large messages come one by one, and what does not fit is not lost', async t => {
  const { local, remote, until } = await served(t)
  await local.ensure({ name: 's', subjects: ['s'], durability: 'relaxed' })
  for (let index = 0; index < 5; index++) await remote.publish('s', Buffer.alloc(8 * 1024 * 1024 - 131_072, index))
  const seen: number[] = []
  await remote.consume('s', { name: 'c' }, ({ payload, attempt }) => {
    t.equal(attempt, 1)
    seen.push(payload[payload.length - 1] ?? -1)
  })
  await until(() => seen.length === 5)
  t.same(seen, [0, 1, 2, 3, 4])
})

test('kill -9 at random moments loses nothing that was acknowledged', async t => {
  const folder = socketFolder()
  const socketPath = `${folder.path}/hub`
  const clock = systemClock({ keepAlive: true })
  const startHub = () => start('streams-hub-process.js', socketPath, `${folder.path}/streams`, '1', '0')
  let hub = await startHub()
  const bus = await connectBus({ socketPath, token: 'p', clock, ids: systemIds(), logger: silentLogger })
  const streams = remoteStreams({ bus, clock })
  t.teardown(async () => {
    await streams[Symbol.asyncDispose]()
    await bus[Symbol.asyncDispose]()
    await stop(hub)
    folder.remove()
  })
  await streams.ensure({ name: 's', subjects: ['s.>'], durability: 'relaxed' })
  const applied = new Map<number, string>()
  let repeated = 0
  await streams.consume('s', { name: 'c', maxDeliveries: 100 }, delivery => {
    const before = applied.get(delivery.sequence)
    if (before !== undefined && before !== text(delivery)) t.fail('another message under the same sequence')
    if (before !== undefined) repeated += 1
    applied.set(delivery.sequence, text(delivery))
  })
  const acknowledged = new Map<string, number>()
  let publishing = true
  const publishers = Array.from({ length: 16 }, async (_, key) => {
    for (let n = 0; publishing; n++) {
      const id = `${key}-${n}`
      const ack = await streams.publish(`s.${key}`, bytes(id), { messageId: id, deadline: clock.now() + 60_000 })
      acknowledged.set(id, ack.sequence)
    }
  })
  for (let kill = 0; kill < 3; kill++) {
    const enough = acknowledged.size + 300 + 200 * kill
    while (acknowledged.size < enough) await new Promise<void>(resolve => clock.after(5, resolve))
    await stop(hub)
    hub = await startHub()
  }
  publishing = false
  await Promise.all(publishers)
  const { lastSequence } = await streams.info('s')
  while (applied.size < lastSequence) await new Promise<void>(resolve => clock.after(5, resolve))
  t.equal(lastSequence, acknowledged.size)
  for (const [id, sequence] of acknowledged) if (applied.get(sequence) !== id) t.fail(`${id} at ${sequence}`)
  t.comment(`${acknowledged.size} acknowledged, ${repeated} came more than once`)
})
