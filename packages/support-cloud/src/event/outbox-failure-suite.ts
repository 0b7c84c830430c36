import assert from 'node:assert/strict'
import { deadEvents, replayDead } from './dead-events.js'
import type { Subscriber } from './event.js'
import { assertEmpty, deferred, emit, recorder, type WithFixture } from './outbox-suite-fixture.js'

export function retryTests(withFixture: WithFixture): void {
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
    assert.deepEqual(
      shaky.events.map(event => [event.eventId, event.attempt]),
      [1, 2, 3].map(attempt => [eventId, attempt]),
    )
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
      assert.deepEqual(
        taken.filter(one => one.startsWith(key)),
        expected,
      )
    }
    assert(taken.indexOf('b9') < taken.indexOf('a0'))
  })
}

export function giveUpTests(withFixture: WithFixture): void {
  withFixture(
    'an event that always fails is given up with the reason, holds nothing up, and can be replayed',
    async fixture => {
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
      assert.deepEqual(
        [dead?.eventId, dead?.attempts, dead?.reason, dead?.payload],
        [eventId, 3, 'refuser: will not', { a: 1 }],
      )
      assert.equal(refuser.events.length, 3)

      broken = false
      assert.equal(await replayDead(fixture.database, { eventIds: [fixture.ids.uuid()] }), 0)
      assert.equal(await replayDead(fixture.database, { eventIds: [eventId] }), 1)
      await relay.idle()
      assert.deepEqual([taker.events.length, refuser.events.length], [1, 4])
      await assertEmpty(fixture)
    },
  )
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

export function sharingTests(withFixture: WithFixture): void {
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
      await Promise.all(
        Array.from({ length: keys }, (_, key) => emit(fixture, { topic: 't', key: `k${key}`, payload: index })),
      )
      for (const relay of relays) relay.wake()
    }
    await finished.promise
    await Promise.all(relays.map(relay => relay.idle()))
    for (let key = 0; key < keys; key++) {
      const order = seen.filter(one => one.key === `k${key}`).map(one => one.payload)
      assert.deepEqual(
        order,
        Array.from({ length: perKey }, (_, index) => index),
      )
    }
    assert(relays.filter(relay => relay.stats().delivered > 0).length > 1, 'more than one relay worked')
  })
}

export function orderTests(withFixture: WithFixture): void {
  withFixture(
    'an event waits for an earlier one of its key that another relay holds, or that waits itself',
    async fixture => {
      const [begun, gate, done] = [deferred(), deferred(), deferred()]
      const order: string[] = []
      const one = (relay: string): Subscriber => ({
        name: 'one',
        handle: async ({ payload, attempt }) => {
          order.push(`${relay} ${String(payload)}.${attempt}`)
          if (payload === 'last') done.resolve()
          if (payload !== 'first' || attempt > 1) return
          begun.resolve()
          await gate.promise
          throw new Error('not now')
        },
      })
      const holder = fixture.start({ firstPauseMs: 200, subscribers: () => [one('holder')] })
      await emit(fixture, { topic: 't', key: 'k', payload: 'first' })
      holder.wake()
      await begun.promise
      const other = fixture.start({ subscribers: () => [one('other')] })
      await emit(fixture, { topic: 't', key: 'k', payload: 'second' })
      await emit(fixture, { topic: 't', key: 'free', payload: 'free' })
      await other.idle()
      assert.deepEqual(order, ['holder first.1', 'other free.1'], 'held by another relay')
      gate.resolve()
      await holder.idle()
      await emit(fixture, { topic: 't', key: 'k', payload: 'last' })
      await other.idle()
      assert.equal(order.length, 2, 'waiting for its next attempt')
      await done.promise
      assert.deepEqual(
        order.slice(2).map(text => text.split(' ')[1]),
        ['first.2', 'second.1', 'last.1'],
      )
    },
  )
}

export function gapTests(withFixture: WithFixture): void {
  withFixture('a batch with a gap stops at it: what another relay holds in the middle goes first', async fixture => {
    const taker = recorder('one')
    for (const payload of [1, 2, 3]) await emit(fixture, { topic: 't', key: 'k', payload })
    const relay = await fixture.database.transaction(async holder => {
      await holder.query({ text: "select from aaas_outbox where payload = '2' for update" })
      const started = fixture.start({ subscribers: () => [taker] })
      await started.idle()
      assert.deepEqual(taker.payloads(), [1])
      return started
    })
    await relay.idle()
    assert.deepEqual(taker.payloads(), [1, 2, 3])
    await assertEmpty(fixture)
  })
}

export function crashTests(withFixture: WithFixture): void {
  withFixture(
    'a relay that dies in the middle of a batch loses nothing; repeats carry the same event ids',
    async fixture => {
      const ids = new Set<string>()
      for (let index = 0; index < 20; index++)
        ids.add(await emit(fixture, { topic: 't', key: `k${index}`, payload: index }))
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
    },
  )
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
    assert.deepEqual(
      left,
      [2, 3].map(payload => ({ payload, attempts: 0 })),
    )
  })
}
