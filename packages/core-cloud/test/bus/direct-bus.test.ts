import { generateKeyPairSync } from 'node:crypto'
import { existsSync, renameSync, unlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { type ErrorCode, silentLogger, systemClock, systemIds } from '@aaas/core-cloud/kernel'
import { type Test, test } from 'tap'
import type { Bus, BusMessage } from '../../src/bus/bus.js'
import type { DirectBus } from '../../src/bus/index.js'
import { type BusHub, connectBus, listenBus } from '../../src/bus/index.js'
import { acquainted, credentialOf, issuer, type JoinOptions, joinDirect, until } from './fixture/direct-cluster.js'
import { socketFolder } from './fixture/processes.js'

const clock = systemClock({ keepAlive: true })
const bytes = (text: string): Buffer => Buffer.from(text)
const text = (message: BusMessage): string => Buffer.from(message.payload).toString()
const echo = async (message: BusMessage): Promise<void> => message.respond?.(message.payload)
const soon = (): { deadline: number } => ({ deadline: clock.now() + 5_000 })

interface House {
  readonly hub: BusHub
  readonly path: string
  /** A bus on the hub, without a direct path. */
  plain(name?: string): Bus
  join(name: string, options?: JoinOptions): Promise<DirectBus>
  /** Everybody that joined knows everybody. */
  settle(): Promise<void>
}

async function openHouse(t: Test): Promise<House> {
  const folder = socketFolder()
  const hub = await listenBus({
    socketPath: `${folder.path}/hub`,
    clock,
    logger: silentLogger,
    authenticate: token => ({ name: token, kind: 'service', publish: ['>'], subscribe: ['>'] }),
  })
  const joined: DirectBus[] = []
  t.teardown(async () => {
    for (const bus of joined) await bus[Symbol.asyncDispose]()
    await hub[Symbol.asyncDispose]()
    folder.remove()
  })
  const plain = (name = 'plain'): Bus => hub.bus({ name, kind: 'service', publish: ['>'], subscribe: ['>'] })
  return {
    hub,
    path: folder.path,
    plain,
    async join(name, options = {}) {
      const listen = { socketPath: `${folder.path}/${name}-${joined.length}` }
      const below = options.below ?? plain(name)
      const bus = await joinDirect(below, { name, listen, ...options })
      joined.push(bus)
      return bus
    },
    settle: async () => {
      await acquainted(joined)
      // Each only listens until its timer of `joinMs` fires; a later one of the same length fires after all of them.
      await new Promise<void>(resolve => clock.after(0, resolve))
    },
  }
}

async function codeOf(call: Promise<unknown>): Promise<ErrorCode | undefined> {
  try {
    await call
    return undefined
  } catch (error) {
    return (error as { code?: ErrorCode }).code
  }
}

test('a call goes directly, and both sides see who is there', async t => {
  const house = await openHouse(t)
  const shop = await house.join('shop')
  const pay = await house.join('pay')
  await pay.subscribe('pay.*', async message => message.respond?.(bytes(`${message.sender} ${message.headers.h}`)), {
    queue: 'pay',
  })
  await house.settle()
  const answer = await shop.request('pay.now', bytes('x'), { ...soon(), headers: { h: 'é' } })
  t.equal(text(answer), 'shop é')
  t.equal(answer.sender, 'pay')
  t.equal(answer.subject, 'pay.now')
  t.match(shop.info(), { direct: 1, otherWay: 0, peers: [{ name: 'pay', connected: true }] })
  t.equal(pay.info().callers, 1)
})

test('over TLS too, where the peer has no unix socket', async t => {
  const house = await openHouse(t)
  const tcp = { host: '127.0.0.1', port: 0 }
  const shop = await house.join('shop', { listen: { tcp } })
  const pay = await house.join('pay', { listen: { tcp } })
  await pay.subscribe('pay', echo, { queue: 'pay' })
  await house.settle()
  const big = Buffer.alloc(3_000_000, 7)
  const answer = await shop.request('pay', big, soon())
  t.equal(Buffer.compare(big, answer.payload), 0)
  t.match(shop.info(), { direct: 1, otherWay: 0 })
})

test('calls that more than one must get take the hub', async t => {
  const house = await openHouse(t)
  const shop = await house.join('shop')
  const first = await house.join('first')
  const second = await house.join('second')
  const seen: string[] = []
  const note = (name: string) => async (message: BusMessage) => {
    seen.push(name)
    await echo(message)
  }
  await first.subscribe('a', note('first'), { queue: 'q' })
  const tap = await second.subscribe('>', message => void seen.push(`tap ${message.subject}`))
  await house.settle()
  await shop.request('a', bytes(''), soon())
  t.same(seen.sort(), ['first', 'tap a'])
  t.equal(shop.info().direct, 0)
  await tap.drain()
  await second.subscribe('a', note('other'), { queue: 'other' })
  await shop.request('a', bytes(''), soon())
  t.equal(shop.info().direct, 0)
})

test('a new listener is known to everybody before its subscribe resolves', async t => {
  const house = await openHouse(t)
  const shop = await house.join('shop')
  const pay = await house.join('pay')
  const late = await house.join('late')
  await pay.subscribe('a', echo, { queue: 'q' })
  await house.settle()
  for (let round = 0; round < 30; round++) {
    let heard = 0
    const tap = await late.subscribe('a', () => void heard++)
    await shop.request('a', bytes(''), soon())
    await until(() => heard === 1)
    await tap.drain()
  }
  t.ok(true)
})

test('subjects left out, rights that do not reach and unknown listeners: the hub decides', async t => {
  const house = await openHouse(t)
  const shop = await house.join('shop', { subjects: ['direct.>'] })
  const pay = await house.join('pay')
  await pay.subscribe('direct.a', echo, { queue: 'q' })
  await pay.subscribe('hub.a', echo, { queue: 'q' })
  await house.plain().subscribe('plain.a', echo, { queue: 'q' })
  await house.settle()
  for (const subject of ['direct.a', 'hub.a', 'plain.a'])
    t.equal(text(await shop.request(subject, bytes(subject), soon())), subject)
  t.equal(shop.info().direct, 1)
})

test('a credential gives no more than it says, on either side', async t => {
  const house = await openHouse(t)
  const narrow = await house.join('narrow', { rights: { publish: ['aaas.peers.>', 'may.*'], subscribe: ['>'] } })
  const pay = await house.join('pay')
  let runs = 0
  const count = (message: BusMessage): Promise<void> => {
    runs += 1
    return echo(message)
  }
  await pay.subscribe('may.a', count, { queue: 'q' })
  await pay.subscribe('secret.a', count, { queue: 'q' })
  await house.settle()
  t.equal(text(await narrow.request('may.a', bytes('x'), soon())), 'x')
  // The hub of this test would let it pass; what counts is that the direct path was not taken.
  await narrow.request('secret.a', bytes('x'), soon())
  t.equal(narrow.info().direct, 1)
  t.equal(runs, 2)
  // Who may not listen somewhere cannot draw calls to itself by announcing it.
  const thief = await house.join('thief', { rights: { publish: ['>'], subscribe: ['aaas.peers.>', 'own.>'] } })
  const shop = await house.join('shop')
  await thief.subscribe('may.a', () => void t.fail('a call went to the thief'), { queue: 'q' }).catch(() => undefined)
  await house.settle()
  const before = shop.info().direct
  await pay.subscribe('only.pay', echo, { queue: 'q' })
  t.equal(text(await shop.request('only.pay', bytes('x'), soon())), 'x')
  t.equal(shop.info().direct, before + 1)
})

test('a peer that cannot be dialled is called over the hub, without the caller noticing', async t => {
  const house = await openHouse(t)
  const shop = await house.join('shop')
  // Somebody who listens and answers nothing, and a path where nobody is.
  const dead = createServer(socket => socket.destroy())
  const deadPath = `${house.path}/dead`
  await new Promise<void>(resolve => dead.listen(deadPath, resolve))
  t.teardown(() => dead.close())
  const pay = await house.join('pay')
  await pay.subscribe('pay', echo, { queue: 'pay' })
  await house.settle()
  const socketPath = pay.info().places.socketPath ?? ''
  renameSync(deadPath, socketPath)
  t.equal(text(await shop.request('pay', bytes('1'), soon())), '1')
  unlinkSync(socketPath)
  t.equal(text(await shop.request('pay', bytes('2'), soon())), '2')
  t.equal(shop.info().direct, shop.info().otherWay)
  t.notOk(existsSync(deadPath))
})

test('an impostor at the path of a peer gets nothing and only costs a detour', async t => {
  const house = await openHouse(t)
  const shop = await house.join('shop')
  const pay = await house.join('pay')
  await pay.subscribe('pay', echo, { queue: 'pay' })
  // Another admitted instance takes the place of the announced one.
  const other = await house.join('other')
  await other
    .subscribe('pay', () => void t.fail('the impostor was called directly'), { queue: 'elsewhere' })
    .then(s => s.drain())
  await house.settle()
  renameSync(other.info().places.socketPath ?? '', pay.info().places.socketPath ?? '')
  t.equal(text(await shop.request('pay', bytes('x'), soon())), 'x')
  t.match(shop.info(), { direct: 1, otherWay: 1 })
})

test('credentials of another issuer, cluster, key or time are not believed', async t => {
  const house = await openHouse(t)
  const shop = await house.join('shop')
  const stranger = generateKeyPairSync('ed25519')
  const own = generateKeyPairSync('ed25519')
  const text = credentialOf(own.publicKey, { name: 'x' })
  const refused = { code: 'core.bus.bad-signature' }
  const join = (options: JoinOptions): Promise<DirectBus> => house.join('x', { privateKey: own.privateKey, ...options })
  await t.rejects(join({ credential: () => credentialOf(own.publicKey, {}, stranger.privateKey) }), refused)
  await t.rejects(join({ credential: () => text, cluster: 'other' }), refused)
  await t.rejects(join({ credential: () => credentialOf(own.publicKey, { until: clock.now() - 1 }) }), refused)
  await t.rejects(join({ credential: () => `${text.slice(0, -3)}AAA` }), refused)
  await t.rejects(join({ credential: () => 'nonsense' }), refused)
  const wrong = {
    privateKey: { privateKey: stranger.privateKey },
    issuers: { issuers: [] },
    instance: { instance: 'a.b' },
  }
  for (const [field, options] of Object.entries(wrong)) {
    const error: unknown = await join({ credential: () => text, ...options }).catch((error: unknown) => error)
    t.match(error, { code: 'core.kernel.invalid-config', field })
  }
  // One that trusts another issuer itself is still not believed by the others.
  const liar = await house.join('liar', {
    privateKey: own.privateKey,
    credential: () => credentialOf(own.publicKey, { name: 'liar' }, stranger.privateKey),
    issuers: [stranger.publicKey, issuer.publicKey],
  })
  await liar.subscribe('lie', echo, { queue: 'q' })
  t.same(shop.info().peers, [])
  t.equal((await shop.request('lie', bytes(''), soon())).sender, 'liar')
  t.equal(shop.info().direct, 0)
})

test('who speaks under another name than the hub knows is not believed', async t => {
  const house = await openHouse(t)
  const shop = await house.join('shop')
  const liar = await house.join('boss', { below: house.plain('clerk') })
  await liar.subscribe('a', echo, { queue: 'q' })
  t.same(shop.info().peers, [])
})

test('an expired credential ends the direct path, not the calls', async t => {
  const house = await openHouse(t)
  let now = 1_000_000
  const still = { now: () => now, monotonic: () => clock.monotonic(), after: clock.after.bind(clock) }
  const shop = await house.join('shop', { rights: { until: 2_000_000 }, clock: still })
  const pay = await house.join('pay', { clock: still })
  await pay.subscribe('pay', echo, { queue: 'pay' })
  await house.settle()
  await shop.request('pay', bytes(''), { deadline: now + 10_000 })
  t.match(shop.info(), { direct: 1, otherWay: 0 })
  now = 2_000_000
  await shop.request('pay', bytes(''), { deadline: clock.now() + 10_000 })
  t.match(shop.info(), { direct: 2, otherWay: 1 })
})

test('a call that was written when the peer died has an unknown outcome; the next one finds another way', async t => {
  const house = await openHouse(t)
  const shop = await house.join('shop')
  const socketPath = `${house.path}/hub`
  const below = await connectBus({ socketPath, token: 'pay', clock, ids: systemIds(), logger: silentLogger })
  const pay = await house.join('pay', { below })
  let received: () => void = () => undefined
  const held = new Promise<void>(resolve => {
    received = resolve
  })
  await pay.subscribe('hold', () => received(), { queue: 'pay' })
  await house.settle()
  const call = codeOf(shop.request('hold', bytes(''), soon()))
  await held
  await pay[Symbol.asyncDispose]()
  t.equal(await call, 'core.bus.disconnected')
  t.equal(await codeOf(shop.request('hold', bytes(''), soon())), 'core.bus.no-responder')
})

test('an instance lists 512 subscriptions; with more, nobody calls past it', async t => {
  const house = await openHouse(t)
  const shop = await house.join('shop')
  const pay = await house.join('pay')
  const other = await house.join('other')
  await other.subscribe('pay.1', echo, { queue: 'pay' })
  await Promise.all(Array.from({ length: 512 }, (_, index) => pay.subscribe(`pay.${index}`, echo, { queue: 'pay' })))
  await house.settle()
  const ask = async (subject: string): Promise<number> => {
    t.equal(text(await shop.request(subject, bytes(subject), soon())), subject)
    return shop.info().direct
  }
  t.equal(await ask('pay.1'), 1)
  const last = await pay.subscribe('pay.512', echo, { queue: 'pay' })
  t.equal(await ask('pay.1'), 1)
  t.equal(await ask('pay.512'), 2)
  await last.drain()
  await house.settle()
  t.equal(await ask('pay.1'), 3)
  t.equal(shop.info().otherWay, 0)
})

test('a caller beyond the bound of connections is served over the hub', async t => {
  const house = await openHouse(t)
  const pay = await house.join('pay', { limits: { maxInbound: 1 } })
  await pay.subscribe('pay', echo, { queue: 'pay' })
  const first = await house.join('first')
  const second = await house.join('second')
  await house.settle()
  await first.request('pay', bytes('x'), soon())
  await second.request('pay', bytes('x'), soon())
  t.match(first.info(), { direct: 1, otherWay: 0 })
  t.match(second.info(), { direct: 1, otherWay: 1 })
  t.equal(pay.info().callers, 1)
})

test('a credential has a bound, and wrong fields are named', async t => {
  const { publicKey } = generateKeyPairSync('ed25519')
  const patterns = (count: number): string[] => Array.from({ length: count }, (_, index) => `a.${index}`)
  t.ok(credentialOf(publicKey, { publish: patterns(256) }))
  const fields: Record<string, object> = {
    publish: { publish: patterns(257) },
    subscribe: { subscribe: ['a b'] },
    name: { name: 'ä' },
    until: { until: -1 },
  }
  for (const [field, rights] of Object.entries(fields)) {
    let error: unknown
    try {
      credentialOf(publicKey, rights)
    } catch (caught) {
      error = caught
    }
    t.match(error, { code: 'core.kernel.invalid-config', field })
  }
})
