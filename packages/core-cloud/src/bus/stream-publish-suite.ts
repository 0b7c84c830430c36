import assert from 'node:assert/strict'
import { bytes, type OnStreams, put, shown, text } from './stream-suite-ends.js'

/** The promises about storing: acknowledgements, ids, expectations, limits, forgetting. */
export function streamPublishSuite(on: OnStreams): void {
  storeSuite(on)
  configSuite(on)
  idSuite(on)
  limitSuite(on)
  forgetSuite(on)
}

function storeSuite(on: OnStreams): void {
  on('an acknowledged message is stored as it was sent', async ({ near, far, name, clock, make }) => {
    await make()
    const before = clock.now()
    const payload = Uint8Array.of(0, 255, 128)
    const headers = { trace: 'tréma 一', 'x-1': '' }
    const publishing = near.publish(`${name}.paid`, payload, { headers, messageId: 'id 1' })
    payload.fill(7)
    assert.deepEqual(await publishing, { stream: name, sequence: 1, duplicate: false })
    await put(near, `${name}.empty`, '')
    const message = await far.get(name, { sequence: 1 })
    assert.deepEqual([...(message?.payload ?? [])], [0, 255, 128])
    assert.deepEqual({ ...message?.headers }, headers)
    assert.equal(message?.subject, `${name}.paid`)
    assert.equal(message?.messageId, 'id 1')
    assert.ok(message !== undefined && message.storedAt >= before - 1_000 && message.storedAt <= clock.now() + 1_000)
    assert.deepEqual(shown(await far.get(name, { sequence: 2 })), {
      stream: name,
      sequence: 2,
      subject: `${name}.empty`,
      text: '',
      headers: {},
      messageId: undefined,
    })
    message.payload.fill(1)
    assert.deepEqual([...((await far.get(name, { sequence: 1 }))?.payload ?? [])], [0, 255, 128])
  })

  on('sequences rise by one in the order of one publisher', async ({ near, name, make }) => {
    await make()
    const acks = await Promise.all(
      Array.from({ length: 300 }, (_, index) => near.publish(`${name}.n`, bytes(String(index)))),
    )
    assert.deepEqual(
      acks.map(ack => ack.sequence),
      Array.from({ length: 300 }, (_, index) => index + 1),
    )
    assert.equal(text(await near.get(name, { sequence: 300 })), '299')
    const info = await near.info(name)
    assert.deepEqual([info.messages, info.firstSequence, info.lastSequence], [300, 1, 300])
    assert.ok(info.bytes > 0)
  })

  on('the last message of a subject, and none', async ({ near, name, make }) => {
    await make()
    await put(near, `${name}.a`, 'a1', 'a2')
    await put(near, `${name}.b`, 'b1')
    assert.equal(text(await near.get(name, { lastOf: `${name}.a` })), 'a2')
    assert.equal(await near.get(name, { lastOf: `${name}.c` }), undefined)
    assert.equal(await near.get(name, { sequence: 4 }), undefined)
  })

  on('what waits too long or is not wanted any more ends', async ({ near, name, clock, make }) => {
    await make()
    await assert.rejects(near.publish(`${name}.x`, bytes(''), { deadline: clock.now() - 1 }), {
      code: 'core.contract.deadline-exceeded',
    })
    await assert.rejects(near.publish(`${name}.x`, bytes(''), { signal: AbortSignal.abort() }), {
      code: 'core.contract.cancelled',
    })
    assert.equal((await near.info(name)).messages, 0)
  })
}

function configSuite(on: OnStreams): void {
  on('a stream that is there keeps its messages and takes new limits', async ({ near, far, name, make, driver }) => {
    const durability = driver.durabilities[0] ?? 'relaxed'
    const first = await near.ensure({ name, subjects: [`${name}.>`], durability })
    assert.deepEqual(first.config, {
      name,
      subjects: [`${name}.>`],
      durability,
      maxMessages: 10_000_000,
      maxBytes: 1_073_741_824,
      discard: 'old',
      dedupMs: 120_000,
    })
    assert.deepEqual([first.messages, first.bytes, first.firstSequence, first.lastSequence], [0, 0, 1, 0])
    await put(near, `${name}.a`, '1', '2', '3')
    await make({ maxMessages: 2, maxAgeMs: 3_600_000 })
    const info = await far.info(name)
    assert.deepEqual([info.messages, info.firstSequence, info.config.maxAgeMs], [2, 2, 3_600_000])
    await make({ subjects: [`${name}.>`, `other-${name}`] })
    assert.equal((await far.publish(`other-${name}`, bytes('4'))).sequence, 4)
  })

  on('subjects belong to one stream, durability stays', async ({ near, name, make, driver }) => {
    await make({ subjects: [`${name}.a.*`] })
    const durability = driver.durabilities[0] ?? 'relaxed'
    for (const subjects of [[`${name}.a.b`], [`${name}.>`], [`${name}.*.b`], ['free', `${name}.a.*`]]) {
      await assert.rejects(near.ensure({ name: `${name}-2`, subjects, durability }), { code: 'core.bus.conflict' })
    }
    await near.ensure({ name: `${name}-2`, subjects: [`${name}.b`, `${name}.a.b.c`], durability })
    const other = driver.durabilities.find(each => each !== durability)
    if (other !== undefined) {
      await assert.rejects(make({ subjects: [`${name}.a.*`], durability: other }), { code: 'core.bus.conflict' })
    }
  })

  on('a durability that the driver cannot give is refused', async ({ near, name, driver }) => {
    for (const durability of ['relaxed', 'replicated', 'synced'] as const) {
      const made = near.ensure({ name: `${name}-${durability}`, subjects: [`${name}.${durability}`], durability })
      if (driver.durabilities.includes(durability)) assert.equal((await made).config.durability, durability)
      else await assert.rejects(made, { code: 'core.bus.unsupported' })
    }
  })

  on('streams are listed and removed', async ({ near, far, name, make, driver }) => {
    await make()
    const durability = driver.durabilities[0] ?? 'relaxed'
    await near.ensure({ name: `${name}-a`, subjects: [`${name}-a`], durability })
    await near.bucket({ name: `${name}-bucket`, durability })
    const own = async () => (await far.list()).filter(each => each === name || each.startsWith(`${name}-`))
    assert.deepEqual(await own(), [name, `${name}-a`])
    await near.remove(name)
    assert.deepEqual(await own(), [`${name}-a`])
    await near.remove(name)
    await assert.rejects(near.publish(`${name}.x`, bytes('')), { code: 'core.bus.unknown-stream' })
    await assert.rejects(far.info(name), { code: 'core.bus.unknown-stream' })
    await make()
    assert.equal((await near.publish(`${name}.x`, bytes(''))).sequence, 1)
  })
}

function idSuite(on: OnStreams): void {
  on('a repeated message id is acknowledged and not stored again', async ({ near, far, name, make, passTime }) => {
    await make({ dedupMs: 1_000 })
    assert.equal((await near.publish(`${name}.a`, bytes('1'), { messageId: 'one' })).sequence, 1)
    await near.publish(`${name}.a`, bytes('2'), { messageId: 'two' })
    assert.deepEqual(await far.publish(`${name}.b`, bytes('again'), { messageId: 'one' }), {
      stream: name,
      sequence: 1,
      duplicate: true,
    })
    const together = await Promise.all(
      Array.from({ length: 8 }, () => near.publish(`${name}.a`, bytes('3'), { messageId: 'three' })),
    )
    assert.deepEqual(
      together.map(ack => ack.sequence),
      Array.from({ length: 8 }, () => 3),
    )
    assert.equal(together.filter(ack => ack.duplicate).length, 7)
    assert.equal((await near.info(name)).messages, 3)
    await passTime(1_500)
    assert.deepEqual(await near.publish(`${name}.a`, bytes('4'), { messageId: 'one' }), {
      stream: name,
      sequence: 4,
      duplicate: false,
    })
  })

  on('a message is stored only when the stream is as expected', async ({ near, name, make }) => {
    await make()
    const a = `${name}.a`
    const b = `${name}.b`
    const conflict = { code: 'core.bus.conflict' }
    await assert.rejects(near.publish(a, bytes(''), { expectLastSequence: 1 }), conflict)
    assert.equal((await near.publish(a, bytes('1'), { expectLastSequence: 0 })).sequence, 1)
    await assert.rejects(near.publish(a, bytes(''), { expectLastSequence: 0 }), conflict)
    assert.equal((await near.publish(b, bytes('2'), { expectLastSubjectSequence: 0 })).sequence, 2)
    await assert.rejects(near.publish(a, bytes(''), { expectLastSubjectSequence: 2 }), conflict)
    await assert.rejects(near.publish(a, bytes(''), { expectLastSubjectSequence: 0 }), conflict)
    assert.equal((await near.publish(a, bytes('3'), { expectLastSubjectSequence: 1 })).sequence, 3)
    const race = await Promise.allSettled(
      Array.from({ length: 5 }, (_, index) => near.publish(a, bytes(`race ${index}`), { expectLastSequence: 3 })),
    )
    assert.equal(race.filter(each => each.status === 'fulfilled').length, 1)
    assert.equal((await near.info(name)).messages, 4)
  })
}

function limitSuite(on: OnStreams): void {
  on('at the limit the oldest go', async ({ near, name, make }) => {
    await make({ maxMessages: 3 })
    await put(near, `${name}.a`, '1', '2', '3')
    assert.equal((await near.info(name)).messages, 3)
    await put(near, `${name}.a`, '4')
    const info = await near.info(name)
    assert.deepEqual([info.messages, info.firstSequence, info.lastSequence], [3, 2, 4])
    assert.equal(await near.get(name, { sequence: 1 }), undefined)
  })

  on('at the limit of bytes the oldest go', async ({ near, name, make }) => {
    await make({ maxBytes: 5_500 })
    for (let index = 0; index < 10; index++) await near.publish(`${name}.a`, Buffer.alloc(1_000, index))
    const info = await near.info(name)
    assert.ok(info.messages >= 4 && info.messages <= 5, `${info.messages} messages`)
    assert.ok(info.bytes <= 5_500 && info.lastSequence === 10)
  })

  on('at the limit new ones are refused, where that was chosen', async ({ near, name, make }) => {
    await make({ maxMessages: 2, discard: 'new' })
    await put(near, `${name}.a`, '1', '2')
    await assert.rejects(near.publish(`${name}.a`, bytes('3')), { code: 'core.bus.stream-full' })
    await near.purge(name, { below: 2 })
    assert.equal((await near.publish(`${name}.a`, bytes('3'))).sequence, 3)
    await near.ensure({ ...(await near.info(name)).config, maxMessages: 100, maxBytes: 3_000 })
    await near.publish(`${name}.a`, Buffer.alloc(1_500))
    await assert.rejects(near.publish(`${name}.a`, Buffer.alloc(1_500)), { code: 'core.bus.stream-full' })
  })

  on('of a subject at most so many are kept', async ({ near, name, make }) => {
    await make({ maxPerSubject: 2 })
    await put(near, `${name}.a`, 'a1', 'a2')
    await put(near, `${name}.b`, 'b1')
    await put(near, `${name}.a`, 'a3', 'a4')
    assert.equal((await near.info(name)).messages, 3)
    assert.equal(await near.get(name, { sequence: 2 }), undefined)
    assert.equal(text(await near.get(name, { sequence: 3 })), 'b1')
    assert.equal(text(await near.get(name, { lastOf: `${name}.a` })), 'a4')
  })

  on('too old messages go', async ({ near, name, make, eventually, passTime }) => {
    await make({ maxAgeMs: 500, dedupMs: 100 })
    await put(near, `${name}.a`, '1', '2')
    await passTime(700)
    await put(near, `${name}.a`, '3')
    await eventually('two are gone', async () => (await near.info(name)).firstSequence >= 3)
    await eventually('all are gone', async () => (await near.info(name)).messages === 0)
    const info = await near.info(name)
    assert.deepEqual([info.firstSequence, info.lastSequence], [4, 3])
  })
}

function forgetSuite(on: OnStreams): void {
  on('messages are forgotten by subject, below a sequence, or all', async ({ near, name, make }) => {
    await make()
    await put(near, `${name}.a.x`, '1', '2')
    await put(near, `${name}.b.x`, '3')
    await put(near, `${name}.a.y`, '4', '5')
    assert.equal(await near.purge(name, { subject: `${name}.*.y`, below: 5 }), 1)
    assert.equal(await near.purge(name, { subject: `${name}.a.x` }), 2)
    assert.equal(text(await near.get(name, { sequence: 3 })), '3')
    assert.equal(await near.get(name, { sequence: 2 }), undefined)
    assert.equal(await near.purge(name, { below: 4 }), 1)
    assert.equal((await near.info(name)).firstSequence, 5)
    assert.equal(await near.purge(name), 1)
    assert.equal(await near.purge(name), 0)
    const info = await near.info(name)
    assert.deepEqual([info.messages, info.firstSequence, info.lastSequence], [0, 6, 5])
    assert.equal((await near.publish(`${name}.a.x`, bytes('6'))).sequence, 6)
  })
}
