import { once } from 'node:events'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { connect as connectSocket, createServer, type Socket } from 'node:net'
import {
  createLogger,
  type Logger,
  type LogRecord,
  silentLogger,
  systemClock,
  systemIds,
} from '@aaas/core-cloud/kernel'
import { ManualClock } from '@aaas/testing'
import { type Test, test } from 'tap'
import { wireVersion } from '../../src/bus/frame.js'
import { FrameWriter, hubLinkOver } from '../../src/bus/frame-writer.js'
import {
  type Bus,
  type BusHub,
  type BusHubLimits,
  type BusIdentity,
  connectBus,
  listenBus,
} from '../../src/bus/index.js'
import { socketFolder } from './fixture/processes.js'

const clock = systemClock({ keepAlive: true })
const ids = systemIds()
const soon = (): number => clock.now() + 5_000
const everything: readonly string[] = ['>']

interface HubOptions {
  readonly identities?: Readonly<Record<string, Partial<BusIdentity>>>
  readonly limits?: Partial<BusHubLimits>
  readonly logger?: Logger
  readonly hubClock?: ManualClock
}

async function openHub(
  t: Test,
  options: HubOptions = {},
): Promise<{ hub: BusHub; socketPath: string; join(token?: string): Promise<Bus> }> {
  const folder = socketFolder()
  const socketPath = `${folder.path}/hub`
  const identities = options.identities ?? { token: {} }
  const hub = await listenBus({
    socketPath,
    clock: options.hubClock ?? clock,
    logger: options.logger ?? silentLogger,
    authenticate: token => {
      const identity = identities[token]
      return identity === undefined
        ? undefined
        : { name: token, kind: 'site', publish: everything, subscribe: everything, ...identity }
    },
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  })
  const open: Bus[] = []
  t.teardown(async () => {
    for (const bus of open) await bus[Symbol.asyncDispose]()
    await hub[Symbol.asyncDispose]()
    folder.remove()
  })
  return {
    hub,
    socketPath,
    async join(token = 'token') {
      const bus = await connectBus({ socketPath, token, clock, ids, logger: silentLogger })
      open.push(bus)
      return bus
    },
  }
}

test('the hub stamps the name it knows the sender by', async t => {
  const { hub, join } = await openHub(t, { identities: { shop: { name: 'shop-1' }, pay: {} } })
  const shop = await join('shop')
  const pay = await join('pay')
  const local = hub.bus({ name: 'host', kind: 'host', publish: everything, subscribe: everything })
  await pay.subscribe('who', async message => message.respond?.(Buffer.from(message.sender ?? '-')))
  const ask = async (bus: Bus): Promise<string> => {
    const answer = await bus.request('who', Buffer.from(''), { deadline: soon() })
    t.equal(answer.sender, 'pay')
    return Buffer.from(answer.payload).toString()
  }
  t.equal(await ask(shop), 'shop-1')
  t.equal(await ask(local), 'host')
  t.same(
    hub.connections().map(({ name, kind }) => ({ name, kind })),
    [
      { name: 'shop-1', kind: 'site' },
      { name: 'pay', kind: 'site' },
    ],
  )
})

test('a connection may send and listen only where its identity allows', async t => {
  const { hub, join } = await openHub(t, {
    identities: { shop: { publish: ['service.*.pay', 'log.shop'], subscribe: ['site.shop.>'] }, all: {} },
  })
  const shop = await join('shop')
  const all = await join('all')
  const local = hub.bus({ name: 'narrow', kind: 'host', publish: ['a'], subscribe: ['a'] })
  const refused = { code: 'core.bus.refused' }
  const empty = Buffer.from('')
  await all.subscribe('>', async message => message.respond?.(message.payload))
  for (const subject of ['service.x', 'service.x.pay.y', 'service.x.refund', 'log', 'log.other', 'site.shop.x']) {
    await t.rejects(shop.publish(subject, empty), refused, subject)
    await t.rejects(shop.request(subject, empty, { deadline: soon() }), refused, subject)
  }
  for (const pattern of ['>', 'site.>', 'site.*.x', 'site.shop', '*.shop.x', 'log.shop']) {
    await t.rejects(
      shop.subscribe(pattern, () => undefined),
      refused,
      pattern,
    )
  }
  await shop.publish('log.shop', empty)
  await shop.request('service.x.pay', empty, { deadline: soon() })
  await shop.subscribe('site.shop.>', () => undefined)
  await shop.subscribe('site.shop.*.a', () => undefined)
  await t.rejects(local.publish('b', empty), refused)
  await t.rejects(
    local.subscribe('b', () => undefined),
    refused,
  )
})

test('an unknown token is refused', async t => {
  const { hub, join } = await openHub(t)
  await t.rejects(join('wrong'), { code: 'core.bus.refused' })
  t.equal(hub.connections().length, 0)
})

test('the socket is for its owner, a dead one is replaced, a live one is not', async t => {
  const { socketPath, hub } = await openHub(t)
  t.equal(statSync(socketPath).mode & 0o777, 0o600)
  const again = { socketPath, clock, logger: silentLogger, authenticate: () => undefined }
  await t.rejects(listenBus(again), { code: 'core.deploy.already-running' })
  t.ok(existsSync(socketPath))
  await hub[Symbol.asyncDispose]()
  t.notOk(existsSync(socketPath))
})

test('a socket left behind by a killed process is replaced, anything else is left alone', async t => {
  const folder = socketFolder()
  t.teardown(() => folder.remove())
  const socketPath = `${folder.path}/hub`
  const options = { socketPath, clock, logger: silentLogger, authenticate: () => undefined }
  await leaveSocket(socketPath)
  t.ok(existsSync(socketPath))
  const hub = await listenBus(options)
  await hub[Symbol.asyncDispose]()
  writeFileSync(socketPath, 'a letter')
  await t.rejects(listenBus(options), { code: 'core.kernel.invalid-config', field: 'socketPath' })
  await t.rejects(listenBus({ ...options, socketPath: `${folder.path}/${'x'.repeat(120)}` }), {
    code: 'core.kernel.invalid-config',
  })
  await t.rejects(listenBus({ ...options, socketPath: `${folder.path}/no/such/folder` }), {
    code: 'core.kernel.not-writable',
  })
  await t.rejects(connectBus({ ...options, socketPath: 'x'.repeat(120), token: '', ids }), {
    code: 'core.kernel.invalid-config',
  })
})

/** A socket file without a listener: bound under one name, renamed, closed. */
async function leaveSocket(path: string): Promise<void> {
  const { renameSync } = await import('node:fs')
  const server = createServer()
  await new Promise<void>(resolve => server.listen(`${path}.old`, resolve))
  renameSync(`${path}.old`, path)
  await new Promise<void>(resolve => server.close(() => resolve()))
}

// ---- hostile peers, who speak to the socket directly

async function raw(
  t: Test,
  socketPath: string,
): Promise<{ socket: Socket; link: ReturnType<typeof hubLinkOver>; closed: Promise<unknown> }> {
  const socket = connectSocket(socketPath)
  t.teardown(() => void socket.destroy())
  socket.on('error', () => undefined)
  const closed = once(socket, 'close')
  await once(socket, 'connect')
  const writer = new FrameWriter(bytes => void socket.write(bytes))
  return { socket, link: hubLinkOver(writer), closed }
}

test('hostile connections are closed, and the others do not notice', async t => {
  const { join, socketPath, hub } = await openHub(t)
  const good = await join()
  await good.subscribe('ping', async message => message.respond?.(message.payload))
  const cases: Readonly<Record<string, (peer: Awaited<ReturnType<typeof raw>>) => void>> = {
    'an enormous length before the token': ({ socket }) => void socket.write(Buffer.from([0x7f, 0xff, 0xff, 0xff])),
    'a frame before the token': ({ link }) => link.publish(1, 'ping', Buffer.alloc(0), Buffer.alloc(0)),
    'a long token': ({ link }) => link.hello(wireVersion, 'x'.repeat(5_000)),
    'another wire version': ({ link, socket }) => {
      link.hello(wireVersion + 1, 'token')
      socket.resume()
    },
    'a second hello': ({ link, socket }) => {
      link.hello(wireVersion, 'token')
      link.hello(wireVersion, 'token')
      socket.resume()
    },
    'a frame above the limit': ({ link, socket }) => {
      link.hello(wireVersion, 'token')
      socket.resume()
      socket.once('data', () => socket.write(Buffer.from([0x00, 0x90, 0x00, 0x00])))
    },
    'a frame of the other direction': ({ link, socket }) => {
      link.hello(wireVersion, 'token')
      socket.once('data', () => socket.write(Buffer.from([0, 0, 0, 5, 34, 0, 0, 0, 1])))
    },
    noise: ({ socket }) => void socket.write(Buffer.alloc(4_096, 0x55)),
  }
  for (const [name, attack] of Object.entries(cases)) {
    const peer = await raw(t, socketPath)
    attack(peer)
    peer.socket.resume()
    await peer.closed
    t.pass(`${name}: closed`)
    await good.request('ping', Buffer.from('x'), { deadline: soon() })
  }
  t.equal(hub.connections().length, 1)
})

test('a connection that shows no token is closed in time', async t => {
  const hubClock = new ManualClock()
  const { socketPath } = await openHub(t, { hubClock, limits: { helloMs: 1_000 } })
  const { closed, socket } = await raw(t, socketPath)
  socket.resume()
  while (hubClock.pending === 0) await new Promise<void>(resolve => setImmediate(resolve))
  await hubClock.pass(1_000)
  await closed
})

test('a peer cannot answer what was given to another', async t => {
  const { join, socketPath } = await openHub(t)
  const caller = await join()
  const server = await join()
  let answer: (() => Promise<void>) | undefined
  const asked = new Promise<void>(resolve => {
    void server.subscribe('q', message => {
      answer = async () => message.respond?.(Buffer.from('right'))
      resolve()
    })
  })
  await caller.publish('sync', Buffer.from(''))
  const forger = await raw(t, socketPath)
  forger.link.hello(wireVersion, 'token')
  await once(forger.socket, 'data')
  const call = caller.request('q', Buffer.from(''), { deadline: soon() })
  await asked
  for (let id = 1; id < 50; id++) forger.link.reply(id, Buffer.alloc(0), Buffer.from('forged'))
  forger.link.flush(1)
  await once(forger.socket, 'data')
  await answer?.()
  t.equal(Buffer.from((await call).payload).toString(), 'right')
})

test('a peer that does not read is closed before its buffer grows beyond the limit', async t => {
  const records: LogRecord[] = []
  const logger = createLogger({ now: () => 0, write: record => void records.push(record) })
  const limit = 4 * 1024 * 1024
  const { join, socketPath, hub } = await openHub(t, { limits: { maxOutgoingBytes: limit }, logger })
  const sender = await join()
  const slow = await raw(t, socketPath)
  slow.link.hello(wireVersion, 'token')
  await once(slow.socket, 'data')
  slow.link.subscribe(1, 1, 'flood', '')
  await once(slow.socket, 'data')
  slow.socket.pause()
  const piece = Buffer.alloc(512 * 1024)
  for (let count = 0; count < 64 && hub.connections().length === 2; count++) await sender.publish('flood', piece)
  t.equal(hub.connections().length, 1)
  t.match(records.find(({ level }) => level === 'warn')?.fields.reason, /does not read/)
  await sender.publish('flood', piece)
})

test('connections, subscriptions and requests have a bound', async t => {
  const { join, socketPath } = await openHub(t, { limits: { maxConnections: 2, maxSubscriptions: 2, maxRequests: 2 } })
  const first = await join()
  const second = await join()
  const third = await raw(t, socketPath)
  await third.closed
  await second.subscribe('hold', () => undefined)
  await second.subscribe('b', () => undefined)
  await t.rejects(
    second.subscribe('c', () => undefined),
    { code: 'core.bus.overloaded' },
  )
  const stop = new AbortController()
  const ask = (): Promise<unknown> => first.request('hold', Buffer.from(''), { deadline: soon(), signal: stop.signal })
  const held = [ask(), ask()]
  await t.rejects(ask(), { code: 'core.bus.overloaded' })
  stop.abort()
  for (const call of held) await t.rejects(call, { code: 'core.contract.cancelled' })
  await t.rejects(first.request('nobody', Buffer.from(''), { deadline: soon() }), { code: 'core.bus.no-responder' })
})
