import assert from 'node:assert/strict'
import type { BusMessage } from './bus.js'
import { bytes, echo, gate, type OnBus, text } from './bus-suite-ends.js'

/** The promises about one request with many answers. */
export function busManySuite(on: OnBus): void {
  answerSuite(on)
  endSuite(on)
}

async function read(answers: AsyncIterable<BusMessage>): Promise<string[]> {
  const seen: string[] = []
  for await (const answer of answers) seen.push(text(answer))
  return seen
}

function answerSuite(on: OnBus): void {
  on('a request to many gets the answer of each plain subscriber and of one member of each queue', async ends => {
    const { near, far, clock, connect } = ends
    const third = await connect()
    const say = (name: string) => async (message: BusMessage) =>
      message.respond?.(bytes(`${name} ${text(message)} ${message.headers.h}`))
    await far.subscribe('who', say('far'))
    await third.subscribe('who', say('third'))
    await far.subscribe('who', say('member'), { queue: 'q' })
    await third.subscribe('who', say('member'), { queue: 'q' })
    const options = { deadline: clock.now() + 5_000, max: 3, headers: { h: 'x' } }
    const seen = await read(near.requestMany('who', bytes('?'), options))
    assert.deepEqual(seen.sort(), ['far ? x', 'member ? x', 'third ? x'])
  })

  on('nobody listening gives no answers', async ({ near, clock }) => {
    assert.deepEqual(await read(near.requestMany('nobody', bytes(''), { deadline: clock.now() + 5_000 })), [])
  })

  on('max ends it, and a receiver may answer once', async ({ near, far, clock, connect }) => {
    const third = await connect()
    const twice = async (message: BusMessage): Promise<void> => {
      await message.respond?.(bytes('once'))
      await message.respond?.(bytes('twice'))
    }
    for (const bus of [far, third, near]) await bus.subscribe('who', twice)
    const deadline = clock.now() + 5_000
    assert.deepEqual(await read(near.requestMany('who', bytes(''), { deadline, max: 2 })), ['once', 'once'])
    assert.deepEqual(await read(near.requestMany('who', bytes(''), { deadline, max: 1 })), ['once'])
  })

  on('answers may come long after each other', async ({ near, far, clock, passTime, connect }) => {
    const third = await connect()
    const waiting = gate<BusMessage>()
    await far.subscribe('who', echo)
    await third.subscribe('who', waiting.open)
    const answers = near.requestMany('who', bytes('x'), { deadline: clock.now() + 5_000, max: 2 })
    const reader = answers[Symbol.asyncIterator]()
    assert.equal(text((await reader.next()).value as BusMessage), 'x')
    await passTime(1_000)
    await (await waiting.opened).respond?.(bytes('late'))
    assert.equal(text((await reader.next()).value as BusMessage), 'late')
    assert.equal((await reader.next()).done, true)
  })
}

function endSuite(on: OnBus): void {
  on('the deadline of a request to many is its ordinary end', async ({ near, far, clock, passTime, connect }) => {
    const third = await connect()
    const silent = gate<BusMessage>()
    await far.subscribe('who', echo)
    await third.subscribe('who', silent.open)
    const reader = near.requestMany('who', bytes('x'), { deadline: clock.now() + 1_000 })[Symbol.asyncIterator]()
    assert.equal(text((await reader.next()).value as BusMessage), 'x')
    await silent.opened
    const end = reader.next()
    await passTime(1_000)
    assert.equal((await end).done, true)
    assert.deepEqual(await read(near.requestMany('who', bytes(''), { deadline: clock.now() })), [])
  })

  on('silence ends a request to many', async ({ near, far, clock, passTime, connect }) => {
    const third = await connect()
    const silent = gate<BusMessage>()
    await far.subscribe('who', echo)
    await third.subscribe('who', silent.open)
    const options = { deadline: clock.now() + 60_000, quietMs: 200 }
    const reader = near.requestMany('who', bytes('x'), options)[Symbol.asyncIterator]()
    assert.equal(text((await reader.next()).value as BusMessage), 'x')
    await silent.opened
    const end = reader.next()
    await passTime(200)
    assert.equal((await end).done, true)
  })

  on('a request to many can be cancelled, and left', async ({ near, far, clock }) => {
    const received = gate<BusMessage>()
    await far.subscribe('who', received.open)
    const controller = new AbortController()
    const options = { deadline: clock.now() + 5_000, signal: controller.signal }
    const reading = assert.rejects(read(near.requestMany('who', bytes(''), options)), {
      code: 'core.contract.cancelled',
    })
    await received.opened
    controller.abort()
    await reading
    await assert.rejects(read(near.requestMany('who', bytes(''), options)), { code: 'core.contract.cancelled' })
    await far.subscribe('some', echo)
    await far.subscribe('some', () => undefined)
    for await (const answer of near.requestMany('some', bytes('x'), { deadline: clock.now() + 5_000 })) {
      assert.equal(text(answer), 'x')
      break
    }
  })

  on('bad input of a request to many is named', async ({ near, clock }) => {
    const deadline = clock.now() + 5_000
    await assert.rejects(read(near.requestMany('a b', bytes(''), { deadline })), { code: 'core.bus.invalid-subject' })
    for (const field of ['max', 'quietMs']) {
      assert.throws(() => near.requestMany('a', bytes(''), { deadline, [field]: 0 }), {
        code: 'core.kernel.invalid-config',
        field,
      })
    }
  })
}
