import { silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { type Test, test } from 'tap'
import {
  type Bus,
  type BusConnectionState,
  type BusHub,
  type BusMessage,
  type ConnectLimits,
  connectBus,
  listenBus,
} from '../../src/bus/index.js'
import { socketFolder, start, stop } from './fixture/processes.js'

const clock = systemClock({ keepAlive: true })
const ids = systemIds()
const soon = (): number => clock.now() + 5_000
const text = (message: { readonly payload: Uint8Array }): string => Buffer.from(message.payload).toString()

function listen(socketPath: string): Promise<BusHub> {
  return listenBus({
    socketPath,
    clock,
    logger: silentLogger,
    authenticate: token => ({ name: token, kind: 'site', publish: ['>'], subscribe: ['>'] }),
  })
}

/** States as they come, each awaited in turn. */
function stateWatch(): {
  readonly onState: (state: BusConnectionState) => void
  readonly next: (state: BusConnectionState) => Promise<void>
} {
  const seen: BusConnectionState[] = []
  let wake: () => void = () => undefined
  return {
    onState: state => {
      seen.push(state)
      wake()
    },
    async next(state) {
      while (!seen.includes(state)) await new Promise<void>(resolve => (wake = resolve))
      seen.length = 0
    },
  }
}

async function join(
  t: Test,
  socketPath: string,
  options: { token?: string; onState?: (state: BusConnectionState) => void; limits?: Partial<ConnectLimits> } = {},
): Promise<Bus> {
  const bus = await connectBus({
    socketPath,
    token: options.token ?? 'peer',
    clock,
    ids,
    logger: silentLogger,
    ...options,
  })
  t.teardown(() => bus[Symbol.asyncDispose]())
  return bus
}

test('after a restart of the hub everything goes on', async t => {
  const folder = socketFolder()
  t.teardown(() => folder.remove())
  const socketPath = `${folder.path}/hub`
  let hub = await listen(socketPath)
  t.teardown(() => hub[Symbol.asyncDispose]())
  const states = stateWatch()
  const near = await join(t, socketPath, { onState: states.onState })
  const farStates = stateWatch()
  const far = await join(t, socketPath, { onState: farStates.onState })
  await far.subscribe('echo', async message => message.respond?.(message.payload), { queue: 'q' })
  const dropped = await far.subscribe('old', () => undefined)
  const told = new Promise<unknown>(resolve => {
    void far.subscribe('hold', message =>
      message.signal?.addEventListener('abort', () => resolve(message.signal?.reason)),
    )
  })
  await far.publish('sync', Buffer.from(''))

  const inFlight = near.request('hold', Buffer.from(''), { deadline: soon() })
  const failed = t.rejects(inFlight, { code: 'core.bus.disconnected', retryable: true })
  await near.publish('sync', Buffer.from(''))
  await hub[Symbol.asyncDispose]()
  await failed
  t.match(await told, { code: 'core.bus.disconnected' })
  await Promise.all([states.next('disconnected'), farStates.next('disconnected')])

  await dropped.drain()
  // It is sent before its subscription: it may find nobody, but it must not hang or be lost silently.
  const waiting = near
    .request('late', Buffer.from('waited'), { deadline: soon() })
    .then(text, (error: { code?: string }) => error.code)
  const published = near.publish('sync', Buffer.from(''))
  const subscribed = near.subscribe('late', async message => message.respond?.(message.payload))
  await t.rejects(near.request('late', Buffer.from(''), { deadline: clock.now() + 20 }), {
    code: 'core.contract.deadline-exceeded',
  })
  const cancel = new AbortController()
  const cancelled = near.request('late', Buffer.from(''), { deadline: soon(), signal: cancel.signal })
  cancel.abort()
  await t.rejects(cancelled, { code: 'core.contract.cancelled' })

  hub = await listen(socketPath)
  await subscribed
  await published
  await Promise.all([states.next('connected'), farStates.next('connected')])
  const outcome = await waiting
  t.ok(outcome === 'waited' || outcome === 'core.bus.no-responder')
  t.equal(text(await near.request('late', Buffer.from('now'), { deadline: soon() })), 'now')
  t.equal(text(await near.request('echo', Buffer.from('again'), { deadline: soon() })), 'again')
  await t.rejects(near.request('old', Buffer.from(''), { deadline: soon() }), { code: 'core.bus.no-responder' })
  await near[Symbol.asyncDispose]()
  await states.next('closed')
})

test('an answer to a request of the old connection never answers one of the new', async t => {
  const folder = socketFolder()
  t.teardown(() => folder.remove())
  const socketPath = `${folder.path}/hub`
  let hub = await listen(socketPath)
  t.teardown(() => hub[Symbol.asyncDispose]())
  const states = stateWatch()
  const near = await join(t, socketPath)
  const far = await join(t, socketPath, { onState: states.onState })
  const received: BusMessage[] = []
  let wake: () => void = () => undefined
  const next = async (count: number): Promise<void> => {
    while (received.length < count) await new Promise<void>(resolve => (wake = resolve))
  }
  await far.subscribe('q', message => {
    received.push(message)
    wake()
  })
  const old = near.request('q', Buffer.from('old'), { deadline: soon() })
  const failed = t.rejects(old, { code: 'core.bus.disconnected' })
  await next(1)
  await hub[Symbol.asyncDispose]()
  await failed
  hub = await listen(socketPath)
  await states.next('connected')
  const fresh = near.request('q', Buffer.from('new'), { deadline: soon() })
  await next(2)
  await received[0]?.respond?.(Buffer.from('answer to old'))
  await received[1]?.respond?.(Buffer.from('answer to new'))
  t.equal(text(await fresh), 'answer to new')
})

test('a hub that starts later is waited for, one that never comes is not', async t => {
  const folder = socketFolder()
  t.teardown(() => folder.remove())
  const socketPath = `${folder.path}/hub`
  await t.rejects(join(t, socketPath, { limits: { connectMs: 60 } }), { code: 'core.bus.disconnected' })
  const joining = join(t, socketPath)
  const hub = await listen(socketPath)
  t.teardown(() => hub[Symbol.asyncDispose]())
  const bus = await joining
  await bus.publish('x', Buffer.from(''))
})

test('what waits for a hub has a bound in number and time', async t => {
  const folder = socketFolder()
  t.teardown(() => folder.remove())
  const socketPath = `${folder.path}/hub`
  const hub = await listen(socketPath)
  const states = stateWatch()
  const bus = await join(t, socketPath, { onState: states.onState, limits: { maxPending: 3, commandWaitMs: 50 } })
  await hub[Symbol.asyncDispose]()
  await states.next('disconnected')
  const waiting = [1, 2, 3].map(() => bus.publish('x', Buffer.from('')))
  await t.rejects(bus.publish('x', Buffer.from('')), { code: 'core.bus.overloaded' })
  for (const publish of waiting) await t.rejects(publish, { code: 'core.bus.disconnected' })
})

test('callers of a killed process learn it at once, another member takes over', async t => {
  const folder = socketFolder()
  const socketPath = `${folder.path}/hub`
  const hub = await listen(socketPath)
  const servers = await Promise.all([
    start('echo-process.js', socketPath, 'one'),
    start('echo-process.js', socketPath, 'two'),
  ])
  t.teardown(async () => {
    for (const server of servers) await stop(server)
    await hub[Symbol.asyncDispose]()
    folder.remove()
  })
  const bus = await join(t, socketPath)
  t.equal(hub.connections().length, 3)
  const held = bus.request('hold', Buffer.from(''), { deadline: clock.now() + 60_000 })
  const failed = t.rejects(held, { code: 'core.bus.disconnected' })
  await bus.request('echo', Buffer.from('x'), { deadline: soon() })
  for (const server of servers) await stop(server)
  await failed
  await t.rejects(bus.request('echo', Buffer.from('x'), { deadline: soon() }), { code: 'core.bus.no-responder' })
})

test('a planned change of server processes under load loses no call', async t => {
  const folder = socketFolder()
  const socketPath = `${folder.path}/hub`
  const hub = await listen(socketPath)
  const bus = await join(t, socketPath)
  let server = await start('echo-process.js', socketPath, 'server')
  t.teardown(async () => {
    await stop(server)
    await hub[Symbol.asyncDispose]()
    folder.remove()
  })
  let done = false
  let answered = 0
  const callers = Array.from({ length: 16 }, async () => {
    while (!done) {
      const call = `call ${answered}`
      if (text(await bus.request('echo', Buffer.from(call), { deadline: soon() })) !== call)
        t.fail('an answer of another call')
      answered += 1
    }
  })
  for (let swap = 0; swap < 2; swap++) {
    const next = await start('echo-process.js', socketPath, 'server')
    const exited = new Promise<void>(resolve => server.once('exit', () => resolve()))
    server.send('stop')
    await exited
    server = next
  }
  done = true
  await Promise.all(callers)
  t.ok(answered > 100, `${answered} calls`)
})
