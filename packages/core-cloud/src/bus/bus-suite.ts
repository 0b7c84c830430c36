import assert from 'node:assert/strict'
import type { Clock } from '../kernel/clock.js'
import type { BusMessage } from './bus.js'
import { busLoadSuite } from './bus-load-suite.js'
import { busManySuite } from './bus-many-suite.js'
import { type BusFixture, bytes, echo, gate, type OnBus, type SuiteTest, text } from './bus-suite-ends.js'

export type { BusFixture, SuiteTest } from './bus-suite-ends.js'

/**
 * Every promise of the {@link Bus} port. A driver is done when it passes.
 * @param driver.ends - `shared` when every {@link BusFixture.connect} gives the same bus, as in a program of one process:
 *   what is promised about one end that leaves while another stays has no meaning there.
 * @param driver.balance - how the member of a queue is chosen: the hub of the local drivers takes turns and prefers who
 *   has least to do (default), a server of NATS chooses at random.
 */
export function busSuite(
  test: SuiteTest,
  open: () => Promise<BusFixture>,
  driver: { readonly ends: 'separate' | 'shared'; readonly balance?: 'turns' | 'random' },
): void {
  const on: OnBus = (name, body, needs) => {
    if (needs === 'separate ends' && driver.ends === 'shared') return
    test(name, async () => {
      await using fixture = await open()
      const near = await fixture.connect()
      const far = await fixture.connect()
      await body({
        near,
        far,
        clock: fixture.clock,
        passTime: ms => fixture.passTime(ms),
        connect: () => fixture.connect(),
      })
    })
  }
  deliverySuite(on)
  ownershipSuite(on)
  requestSuite(on)
  if (driver.balance !== 'random') balanceSuite(on)
  answerSuite(on)
  endSuite(on)
  failureSuite(on)
  busLoadSuite(on)
  busManySuite(on)
}

const soon = (clock: Clock): number => clock.now() + 5_000

function deliverySuite(on: OnBus): void {
  on('a published message reaches every plain subscriber with subject, payload and headers', async ({ near, far }) => {
    const seen = [gate<BusMessage>(), gate<BusMessage>()]
    await far.subscribe('order.paid', seen[0]!.open)
    await near.subscribe('order.*', seen[1]!.open)
    await near.publish('order.paid', Uint8Array.of(0, 255, 128), { headers: { trace: 'tréma 一', 'x-1': '' } })
    for (const { opened } of seen) {
      const message = await opened
      assert.equal(message.subject, 'order.paid')
      assert.deepEqual([...message.payload], [0, 255, 128])
      assert.deepEqual({ ...message.headers }, { trace: 'tréma 一', 'x-1': '' })
      assert.equal(message.headers.constructor, undefined)
      assert.equal(message.respond, undefined)
    }
  })

  on('wildcards stand for one token or for the rest', async ({ near, far }) => {
    const patterns = ['a.b.c', 'a.*.c', '*.b.*', 'a.>', '>', 'a.b', 'a.*', 'a.b.c.>']
    const seen: string[] = []
    const last = gate()
    for (const pattern of patterns) await far.subscribe(pattern, () => void seen.push(pattern))
    await far.subscribe('end', () => last.open())
    await near.publish('a.b.c', bytes('x'))
    await near.publish('end', bytes('x'))
    await last.opened
    // The message `end` itself matches `>`.
    assert.deepEqual(seen.sort(), ['*.b.*', '>', '>', 'a.*.c', 'a.>', 'a.b.c'].sort())
  })

  on('messages of one sender arrive in order', async ({ near, far }) => {
    const seen: number[] = []
    const all = gate()
    await far.subscribe('n', message => {
      seen.push(Number(text(message)))
      if (seen.length === 500) all.open()
    })
    await Promise.all(Array.from({ length: 500 }, (_, index) => near.publish('n', bytes(String(index)))))
    await all.opened
    assert.deepEqual(
      seen,
      Array.from({ length: 500 }, (_, index) => index),
    )
  })

  on('members of a queue share, a plain subscriber gets everything', async ({ near, far, connect }) => {
    const third = await connect()
    const counts = [0, 0, 0]
    const all = gate()
    const count = (index: number) => (): void => {
      counts[index]! += 1
      if (counts[0]! + counts[1]! === 20 && counts[2] === 20) all.open()
    }
    await far.subscribe('job', count(0), { queue: 'workers' })
    await third.subscribe('job', count(1), { queue: 'workers' })
    await near.subscribe('job', count(2))
    for (let index = 0; index < 20; index++) await near.publish('job', bytes('x'))
    await all.opened
    assert.deepEqual([counts[0]! + counts[1]!, counts[2]], [20, 20])
  })
}

function ownershipSuite(on: OnBus): void {
  on('the sender may change its bytes as soon as its call returned', async ({ near, far }) => {
    const seen = gate<string>()
    await far.subscribe('p', message => seen.open(text(message)))
    const payload = Buffer.from('before')
    const published = near.publish('p', payload)
    payload.write('after!')
    await published
    assert.equal(await seen.opened, 'before')
  })

  on('the payload belongs to each subscriber', async ({ near, far }) => {
    const seen = gate<string>()
    await far.subscribe('p', message => void message.payload.fill(0))
    await far.subscribe('p', message => seen.open(text(message)))
    await far.subscribe('p', message => void message.payload.fill(0))
    await near.publish('p', bytes('mine'))
    assert.equal(await seen.opened, 'mine')
  })
}

function requestSuite(on: OnBus): void {
  on('a request gets the answer of its handler', async ({ near, far, clock }) => {
    await far.subscribe('add.*', async message => {
      assert.ok(message.deadline !== undefined && message.deadline > clock.now())
      await message.respond?.(bytes(`${text(message)} ${message.headers.name}`), { headers: { kind: 'greeting' } })
    })
    const answer = await near.request('add.x', bytes('hello'), { deadline: soon(clock), headers: { name: 'Ada' } })
    assert.equal(text(answer), 'hello Ada')
    assert.equal(answer.headers.kind, 'greeting')
    assert.equal(answer.respond, undefined)
  })

  on('a bus reaches its own subscriptions', async ({ near, clock }) => {
    await near.subscribe('self', echo)
    assert.equal(text(await near.request('self', bytes('x'), { deadline: soon(clock) })), 'x')
  })

  on('without a subscriber a request fails at once', async ({ near, far, clock }) => {
    await assert.rejects(near.request('nobody', bytes('x'), { deadline: soon(clock) }), {
      code: 'core.bus.no-responder',
      retryable: true,
    })
    const subscription = await far.subscribe('nobody', echo)
    await near.request('nobody', bytes('x'), { deadline: soon(clock) })
    await subscription.drain()
    await assert.rejects(near.request('nobody', bytes('x'), { deadline: soon(clock) }), {
      code: 'core.bus.no-responder',
    })
  })
}

function balanceSuite(on: OnBus): void {
  on('messages to idle members of a queue alternate', async ({ near, far, connect }) => {
    const third = await connect()
    const counts = [0, 0]
    const all = gate()
    for (const [index, bus] of [far, third].entries()) {
      const count = (): void => {
        counts[index]! += 1
        if (counts[0]! + counts[1]! === 20) all.open()
      }
      await bus.subscribe('job', count, { queue: 'workers' })
    }
    for (let index = 0; index < 20; index++) await near.publish('job', bytes('x'))
    await all.opened
    assert.deepEqual(counts, [10, 10])
  })

  on('idle members of a queue take turns', async ({ near, far, connect, clock }) => {
    const third = await connect()
    const served = ['', '']
    for (const [index, bus] of [far, third].entries()) {
      await bus.subscribe(
        'job',
        async message => {
          served[index] += text(message)
          await echo(message)
        },
        { queue: 'workers' },
      )
    }
    for (const name of ['a', 'b', 'c', 'd']) await near.request('job', bytes(name), { deadline: soon(clock) })
    assert.deepEqual(
      served.map(names => names.length),
      [2, 2],
    )
  })

  on('the member with the fewest requests under way is preferred', async ({ near, far, connect, clock }) => {
    const third = await connect()
    const held: BusMessage[] = []
    const first = gate()
    await far.subscribe(
      'job',
      message => {
        held.push(message)
        first.open()
      },
      { queue: 'workers' },
    )
    const slow = near.request('job', bytes('slow'), { deadline: soon(clock) })
    await first.opened
    await third.subscribe('job', echo, { queue: 'workers' })
    for (let index = 0; index < 6; index++) await near.request('job', bytes('x'), { deadline: soon(clock) })
    assert.equal(held.length, 1)
    await held[0]!.respond?.(bytes('done'))
    assert.equal(text(await slow), 'done')
  })
}

function answerSuite(on: OnBus): void {
  on('of several answers the first counts', async ({ near, far, connect, clock }) => {
    const third = await connect()
    const other = gate<BusMessage>()
    await far.subscribe('who', other.open)
    await third.subscribe('who', async message => {
      // A listener that has not begun when the first answer comes is never run.
      await other.opened
      await message.respond?.(bytes('first'))
      await message.respond?.(bytes('again'))
    })
    assert.equal(text(await near.request('who', bytes('?'), { deadline: soon(clock) })), 'first')
    await (await other.opened).respond?.(bytes('late'))
    assert.equal(text(await near.request('who', bytes('?'), { deadline: soon(clock) })), 'first')
  })
}

function endSuite(on: OnBus): void {
  on('a request ends at its deadline, and the handler is told', async ({ near, far, clock, passTime }) => {
    const received = gate<BusMessage>()
    await far.subscribe('slow', received.open)
    const call = near.request('slow', bytes('x'), { deadline: clock.now() + 1_000 })
    const rejected = assert.rejects(call, { code: 'core.contract.deadline-exceeded', retryable: true })
    const { signal } = await received.opened
    assert.equal(signal?.aborted, false)
    const told = aborted(signal)
    await passTime(1_000)
    await rejected
    assert.equal((await told).code, 'core.contract.deadline-exceeded')
  })

  on('cancelling a request reaches the handler', async ({ near, far, clock }) => {
    const received = gate<BusMessage>()
    await far.subscribe('slow', received.open)
    const controller = new AbortController()
    const call = near.request('slow', bytes('x'), { deadline: soon(clock), signal: controller.signal })
    const rejected = assert.rejects(call, { code: 'core.contract.cancelled' })
    const told = aborted((await received.opened).signal)
    controller.abort(new Error('changed my mind'))
    await rejected
    assert.equal((await told).code, 'core.contract.cancelled')
  })

  on('a handler that asks late still learns that nobody waits', async ({ near, far, clock }) => {
    const received = gate<BusMessage>()
    await far.subscribe('slow', received.open)
    await far.subscribe('ping', echo)
    const controller = new AbortController()
    const call = near.request('slow', bytes('x'), { deadline: soon(clock), signal: controller.signal })
    const message = await received.opened
    controller.abort()
    await assert.rejects(call)
    await near.request('ping', bytes('x'), { deadline: soon(clock) })
    assert.equal(message.signal?.aborted, true)
    await message.respond?.(bytes('nobody hears this'))
  })

  on('what is over before it began is not sent', async ({ near, far, clock }) => {
    let calls = 0
    await far.subscribe('x', () => void calls++)
    await far.subscribe('ping', echo)
    await assert.rejects(near.request('x', bytes(''), { deadline: clock.now() }), {
      code: 'core.contract.deadline-exceeded',
    })
    await assert.rejects(near.request('x', bytes(''), { deadline: Number.NaN }), {
      code: 'core.contract.deadline-exceeded',
    })
    await assert.rejects(near.request('x', bytes(''), { deadline: soon(clock), signal: AbortSignal.abort() }), {
      code: 'core.contract.cancelled',
    })
    await near.request('ping', bytes('x'), { deadline: soon(clock) })
    assert.equal(calls, 0)
  })
}

function failureSuite(on: OnBus): void {
  on('a handler that throws fails its request and nothing else', async ({ near, far, clock }) => {
    await far.subscribe('bad', message => {
      if (text(message) === 'sync') throw new Error('secret of the handler')
      return Promise.reject(new Error('secret of the handler'))
    })
    await far.subscribe('ping', echo)
    for (const how of ['sync', 'async']) {
      await assert.rejects(
        near.request('bad', bytes(how), { deadline: soon(clock) }),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, 'core.kernel.internal')
          assert.doesNotMatch(error.message, /secret/)
          return true
        },
      )
    }
    await near.request('ping', bytes('x'), { deadline: soon(clock) })
  })

  on('a failing listener does not spoil the answer of another', async ({ near, far, connect, clock }) => {
    const third = await connect()
    await far.subscribe('q', () => Promise.reject(new Error('no')))
    const go = gate<BusMessage>()
    await third.subscribe('q', go.open)
    const call = near.request('q', bytes('x'), { deadline: soon(clock) })
    await (await go.opened).respond?.(bytes('yes'))
    assert.equal(text(await call), 'yes')
  })

  on('a closed bus says so', async ({ near, far, clock }) => {
    const received = gate<BusMessage>()
    await far.subscribe('slow', received.open)
    const call = near.request('slow', bytes('x'), { deadline: soon(clock) })
    const rejected = assert.rejects(call, { code: 'core.kernel.stopped' })
    await received.opened
    await near[Symbol.asyncDispose]()
    await rejected
    await assert.rejects(near.publish('x', bytes('')), { code: 'core.kernel.stopped' })
    await assert.rejects(near.subscribe('x', echo), { code: 'core.kernel.stopped' })
    await assert.rejects(near.request('x', bytes(''), { deadline: soon(clock) }), { code: 'core.kernel.stopped' })
    await near[Symbol.asyncDispose]()
  })

  on(
    'a caller learns at once that the one it waits for is gone',
    async ({ near, far, clock }) => {
      const received = gate<BusMessage>()
      await far.subscribe('slow', received.open)
      const call = near.request('slow', bytes('x'), { deadline: soon(clock) })
      const rejected = assert.rejects(call, { code: 'core.bus.disconnected', retryable: true })
      await received.opened
      await far[Symbol.asyncDispose]()
      await rejected
    },
    'separate ends',
  )
}

/** The error a signal aborts with. */
function aborted(signal: AbortSignal | undefined): Promise<{ readonly code?: string }> {
  return new Promise(resolve => {
    if (signal === undefined) resolve({})
    else if (signal.aborted) resolve(signal.reason as { code?: string })
    else signal.addEventListener('abort', () => resolve(signal.reason as { code?: string }))
  })
}
