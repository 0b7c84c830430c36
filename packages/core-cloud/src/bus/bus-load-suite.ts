import assert from 'node:assert/strict'
import type { Bus, BusMessage } from './bus.js'
import { bytes, echo, gate, type OnBus, text } from './bus-suite-ends.js'

/** The promises about bounds, drain and replacement. */
export function busLoadSuite(on: OnBus): void {
  limitSuite(on)
  boundSuite(on)
  drainSuite(on)
  partialDrainSuite(on)
  replaceSuite(on)
}

function boundSuite(on: OnBus): void {
  on('at most maxInFlight handlers run; beyond the queue a request is refused', async ({ near, far, clock }) => {
    let running = 0
    let most = 0
    const two = gate()
    const go = gate()
    await far.subscribe(
      'job',
      async message => {
        running += 1
        most = Math.max(most, running)
        if (running === 2) two.open()
        await go.opened
        await echo(message)
        running -= 1
      },
      { maxInFlight: 2, maxQueued: 3 },
    )
    const deadline = clock.now() + 5_000
    const calls = Array.from({ length: 6 }, (_, index) => near.request('job', bytes(String(index)), { deadline }))
    await assert.rejects(calls[5]!, { code: 'core.bus.overloaded', retryable: true })
    await two.opened
    go.open()
    assert.deepEqual((await Promise.all(calls.slice(0, 5))).map(text), ['0', '1', '2', '3', '4'])
    assert.equal(most, 2)
  })

  on('a request given up while it waits in the queue is never run', async ({ near, far, clock }) => {
    const seen: string[] = []
    const go = gate()
    await far.subscribe(
      'job',
      async message => {
        seen.push(text(message))
        await go.opened
        await echo(message)
      },
      { maxInFlight: 1 },
    )
    const deadline = clock.now() + 5_000
    const first = near.request('job', bytes('1'), { deadline })
    const controller = new AbortController()
    const second = near.request('job', bytes('2'), { deadline, signal: controller.signal })
    const third = near.request('job', bytes('3'), { deadline })
    await far.subscribe('ping', echo)
    controller.abort()
    await assert.rejects(second, { code: 'core.contract.cancelled' })
    await near.request('ping', bytes('x'), { deadline })
    go.open()
    await Promise.all([first, third])
    assert.deepEqual(seen, ['1', '3'])
  })
}

function drainSuite(on: OnBus): void {
  on(
    'drain waits for running handlers, and their answers arrive',
    async ({ near, far, clock }) => {
      const go = gate()
      const started = gate()
      let runs = 0
      await far.subscribe('job', async message => {
        runs += 1
        if (runs === 10) started.open()
        await go.opened
        await echo(message)
      })
      const deadline = clock.now() + 5_000
      const calls = Array.from({ length: 10 }, (_, index) => near.request('job', bytes(String(index)), { deadline }))
      await started.opened
      let drained = false
      const draining = far.drain().then(() => {
        drained = true
      })
      await waitUntilRefused(near, 'job', deadline)
      assert.equal(drained, false)
      go.open()
      await draining
      await far[Symbol.asyncDispose]()
      assert.deepEqual(
        (await Promise.all(calls)).map(text),
        Array.from({ length: 10 }, (_, index) => String(index)),
      )
    },
    'separate ends',
  )

  on(
    'a drained bus can still send',
    async ({ near, far, clock }) => {
      const seen = gate<string>()
      await near.subscribe('said', message => seen.open(text(message)))
      await near.subscribe('ping', echo)
      await far.subscribe('job', echo)
      await far.drain()
      await far.publish('said', bytes('bye'))
      assert.equal(await seen.opened, 'bye')
      assert.equal(text(await far.request('ping', bytes('x'), { deadline: clock.now() + 5_000 })), 'x')
    },
    'separate ends',
  )
}

function partialDrainSuite(on: OnBus): void {
  on('draining one subscription leaves the others', async ({ near, far, clock }) => {
    const deadline = clock.now() + 5_000
    const first = await far.subscribe('a', echo)
    await far.subscribe('b', echo)
    assert.equal(first.subject, 'a')
    await Promise.all([first.drain(), first.drain()])
    await assert.rejects(near.request('a', bytes(''), { deadline }), { code: 'core.bus.no-responder' })
    await near.request('b', bytes(''), { deadline })
  })

  on(
    'what was published before a drain has arrived',
    async ({ near, far }) => {
      let seen = 0
      const all = gate()
      await near.subscribe('n', () => {
        seen += 1
        if (seen === 100) all.open()
      })
      for (let index = 0; index < 100; index++) void far.publish('n', bytes('x'))
      await far.drain()
      await far[Symbol.asyncDispose]()
      await all.opened
    },
    'separate ends',
  )
}

async function waitUntilRefused(bus: Bus, subject: string, deadline: number): Promise<void> {
  for (;;) {
    const controller = new AbortController()
    const call = bus.request(subject, bytes(''), { deadline, signal: controller.signal }).then(
      () => undefined,
      (error: { code?: string }) => error.code,
    )
    // A member that still takes requests would hold this one: give it up after one round trip of something else.
    await bus.request('no.such.subject', bytes(''), { deadline }).catch(() => undefined)
    controller.abort()
    if ((await call) === 'core.bus.no-responder') return
  }
}

function replaceSuite(on: OnBus): void {
  on(
    'replacing the members of a queue under load loses no request',
    async ({ near, far, connect, clock }) => {
      const deadline = clock.now() + 60_000
      const serve = async (bus: Bus): Promise<Bus> => {
        await bus.subscribe('job', slowEcho, { queue: 'workers' })
        return bus
      }
      let member = await serve(far)
      let answered = 0
      let stop = false
      const callers = Array.from({ length: 16 }, async () => {
        while (!stop) {
          const call = String(answered)
          assert.equal(text(await near.request('job', bytes(call), { deadline })), call)
          answered += 1
        }
      })
      for (let swap = 0; swap < 5; swap++) {
        const before = answered
        const next = await serve(await connect())
        await member.drain()
        await member[Symbol.asyncDispose]()
        member = next
        while (answered < before + 50) await near.request('job', bytes('turn'), { deadline })
      }
      stop = true
      await Promise.all(callers)
      assert.ok(answered >= 250)
    },
    'separate ends',
  )
}

/** Answers a few turns later, so that requests are under way when a member leaves. */
async function slowEcho(message: BusMessage): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise<void>(resolve => setImmediate(resolve))
  await echo(message)
}

function limitSuite(on: OnBus): void {
  on('names that are not subjects are refused', async ({ near, clock }) => {
    const invalid = { code: 'core.bus.invalid-subject' }
    for (const subject of ['', '.', 'a.', '.a', 'a..b', 'a b', 'a.*', '>', 'ä', 'a\nb', 'a'.repeat(256)]) {
      await assert.rejects(near.publish(subject, bytes('')), invalid, subject)
      await assert.rejects(near.request(subject, bytes(''), { deadline: clock.now() + 5_000 }), invalid, subject)
    }
    for (const pattern of ['', 'a.', '>.a', 'a>', 'a*', '**', 'a.>.b', 'a'.repeat(256)]) {
      await assert.rejects(near.subscribe(pattern, echo), invalid, pattern)
    }
    for (const queue of ['', 'a b', '*', 'a.', 'a'.repeat(256)]) {
      await assert.rejects(near.subscribe('a', echo, { queue }), invalid, queue)
    }
    await near.publish('a'.repeat(255), bytes(''))
  })

  on('headers that are not allowed are refused', async ({ near }) => {
    for (const headers of [{ Upper: 'x' }, { 'aaas-sender': 'me' }, { a: 'x\ny' }, { '': 'x' }, { 'a b': 'x' }]) {
      await assert.rejects(
        near.publish('a', bytes(''), { headers }),
        { code: 'core.bus.refused' },
        JSON.stringify(headers),
      )
    }
    const many = Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`h${index}`, 'x']))
    await assert.rejects(near.publish('a', bytes(''), { headers: many }), { code: 'core.contract.payload-too-large' })
    await assert.rejects(near.publish('a', bytes(''), { headers: { a: 'x'.repeat(16_384) } }), {
      code: 'core.contract.payload-too-large',
    })
    await near.publish('a', bytes(''), { headers: { a: 'x'.repeat(16_380) } })
  })

  on('a payload may have 8 MiB and not one byte more', async ({ near, far, clock }) => {
    await far.subscribe('big', async message => message.respond?.(message.payload))
    const largest = Buffer.alloc(8 * 1024 * 1024, 7)
    const answer = await near.request('big', largest, { deadline: clock.now() + 5_000 })
    assert.equal(Buffer.compare(largest, answer.payload), 0)
    const over = Buffer.alloc(8 * 1024 * 1024 + 1)
    await assert.rejects(near.request('big', over, { deadline: clock.now() + 5_000 }), {
      code: 'core.contract.payload-too-large',
    })
    await assert.rejects(near.publish('big', over), { code: 'core.contract.payload-too-large' })
  })
}
