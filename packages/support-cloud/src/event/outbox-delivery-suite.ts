import assert from 'node:assert/strict'
import { emitEvent, inboxOnce, type OutboxEvent, type Subscriber } from './event.js'
import { assertEmpty, deferred, emit, recorder, type WithFixture } from './outbox-suite-fixture.js'

export function deliveryTests(withFixture: WithFixture): void {
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
}

export function subscriberTests(withFixture: WithFixture): void {
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
    assert.deepEqual(
      [local.payloads(), visitor.payloads()],
      [
        [1, 2],
        [2, 3],
      ],
    )
    await assertEmpty(fixture)
  })
}

export function inboxTests(withFixture: WithFixture): void {
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
