import assert from 'node:assert/strict'
import type { Ids } from '@aaas/core-cloud/kernel'
import type { Database } from '../rdbms/database.js'
import { deadEvents, replayDead } from './dead-events.js'
import { emitEvent, inboxOnce, type OutboxEvent, type OutboxRelay, type Subscriber } from './event.js'
import type { OutboxRelayOptions } from './outbox-relay.js'

/** A fresh, migrated database and a maker of relays on it. */
export interface OutboxRelaySuiteFixture extends AsyncDisposable {
  readonly database: Database
  readonly ids: Ids
  /**
   * Starts a relay with a connection pool of its own and short pauses; give `kill` to be able to end its connections as
   * a crash would.
   */
  start(options?: Partial<OutboxRelayOptions>): OutboxRelay & { kill(): Promise<void> }
}

type RunTest = (name: string, run: () => Promise<void>) => unknown
type WithFixture = (name: string, run: (fixture: OutboxRelaySuiteFixture) => Promise<void>) => void

/** Every promise of the {@link OutboxRelay}. */
export function outboxRelaySuite(test: RunTest, open: () => Promise<OutboxRelaySuiteFixture>): void {
  const withFixture: WithFixture = (name, run) => {
    test(name, async () => {
      const fixture = await open()
      try {
        await run(fixture)
      } finally {
        await fixture[Symbol.asyncDispose]()
      }
    })
  }
  deliveryTests(withFixture)
  failureTests(withFixture)
  sharingTests(withFixture)
  inboxTests(withFixture)
}

function deliveryTests(withFixture: WithFixture): void {
  withFixture('an event reaches every subscriber of its topic, once, as it was written', async fixture => {
    const relay = fixture.start()
    const seen = [recorder('first'), recorder('second')]
    for (const one of seen) relay.subscribe({ topic: 'order.paid', ...one })
    relay.subscribe({ topic: 'order.placed', ...recorder('stranger', () => assert.fail('not my topic')) })
    const payload = { order: '7', lines: [{ sku: '茶杯', quantity: 2 }], note: null }
    const eventId = await emit(fixture, { topic: 'order.paid', key: 'order:7', payload })
    await relay.idle()
    for (const { events } of seen) {
      assert.equal(events.length, 1)
      const { createdAt, ...event } = events[0] as OutboxEvent
      assert.deepEqual(event, { eventId, topic: 'order.paid', key: 'order:7', payload, attempt: 1 })
      assert(Number.isSafeInteger(createdAt) && createdAt > 1_600_000_000_000)
    }
    await assertEmpty(fixture)
  })
  withFixture('an event of a rolled back transaction is never told', async fixture => {
    const relay = fixture.start()
    relay.subscribe({ topic: 't', ...recorder('one', () => assert.fail('it did not happen')) })
    const failing = fixture.database.transaction(async tx => {
      await emitEvent(tx, { eventId: fixture.ids.uuid(), topic: 't', key: 'k', payload: 1 })
      throw new Error('changed my mind')
    })
    await assert.rejects(failing, /changed my mind/)
    await relay.idle()
  })
  withFixture('an event whose id is lower but whose commit is later is told too', async fixture => {
    const relay = fixture.start()
    const one = recorder('one')
    relay.subscribe({ topic: 't', ...one })
    await fixture.database.transaction(async tx => {
      await emitEvent(tx, { eventId: fixture.ids.uuid(), topic: 't', key: 'slow', payload: 'slow' })
      await emit(fixture, { topic: 't', key: 'quick', payload: 'quick' })
      await relay.idle()
      assert.deepEqual(one.payloads(), ['quick'])
    })
    await relay.idle()
    assert.deepEqual(one.payloads(), ['quick', 'slow'])
  })
  withFixture('without a wake-up an event is found by looking', async fixture => {
    const relay = fixture.start({ pollMs: 20 })
    const arrived = deferred()
    relay.subscribe({ topic: 't', name: 'one', handle: async () => arrived.resolve() })
    await relay.idle()
    await emit(fixture, { topic: 't', key: 'k', payload: 1 })
    await arrived.promise
  })
  withFixture('nothing is delivered before the given moment', async fixture => {
    const ready = deferred()
    const late = recorder('late')
    await emit(fixture, { topic: 't', key: 'k', payload: 1 })
    const relay = fixture.start({ after: ready.promise, subscribers: () => [late] })
    const unstarted = fixture.start({ after: new Promise(() => undefined) })
    await unstarted[Symbol.asyncDispose]()
    assert.equal(late.events.length, 0)
    ready.resolve()
    await relay.idle()
    assert.deepEqual(late.payloads(), [1])
  })
  withFixture('subscribers come and go while it runs', async fixture => {
    let dynamic: readonly Subscriber[] = []
    const relay = fixture.start({ subscribers: () => dynamic })
    const [local, visitor] = [recorder('local'), recorder('visitor')]
    const leave = relay.subscribe({ topic: 't', ...local })
    assert.throws(() => relay.subscribe({ topic: 't', ...local }), { code: 'core.kernel.invalid-config' })
    await emit(fixture, { topic: 't', key: 'k', payload: 1 })
    await relay.idle()
    dynamic = [visitor]
    await emit(fixture, { topic: 't', key: 'k', payload: 2 })
    await relay.idle()
    leave()
    await emit(fixture, { topic: 't', key: 'k', payload: 3 })
    await relay.idle()
    assert.deepEqual([local.payloads(), visitor.payloads()], [[1, 2], [2, 3]])
    await assertEmpty(fixture)
  })
}

function failureTests(withFixture: WithFixture): void {
  withFixture('a failed delivery comes again, and only to the subscriber that failed', async fixture => {
    const relay = fixture.start()
    const steady = recorder('steady')
    const shaky = recorder('shaky', event => {
      if (event.attempt < 3) throw new Error('not now')
    })
    const finished = deferred()
    const last = { name: 'last', handle: async () => finished.resolve() }
    relay.subscribe({ topic: 't', ...steady })
    relay.subscribe({ topic: 't', ...shaky })
    relay.subscribe({ topic: 'end', ...last })
    const eventId = await emit(fixture, { topic: 't', key: 'k', payload: 1 })
    await emit(fixture, { topic: 'end', key: 'k', payload: 2 })
    relay.wake()
    await finished.promise
    await relay.idle()
    assert.deepEqual(shaky.events.map(event => [event.eventId, event.attempt]), [1, 2, 3].map(attempt => [eventId, attempt]))
    assert.equal(steady.events.length, 1)
    await assertEmpty(fixture)
    assert.deepEqual(relay.stats(), { delivered: 2, failed: 2, dead: 0 })
  })
  withFixture('events of one key keep their order through failures; other keys pass by', async fixture => {
    const failing = new Set([0, 3, 4])
    const taken: string[] = []
    const finished = deferred()
    const one: Subscriber = {
      name: 'one',
      handle: async ({ key, payload, attempt }) => {
        if (key === 'a' && failing.has(payload as number) && attempt < 3) throw new Error('not now')
        taken.push(`${key}${String(payload)}`)
        if (taken.length === 20) finished.resolve()
      },
    }
    for (let index = 0; index < 10; index++) {
      await emit(fixture, { topic: 't', key: 'a', payload: index })
      await emit(fixture, { topic: 't', key: 'b', payload: index })
    }
    fixture.start({ subscribers: () => [one] })
    await finished.promise
    for (const key of ['a', 'b']) {
      const expected = Array.from({ length: 10 }, (_, index) => `${key}${index}`)
      assert.deepEqual(taken.filter(one => one.startsWith(key)), expected)
    }
    assert(taken.indexOf('b9') < taken.indexOf('a0'))
  })
  withFixture('an event that always fails is given up with the reason, holds nothing up, and can be replayed', async fixture => {
    const relay = fixture.start({ maxAttempts: 3 })
    let broken = true
    const taker = recorder('taker')
    const refuser = recorder('refuser', () => {
      if (broken) throw new Error('will not')
    })
    relay.subscribe({ topic: 't', ...taker })
    relay.subscribe({ topic: 't', ...refuser })
    const next = deferred()
    relay.subscribe({ topic: 'next', name: 'next', handle: async () => next.resolve() })
    const eventId = await emit(fixture, { topic: 't', key: 'k', payload: { a: 1 } })
    await emit(fixture, { topic: 'next', key: 'k', payload: 2 })
    relay.wake()
    await next.promise
    await relay.idle()
    const [dead, ...others] = await deadEvents(fixture.database)
    assert.equal(others.length, 0)
    assert.deepEqual([dead?.eventId, dead?.attempts, dead?.reason, dead?.payload], [eventId, 3, 'refuser: will not', { a: 1 }])
    assert.equal(refuser.events.length, 3)

    broken = false
    assert.equal(await replayDead(fixture.database, { eventIds: [fixture.ids.uuid()] }), 0)
    assert.equal(await replayDead(fixture.database, { eventIds: [eventId] }), 1)
    await relay.idle()
    assert.deepEqual([taker.events.length, refuser.events.length], [1, 4])
    await assertEmpty(fixture)
  })
  withFixture('a subscriber that hangs is told to stop at the deadline and counts as failed', async fixture => {
    const relay = fixture.start({ deliveryMs: 20 })
    const finished = deferred()
    const reasons: unknown[] = []
    relay.subscribe({
      topic: 't',
      name: 'hanging',
      handle: ({ attempt }, signal) => {
        if (attempt > 1) {
          finished.resolve()
          return Promise.resolve()
        }
        return new Promise(() => signal.addEventListener('abort', () => reasons.push(signal.reason)))
      },
    })
    await emit(fixture, { topic: 't', key: 'k', payload: 1 })
    relay.wake()
    await finished.promise
    assert.equal((reasons[0] as { code?: string }).code, 'core.contract.deadline-exceeded')
  })
}

function sharingTests(withFixture: WithFixture): void {
  withFixture('several relays share the work: each event once, each key in order', async fixture => {
    const seen: { key: string; payload: number }[] = []
    const finished = deferred()
    const [keys, perKey] = [12, 20]
    const relays = Array.from({ length: 3 }, () => fixture.start({ batch: 10 }))
    for (const relay of relays) {
      relay.subscribe({
        topic: 't',
        name: 'one',
        handle: async ({ key, payload }) => {
          seen.push({ key, payload: payload as number })
          if (seen.length === keys * perKey) finished.resolve()
        },
      })
    }
    for (let index = 0; index < perKey; index++) {
      await Promise.all(Array.from({ length: keys }, (_, key) => emit(fixture, { topic: 't', key: `k${key}`, payload: index })))
      for (const relay of relays) relay.wake()
    }
    await finished.promise
    await Promise.all(relays.map(relay => relay.idle()))
    assert.equal(seen.length, keys * perKey)
    for (let key = 0; key < keys; key++) {
      const order = seen.filter(one => one.key === `k${key}`).map(one => one.payload)
      assert.deepEqual(order, Array.from({ length: perKey }, (_, index) => index))
    }
    assert(relays.filter(relay => relay.stats().delivered > 0).length > 1, 'more than one relay worked')
  })
  withFixture('a relay that dies in the middle of a batch loses nothing; repeats carry the same event ids', async fixture => {
    const ids = new Set<string>()
    for (let index = 0; index < 20; index++) ids.add(await emit(fixture, { topic: 't', key: `k${index}`, payload: index }))
    const seen: string[] = []
    const half = deferred()
    const hanging: Subscriber = {
      name: 'one',
      handle: async ({ eventId }) => {
        seen.push(eventId)
        if (seen.length > 10) {
          half.resolve()
          await new Promise(() => undefined)
        }
      },
    }
    const dying = fixture.start({ subscribers: () => [hanging] })
    await half.promise
    await dying.kill()
    const rest = recorder('one')
    const heir = fixture.start({ subscribers: () => [rest] })
    await heir.idle()
    const again = rest.events.map(event => event.eventId)
    assert.deepEqual(new Set([...seen, ...again]), ids)
    assert.equal(new Set(again).size, again.length, 'the heir gave each one once')
    await assertEmpty(fixture)
  })
  withFixture('a stopped relay finishes what it began and leaves the rest', async fixture => {
    const [begun, gate] = [deferred(), deferred()]
    const seen: unknown[] = []
    for (const payload of [1, 2, 3]) await emit(fixture, { topic: 't', key: 'k', payload })
    const slow: Subscriber = {
      name: 'slow',
      handle: async ({ payload }) => {
        begun.resolve()
        await gate.promise
        seen.push(payload)
      },
    }
    const relay = fixture.start({ subscribers: () => [slow] })
    await begun.promise
    const stopped = relay[Symbol.asyncDispose]()
    gate.resolve()
    await stopped
    assert.deepEqual(seen, [1])
    const left = await fixture.database.query({ text: 'select payload, attempts from aaas_outbox order by id' })
    assert.deepEqual(left, [2, 3].map(payload => ({ payload, attempts: 0 })))
  })
}

function inboxTests(withFixture: WithFixture): void {
  withFixture('the inbox lets a message have its effect once, also when two come together', async ({ database }) => {
    await database.script('create table effect (id int)')
    const take = (consumer: string): Promise<string | undefined> =>
      database.transaction(tx =>
        inboxOnce(tx, consumer, 'm1', async () => {
          await tx.query({ text: 'insert into effect values (1)' })
          return 'done'
        }),
      )
    const results = await Promise.all([take('a'), take('a'), take('a'), take('b')])
    assert.deepEqual(results.slice(0, 3).filter(one => one === 'done').length, 1)
    assert.equal(results[3], 'done')
    assert.deepEqual(await database.query({ text: 'select count(*) as n from effect' }), [{ n: 2 }])
  })
  withFixture('work that fails leaves the message unknown', async ({ database }) => {
    const failing = database.transaction(tx => inboxOnce(tx, 'a', 'm1', () => Promise.reject(new Error('not now'))))
    await assert.rejects(failing, /not now/)
    assert.equal(await database.transaction(tx => inboxOnce(tx, 'a', 'm1', async () => 'done')), 'done')
  })
}

async function emit(
  { database, ids }: OutboxRelaySuiteFixture,
  event: { readonly topic: string; readonly key: string; readonly payload: unknown },
): Promise<string> {
  const eventId = ids.uuid()
  await database.transaction(tx => emitEvent(tx, { eventId, ...event }))
  return eventId
}

interface Recorder extends Subscriber {
  readonly events: OutboxEvent[]
  payloads(): unknown[]
}

/** A subscriber that keeps what it got; `react` may throw. */
function recorder(name: string, react: (event: OutboxEvent) => void = () => undefined): Recorder {
  const events: OutboxEvent[] = []
  return {
    name,
    events,
    payloads: () => events.map(event => event.payload),
    async handle(event) {
      events.push(event)
      react(event)
    },
  }
}

async function assertEmpty({ database }: OutboxRelaySuiteFixture): Promise<void> {
  const text = `select (select count(*) from aaas_outbox) as outbox, (select count(*) from aaas_outbox_dead) as dead,
    (select count(*) from aaas_outbox_delivery) as delivery`
  assert.deepEqual(await database.query({ text }), [{ outbox: 0, dead: 0, delivery: 0 }])
}

function deferred(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>(done => {
    resolve = done
  })
  return { promise, resolve: () => resolve() }
}
