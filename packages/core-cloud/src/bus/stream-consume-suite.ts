import assert from 'node:assert/strict'
import type { Delivery, StartAt, StreamMessage } from './stream.js'
import { type OnStreams, put, recorder, text } from './stream-suite-ends.js'

/** The promises about one member of a consumer, and about following. */
export function streamConsumeSuite(on: OnStreams): void {
  settleSuite(on)
  pauseSuite(on)
  waitSuite(on)
  choiceSuite(on)
  followSuite(on)
}

const count = (length: number): string[] => Array.from({ length }, (_, index) => String(index))

function settleSuite(on: OnStreams): void {
  on('a consumer sees every message in order, once', async ({ near, far, name, make, eventually }) => {
    await make()
    await put(near, `${name}.a`, ...count(20))
    const { handler, texts, seen } = recorder()
    await far.consume(name, { name: 'c' }, handler, { concurrency: 1 })
    await Promise.all(count(180).map((_, index) => put(near, `${name}.b`, String(index + 20))))
    await eventually('all came', () => seen.length === 200)
    assert.deepEqual(texts(), count(200))
    assert.deepEqual([seen[0]?.attempt, seen[0]?.subject, seen[0]?.sequence], [1, `${name}.a`, 1])
    await eventually('all settled', async () => (await near.consumerInfo(name, 'c')).settledSequence === 200)
    assert.deepEqual(await near.consumerInfo(name, 'c'), {
      stream: name,
      name: 'c',
      pending: 0,
      unsettled: 0,
      settledSequence: 200,
    })
  })

  on('a delivery has everything of its message', async ({ near, far, name, make, eventually }) => {
    await make()
    await near.publish(`${name}.a`, Uint8Array.of(0, 200), { headers: { h: 'é' }, messageId: 'm' })
    const { handler, seen } = recorder()
    await far.consume(name, { name: 'c' }, handler)
    await eventually('it came', () => seen.length === 1)
    const [delivery] = seen as [Delivery]
    assert.deepEqual([...delivery.payload], [0, 200])
    assert.deepEqual([delivery.headers.h, delivery.messageId, delivery.stream], ['é', 'm', name])
    assert.ok(delivery.storedAt > 0 && !delivery.signal.aborted)
  })

  on('settling twice changes nothing', async ({ near, name, make, eventually }) => {
    await make()
    await put(near, `${name}.a`, 'acked', 'naked', 'last')
    const seen: string[] = []
    await near.consume(name, { name: 'c', backoffMs: [10] }, async delivery => {
      seen.push(text(delivery))
      if (text(delivery) === 'acked') {
        delivery.ack()
        delivery.nak()
        delivery.term('no')
        throw new Error('after the acknowledgement')
      }
      if (text(delivery) === 'naked' && delivery.attempt === 1) {
        delivery.nak({ delayMs: 10 })
        delivery.ack()
      }
    })
    await eventually('the second came twice', () => seen.filter(each => each === 'naked').length === 2)
    await eventually('all settled', async () => (await near.consumerInfo(name, 'c')).settledSequence === 3)
    assert.equal(seen.length, 4)
    assert.deepEqual(await near.deadLetters(name), [])
  })
}

function pauseSuite(on: OnStreams): void {
  on(
    'a handler that throws gets the message again after the pauses',
    async ({ near, name, make, clock, eventually }) => {
      await make()
      await put(near, `${name}.a`, 'x')
      const times: number[] = []
      const attempts: number[] = []
      await near.consume(name, { name: 'c', backoffMs: [50, 200] }, delivery => {
        times.push(clock.now())
        attempts.push(delivery.attempt)
        if (attempts.length < 4) throw new Error('not yet')
      })
      await eventually('the fourth attempt', () => attempts.length === 4)
      assert.deepEqual(attempts, [1, 2, 3, 4])
      const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0))
      for (const [index, least] of [50, 200, 200].entries()) {
        assert.ok((pauses[index] ?? 0) >= least - 3, `pause ${index}: ${pauses[index]}`)
      }
      await eventually('settled', async () => (await near.consumerInfo(name, 'c')).settledSequence === 1)
    },
  )

  on('given back with a delay it comes after the delay', async ({ near, name, make, clock, eventually }) => {
    await make()
    await put(near, `${name}.a`, 'x', 'y')
    const seen: string[] = []
    const times: number[] = []
    await near.consume(name, { name: 'c', backoffMs: [10_000] }, delivery => {
      seen.push(`${text(delivery)}${delivery.attempt}`)
      times.push(clock.now())
      if (seen[seen.length - 1] === 'x1') delivery.nak({ delayMs: 300 })
    })
    await eventually('it came again', () => seen.includes('x2'))
    // Others do not wait for it.
    assert.deepEqual(seen, ['x1', 'y1', 'x2'])
    assert.ok((times[2] ?? 0) - (times[0] ?? 0) >= 297)
  })
}

function waitSuite(on: OnStreams): void {
  on('without a word in time another gets the message', async ({ near, far, name, make, eventually }) => {
    await make()
    await put(near, `${name}.a`, 'x')
    const first = recorder({ hold: true })
    await near.consume(name, { name: 'c', ackWaitMs: 300 }, first.handler, { concurrency: 1 })
    await eventually('the first has it', () => first.seen.length === 1)
    const second = recorder()
    await far.consume(name, { name: 'c', ackWaitMs: 300 }, second.handler)
    await eventually('the second has it', () => second.seen.length === 1)
    assert.equal(second.seen[0]?.attempt, 2)
    await eventually('the first is told', () => first.seen[0]?.signal.aborted === true)
    await eventually('settled', async () => (await near.consumerInfo(name, 'c')).settledSequence === 1)
    first.release()
  })

  on('who works on it can say so', async ({ near, name, make, passTime, eventually }) => {
    await make()
    await put(near, `${name}.a`, 'x')
    const { seen, handler, release } = recorder({ hold: true })
    await near.consume(name, { name: 'c', ackWaitMs: 1_000 }, handler)
    await eventually('it came', () => seen.length === 1)
    for (let step = 0; step < 5; step++) {
      await passTime(400)
      seen[0]?.inProgress()
    }
    assert.equal(seen.length, 1)
    assert.equal(seen[0]?.signal.aborted, false)
    release()
    await eventually('settled', async () => (await near.consumerInfo(name, 'c')).settledSequence === 1)
    assert.equal(seen.length, 1)
  })
}

function choiceSuite(on: OnStreams): void {
  on('a new consumer starts where it is told', async ({ near, name, make, clock, passTime, eventually }) => {
    await make()
    await put(near, `${name}.a`, '1', '2')
    await passTime(60)
    const time = clock.now()
    await passTime(60)
    await put(near, `${name}.b`, '3', '4')
    const starts: Readonly<Record<string, StartAt>> = {
      first: 'first',
      new: 'new',
      last: 'last',
      sequence: { sequence: 2 },
      beyond: { sequence: 6 },
      time: { time },
    }
    const seen: Record<string, string[]> = {}
    for (const [kind, start] of Object.entries(starts)) {
      const { handler, texts } = recorder()
      await near.consume(name, { name: kind, start }, handler, { concurrency: 1 })
      Object.defineProperty(seen, kind, { get: texts, enumerable: true })
    }
    await put(near, `${name}.a`, '5', '6')
    const expected = {
      first: ['1', '2', '3', '4', '5', '6'],
      new: ['5', '6'],
      last: ['4', '5', '6'],
      sequence: ['2', '3', '4', '5', '6'],
      beyond: ['6'],
      time: ['3', '4', '5', '6'],
    }
    await eventually('all came', () => Object.values(seen).flat().length >= Object.values(expected).flat().length)
    assert.deepEqual({ ...seen }, expected)
  })

  on('a filter lets only its subjects through', async ({ near, name, make, eventually }) => {
    await make()
    const { handler, texts, seen } = recorder()
    const config = { name: 'c', filter: [`${name}.*.paid`, `${name}.done`] }
    await near.consume(name, config, handler, { concurrency: 1 })
    for (const tail of ['a.paid', 'a.open', 'done', 'b.paid', 'b.paid.x', 'end.paid'])
      await put(near, `${name}.${tail}`, tail)
    await eventually('the last came', () => texts().includes('end.paid'))
    assert.deepEqual(texts(), ['a.paid', 'done', 'b.paid', 'end.paid'])
    await eventually('settled', async () => (await near.consumerInfo(name, 'c')).unsettled === 0)
    assert.equal((await near.consumerInfo(name, 'c')).pending, 0)
    assert.equal(seen.length, 4)
  })

  on('messages that were forgotten are passed by', async ({ near, name, make, eventually }) => {
    await make({ maxMessages: 3 })
    await put(near, `${name}.a`, ...count(10))
    await near.purge(name, { subject: `${name}.a`, below: 9 })
    const { handler, texts, seen } = recorder()
    await near.consume(name, { name: 'c' }, handler, { concurrency: 1 })
    await eventually('they came', () => seen.length === 2)
    assert.deepEqual(texts(), ['8', '9'])
  })
}

function followSuite(on: OnStreams): void {
  on('following gives messages one after the other', async ({ near, far, name, make, eventually }) => {
    await make()
    await put(near, `${name}.a`, '1', '2', '3')
    const seen: string[] = []
    let running = 0
    const handler = async (message: StreamMessage): Promise<void> => {
      running += 1
      assert.equal(running, 1)
      await Promise.resolve()
      seen.push(text(message))
      running -= 1
    }
    const all = await far.follow(name, {}, handler)
    await eventually('the stored ones came', () => seen.length === 3)
    await put(near, `${name}.b`, '4')
    await eventually('the new one came', () => seen.length === 4)
    await all.drain()
    await put(near, `${name}.a`, '5', '6')
    const some: string[] = []
    const options = { start: { sequence: 2 }, filter: [`${name}.a`] }
    await far.follow(name, options, message => void some.push(text(message)))
    await eventually('the chosen ones came', () => some.length === 4)
    assert.deepEqual(some, ['2', '3', '5', '6'])
    const fresh: string[] = []
    await far.follow(name, { start: 'new' }, message => void fresh.push(text(message)))
    await put(near, `${name}.a`, '7')
    await eventually('the new one came', () => fresh.length === 1)
    assert.deepEqual([seen.join(), fresh.join()], ['1,2,3,4', '7'])
  })

  on('a follower that throws gets the same message again after a second', async ends => {
    const { near, name, make, clock, eventually } = ends
    await make()
    await put(near, `${name}.a`, '1', '2')
    const seen: string[] = []
    const times: number[] = []
    await near.follow(name, {}, message => {
      seen.push(text(message))
      times.push(clock.now())
      if (seen.length === 1) throw new Error('not yet')
    })
    await eventually('both came', () => seen.length === 3)
    assert.deepEqual(seen, ['1', '1', '2'])
    assert.ok((times[1] ?? 0) - (times[0] ?? 0) >= 990)
  })
}
