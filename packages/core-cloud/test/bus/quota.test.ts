import { memoryBus } from '@aaas/core-cloud/bus'
import { ManualClock, seededIds } from '@aaas/testing'
import { test } from 'tap'
import type { BusMessage } from '../../src/bus/bus.js'
import { busSuite } from '../../src/bus/bus-suite.js'
import { type QuotaDesk, quotaDesk } from '../../src/bus/quota/quota.js'
import { quotaBus } from '../../src/bus/quota/quota-bus.js'
import type { TenantLimits } from '../../src/bus/quota/quota-limits.js'
import type { Reading } from '../../src/metering/index.js'

interface Refusal {
  readonly code: string
  readonly retryable: boolean
  readonly details: { readonly tenant: string; readonly limit: string; readonly retryAfterMs?: number }
}

function deskOf(clock: ManualClock, limits: TenantLimits | (() => TenantLimits | undefined)): QuotaDesk {
  const limitsOf = typeof limits === 'function' ? limits : () => limits
  return quotaDesk({ source: 'hub-1', limitsOf, clock, ids: seededIds() })
}

function refusal(work: () => void): Refusal['details'] | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    const { code, retryable, details } = error as Refusal
    if (code !== 'core.bus.quota-exceeded' || !retryable) throw error
    return details
  }
}

async function refused(call: Promise<unknown>): Promise<Refusal['details'] | undefined> {
  const error: unknown = await call.then(
    () => undefined,
    (error: unknown) => error,
  )
  return error === undefined
    ? undefined
    : refusal(() => {
        throw error
      })
}

test('each limit holds at its edge and not one past it', async t => {
  const clock = new ManualClock()
  const quota = deskOf(clock, {
    messagesPerSecond: 10,
    messageBurst: 2,
    bytesPerSecond: 1_000,
    subscriptions: 2,
    inFlight: 1,
    streamBytes: 100,
  }).openTenant('shop')
  quota.send(10)
  quota.send(10)
  t.same(
    refusal(() => quota.send(10)),
    { tenant: 'shop', limit: 'messagesPerSecond', retryAfterMs: 100 },
  )
  await clock.pass(100)
  quota.send(970)
  await clock.pass(200)
  t.same(
    refusal(() => quota.send(400)),
    { tenant: 'shop', limit: 'bytesPerSecond', retryAfterMs: 170 },
  )
  await clock.pass(170)
  quota.send(400)
  await clock.pass(2_000)
  quota.begin(1)
  t.same(
    refusal(() => quota.begin(1)),
    { tenant: 'shop', limit: 'inFlight' },
  )
  quota.end()
  quota.begin(1)
  quota.subscribe()
  quota.subscribe()
  t.same(
    refusal(() => quota.subscribe()),
    { tenant: 'shop', limit: 'subscriptions' },
  )
  quota.unsubscribe()
  quota.subscribe()
  quota.retain(100)
  t.same(
    refusal(() => quota.retain(1)),
    { tenant: 'shop', limit: 'streamBytes' },
  )
  quota.retain(-50)
  quota.retain(50)
})

test('connections of a tenant share its limits, and give back what they held', async t => {
  const desk = deskOf(new ManualClock(), { subscriptions: 1, inFlight: 1 })
  const identity = { kind: 'site', name: 'shop', publish: [], subscribe: [] }
  const first = desk.open(identity)
  const second = desk.open(identity)
  first?.subscribe()
  first?.begin(1)
  t.ok(refusal(() => second?.subscribe()))
  t.ok(refusal(() => second?.begin(1)))
  first?.close()
  first?.close()
  first?.end()
  second?.subscribe()
  second?.begin(1)
  t.ok(refusal(() => second?.begin(1)))
  t.equal(desk.open({ ...identity, kind: 'host' }), undefined)
  const other = desk.openTenant('other')
  other.begin(1)
})

test('readings are sums with epoch and number, and only of what is new', async t => {
  const clock = new ManualClock(5_000)
  const desk = deskOf(clock, { messagesPerSecond: 3 })
  const quota = desk.openTenant('shop')
  quota.send(100)
  quota.begin(50)
  quota.received(7)
  quota.send(1)
  t.ok(refusal(() => quota.send(1)))
  const read = (): Reading[] => desk.readings()
  const [first] = read()
  t.match(first, {
    source: 'hub-1',
    site: 'shop',
    seq: 1,
    at: 5_000,
    counters: { busMessages: 3, busBytesIn: 151, busBytesOut: 7, busRefused: 1, busRetainedKibSeconds: 0 },
  })
  t.same(read(), [])
  quota.retain(2_048)
  await clock.pass(1_499)
  quota.retain(-1_024)
  await clock.pass(2)
  t.match(read(), [{ epoch: first?.epoch, seq: 2, counters: { busMessages: 3, busRetainedKibSeconds: 3 } }])
  quota.retain(-1_024)
  quota.close()
  // Everything given back and paid off: forgotten, and later a new epoch.
  t.same(read(), [])
  const again = desk.openTenant('shop')
  again.send(1)
  const [fresh] = read()
  t.equal(fresh?.seq, 1)
  t.not(fresh?.epoch, first?.epoch)
})

test('leaving and coming back does not refill a quota', async t => {
  const clock = new ManualClock()
  const desk = deskOf(clock, { messagesPerSecond: 1 })
  const quota = desk.openTenant('shop')
  quota.send(1)
  quota.close()
  desk.readings()
  desk.readings()
  t.ok(refusal(() => desk.openTenant('shop').send(1)))
})

test('readings go to the spool by themselves, the last ones at the end', async t => {
  const clock = new ManualClock()
  const put: Reading[] = []
  const spool = { put: (reading: Reading) => void put.push(reading), flush: async () => true, unsent: 0 }
  const desk = quotaDesk({ source: 'h', limitsOf: () => undefined, clock, ids: seededIds(), spool, sampleMs: 100 })
  const quota = desk.openTenant('shop')
  quota.send(1)
  await clock.pass(100)
  t.equal(put.length, 1)
  quota.send(1)
  await desk[Symbol.asyncDispose]()
  t.equal(put.length, 2)
  t.equal(clock.pending, 0)
})

test('limits may change while in use; wrong ones are named', async t => {
  const clock = new ManualClock()
  let limits: TenantLimits = { inFlight: 2 }
  const desk = deskOf(clock, () => limits)
  const quota = desk.openTenant('shop')
  quota.begin(1)
  quota.begin(1)
  limits = { inFlight: 1, messagesPerSecond: 1 }
  desk.refresh('shop')
  t.ok(refusal(() => quota.begin(1)))
  quota.end()
  t.ok(refusal(() => quota.begin(1)))
  quota.end()
  quota.begin(1)
  for (const [field, value] of Object.entries({
    messagesPerSecond: 0,
    bytesPerSecond: 1.5,
    subscriptions: -1,
    streamBytes: Number.NaN,
    byteBurst: 5,
  })) {
    limits = { [field]: value }
    let error: unknown
    try {
      desk.refresh('shop')
    } catch (caught) {
      error = caught
    }
    t.match(error, { code: 'core.kernel.invalid-config', field })
  }
  const few = quotaDesk({ source: 'h', limitsOf: () => undefined, clock, ids: seededIds(), maxTenants: 1 })
  few.openTenant('a')
  t.same(
    refusal(() => few.openTenant('b')),
    { tenant: 'b', limit: 'tenants' },
  )
})

test('a bus behind a quota that is not reached keeps every promise', async t => {
  busSuite(
    (name, fn) => t.test(name, fn),
    async () => {
      const clock = new ManualClock()
      const desk = deskOf(clock, {
        messagesPerSecond: 1_000_000,
        bytesPerSecond: 1_000_000_000,
        subscriptions: 1_000,
        inFlight: 10_000,
      })
      const bus = quotaBus({ bus: memoryBus({ clock }), quota: desk.openTenant('shop') })
      return {
        clock,
        passTime: ms => clock.pass(ms),
        connect: async () => bus,
        [Symbol.asyncDispose]: () => Promise.resolve(bus[Symbol.asyncDispose]()),
      }
    },
    { ends: 'shared' },
  )
})

test('a bus behind its quota refuses at once, with the time to wait', async t => {
  const clock = new ManualClock()
  const desk = deskOf(clock, { messagesPerSecond: 10, messageBurst: 3, inFlight: 1, subscriptions: 1 })
  await using bus = quotaBus({ bus: memoryBus({ clock }), quota: desk.openTenant('shop') })
  const held: BusMessage[] = []
  const subscription = await bus.subscribe('hold', message => void held.push(message))
  t.match(await refused(bus.subscribe('other', () => undefined)), { limit: 'subscriptions' })
  const options = { deadline: clock.now() + 60_000 }
  const call = bus.request('hold', Buffer.from('abc'), options)
  t.match(await refused(bus.request('hold', Buffer.from(''), options)), { limit: 'inFlight' })
  await clock.pass(0)
  await held[0]?.respond?.(Buffer.from('12345'))
  await call
  await bus.publish('hold', Buffer.from(''))
  await bus.publish('hold', Buffer.from(''))
  t.match(await refused(bus.publish('hold', Buffer.from(''))), { limit: 'messagesPerSecond', retryAfterMs: 100 })
  await clock.pass(100)
  await bus.publish('hold', Buffer.from(''), { headers: { a: 'é' } })
  await clock.pass(100)
  const answers: string[] = []
  const many = bus.requestMany('hold', Buffer.from(''), { ...options, max: 1 })
  await clock.pass(0)
  await held.at(-1)?.respond?.(Buffer.from('67'))
  for await (const answer of many) answers.push(Buffer.from(answer.payload).toString())
  t.same(answers, ['67'])
  await subscription.drain()
  await bus.subscribe('other', () => undefined)
  t.match(desk.readings(), [{ counters: { busMessages: 5, busBytesIn: 6, busBytesOut: 5 + 2 + 3, busRefused: 3 } }])
})
