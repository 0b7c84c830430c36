import { eventually } from '@aaas/testing'
import { connect } from '@nats-io/transport-node'
import { test } from 'tap'
import type { Bus, BusConnectionState, BusMessage } from '../../../src/bus/index.js'
import { busOf, bytes, clock, serversOf, skipNats, soon, text } from '../fixture/nats-bus.js'

const echo = async (message: BusMessage): Promise<void> => message.respond?.(message.payload)

test('a server killed under load: calls fail with a word, and everything comes back', { skip: skipNats }, async t => {
  const servers = await serversOf(t)
  const states: BusConnectionState[] = []
  const near = await busOf(t, servers, { onState: state => states.push(state) })
  const far = await busOf(t, servers)
  await far.subscribe('echo', echo, { queue: 'q' })
  const codes = new Map<string, number>()
  let answered = 0
  let stop = false
  t.teardown(() => {
    stop = true
  })
  const callers = Array.from({ length: 16 }, async () => {
    while (!stop) {
      try {
        await near.request('echo', bytes('x'), { deadline: soon() })
        answered += 1
      } catch (error) {
        const code = (error as { code?: string }).code ?? 'none'
        codes.set(code, (codes.get(code) ?? 0) + 1)
      }
      if (answered % 50 === 0) await new Promise<void>(resolve => clock.after(1, resolve))
    }
  })
  await eventually('calls run', () => answered > 500)
  await servers.nodes[0]!.kill()
  const published = near.publish('echo', bytes('waits for the connection')).catch((error: unknown) => error)
  const waiting = near
    .request('echo', bytes('later'), { deadline: clock.now() + 8_000 })
    .catch((error: unknown) => error)
  await eventually('both see it', () => states.includes('disconnected'))
  await servers.nodes[0]!.start()
  const before = answered
  await eventually('calls run again', () => answered > before + 500)
  stop = true
  await Promise.all(callers)
  const outcome = await waiting
  t.ok(outcome !== undefined)
  const failure = await published
  t.ok(failure === undefined || (failure as { code?: string }).code === 'core.bus.disconnected')
  // Whoever is back first finds nobody for a moment.
  for (const code of codes.keys()) t.ok(['core.bus.disconnected', 'core.bus.no-responder'].includes(code), code)
  t.ok((codes.get('core.bus.disconnected') ?? 0) <= 17)
  t.same(states, ['disconnected', 'connected'])
})

test('an answer given while the connection is down arrives when it is back', { skip: skipNats }, async t => {
  const servers = await serversOf(t, { count: 3 })
  const near = await busOf(t, servers, { servers: servers.urls[0]! })
  const far = await busOf(t, servers, { servers: servers.urls[1]! })
  let held: BusMessage | undefined
  await far.subscribe('slow', message => {
    held = message
  })
  const call = near.request('slow', bytes('x'), { deadline: clock.now() + 9_000 })
  await eventually('it came', () => held !== undefined)
  await servers.nodes[1]!.kill()
  await eventually('nothing reaches it', async () => {
    const probe = near.request('slow', bytes('y'), { deadline: clock.now() + 200 })
    return await probe.then(
      () => false,
      (error: { code?: string }) => error.code === 'core.bus.no-responder',
    )
  })
  const answering = held?.respond?.(bytes('late'))
  await servers.nodes[1]!.start()
  await answering
  t.equal(text(await call), 'late')
})

test('fifty connections come back after a restart, none left behind', { skip: skipNats }, async t => {
  const servers = await serversOf(t)
  const buses: Bus[] = []
  for (let index = 0; index < 50; index++) {
    const bus = await busOf(t, servers)
    await bus.subscribe(`i.${index}`, echo)
    buses.push(bus)
  }
  for (let round = 0; round < 2; round++) {
    await servers.nodes[0]!.kill()
    await servers.nodes[0]!.start()
    const deadline = clock.now() + 10_000
    await Promise.all(
      buses.map(async (bus, index) => {
        const to = `i.${(index + 17) % 50}`
        for (;;) {
          try {
            return await bus.request(to, bytes('x'), { deadline })
          } catch (error) {
            const { code } = error as { code?: string }
            if (code !== 'core.bus.no-responder' && code !== 'core.bus.disconnected') throw error
            await new Promise<void>(resolve => clock.after(20, resolve))
          }
        }
      }),
    )
  }
})

test('a slow consumer stays bounded and hears of nobody else', { skip: skipNats }, async t => {
  const servers = await serversOf(t)
  const near = await busOf(t, servers)
  const far = await busOf(t, servers)
  let release: () => void = () => undefined
  const go = new Promise<void>(resolve => {
    release = resolve
  })
  let seen = 0
  await far.subscribe(
    'slow',
    async () => {
      seen += 1
      await go
    },
    { maxInFlight: 2, maxQueued: 10 },
  )
  await far.subscribe('fast', echo)
  for (let round = 0; round < 20; round++)
    await Promise.all(Array.from({ length: 100 }, () => near.publish('slow', Buffer.alloc(10_000))))
  t.equal(text(await near.request('fast', bytes('x'), { deadline: soon() })), 'x')
  t.equal(seen, 2)
  release()
  await eventually('the queue is worked off', () => seen === 12)
  t.equal(text(await near.request('fast', bytes('x'), { deadline: soon() })), 'x')
  t.equal(seen, 12)
})

test('a message larger than the server takes is named', { skip: skipNats }, async t => {
  const servers = await serversOf(t, { config: 'max_payload: 10KB' })
  const bus = await busOf(t, servers)
  await bus.subscribe('big', async message => {
    await t.rejects(async () => message.respond?.(Buffer.alloc(11_000)), { code: 'core.contract.payload-too-large' })
    await message.respond?.(bytes('small'))
  })
  const tooLarge = { code: 'core.contract.payload-too-large', message: /max_payload/ }
  await t.rejects(bus.publish('big', Buffer.alloc(11_000)), tooLarge)
  await t.rejects(bus.request('big', Buffer.alloc(11_000), { deadline: soon() }), tooLarge)
  t.equal(text(await bus.request('big', Buffer.alloc(9_000), { deadline: soon() })), 'small')
})

test('calls of one tick share messages, spread over the members', { skip: skipNats }, async t => {
  const servers = await serversOf(t)
  const near = await busOf(t, servers)
  const counts = [0, 0]
  for (const index of [0, 1]) {
    const member = await busOf(t, servers)
    await member.subscribe(
      'job',
      async message => {
        counts[index]! += 1
        await message.respond?.(bytes(`${text(message)} ${message.headers.h}`))
      },
      { queue: 'q' },
    )
  }
  const spy = await connect({ servers: [...servers.urls] })
  t.teardown(() => spy.close())
  let messages = 0
  spy.subscribe('job', { callback: () => void messages++ })
  await spy.flush()
  const round = async (): Promise<void> => {
    const calls = Array.from({ length: 100 }, (_, index) =>
      near.request('job', bytes(String(index)), { deadline: soon(), headers: { h: `h${index}` } }),
    )
    const answers = (await Promise.all(calls)).map(text)
    t.same(
      answers,
      Array.from({ length: 100 }, (_, index) => `${index} h${index}`),
    )
    await spy.flush()
  }
  await round()
  t.equal(messages, 100, 'before the first answer nothing is known of the members')
  for (let each = 0; each < 10; each++) await round()
  t.ok(messages <= 100 + 10 * 4, `${messages} messages`)
  t.ok(counts[0]! > 0 && counts[1]! > 0)
  await near.request('job', bytes('x'), { deadline: soon() })

  const gone = Array.from({ length: 10 }, () => near.request('nobody', bytes(''), { deadline: soon() }))
  for (const each of await Promise.allSettled(gone))
    t.equal((each as { reason?: { code?: string } }).reason?.code, 'core.bus.no-responder')
})

test('too many calls without an answer are refused', { skip: skipNats }, async t => {
  const servers = await serversOf(t)
  const bus = await busOf(t, servers, { limits: { maxPending: 3, maxSubscriptions: 1 } })
  await bus.subscribe('silent', () => undefined)
  await t.rejects(
    bus.subscribe('other', () => undefined),
    { code: 'core.bus.overloaded' },
  )
  const deadline = clock.now() + 300
  const three = [1, 2, 3].map(() => bus.request('silent', bytes(''), { deadline }))
  await t.rejects(bus.request('silent', bytes(''), { deadline }), { code: 'core.bus.overloaded', retryable: true })
  for (const each of await Promise.allSettled(three))
    t.equal((each as { reason?: { code?: string } }).reason?.code, 'core.contract.deadline-exceeded')
})
