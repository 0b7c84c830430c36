import assert from 'node:assert/strict'
import { bytes, type OnStreams, put, recorder, shown, text } from './stream-suite-ends.js'

/** What survives the end of the server's process without warning. */
export function streamRestartSuite(on: OnStreams): void {
  keptSuite(on)
  consumerSuite(on)
  resumeSuite(on)
}

function keptSuite(on: OnStreams): void {
  on(
    'acknowledged messages, their ids and limits survive',
    async ({ near, name, make, restart }) => {
      await make({ maxMessages: 5 })
      await put(near, `${name}.a`, '1', '2', '3', '4', '5')
      await near.publish(`${name}.b`, bytes('6'), { messageId: 'six', headers: { h: 'é' } })
      await near.purge(name, { subject: `${name}.a`, below: 4 })
      const before = await near.info(name)
      const message = shown(await near.get(name, { sequence: 6 }))
      const after = (await restart()).near
      assert.deepEqual(await after.info(name), before)
      assert.deepEqual(shown(await after.get(name, { sequence: 6 })), message)
      assert.equal(await after.get(name, { sequence: 3 }), undefined)
      assert.equal((await after.publish(`${name}.b`, bytes('6'), { messageId: 'six' })).duplicate, true)
      assert.equal((await after.publish(`${name}.a`, bytes('7'), { expectLastSubjectSequence: 5 })).sequence, 7)
    },
    'restart',
  )

  on(
    'buckets, messages for later and dead letters survive',
    async ({ near, name, make, clock, driver, restart, eventually }) => {
      await make()
      const durability = driver.durabilities[0] ?? 'relaxed'
      const bucket = await near.bucket({ name, durability })
      await bucket.put('a', bytes('1'))
      const revision = await bucket.put('a', bytes('2'))
      await near.publishAt(clock.now() + 2_500, `${name}.late`, bytes('late'), { messageId: 'l' })
      await put(near, `${name}.a`, 'bad')
      const member = await near.consume(name, { name: 'c', filter: [`${name}.a`] }, delivery => delivery.term('bad'))
      await eventually('it died', async () => (await near.deadLetters(name)).length === 1)
      await member.drain()
      const letters = await near.deadLetters(name)
      const after = (await restart()).near
      const again = await after.bucket({ name, durability })
      assert.deepEqual([text(await again.get('a')), (await again.get('a'))?.revision], ['2', revision])
      await again.update('a', bytes('3'), revision)
      assert.deepEqual((await after.deadLetters(name)).map(shownLetter), letters.map(shownLetter))
      await eventually('the late one entered', async () => (await after.info(name)).lastSequence === 2)
      assert.equal(text(await after.get(name, { lastOf: `${name}.late` })), 'late')
      assert.equal((await after.publish(`${name}.late`, bytes('x'), { messageId: 'l' })).duplicate, true)
    },
    'restart',
  )
}

const shownLetter = (letter: { readonly sequence: number; readonly reason: string }): string =>
  `${letter.sequence} ${letter.reason}`

function consumerSuite(on: OnStreams): void {
  on(
    'a consumer goes on behind what was settled',
    async ({ near, name, make, driver, restart, eventually }) => {
      await make()
      await put(near, `${name}.a`, '1', '2', '3', '4')
      const seen: string[] = []
      const handler = async (delivery: {
        readonly payload: Uint8Array
        readonly signal: AbortSignal
      }): Promise<void> => {
        seen.push(text(delivery))
        // The second one is never settled before the restart.
        if (text(delivery) === '2' && seen.filter(each => each === '2').length === 1) {
          await new Promise(resolve => delivery.signal.addEventListener('abort', resolve))
          throw new Error('too late')
        }
      }
      const config = { name: 'c', ackWaitMs: 1_000 }
      await near.consume(name, config, handler)
      await eventually(
        'three settled',
        async () => (await near.consumerInfo(name, 'c')).unsettled === 1 && seen.length === 4,
      )
      const after = (await restart()).near
      if (driver.restarts === 'reopen') await after.consume(name, config, handler)
      await put(after, `${name}.a`, '5')
      await eventually('the rest came', () => seen.includes('5') && seen.filter(each => each === '2').length >= 2)
      await eventually('settled', async () => (await after.consumerInfo(name, 'c')).settledSequence === 5)
      // An acknowledgement is not confirmed: what was lost with the server may have come again.
      assert.deepEqual([...new Set(seen)].sort(), ['1', '2', '3', '4', '5'])
    },
    'restart',
  )
}

function resumeSuite(on: OnStreams): void {
  on(
    'clients go on by themselves: publishing, consuming, following, watching',
    async ({ near, far, name, make, driver, restart, eventually }) => {
      await make()
      const bucket = await far.bucket({ name, durability: driver.durabilities[0] ?? 'relaxed' })
      const consumed = recorder()
      const followed: string[] = []
      const watched: string[] = []
      await far.consume(name, { name: 'c' }, consumed.handler)
      await far.follow(name, {}, message => void followed.push(text(message)))
      await bucket.watch('>', change => void watched.push(change.kind === 'put' ? text(change) : 'gone'))
      for (let round = 0; round < 3; round++) {
        if (round > 0) await restart()
        await near.publish(`${name}.a`, bytes(`m${round}`), { messageId: `m${round}` })
        await bucket.put('k', bytes(`v${round}`))
        await eventually('the consumer has it', () => consumed.texts().includes(`m${round}`))
        await eventually('the follower has it', () => followed.includes(`m${round}`))
        await eventually('the watcher has it', () => watched[watched.length - 1] === `v${round}`)
      }
      assert.deepEqual(followed, ['m0', 'm1', 'm2'])
      assert.deepEqual([...new Set(consumed.texts())], ['m0', 'm1', 'm2'])
    },
    'resume',
  )

  on(
    'a message with an id that is published while the server is down arrives once',
    async ({ near, name, make, restart }) => {
      await make()
      const restarting = restart()
      const acks = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          near.publish(`${name}.a`, bytes(String(index)), {
            messageId: `m${index}`,
            deadline: Number.MAX_SAFE_INTEGER,
          }),
        ),
      )
      await restarting
      assert.equal(new Set(acks.map(ack => ack.sequence)).size, 20)
      assert.equal((await near.info(name)).messages, 20)
    },
    'resume',
  )
}
