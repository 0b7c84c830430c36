import { createLogger, type LogRecord, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { test } from 'tap'
import type { Bus, BusMessage } from '../../src/bus/bus.js'
import type { DirectBus } from '../../src/bus/index.js'
import { connectBus } from '../../src/bus/index.js'
import { acquainted, joinDirect, until } from './fixture/direct-cluster.js'
import { openStar } from './fixture/direct-star.js'

const clock = systemClock({ keepAlive: true })
const ids = systemIds()
const echo = async (message: BusMessage): Promise<void> => message.respond?.(message.payload)
const empty = Buffer.alloc(0)

test('16 callers and 20 planned replacements: no call fails', async t => {
  const star = openStar(t)
  await star.startHub()
  const callers = await star.join('callers')
  const serve = async (name: string): Promise<DirectBus> => {
    const bus = await star.join(name)
    await bus.subscribe(
      'job',
      async message => {
        await new Promise<void>(resolve => setImmediate(resolve))
        await echo(message)
      },
      { queue: 'workers' },
    )
    return bus
  }
  let member = await serve('member-0')
  await acquainted([callers, member])
  let answered = 0
  let over = false
  const failures: unknown[] = []
  const load = Array.from({ length: 16 }, async () => {
    while (!over) {
      try {
        await callers.request('job', empty, { deadline: clock.now() + 5_000 })
        answered += 1
      } catch (error) {
        failures.push(error)
      }
    }
  })
  for (let swap = 1; swap <= 20; swap++) {
    const before = answered
    const next = await serve(`member-${swap}`)
    await member.drain()
    await member[Symbol.asyncDispose]()
    member = next
    await until(() => answered > before + 48)
  }
  over = true
  await Promise.all(load)
  const { direct, otherWay } = callers.info()
  t.comment(`${answered} calls, ${direct} of them directly, ${otherWay} had to take the hub after all`)
  t.same(failures, [])
  t.ok(answered >= 960)
  t.ok(direct > answered / 2)
})

test('calls to a peer that does not read are refused at once', async t => {
  const star = openStar(t)
  await star.startHub()
  const pay = await star.join('pay')
  const shop = await star.join('shop', { limits: { maxOutgoingBytes: 1_000_000 } })
  await pay.subscribe('take', message => message.respond?.(empty), { queue: 'q' })
  await acquainted([pay, shop])
  const ask = (payload: Uint8Array): Promise<unknown> =>
    shop.request('take', payload, { deadline: clock.now() + 5_000 })
  await ask(empty)
  // Nothing is read while this turn lasts: the buffer of the socket fills, and then ours.
  const calls = Array.from({ length: 60 }, () => ask(Buffer.alloc(500_000)).then(() => 'done', codeOf))
  t.same([...new Set(await Promise.all(calls))].sort(), ['core.bus.overloaded', 'done'])
  await ask(empty)
  t.equal(shop.info().otherWay, 0)
})

test('a caller that does not read its answers loses its connection, and calls again over the hub', async t => {
  const star = openStar(t)
  await star.startHub()
  const records: LogRecord[] = []
  const logger = createLogger({ now: () => clock.now(), write: record => void records.push(record) })
  const pay = await star.join('pay', { logger, limits: { maxIncomingAnswerBytes: 1_000_000 } })
  const shop = await star.join('shop')
  await pay.subscribe('big', message => message.respond?.(Buffer.alloc(4_000_000)), { queue: 'q' })
  await pay.subscribe('echo', echo, { queue: 'q' })
  await acquainted([pay, shop])
  const ask = (subject: string): Promise<unknown> => shop.request(subject, empty, { deadline: clock.now() + 5_000 })
  await ask('echo')
  const answers = await Promise.all(Array.from({ length: 8 }, () => ask('big').then(() => 'done', codeOf)))
  t.ok(answers.includes('core.bus.disconnected'), answers.join())
  t.ok(records.some(({ fields }) => fields.reason === 'it does not read its answers'))
  await ask('echo')
})

test('more calls than may wait are refused at once', async t => {
  const star = openStar(t)
  await star.startHub()
  const pay = await star.join('pay')
  const shop = await star.join('shop', { limits: { maxPending: 4 } })
  const held: BusMessage[] = []
  await pay.subscribe('hold', message => void held.push(message), { queue: 'q' })
  await pay.subscribe('echo', echo, { queue: 'q' })
  await acquainted([pay, shop])
  // On a busy machine a connection may take so long that the first calls go over the hub, which has its own bound.
  await until(async () => {
    await shop.request('echo', empty, { deadline: clock.now() + 60_000 })
    return shop.info().direct > 0
  })
  const ask = (): Promise<unknown> => shop.request('hold', empty, { deadline: clock.now() + 60_000 })
  const calls = Array.from({ length: 4 }, ask)
  await t.rejects(ask(), { code: 'core.bus.overloaded' })
  await until(() => held.length === 4)
  await t.rejects(ask(), { code: 'core.bus.overloaded' })
  for (const message of held) await message.respond?.(empty)
  await Promise.all(calls)
  // At the callee the bound is per connection.
  const strict = await star.join('strict', { limits: { maxRequests: 2 } })
  const free = await star.join('free')
  const kept: BusMessage[] = []
  await strict.subscribe('keep', message => void kept.push(message), { queue: 'q' })
  await strict.subscribe('ping', echo, { queue: 'q' })
  await acquainted([strict, free])
  await until(async () => {
    await free.request('ping', empty, { deadline: clock.now() + 60_000 })
    return free.info().direct > 0
  })
  const outcomes = Array.from({ length: 3 }, () =>
    free.request('keep', empty, { deadline: clock.now() + 60_000 }).then(() => 'done', codeOf),
  )
  t.equal(await outcomes[2], 'core.bus.overloaded')
  for (const message of kept) await message.respond?.(empty)
  t.same(await Promise.all(outcomes.slice(0, 2)), ['done', 'done'])
})

test('more instances than can be known: calls take the hub until there is room', async t => {
  const star = openStar(t)
  await star.startHub()
  const limits = { maxPeers: 1, refreshMs: 20, joinMs: 0 }
  const shop = await star.join('shop', { limits })
  const pay = await star.join('pay', { limits: { refreshMs: 20, joinMs: 0 } })
  await pay.subscribe('pay', echo, { queue: 'q' })
  await acquainted([shop, pay])
  const ask = (): Promise<unknown> => shop.request('pay', empty, { deadline: clock.now() + 5_000 })
  await ask()
  t.equal(shop.info().direct, 1)
  const third = await star.join('third', { limits: { refreshMs: 20, joinMs: 0 } })
  await third.subscribe('x', echo)
  await ask()
  t.equal(shop.info().direct, 1)
  await third[Symbol.asyncDispose]()
  const start = clock.monotonic()
  await until(() => clock.monotonic() > start + 100)
  await ask()
  t.equal(shop.info().direct, 2)
})

test('an instance that was killed is forgotten, and nobody waits for it longer than once', async t => {
  const star = openStar(t)
  await star.startHub()
  const limits = { refreshMs: 20, settleMs: 50, joinMs: 0 }
  const shop = await star.join('shop', { limits })
  const below = await connectBus({ socketPath: `${star.path}/hub`, token: 'mute', clock, ids, logger: silentLogger })
  // It announces itself and then says nothing more.
  const mute: Bus = {
    ...forward(below),
    publish: (subject, payload, options) =>
      said++ === 0 ? below.publish(subject, payload, options) : Promise.resolve(),
  }
  let said = 0
  const dead = await joinDirect(mute, { name: 'mute', limits })
  await until(() => shop.info().peers.length === 1)
  await shop.subscribe('a', echo, { queue: 'q' })
  await until(() => shop.info().peers.length === 0)
  await dead[Symbol.asyncDispose]()
  t.ok(true)
})

function forward(bus: Bus): Bus {
  return {
    publish: (...args) => bus.publish(...args),
    subscribe: (...args) => bus.subscribe(...args),
    request: (...args) => bus.request(...args),
    requestMany: (...args) => bus.requestMany(...args),
    drain: () => bus.drain(),
    [Symbol.asyncDispose]: () => Promise.resolve(bus[Symbol.asyncDispose]()),
  }
}

function codeOf(error: { readonly code?: string }): string {
  return error.code ?? 'unknown'
}
