import assert from 'node:assert/strict'
import type { StreamConfig, Streams } from './stream.js'
import { bytes, type OnStreams } from './stream-suite-ends.js'

/** Bad input: each a named error with its field, and nothing half-done. */
export function streamInputSuite(on: OnStreams): void {
  streamSuite(on)
  messageSuite(on)
  consumerSuite(on)
  bucketSuite(on)
}

const invalid = 'core.kernel.invalid-config'
const nothing = (): undefined => undefined

function streamSuite(on: OnStreams): void {
  on('a bad configuration of a stream is named', async ({ near, name }) => {
    const good = { name, subjects: [`${name}.>`], durability: 'relaxed' } as const
    const cases: readonly (readonly [Partial<Record<keyof StreamConfig, unknown>>, string, string])[] = [
      [{ name: '' }, invalid, 'name'],
      [{ name: 'a.b' }, invalid, 'name'],
      [{ name: 'x'.repeat(65) }, invalid, 'name'],
      [{ name: `${name}-dead` }, invalid, 'name'],
      [{ subjects: [] }, invalid, 'subjects'],
      [{ subjects: Array.from({ length: 65 }, (_, index) => `${name}.${index}`) }, invalid, 'subjects'],
      [{ subjects: ['a..b'] }, 'core.bus.invalid-subject', 'subject'],
      [{ durability: 'forever' }, invalid, 'durability'],
      [{ maxMessages: 0 }, invalid, 'maxMessages'],
      [{ maxMessages: 1.5 }, invalid, 'maxMessages'],
      [{ maxBytes: -1 }, invalid, 'maxBytes'],
      [{ maxAgeMs: 99 }, invalid, 'maxAgeMs'],
      [{ maxPerSubject: 0 }, invalid, 'maxPerSubject'],
      [{ discard: 'some' }, invalid, 'discard'],
      [{ dedupMs: 99 }, invalid, 'dedupMs'],
      [{ dedupMs: 86_400_001 }, invalid, 'dedupMs'],
    ]
    for (const [change, code, field] of cases) {
      await assert.rejects(near.ensure({ ...good, ...change } as StreamConfig), { code, field }, JSON.stringify(change))
    }
    assert.equal((await near.list()).includes(name), false)
  })
}

function messageSuite(on: OnStreams): void {
  on('a bad message is named', async ({ near, name, make, clock }) => {
    await make()
    const publish = (subject: string, options = {}): Promise<unknown> => near.publish(subject, bytes(''), options)
    await assert.rejects(publish('a b'), { code: 'core.bus.invalid-subject' })
    await assert.rejects(publish(`${name}.*`), { code: 'core.bus.invalid-subject' })
    await assert.rejects(publish(`no-${name}`), { code: 'core.bus.unknown-stream' })
    await assert.rejects(publish(`${name}.a`, { messageId: '' }), { code: invalid, field: 'messageId' })
    await assert.rejects(publish(`${name}.a`, { messageId: 'x'.repeat(201) }), { code: invalid, field: 'messageId' })
    await assert.rejects(publish(`${name}.a`, { messageId: 'é' }), { code: invalid, field: 'messageId' })
    await assert.rejects(publish(`${name}.a`, { expectLastSequence: -1 }), {
      code: invalid,
      field: 'expectLastSequence',
    })
    await assert.rejects(publish(`${name}.a`, { headers: { 'aaas-x': '1' } }), { code: 'core.bus.refused' })
    await assert.rejects(publish(`${name}.a`, { headers: { x: 'a\nb' } }), { code: 'core.bus.refused' })
    await assert.rejects(near.publish(`${name}.a`, Buffer.alloc(8 * 1024 * 1024 - 131_072 + 1)), {
      code: 'core.contract.payload-too-large',
    })
    const later = (at: number, messageId = 'm'): Promise<void> =>
      near.publishAt(at, `${name}.a`, bytes(''), { messageId })
    await assert.rejects(later(Number.NaN), { code: invalid, field: 'at' })
    await assert.rejects(later(clock.now() + 401 * 86_400_000), { code: invalid, field: 'at' })
    await assert.rejects(later(clock.now(), ''), { code: invalid, field: 'messageId' })
    await assert.rejects(near.publishAt(clock.now(), `no-${name}`, bytes(''), { messageId: 'm' }), {
      code: 'core.bus.unknown-stream',
    })
    assert.equal((await near.info(name)).lastSequence, 0)
    assert.equal((await near.publish(`${name}.a`, bytes(''), { messageId: 'x'.repeat(200) })).sequence, 1)
  })

  on('the largest message passes', async ({ near, name, make }) => {
    await make()
    await near.publish(`${name}.a`, Buffer.alloc(1_000_000, 7))
    const message = await near.get(name, { sequence: 1 })
    assert.equal(message?.payload.length, 1_000_000)
    assert.equal(message?.payload[999_999], 7)
  })
}

function consumerSuite(on: OnStreams): void {
  on('a bad consumer is named', async ({ near, name, make }) => {
    await make()
    const cases: readonly (readonly [object, string, string])[] = [
      [{ name: 'a b' }, invalid, 'name'],
      [{ filter: [] }, invalid, 'filter'],
      [{ filter: ['a b'] }, 'core.bus.invalid-subject', 'subject'],
      [{ filter: Array.from({ length: 17 }, () => 'a') }, invalid, 'filter'],
      [{ start: 'middle' }, invalid, 'start'],
      [{ start: { sequence: 0 } }, invalid, 'start/sequence'],
      [{ ackWaitMs: 0 }, invalid, 'ackWaitMs'],
      [{ maxDeliveries: 1_001 }, invalid, 'maxDeliveries'],
      [{ maxDeliveries: 0 }, invalid, 'maxDeliveries'],
      [{ backoffMs: [] }, invalid, 'backoffMs'],
      [{ backoffMs: [1, -1] }, invalid, 'backoffMs/1'],
      [{ maxUnsettled: 0 }, invalid, 'maxUnsettled'],
      [{ maxUnsettled: 65_537 }, invalid, 'maxUnsettled'],
    ]
    for (const [change, code, field] of cases) {
      const joined = near.consume(name, { name: 'c', ...change }, nothing)
      await assert.rejects(joined, { code, field }, JSON.stringify(change))
    }
    for (const concurrency of [0, 1_025]) {
      await assert.rejects(near.consume(name, { name: 'c' }, nothing, { concurrency }), {
        code: invalid,
        field: 'concurrency',
      })
    }
    await assert.rejects(near.consumerInfo(name, 'c'), { code: 'core.bus.unknown-stream' })
  })

  on('what is asked of a stream that is not there fails', async ({ near, name }) => {
    const unknown = { code: 'core.bus.unknown-stream' }
    const calls: readonly ((streams: Streams) => Promise<unknown>)[] = [
      streams => streams.info(name),
      streams => streams.purge(name),
      streams => streams.get(name, { sequence: 1 }),
      streams => streams.consume(name, { name: 'c' }, nothing),
      streams => streams.follow(name, {}, nothing),
      streams => streams.consumerInfo(name, 'c'),
      streams => streams.deadLetters(name),
      streams => streams.replayDead(name, [1]),
    ]
    for (const call of calls) await assert.rejects(call(near), unknown, call.toString())
  })
}

function bucketSuite(on: OnStreams): void {
  on('bad keys, values and pages are named', async ({ near, name, make, driver }) => {
    await make()
    const bucket = await near.bucket({ name, durability: driver.durabilities[0] ?? 'relaxed' })
    for (const key of ['', 'a b', 'a.*', '.a', 'x'.repeat(151)]) {
      await assert.rejects(bucket.put(key, bytes('')), { code: 'core.bus.invalid-subject', field: 'key' })
      await assert.rejects(bucket.get(key), { code: 'core.bus.invalid-subject', field: 'key' })
    }
    await bucket.put('x'.repeat(150), Buffer.alloc(1_048_576))
    await assert.rejects(bucket.put('a', Buffer.alloc(1_048_577)), {
      code: 'core.contract.payload-too-large',
      field: 'value',
    })
    await assert.rejects(bucket.keys('a b'), { code: 'core.bus.invalid-subject' })
    await assert.rejects(bucket.keys('>', { limit: 10_001 }), { code: invalid, field: 'limit' })
    await assert.rejects(near.deadLetters(name, { limit: 0 }), { code: invalid, field: 'limit' })
    await assert.rejects(near.deadLetters(name, { limit: 1_001 }), { code: invalid, field: 'limit' })
    for (const [change, field] of [
      [{ name: 'a.b' }, 'name'],
      [{ history: 65 }, 'history'],
      [{ ttlMs: 0 }, 'ttlMs'],
    ] as const) {
      await assert.rejects(near.bucket({ name: 'b', durability: 'relaxed', ...change }), { code: invalid, field })
    }
  })
}
