import assert from 'node:assert/strict'
import type { DeadLetter } from './stream.js'
import { bytes, type OnStreams, put, recorder, text } from './stream-suite-ends.js'

/** The promises about messages that were given up, and about those that come later. */
export function streamDeadSuite(on: OnStreams): void {
  deadSuite(on)
  replaySuite(on)
  laterSuite(on)
}

function deadSuite(on: OnStreams): void {
  on(
    'a refused message goes to the dead letters with the reason',
    async ({ near, far, name, clock, make, eventually }) => {
      await make()
      await near.publish(`${name}.a`, bytes('bad'), { headers: { h: 'é' } })
      await put(near, `${name}.a`, 'good', 'worse')
      await near.consume(name, { name: 'c' }, delivery => {
        if (text(delivery) !== 'good') delivery.term(`${text(delivery)}\n${'x'.repeat(2_000)}`)
      })
      await eventually('two died', async () => (await far.deadLetters(name)).length === 2)
      const [letter, next] = (await far.deadLetters(name)) as [DeadLetter, DeadLetter]
      assert.deepEqual(
        [letter.consumer, letter.subject, text(letter), letter.headers.h, letter.originalSequence, letter.attempts],
        ['c', `${name}.a`, 'bad', 'é', 1, 1],
      )
      assert.ok(letter.reason.startsWith('bad') && letter.reason.length === 1_000, letter.reason)
      assert.ok(Math.abs(letter.diedAt - clock.now()) < 60_000)
      assert.ok(next.sequence > letter.sequence)
      assert.deepEqual((await far.deadLetters(name, { limit: 1 })).map(text), ['bad'])
      assert.deepEqual((await far.deadLetters(name, { after: letter.sequence })).map(text), ['worse'])
      await eventually('settled', async () => (await near.consumerInfo(name, 'c')).settledSequence === 3)
    },
  )

  on('after its last attempt a message is given up', async ({ near, name, make, eventually }) => {
    await make()
    await put(near, `${name}.a`, 'throws', 'silent')
    const seen: string[] = []
    const config = { name: 'c', maxDeliveries: 3, backoffMs: [10], ackWaitMs: 100 }
    await near.consume(name, config, async delivery => {
      seen.push(`${text(delivery)} ${delivery.attempt}`)
      if (text(delivery) === 'throws') throw new Error('always')
      await new Promise(resolve => delivery.signal.addEventListener('abort', resolve))
    })
    await eventually('both died', async () => (await near.deadLetters(name)).length === 2)
    assert.deepEqual(seen.sort(), ['silent 1', 'silent 2', 'silent 3', 'throws 1', 'throws 2', 'throws 3'])
    for (const letter of await near.deadLetters(name)) {
      assert.equal(letter.attempts, 3)
      assert.ok(letter.reason.length > 0)
    }
    await eventually('settled', async () => (await near.consumerInfo(name, 'c')).settledSequence === 2)
  })
}

function replaySuite(on: OnStreams): void {
  on('a replayed dead letter comes to its consumer only', async ({ near, far, name, make, eventually }) => {
    await make()
    let mended = false
    const seen: string[] = []
    await near.publish(`${name}.a`, bytes('x'), { headers: { h: '1' } })
    await near.consume(name, { name: 'c' }, delivery => {
      seen.push(`${text(delivery)} ${delivery.subject} ${delivery.headers.h} ${delivery.attempt}`)
      if (!mended) delivery.term('not mended')
    })
    const other = recorder()
    await far.consume(name, { name: 'other' }, other.handler)
    await eventually('it died', async () => (await far.deadLetters(name)).length === 1)
    const [letter] = (await far.deadLetters(name)) as [DeadLetter]
    mended = true
    assert.equal(await far.replayDead(name, [letter.sequence, letter.sequence, 999]), 1)
    await eventually('it came again', () => seen.length === 2)
    await put(near, `${name}.a`, 'end')
    await eventually('the others went on', () => other.texts().includes('end'))
    assert.deepEqual(seen.slice(0, 2), [`x ${name}.a 1 1`, `x ${name}.a 1 1`])
    assert.deepEqual(other.texts(), ['x', 'end'])
    assert.deepEqual(await far.deadLetters(name), [])
    assert.equal(await far.replayDead(name, [letter.sequence]), 0)
  })
}

function laterSuite(on: OnStreams): void {
  on('a message for later enters at its time, once', async ({ near, far, name, clock, make, eventually }) => {
    await make()
    const { handler, seen, texts } = recorder()
    await near.consume(name, { name: 'c' }, handler, { concurrency: 1 })
    const at = clock.now() + 1_000
    await near.publishAt(at, `${name}.late`, bytes('later'), { messageId: 'l', headers: { h: 'x' } })
    await far.publishAt(at + 10_000, `${name}.late`, bytes('twice'), { messageId: 'l' })
    await put(near, `${name}.now`, 'now')
    await near.publishAt(clock.now() - 5_000, `${name}.late`, bytes('past'), { messageId: 'p' })
    await eventually('it came', () => texts().includes('later'))
    assert.ok(clock.now() >= at)
    assert.ok(clock.now() <= at + 4_000, `${clock.now() - at} ms late`)
    const later = seen.find(each => text(each) === 'later')
    assert.deepEqual([later?.messageId, later?.headers.h, later?.subject], ['l', 'x', `${name}.late`])
    await eventually('the past one came', () => texts().includes('past'))
    assert.equal((await near.publish(`${name}.late`, bytes('l'), { messageId: 'l' })).duplicate, true)
    assert.deepEqual(texts().sort(), ['later', 'now', 'past'])
  })

  on('many messages for later enter in the order of their times', async ({ near, name, clock, make, eventually }) => {
    await make()
    // All must wait before the first is due: on a slow server with more time ahead.
    for (let aheadMs = 300; ; aheadMs *= 3) {
      const from = clock.now() + aheadMs
      for (const place of [5, 1, 4, 0, 3, 2]) {
        const options = { messageId: `m${place}-${aheadMs}` }
        await near.publishAt(from + place * 100, `${name}.a`, bytes(String(place)), options)
      }
      const { messages } = await near.info(name)
      const inTime = clock.now() < from
      if (inTime) assert.equal(messages, 0)
      await eventually('all entered', async () => (await near.info(name)).messages === 6)
      if (inTime) break
      await near.purge(name)
    }
    const { handler, seen, texts } = recorder()
    await near.consume(name, { name: 'c' }, handler, { concurrency: 1 })
    await eventually('all came', () => seen.length === 6)
    assert.deepEqual(texts(), ['0', '1', '2', '3', '4', '5'])
  })
}
